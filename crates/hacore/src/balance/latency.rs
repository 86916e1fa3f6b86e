//! Peak EWMA: how slow a server has been lately, an extension for `balance peak-ewma`.
//!
//! A slow answer counts at once, a fast one slowly, and time heals: the average falls by half each [`HALF_LIFE_MS`]
//! without an answer, so that a server which recovered is tried again. One atomic word, no lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How long an average needs to fall by half.
pub const HALF_LIFE_MS: u64 = 5_000;

/// One server's average: microseconds in the upper half, the moment in milliseconds in the lower.
#[derive(Debug, Default)]
pub struct PeakEwma(AtomicU64);

impl PeakEwma {
    /// Takes an answer's time. `now_ms` is of any clock that only goes on.
    pub fn observe(&self, latency_us: u64, now_ms: u64) {
        let latency_us = u32::try_from(latency_us).unwrap_or(u32::MAX);
        let average = self.read_us(now_ms, self.0.load(Relaxed));
        // A peak is taken as it is; otherwise the new answer weighs one eighth.
        let new =
            if latency_us >= average { latency_us } else { average - (average - latency_us).div_ceil(8) };
        // A lost race loses one observation, which is as good as another.
        self.0.store(u64::from(new) << 32 | (now_ms & u64::from(u32::MAX)), Relaxed);
    }

    /// The average now in microseconds; 0: nothing is known, or it was long ago.
    pub fn latency_us(&self, now_ms: u64) -> u32 {
        self.read_us(now_ms, self.0.load(Relaxed))
    }

    fn read_us(&self, now_ms: u64, packed: u64) -> u32 {
        let (average, then) = ((packed >> 32) as u32, packed as u32);
        let age_ms = (now_ms as u32).wrapping_sub(then);
        // The clock of another thread may be a little behind.
        let age_ms = if age_ms > u32::MAX / 2 { 0 } else { u64::from(age_ms) };
        let halvings = u32::try_from(age_ms / HALF_LIFE_MS).unwrap_or(u32::MAX);
        let whole = average.checked_shr(halvings).unwrap_or(0);
        // Between two halvings a straight line is near enough.
        let part = u64::from(whole) * (age_ms % HALF_LIFE_MS) / HALF_LIFE_MS / 2;
        whole - part as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn peaks_count_at_once_and_fade() {
        let server = PeakEwma::default();
        assert_eq!(server.latency_us(0), 0);
        server.observe(1_000, 0);
        server.observe(80_000, 10);
        assert_eq!(server.latency_us(10), 80_000);
        server.observe(1_000, 10);
        assert_eq!(server.latency_us(10), 80_000 - 9_875);
        assert_eq!(server.latency_us(10 + HALF_LIFE_MS), (80_000 - 9_875) / 2);
        assert_eq!(server.latency_us(10 + 40 * HALF_LIFE_MS), 0);
    }

    proptest! {
        #[test]
        fn it_never_rises_without_an_answer(latency in 1u64..100_000_000, at in 0u64..1 << 40, a in 0u64..100_000, b in 0u64..100_000) {
            let server = PeakEwma::default();
            server.observe(latency, at);
            prop_assert!(server.latency_us(at + a) >= server.latency_us(at + a + b));
            prop_assert!(u64::from(server.latency_us(at)) == latency.min(u64::from(u32::MAX)));
        }
    }
}
