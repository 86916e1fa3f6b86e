//! Maglev's lookup table (Eisenbud and others, NSDI 2016), an extension for `hash-type maglev`.
//!
//! Each server has a permutation of all slots of its own; in turns, each takes the next slot of its permutation that is
//! still free, as often as its weight says. The shares differ by less than a hundredth, and a change of one server moves
//! few keys of the others. A pick is one lookup; the table is made anew when a server changes.

use super::ServerIndex;
use crate::hash::avalanche;

/// Both sizes are prime, so that every step length visits every slot.
const SLOTS: usize = 65_537;
const SLOTS_MANY: usize = 655_373;
/// Up to this many servers the small table has a hundred slots each.
const SERVERS_FEW: usize = 655;

struct Candidate {
    server: ServerIndex,
    at: usize,
    step: usize,
    weight: u64,
    credit: u64,
}

/// The slots for servers with a key and a weight above 0.
pub(super) fn fill(group: &[(ServerIndex, u32, u32)]) -> Vec<ServerIndex> {
    let size = if group.len() > SERVERS_FEW { SLOTS_MANY } else { SLOTS };
    let heaviest = group.iter().map(|(_, _, weight)| u64::from(*weight)).max().unwrap_or(0);
    if heaviest == 0 {
        return Vec::new();
    }
    let mut candidates: Vec<Candidate> = group
        .iter()
        .map(|(server, key, weight)| Candidate {
            server: *server,
            at: avalanche(*key) as usize % size,
            step: avalanche(key.rotate_left(16) ^ 0x9e37_79b9) as usize % (size - 1) + 1,
            weight: u64::from(*weight),
            credit: 0,
        })
        .collect();
    // Where equal weights meet, the order of turns must not depend on the configuration's order.
    candidates.sort_by_key(|candidate| (candidate.at, candidate.step));
    let mut slots: Vec<Option<ServerIndex>> = vec![None; size];
    let mut left = size;
    loop {
        for candidate in &mut candidates {
            candidate.credit += candidate.weight;
            if candidate.credit < heaviest {
                continue;
            }
            candidate.credit -= heaviest;
            // Ends: there is a free slot, and every slot is visited.
            while let Some(slot) = slots.get_mut(candidate.at) {
                candidate.at = (candidate.at + candidate.step) % size;
                if slot.is_none() {
                    *slot = Some(candidate.server);
                    left -= 1;
                    break;
                }
            }
            if left == 0 {
                return slots.into_iter().flatten().collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(weights: &[(u32, u32)]) -> Vec<ServerIndex> {
        let group: Vec<_> =
            weights.iter().map(|(id, weight)| (ServerIndex(*id), id * 4096, *weight)).collect();
        fill(&group)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn shares_are_those_of_the_weights(weights in prop::collection::vec(1u32..20, 1..30)) {
            let servers: Vec<_> = (1..).zip(weights.iter().copied()).collect();
            let slots = table(&servers);
            let total: u32 = weights.iter().sum();
            for (id, weight) in servers {
                let got = slots.iter().filter(|server| server.0 == id).count() as f64 / slots.len() as f64;
                let due = f64::from(weight) / f64::from(total);
                prop_assert!((got - due).abs() <= due * 0.01 + 2.0 / slots.len() as f64, "{got} for {due}");
            }
        }

        /// Its own keys move; of the others', few.
        #[test]
        fn a_server_that_leaves_disturbs_few_keys(count in 3u32..40, gone in any::<prop::sample::Index>()) {
            let servers: Vec<_> = (1..=count).map(|id| (id, 1)).collect();
            let gone = gone.index(servers.len()) as u32 + 1;
            let before = table(&servers);
            let after = table(&servers.iter().copied().filter(|(id, _)| *id != gone).collect::<Vec<_>>());
            let moved = before.iter().zip(&after).filter(|(a, b)| a.0 != gone && a != b).count();
            prop_assert!(after.iter().all(|server| server.0 != gone));
            prop_assert!(moved * 100 <= before.len() * 8, "{moved} of {}", before.len());
        }
    }
}
