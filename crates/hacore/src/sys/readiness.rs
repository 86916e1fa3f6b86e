//! Waiting for any descriptor in the runtime: sockets and timers that it has no type for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use tokio::io::{Interest, unix::AsyncFd};

/// A non-blocking descriptor that the current runtime watches.
///
/// It gives out borrows only, so that the descriptor cannot be exchanged while it is watched.
#[derive(Debug)]
pub struct Watched {
    inner: AsyncFd<Descriptor>,
}

#[derive(Debug)]
struct Descriptor(OwnedFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Watched {
    /// Registers `descriptor`, which must be non-blocking, with the current runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be polled (a regular file) or the system is out of watches.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: `register` demands that `as_raw_fd` names the same open descriptor until the value is
        // dropped. `Descriptor` owns it, and neither it nor the `AsyncFd` leaves this private field mutably.
        let inner = unsafe { AsyncFd::register(Descriptor(descriptor)) }.map_err(io::Error::from)?;
        Ok(Self { inner })
    }

    /// Calls `read` whenever the descriptor is readable until it gives something else than `WouldBlock`.
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of `read`, and when the runtime is going away.
    pub async fn read_with<R>(&self, mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<R>) -> io::Result<R> {
        self.inner.async_io(Interest::READABLE, |descriptor| read(descriptor.0.as_fd())).await
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_watched_descriptor_becomes_readable() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let watched = Watched::new(ours.into()).unwrap();
        theirs.write_all(b"x").unwrap();
        let mut byte = [0];
        let count = watched.read_with(|fd| Ok(nix::unistd::read(fd, &mut byte)?)).await.unwrap();
        assert_eq!(count, 1);
        assert_eq!(byte, *b"x");
    }
}
