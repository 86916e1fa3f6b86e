//! How many idle connections each thread keeps for a server.
//!
//! The connections themselves belong to the threads (`stream::idle_pool`); these numbers tell the others whether there is
//! something to ask for, and operators how the connections are spread. A thread writes its own number only.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One thread's number, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Count(AtomicU32);

/// The numbers of one server.
#[derive(Debug)]
pub struct IdleCounts {
    threads: Box<[Count]>,
}

impl IdleCounts {
    pub fn new(threads: usize) -> Self {
        Self { threads: (0..threads).map(|_| Count::default()).collect() }
    }

    /// The thread keeps so many now.
    pub fn set(&self, thread: u16, count: usize) {
        if let Some(own) = self.threads.get(usize::from(thread)) {
            own.0.store(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
        }
    }

    /// Of one thread.
    pub fn of(&self, thread: usize) -> u32 {
        self.threads.get(thread).map_or(0, |count| count.0.load(Relaxed))
    }

    /// Of all threads.
    pub fn total(&self) -> u32 {
        self.threads.iter().map(|count| count.0.load(Relaxed)).fold(0, u32::saturating_add)
    }

    /// The thread other than `asking` that keeps most, if one keeps any.
    pub fn richest_but(&self, asking: u16) -> Option<usize> {
        let others = (0..self.threads.len()).filter(|thread| *thread != usize::from(asking));
        others.map(|thread| (self.of(thread), thread)).filter(|(count, _)| *count > 0).max().map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_richest_other_thread_is_asked() {
        let counts = IdleCounts::new(3);
        assert_eq!(counts.richest_but(0), None);
        counts.set(0, 9);
        counts.set(1, 2);
        counts.set(2, 5);
        assert_eq!((counts.richest_but(0), counts.richest_but(2)), (Some(2), Some(0)));
        assert_eq!((counts.total(), counts.of(1)), (16, 2));
    }
}
