//! Deadlines of many connections at a few milliseconds' precision.
//!
//! A connection has one deadline; moving it later costs nothing here, because an entry that comes up early is put back by
//! its owner. The wheel turns in ticks of [`TICK_MS`]; what is farther away than one turn waits in the last slot.

use super::poller::Token;

/// Precision of a deadline in milliseconds; it never fires early.
pub const TICK_MS: u64 = 2;
const SLOTS: usize = 2048;
const WORDS: usize = SLOTS / 64;

/// The wheel of one thread. Times are milliseconds of the process's clock.
#[derive(Debug)]
pub struct TimerWheel {
    slots: Vec<Vec<Token>>,
    occupied: [u64; WORDS],
    /// The tick up to which everything was taken out.
    tick: u64,
}

impl TimerWheel {
    pub fn new(now_ms: u64) -> Self {
        Self { slots: vec![Vec::new(); SLOTS], occupied: [0; WORDS], tick: now_ms / TICK_MS }
    }

    /// Enters a deadline; gives the moment at which it will come up, which may be earlier (one turn at most).
    pub fn insert(&mut self, token: Token, deadline_ms: u64) -> u64 {
        let tick = deadline_ms.div_ceil(TICK_MS).clamp(self.tick + 1, self.tick + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        self.slots[slot].push(token);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        tick * TICK_MS
    }

    /// Moves everything due by `now_ms` to `due`.
    pub fn expire(&mut self, now_ms: u64, due: &mut Vec<Token>) {
        let target = now_ms / TICK_MS;
        if target.saturating_sub(self.tick) >= SLOTS as u64 {
            for slot in &mut self.slots {
                due.append(slot);
            }
            self.occupied = [0; WORDS];
            self.tick = target;
            return;
        }
        while self.tick < target {
            let Some(next) = self.next_tick().filter(|next| *next <= target) else { break };
            let slot = (next % SLOTS as u64) as usize;
            due.append(&mut self.slots[slot]);
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            self.tick = next;
        }
        self.tick = self.tick.max(target);
    }

    /// The moment of the next entry, if there is one.
    pub fn next_ms(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick * TICK_MS)
    }

    fn next_tick(&self) -> Option<u64> {
        let start = ((self.tick + 1) % SLOTS as u64) as usize;
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= !0 << (start % 64);
            } else if step == WORDS {
                bits &= !(!0 << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + SLOTS - start) % SLOTS;
                return Some(self.tick + 1 + ahead as u64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(slot: u32) -> Token {
        Token { slot, generation: 0 }
    }

    #[test]
    fn deadlines_come_up_in_order_and_never_early() {
        let mut wheel = TimerWheel::new(1000);
        let mut due = Vec::new();
        wheel.insert(token(1), 1500);
        wheel.insert(token(2), 1013);
        assert_eq!(wheel.next_ms(), Some(1014));
        wheel.expire(1013, &mut due);
        assert!(due.is_empty());
        wheel.expire(1014, &mut due);
        assert_eq!(due, [token(2)]);
        assert_eq!(wheel.next_ms(), Some(1500));
        wheel.expire(9_000_000, &mut due);
        assert_eq!(due, [token(2), token(1)]);
        assert_eq!(wheel.next_ms(), None);
    }

    #[test]
    fn a_far_deadline_comes_up_once_a_turn() {
        let mut wheel = TimerWheel::new(0);
        let shown = wheel.insert(token(1), 3_600_000);
        assert!(shown < 3_600_000);
        let mut due = Vec::new();
        wheel.expire(shown, &mut due);
        assert_eq!(due, [token(1)]);
    }

    /// Seeded comparison with a sorted list.
    #[test]
    fn random_deadlines_agree_with_a_sorted_list() {
        let mut seed = 0x1234_5678_9abc_def0u64;
        let mut random = |limit: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % limit
        };
        let mut wheel = TimerWheel::new(0);
        let mut expected: Vec<(u64, u32)> = Vec::new();
        let mut now = 0;
        for round in 0..20_000u32 {
            let at = wheel.insert(token(round), now + 1 + random(4000));
            expected.push((at, round));
            now += random(40);
            let mut due = Vec::new();
            wheel.expire(now, &mut due);
            let mut should: Vec<u32> =
                expected.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
            expected.retain(|(at, _)| *at > now);
            let mut got: Vec<u32> = due.iter().map(|token| token.slot).collect();
            should.sort_unstable();
            got.sort_unstable();
            assert_eq!(got, should, "round {round}");
            assert_eq!(wheel.next_ms(), expected.iter().map(|(at, _)| *at).min());
        }
    }
}
