//! Events per period with a sliding estimate, in constant space.
//!
//! The count of the period that runs is added to the part of the previous period's count that still lies within
//! one period of now: `current + previous * remaining / period`. Just after a period begins the estimate is the
//! previous count, just before it ends the current one, and a steady rate reads steady throughout.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How long a period is, in milliseconds; 1 s for session and request rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePeriod(u32);

impl RatePeriod {
    pub const SECOND: RatePeriod = RatePeriod(1000);

    /// `period_ms` of 0 is taken as 1.
    pub const fn from_ms(period_ms: u32) -> Self {
        Self(if period_ms == 0 { 1 } else { period_ms })
    }

    pub const fn ms(self) -> u32 {
        self.0
    }
}

/// Events per period. Any thread may add; an add that races with the turn of a period may be counted in either.
#[derive(Debug, Default)]
pub struct Rate {
    /// When the running period began, in milliseconds of the monotonic clock; 0 is "never used".
    start_ms: AtomicU64,
    current: AtomicU64,
    previous: AtomicU64,
}

impl Rate {
    pub const fn new() -> Self {
        Self { start_ms: AtomicU64::new(0), current: AtomicU64::new(0), previous: AtomicU64::new(0) }
    }

    /// Counts `events` at `now_ms` and returns the running period's count.
    pub fn add(&self, period: RatePeriod, now_ms: u64, events: u64) -> u64 {
        self.turn(period, now_ms);
        self.current.fetch_add(events, Relaxed) + events
    }

    /// The estimated events in the period that ends at `now_ms`.
    pub fn read(&self, period: RatePeriod, now_ms: u64) -> u64 {
        let period_ms = u64::from(period.0);
        let start_ms = self.start_ms.load(Relaxed);
        let (current, previous) = (self.current.load(Relaxed), self.previous.load(Relaxed));
        let age_ms = now_ms.saturating_sub(start_ms);
        let (current, previous, age_ms) = if age_ms < period_ms {
            (current, previous, age_ms)
        } else if age_ms < 2 * period_ms {
            (0, current, age_ms - period_ms)
        } else {
            return 0;
        };
        // A lone event keeps reading as 1 for its whole period instead of vanishing by rounding at once.
        if current == 0 && previous <= 1 {
            return previous;
        }
        current + mul_div(previous, period_ms - age_ms, period_ms)
    }

    /// How many more events fit under `limit` now: 0 when the limit is reached.
    pub fn remaining(&self, period: RatePeriod, now_ms: u64, limit: u64) -> u64 {
        limit.saturating_sub(self.read(period, now_ms))
    }

    /// `clear counters all`.
    pub fn reset(&self) {
        self.start_ms.store(0, Relaxed);
        self.current.store(0, Relaxed);
        self.previous.store(0, Relaxed);
    }

    /// Begins a new period if the running one is over; exactly one of several threads does it.
    fn turn(&self, period: RatePeriod, now_ms: u64) {
        let period_ms = u64::from(period.0);
        let start_ms = self.start_ms.load(Relaxed);
        let age_ms = now_ms.saturating_sub(start_ms);
        if age_ms < period_ms {
            return;
        }
        // A period follows the one before without a hole; after a pause a fresh one begins now.
        let next_start_ms = if age_ms < 2 * period_ms { start_ms + period_ms } else { now_ms };
        if self.start_ms.compare_exchange(start_ms, next_start_ms, Relaxed, Relaxed).is_ok() {
            let finished = self.current.swap(0, Relaxed);
            self.previous.store(if age_ms < 2 * period_ms { finished } else { 0 }, Relaxed);
        }
    }
}

fn mul_div(value: u64, numerator: u64, denominator: u64) -> u64 {
    (u128::from(value) * u128::from(numerator) / u128::from(denominator.max(1))).min(u128::from(u64::MAX))
        as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: RatePeriod = RatePeriod::SECOND;

    #[test]
    fn a_steady_rate_reads_steady() {
        let rate = Rate::new();
        for ms in 0..5_000u64 {
            rate.add(SECOND, 10_000 + ms, 1);
            if ms > 2_000 {
                let estimate = rate.read(SECOND, 10_000 + ms);
                assert!((999..=1001).contains(&estimate), "{estimate} at {ms}");
            }
        }
    }

    #[test]
    fn the_estimate_fades_within_the_next_period_and_ends_at_zero() {
        let rate = Rate::new();
        rate.add(SECOND, 10_000, 100);
        assert_eq!(rate.read(SECOND, 10_999), 100);
        assert_eq!(rate.read(SECOND, 11_500), 50);
        assert_eq!(rate.read(SECOND, 11_990), 1);
        assert_eq!(rate.read(SECOND, 12_000), 0);
        assert_eq!(rate.add(SECOND, 60_000, 1), 1);
        assert_eq!(rate.read(SECOND, 60_000), 1);
    }

    proptest! {
        #[test]
        fn never_more_than_what_two_periods_saw(events in prop::collection::vec((0u64..700, 1u64..50), 1..60)) {
            let rate = Rate::new();
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now_ms = 100_000;
            for (wait_ms, n) in events {
                now_ms += wait_ms;
                rate.add(SECOND, now_ms, n);
                log.push((now_ms, n));
                let seen: u64 = log.iter().filter(|(at, _)| at + 2000 > now_ms).map(|(_, n)| n).sum();
                prop_assert!(rate.read(SECOND, now_ms) <= seen);
            }
        }
    }
}
