//! Descriptors that another process handed us by number (`fd@3`, socket activation, `-x`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Duplicates an inherited descriptor given by its number; the copy is closed on exec.
///
/// The number comes from a configuration file or the environment, so it may be anything: a number that is not
/// open is an ordinary error. The original stays open and is not ours to close.
///
/// # Errors
/// `EBADF` for a number that is not an open descriptor, `EMFILE` when no descriptor is left.
pub fn duplicate_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `fcntl` with F_DUPFD_CLOEXEC takes two integers and touches no memory of ours; a number that is
    // no descriptor makes it fail.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `copy` was just created by the kernel and nobody else knows it, so this value is its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_copy_is_the_same_open_file() {
        let (left, mut right) = UnixStream::pair().unwrap();
        let mut copy = UnixStream::from(duplicate_descriptor(left.as_raw_fd()).unwrap());
        drop(left);
        copy.write_all(b"x").unwrap();
        let mut byte = [0];
        right.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_number_that_is_not_open_is_an_error() {
        assert_eq!(duplicate_descriptor(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(duplicate_descriptor(1_000_000).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
