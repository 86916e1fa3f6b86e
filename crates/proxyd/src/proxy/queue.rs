//! Requests that wait for a slot: one queue a server and one a backend.
//!
//! A queue holds tickets, not connections: whoever frees a slot takes the best ticket and tells the thread that owns the
//! request. What this file does not do: count slots, or decide who queues.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;

/// Names one connection of one thread; stale ids are recognised by their generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// Index of the data-plane thread, from 0.
    pub thread: u16,
    pub slot: u32,
    pub generation: u32,
}

/// Order of service: smaller first (`http-request set-priority-class`, `set-priority-offset`, then age).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority {
    pub class: i32,
    /// Moment of queueing in microseconds, shifted by the offset.
    pub moment_us: i64,
    /// Tells tickets of one moment apart.
    pub sequence: u64,
}

/// One waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub stream: StreamKey,
    pub priority: Priority,
}

/// The tickets of one server or backend.
#[derive(Debug, Default)]
pub struct Queue {
    tickets: Mutex<Tickets>,
    length: AtomicU32,
    length_max: AtomicU32,
}

#[derive(Debug, Default)]
struct Tickets {
    waiting: BTreeMap<Priority, StreamKey>,
    sequence: u64,
    /// Tickets ever taken out: position in the queue is a difference of these.
    served: u64,
}

impl Queue {
    /// How many wait; cheap and without the lock.
    pub fn len(&self) -> u32 {
        self.length.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest it ever was (`qmax`).
    pub fn max(&self) -> u32 {
        self.length_max.load(Relaxed)
    }

    pub fn clear_max(&self) {
        self.length_max.store(self.len(), Relaxed);
    }

    /// Enters the queue unless `limit` requests wait already; gives the ticket and how many wait before it.
    pub fn push(
        &self,
        stream: StreamKey,
        class: i32,
        moment_us: i64,
        limit: Option<u32>,
    ) -> Option<(Ticket, u32)> {
        let mut tickets = self.tickets.lock();
        if limit.is_some_and(|limit| tickets.waiting.len() >= limit as usize) {
            return None;
        }
        tickets.sequence += 1;
        let priority = Priority { class, moment_us, sequence: tickets.sequence };
        let before = tickets.waiting.range(..priority).count();
        tickets.waiting.insert(priority, stream);
        self.note(&tickets);
        Some((Ticket { stream, priority }, u32::try_from(before).unwrap_or(u32::MAX)))
    }

    /// The priority of the first in line.
    pub fn first(&self) -> Option<Priority> {
        if self.is_empty() {
            return None;
        }
        self.tickets.lock().waiting.keys().next().copied()
    }

    /// Takes the first in line.
    pub fn pop(&self) -> Option<Ticket> {
        let mut tickets = self.tickets.lock();
        let (priority, stream) = tickets.waiting.pop_first()?;
        tickets.served += 1;
        self.note(&tickets);
        Some(Ticket { stream, priority })
    }

    /// Leaves the queue (timeout, client gone); false if the ticket was served already.
    pub fn remove(&self, ticket: &Ticket) -> bool {
        let mut tickets = self.tickets.lock();
        let removed = tickets.waiting.remove(&ticket.priority).is_some();
        self.note(&tickets);
        removed
    }

    fn note(&self, tickets: &Tickets) {
        let length = u32::try_from(tickets.waiting.len()).unwrap_or(u32::MAX);
        self.length.store(length, Relaxed);
        self.length_max.fetch_max(length, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(slot: u32) -> StreamKey {
        StreamKey { thread: 0, slot, generation: 0 }
    }

    #[test]
    fn priority_class_comes_before_age() {
        let queue = Queue::default();
        queue.push(stream(1), 0, 10, None).unwrap();
        queue.push(stream(2), 0, 20, None).unwrap();
        let (_, before) = queue.push(stream(3), -1, 30, None).unwrap();
        assert_eq!(before, 0);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|t| t.stream.slot).collect();
        assert_eq!(order, [3, 1, 2]);
        assert_eq!((queue.len(), queue.max()), (0, 3));
    }

    #[test]
    fn a_full_queue_refuses_and_a_removed_ticket_is_gone() {
        let queue = Queue::default();
        let (ticket, _) = queue.push(stream(1), 0, 10, Some(1)).unwrap();
        assert!(queue.push(stream(2), 0, 11, Some(1)).is_none());
        assert!(queue.remove(&ticket));
        assert!(!queue.remove(&ticket));
        assert!(queue.pop().is_none());
    }
}
