//! A retry budget, an extension: retries may be at most a share of the requests, so that a backend in trouble is not
//! finished off by retries of everything.
//!
//! Every request pays a share of a token in, every retry takes a whole one out; besides, a few retries a second are
//! always allowed, so that a quiet backend may retry too. Atomics, no lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// `retry-budget PERCENT [min COUNT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryBudgetSettings {
    /// Retries for each hundred requests.
    pub percent: u32,
    /// Retries a second that are allowed in any case.
    pub min_per_second: u32,
}

/// More tokens than for this many retries are not saved up.
pub const SAVED_MAX: i64 = 100;
const TOKEN: i64 = 100;

/// One backend's budget.
#[derive(Debug)]
pub struct RetryBudget {
    settings: RetryBudgetSettings,
    /// In hundredths of a retry.
    saved: AtomicI64,
    /// The second in the upper half, the free retries taken in it in the lower.
    free: AtomicU64,
}

impl RetryBudget {
    /// With nothing saved.
    pub fn new(settings: RetryBudgetSettings) -> Self {
        Self { settings, saved: AtomicI64::new(0), free: AtomicU64::new(0) }
    }

    /// A request has come.
    pub fn deposit(&self) {
        let before = self.saved.fetch_add(i64::from(self.settings.percent), Relaxed);
        if before > SAVED_MAX * TOKEN {
            self.saved.store(SAVED_MAX * TOKEN, Relaxed);
        }
    }

    /// Whether a retry may be made; it is counted then. `now_ms` is of any clock that only goes on.
    pub fn withdraw(&self, now_ms: u64) -> bool {
        let second = (now_ms / 1000) & u64::from(u32::MAX);
        let free = self.free.fetch_update(Relaxed, Relaxed, |packed| {
            let taken = if packed >> 32 == second { packed & u64::from(u32::MAX) } else { 0 };
            (taken < u64::from(self.settings.min_per_second)).then_some(second << 32 | (taken + 1))
        });
        free.is_ok()
            || self
                .saved
                .fetch_update(Relaxed, Relaxed, |saved| (saved >= TOKEN).then_some(saved - TOKEN))
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_are_free_and_the_rest_is_a_share() {
        let budget = RetryBudget::new(RetryBudgetSettings { percent: 20, min_per_second: 2 });
        let tries = |now_ms| (0..10).filter(|_| budget.withdraw(now_ms)).count();
        assert_eq!(tries(1_000), 2);
        (0..25).for_each(|_| budget.deposit());
        assert_eq!(tries(1_500), 5);
        assert_eq!(tries(2_000), 2);
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_budget(
            steps in prop::collection::vec((any::<bool>(), 0u64..400), 1..500),
            percent in 0u32..100,
            min_per_second in 0u32..5,
        ) {
            let budget = RetryBudget::new(RetryBudgetSettings { percent, min_per_second });
            let (mut now_ms, mut requests, mut retries) = (0, 0u64, 0u64);
            for (is_request, pause_ms) in steps {
                now_ms += pause_ms;
                if is_request {
                    budget.deposit();
                    requests += 1;
                } else {
                    retries += u64::from(budget.withdraw(now_ms));
                }
                let free = (now_ms / 1000 + 1) * u64::from(min_per_second);
                prop_assert!(retries <= free + requests * u64::from(percent) / 100);
            }
        }
    }
}
