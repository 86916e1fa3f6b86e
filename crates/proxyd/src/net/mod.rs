//! Sockets, readiness, timers and buffers of one data-plane thread. No protocol, no policy.
//!
//! A thread owns one epoll instance. A connection is registered once in its life, edge-triggered; what is known of its
//! readiness is kept in [`Connection`] so that a system call that would only say `EAGAIN` is not made.

pub mod buffer;
pub mod connection;
pub mod greeting;
pub mod h2_stream;
pub mod namespace;
pub mod poller;
pub mod socket;
pub mod splice;
pub mod timer_wheel;
pub mod tls;
pub mod wake;
pub mod wire;

pub use buffer::{Buffer, BufferPool};
pub use connection::{Connection, ConnectionKey, ConnectionTable, Lent, Owner, Received, Sent};
pub use greeting::Greeting;
pub use h2_stream::H2Stream;
pub use poller::{Poller, Token};
pub use splice::{Pipe, PipeFigures, PipePool};
pub use timer_wheel::TimerWheel;
pub use wake::{WakeList, Woken};
pub use wire::Wire;
