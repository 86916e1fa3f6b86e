//! Signals that a process without a runtime waits for (`sigtimedwait(2)`), real-time ones included.

use std::io;
use std::time::Duration;

/// Signals that are held back from delivery, in this thread and in what it forks, to be waited for instead.
#[derive(Clone, Copy)]
pub struct HeldSignals {
    set: libc::sigset_t,
}

impl std::fmt::Debug for HeldSignals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("HeldSignals")
    }
}

impl HeldSignals {
    /// Holds these signals back from now on.
    ///
    /// # Errors
    /// `EINVAL` for a number that is no signal.
    pub fn hold(numbers: &[i32]) -> io::Result<Self> {
        // SAFETY: a signal set is a C array of integers, of which all zero is a valid value; it is initialised by
        // the next call anyway.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid for the call.
        unsafe { libc::sigemptyset(&mut set) };
        for number in numbers {
            // SAFETY: the set is initialised, and a wrong number is answered with an error.
            if unsafe { libc::sigaddset(&mut set, *number) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let held = Self { set };
        held.change(libc::SIG_BLOCK)?;
        Ok(held)
    }

    /// Lets them through again, those that came meanwhile at once.
    ///
    /// # Errors
    /// None that a valid set can give.
    pub fn release(&self) -> io::Result<()> {
        self.change(libc::SIG_UNBLOCK)
    }

    fn change(&self, how: libc::c_int) -> io::Result<()> {
        // SAFETY: the set is initialised and valid for the call; nothing is written back.
        let error = unsafe { libc::pthread_sigmask(how, &self.set, std::ptr::null_mut()) };
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    /// Takes the next one, waiting at most so long; `None` when the time is over or something else interrupted.
    ///
    /// # Errors
    /// None that a valid set can give.
    pub fn wait(&self, at_most: Option<Duration>) -> io::Result<Option<i32>> {
        let time = at_most.map(|time| libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        });
        let time_pointer = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the set and, if given, the time are valid for the call; the information may be null.
        let number = unsafe { libc::sigtimedwait(&self.set, std::ptr::null_mut(), time_pointer) };
        if number > 0 {
            return Ok(Some(number));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(None),
            _ => Err(error),
        }
    }
}

/// Sends one process (`pid` above 0) a signal by number; 0 only looks whether it could be sent.
///
/// # Errors
/// `EINVAL` for a group or a number that is no signal, else what `kill(2)` says.
pub fn send_signal(pid: i32, number: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: two integers; the kernel checks both.
    if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Held signals are the thread's own: each test has one for itself.
    #[test]
    fn a_held_signal_is_taken_by_waiting_and_nothing_else_is() {
        let number = libc::SIGRTMIN() + 7;
        let held = HeldSignals::hold(&[number]).unwrap();
        assert_eq!(held.wait(Some(Duration::ZERO)).unwrap(), None);
        // SAFETY: sends the calling thread a signal that it holds back.
        unsafe { libc::pthread_kill(libc::pthread_self(), number) };
        assert_eq!(held.wait(Some(Duration::from_secs(10))).unwrap(), Some(number));
        assert_eq!(held.wait(Some(Duration::ZERO)).unwrap(), None);
        held.release().unwrap();
    }

    #[test]
    fn a_signal_is_sent_to_one_process_only() {
        send_signal(std::process::id() as i32, 0).unwrap();
        assert_eq!(send_signal(0, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(send_signal(-1, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_number_that_is_no_signal_is_an_error() {
        assert_eq!(HeldSignals::hold(&[4096]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
