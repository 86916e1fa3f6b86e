//! The steps of `slowstart`: the weight grows by sixteenths, once a second.

use std::time::{Duration, Instant};

use crate::balance::RAMP_FULL;

/// A server that came up and is not fully loaded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    since: Instant,
    seconds: u64,
}

impl SlowStart {
    /// Starts now; none if `duration` is zero.
    pub fn new(duration: Duration, now: Instant) -> Option<Self> {
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        (seconds > 0).then_some(SlowStart { since: now, seconds })
    }

    /// The step now, 1..=[`RAMP_FULL`]. At the moment of coming up it is 1.
    pub fn ramp(&self, now: Instant) -> u16 {
        let full = u64::from(RAMP_FULL);
        let elapsed = self.elapsed_s(now);
        let ramp = match elapsed {
            0 => 1,
            elapsed if elapsed >= self.seconds => full,
            elapsed => (full * elapsed + self.seconds) / self.seconds,
        };
        u16::try_from(ramp.min(full)).unwrap_or(RAMP_FULL)
    }

    /// How far it is in percent, which also bounds `maxconn` meanwhile (manual, "slowstart").
    pub fn percent(&self, now: Instant) -> u8 {
        u8::try_from((100 * self.elapsed_s(now) / self.seconds).min(100)).unwrap_or(100)
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Instant) -> bool {
        self.elapsed_s(now) >= self.seconds
    }

    /// When the next step is due.
    pub fn next_step_at(&self, now: Instant) -> Instant {
        self.since + Duration::from_secs(self.elapsed_s(now) + 1)
    }

    fn elapsed_s(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowstart_of_ten_seconds_takes_haproxys_steps() {
        let start = Instant::now();
        let slow = SlowStart::new(Duration::from_secs(10), start).unwrap();
        let ramps: Vec<u16> = (0..=10).map(|s| slow.ramp(start + Duration::from_secs(s))).collect();
        assert_eq!(ramps, [1, 2, 4, 5, 7, 9, 10, 12, 13, 15, 16]);
        assert!(!slow.is_over(start + Duration::from_millis(9_999)));
        assert!(slow.is_over(start + Duration::from_secs(10)));
    }

    #[test]
    fn a_fraction_of_a_second_counts_as_a_whole_one() {
        let start = Instant::now();
        let slow = SlowStart::new(Duration::from_millis(1_001), start).unwrap();
        assert_eq!(slow.ramp(start + Duration::from_secs(1)), 9);
        assert!(SlowStart::new(Duration::ZERO, start).is_none());
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let start = Instant::now() + Duration::from_secs(100);
        let slow = SlowStart::new(Duration::from_secs(5), start).unwrap();
        assert_eq!(slow.ramp(start - Duration::from_secs(50)), 1);
    }
}
