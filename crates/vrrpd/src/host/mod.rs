//! What the daemon asks of its host besides sockets and addresses: scheduling, memory, sysctls, packet filter, vmacs,
//! mail, and the scripts that run around its life.

pub mod firewall;
pub mod namespace;
pub mod scheduling;
pub mod scripts;
pub mod sysctl;
pub mod vmac;
