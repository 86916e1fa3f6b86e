//! Effective priority: the configured one plus what trackers add and take away (keepalived's behaviour).

use serde::{Deserialize, Serialize};

use crate::packet::PRIORITY_OWNER;

/// The lowest priority that is not a good-bye.
pub const LOWEST: u8 = 1;
/// The highest priority that a router without the addresses may have (RFC 9568 §5.2.4).
pub const HIGHEST: u8 = 254;

/// What one tracker (script, interface, file, process) currently does to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing.
    None,
    /// Changes the priority by so much.
    Weight(i32),
    /// Holds the instance in FAULT.
    Fault,
    /// Not known yet: an instance that starts stays in INIT until it is (keepalived's behaviour).
    Pending,
}

/// The effect of a tracker with this configured weight, 0 meaning FAULT when bad.
///
/// A positive weight is added while good, a negative one while bad. `reverse` negates what is added, and with weight 0
/// it makes good bad (tried with keepalived 2.2.7).
pub fn effect(weight: i32, reverse: bool, good: bool) -> Effect {
    match weight {
        0 if good != reverse => Effect::None,
        0 => Effect::Fault,
        _ => {
            let weighs = (weight > 0) == good;
            if weighs { Effect::Weight(if reverse { -weight } else { weight }) } else { Effect::None }
        }
    }
}

/// Base priority and the sum of the effects, held in 1..=254; an owner's never changes.
pub fn effective(base: u8, effects: impl Iterator<Item = Effect>) -> u8 {
    if base == PRIORITY_OWNER {
        return base;
    }
    let sum = effects.fold(i32::from(base), |sum, effect| match effect {
        Effect::Weight(weight) => sum.saturating_add(weight),
        Effect::None | Effect::Fault | Effect::Pending => sum,
    });
    sum.clamp(1, 254) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_positive_weight_counts_while_good_a_negative_one_while_bad() {
        assert_eq!(effect(10, false, true), Effect::Weight(10));
        assert_eq!(effect(10, false, false), Effect::None);
        assert_eq!(effect(-10, false, true), Effect::None);
        assert_eq!(effect(-10, false, false), Effect::Weight(-10));
    }

    #[test]
    fn reverse_negates_what_is_added() {
        assert_eq!(effect(10, true, true), Effect::Weight(-10));
        assert_eq!(effect(10, true, false), Effect::None);
        assert_eq!(effect(-10, true, false), Effect::Weight(10));
        assert_eq!(effect(-10, true, true), Effect::None);
    }

    #[test]
    fn weight_zero_is_a_fault_when_bad() {
        assert_eq!(effect(0, false, false), Effect::Fault);
        assert_eq!(effect(0, true, true), Effect::Fault);
        assert_eq!(effect(0, false, true), Effect::None);
    }

    #[test]
    fn the_sum_stays_between_1_and_254_and_leaves_an_owner_alone() {
        assert_eq!(effective(100, [Effect::Weight(-150)].into_iter()), 1);
        assert_eq!(effective(100, [Effect::Weight(200)].into_iter()), 254);
        assert_eq!(effective(255, [Effect::Weight(-100)].into_iter()), 255);
        assert_eq!(effective(100, [Effect::Weight(10), Effect::Weight(-30)].into_iter()), 80);
    }
}
