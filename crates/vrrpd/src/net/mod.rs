//! Sockets: adverts in and out through raw sockets, gratuitous ARP and neighbour advertisements
//! through a packet socket.

pub mod garp;
pub mod receive;
pub mod socket;
pub mod transmit;

pub use garp::Announcer;
pub use receive::{Inbound, Listener};
pub use socket::{Channel, SocketError};
pub use transmit::Transmitter;
