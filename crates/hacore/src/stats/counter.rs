//! Event counters and gauges that any thread may bump.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count of events; wraps at 2^64. Readers may see it a moment late, never torn.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// `clear counters`.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// A current value with the highest one seen: sessions now and `smax`.
#[derive(Debug, Default)]
pub struct MaxGauge {
    current: AtomicU64,
    max: AtomicU64,
}

impl MaxGauge {
    /// Raises the value by one and returns it.
    pub fn enter(&self) -> u64 {
        let now = self.current.fetch_add(1, Relaxed) + 1;
        if now > self.max.load(Relaxed) {
            self.max.fetch_max(now, Relaxed);
        }
        now
    }

    /// Lowers the value by one; at 0 it stays there, because an imbalance must not turn into 2^64.
    pub fn leave(&self) {
        let _ = self.current.fetch_update(Relaxed, Relaxed, |now| now.checked_sub(1));
    }

    pub fn value(&self) -> u64 {
        self.current.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// `clear counters`: the maximum falls to the current value.
    pub fn reset_max(&self) {
        self.max.store(self.value(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_outlives_the_current_value_until_cleared() {
        let gauge = MaxGauge::default();
        assert_eq!((gauge.enter(), gauge.enter()), (1, 2));
        gauge.leave();
        assert_eq!((gauge.value(), gauge.max()), (1, 2));
        gauge.reset_max();
        assert_eq!(gauge.max(), 1);
        gauge.leave();
        gauge.leave();
        assert_eq!(gauge.value(), 0);
    }
}
