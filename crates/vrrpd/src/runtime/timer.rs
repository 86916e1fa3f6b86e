//! A timer with microsecond resolution.
//!
//! The runtime's own timer rounds up to milliseconds, which is too coarse for adverts every 10 ms and
//! skews of 6 ms: a `timerfd` is not.

use std::{io, os::fd::AsFd, time::Duration};

use hacore::sys::Watched;
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// One deadline at a time, on `CLOCK_MONOTONIC`.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
    /// A second descriptor of the same timer, on which the runtime waits.
    fd: Watched,
    armed_us: Option<u64>,
}

impl Timer {
    /// Makes the timer, not armed.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = Watched::new(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Timer { timer, fd, armed_us: None })
    }

    /// Arms it for `deadline_us` (monotonic microseconds), or disarms it.
    ///
    /// # Errors
    /// None that a valid descriptor can give.
    pub fn arm(&mut self, deadline_us: Option<u64>) -> io::Result<()> {
        if self.armed_us == deadline_us {
            return Ok(());
        }
        self.armed_us = deadline_us;
        let timer = &self.timer;
        match deadline_us {
            None => timer.unset()?,
            Some(at_us) => {
                // Zero would disarm it.
                let at = TimeSpec::from(Duration::from_micros(at_us.max(1)));
                timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        Ok(())
    }

    /// Waits for the deadline. Cancel safe.
    ///
    /// # Errors
    /// When the runtime is going away.
    pub async fn expired(&mut self) -> io::Result<()> {
        let mut count = [0; 8];
        self.fd.read_with(|fd| Ok(nix::unistd::read(fd, &mut count)?)).await?;
        self.armed_us = None;
        Ok(())
    }
}
