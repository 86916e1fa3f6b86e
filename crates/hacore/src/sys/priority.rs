//! Real-time scheduling (`vrrp_rt_priority`) and nice values, which `nix` does not wrap, and ignoring signals.

use std::io;

/// Why real-time scheduling was refused.
#[derive(Debug, thiserror::Error)]
pub enum PriorityError {
    #[error("real-time priority {0} is not between 1 and 99")]
    Range(u32),
    #[error("real-time priority: {0} (needs CAP_SYS_NICE or a limit on RTPRIO)")]
    System(#[from] io::Error),
}

/// Schedules the calling thread round-robin in real time at `priority`, 1..=99; threads that it starts later
/// and children do not inherit it.
pub fn set_round_robin_priority(priority: u32) -> Result<(), PriorityError> {
    if !(1..=99).contains(&priority) {
        return Err(PriorityError::Range(priority));
    }
    let parameters = libc::sched_param { sched_priority: priority as libc::c_int };
    // SAFETY: pid 0 is the calling thread and `parameters` is a valid struct for the duration of the call.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters) };
    if result < 0 { Err(io::Error::last_os_error().into()) } else { Ok(()) }
}

/// Sets the nice value (-20..=19) of the calling thread, which threads and children that it starts later inherit.
///
/// # Errors
/// The kernel's: a lower value than the present one needs CAP_SYS_NICE.
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: plain numbers; who 0 of PRIO_PROCESS is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the process ignore a signal whose default would end it.
///
/// # Errors
/// The kernel's, for signals that cannot be ignored.
pub fn ignore_signal(signal: nix::sys::signal::Signal) -> io::Result<()> {
    use nix::sys::signal::{SigHandler, signal as set};
    // SAFETY: SigIgn runs no code of ours, so nothing can go wrong in a handler.
    unsafe { set(signal, SigHandler::SigIgn) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_range_is_taken() {
        assert!(matches!(set_round_robin_priority(0), Err(PriorityError::Range(0))));
        assert!(matches!(set_round_robin_priority(100), Err(PriorityError::Range(100))));
    }

    #[test]
    fn the_thread_changes_or_the_reason_is_named() {
        let outcome = std::thread::spawn(|| set_round_robin_priority(1)).join().unwrap();
        if let Err(error) = outcome {
            assert!(error.to_string().contains("CAP_SYS_NICE"), "{error}");
        }
    }

    #[test]
    fn a_thread_can_be_made_nicer() {
        std::thread::spawn(|| set_nice(19)).join().unwrap().unwrap();
    }

    #[test]
    fn an_ignored_signal_does_not_end_us() {
        use nix::sys::signal::{Signal, raise};
        ignore_signal(Signal::SIGXFSZ).unwrap();
        raise(Signal::SIGXFSZ).unwrap();
        assert!(ignore_signal(Signal::SIGKILL).is_err());
    }
}
