//! Sockets, readiness, timers and buffers of one data-plane thread. No protocol, no policy.
//!
//! A thread owns one epoll instance. A connection is registered once in its life, edge-triggered; what is known of its
//! readiness is kept in [`Connection`] so that a system call that would only say `EAGAIN` is not made.

pub mod buffer;
pub mod connection;
pub mod poller;
pub mod socket;
pub mod splice;
pub mod timer_wheel;
pub mod tls;

pub use buffer::{Buffer, BufferPool};
pub use connection::{Connection, ConnectionKey, ConnectionTable, Owner, Received, Sent};
pub use poller::{Poller, Token};
pub use splice::{Pipe, PipePool};
pub use timer_wheel::TimerWheel;
