//! What a daemon does with its process: going to the background, pid files, privileges, limits, signals and
//! telling the service manager. Nothing here knows either daemon.

pub mod daemonize;
pub mod pidfile;
pub mod privileges;
pub mod rlimit;
pub mod script;
pub mod sd_notify;
pub mod signals;
