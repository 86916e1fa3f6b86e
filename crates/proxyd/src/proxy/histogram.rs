//! Latencies counted in buckets: what averages hide.
//!
//! A thread writes its own shard with plain loads and stores (`counters`); this is a sum of shards.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the buckets in microseconds; one more takes what is above.
pub const BOUNDS_US: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// One time of one object, or of one thread's part of it.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts a value; only the owner of the shard may call it.
    pub fn record(&self, value_us: u64) {
        let at = BOUNDS_US.partition_point(|bound| *bound < value_us);
        let add = |cell: &AtomicU64, amount| cell.store(cell.load(Relaxed).wrapping_add(amount), Relaxed);
        add(&self.buckets[at], 1);
        add(&self.sum_us, value_us);
    }

    /// Adds a shard.
    pub fn merge(&self, shard: &Histogram) {
        for (sum, bucket) in self.buckets.iter().zip(&shard.buckets) {
            sum.fetch_add(bucket.load(Relaxed), Relaxed);
        }
        self.sum_us.fetch_add(shard.sum_us.load(Relaxed), Relaxed);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// `_bucket`, `_sum` and `_count` lines.
    pub fn write(&self, name: &str, labels: &str, out: &mut String) {
        let mut below = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            below += bucket.load(Relaxed);
            let bound = match BOUNDS_US.get(at) {
                Some(bound) => (*bound as f64 / 1e6).to_string(),
                None => "+Inf".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let sum_us = self.sum_us.load(Relaxed);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000);
        let _ = writeln!(out, "{name}_count{{{labels}}} {below}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_at_most_their_bound() {
        let histogram = Histogram::default();
        for value_us in [0, 1_000, 1_001, 2_000_000, 60_000_000] {
            histogram.record(value_us);
        }
        let mut out = String::new();
        histogram.write("t", "a=\"b\"", &mut out);
        for line in [
            "t_bucket{a=\"b\",le=\"0.001\"} 2",
            "t_bucket{a=\"b\",le=\"0.0025\"} 3",
            "t_bucket{a=\"b\",le=\"2.5\"} 4",
            "t_bucket{a=\"b\",le=\"10\"} 4",
            "t_bucket{a=\"b\",le=\"+Inf\"} 5",
            "t_sum{a=\"b\"} 62.002001",
            "t_count{a=\"b\"} 5",
        ] {
            assert!(out.lines().any(|written| written == line), "{line} in\n{out}");
        }
    }
}
