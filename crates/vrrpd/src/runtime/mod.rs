//! The running daemon: one thread, one task that owns every virtual router.

pub mod actor;
mod addresses;
mod announce;
mod answer;
pub mod build;
mod carry_out;
mod debounce;
pub mod instance;
mod lease;
pub mod legacy;
mod links;
pub mod outside;
mod paths;
mod reload;
mod service;
pub mod signals;
mod statics;
mod surroundings;
pub mod timer;
mod turn;
mod vmacs;

pub use actor::{Actor, Ended, StartError};
pub use legacy::Inheritance;
pub use outside::{Happening, Outside, Stimulus};
