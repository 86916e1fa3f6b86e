//! The only module with `unsafe`: the few system calls that no safe wrapper covers.
//!
//! Every block says why it is sound and has a test. Anything that `nix`, `socket2` or the standard library
//! offers safely does not belong here.
#![allow(unsafe_code)]

mod become_user;
mod close_on_exec;
mod counting_allocator;
mod descriptor;
mod fork;
mod local_time;
mod priority;
mod readiness;
mod signal_wait;
mod tcp_option;

pub use become_user::become_user_before_exec;
pub use close_on_exec::close_on_exec_from;
pub use counting_allocator::CountingAllocator;
pub use descriptor::{
    DESCRIPTORS_MAX, duplicate_descriptor, receive_descriptors, send_descriptors, take_inherited_descriptor,
};
pub use fork::{Forked, fork_single_threaded};
pub use local_time::{BrokenDownTime, local_time};
pub use priority::{PriorityError, ignore_signal, set_nice, set_round_robin_priority};
pub use readiness::Watched;
pub use signal_wait::{HeldSignals, send_signal};
pub use tcp_option::{TcpFacts, TcpOption, set_tcp_option, tcp_facts};
