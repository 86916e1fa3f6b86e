//! When checks start, so that they do not all come at once.
//!
//! Pure arithmetic: randomness is an argument.

use std::time::Duration;

/// The delay of the first check of server number `position` of `total` (manual, "spread-checks", "inter"): the starts
/// are spread evenly over the smallest interval of all servers.
pub fn start_delay(position: u32, total: u32, smallest_inter: Duration) -> Duration {
    if total == 0 {
        return Duration::ZERO;
    }
    smallest_inter.mul_f64(f64::from(position.min(total)) / f64::from(total))
}

/// An interval made longer or shorter at random by up to `percent` (manual, "spread-checks", 0..=50). `seed` is 32
/// random bits.
pub fn jitter(interval: Duration, percent: u32, seed: u32) -> Duration {
    let share = f64::from(percent.min(50)) / 100.0;
    let offset = f64::from(seed) / f64::from(u32::MAX) * 2.0 - 1.0;
    interval.mul_f64(1.0 + share * offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_spread_over_the_smallest_interval() {
        let inter = Duration::from_secs(2);
        assert_eq!(start_delay(0, 4, inter), Duration::ZERO);
        assert_eq!(start_delay(3, 4, inter), Duration::from_millis(1_500));
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let inter = Duration::from_secs(10);
        assert_eq!(jitter(inter, 0, 12_345), inter);
        assert_eq!(jitter(inter, 20, 0), Duration::from_secs(8));
        assert_eq!(jitter(inter, 20, u32::MAX), Duration::from_secs(12));
    }
}
