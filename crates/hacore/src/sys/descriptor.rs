//! Descriptors that another process handed us by number (`fd@3`, socket activation, `-x`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

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

/// Takes over an inherited descriptor given by its number, once: the copy is ours and closed on exec, the original is
/// closed. For descriptors that were opened for this very process (`LISTEN_FDS`).
///
/// # Errors
/// As [`duplicate_descriptor`].
pub fn take_inherited_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    let copy = duplicate_descriptor(number)?;
    // SAFETY: `close` takes an integer. Nothing in this process owns the number: it came with `exec`, and the caller
    // takes each once, before anything else could be opened under it.
    unsafe { libc::close(number) };
    Ok(copy)
}

/// The most descriptors that one message carries here; the kernel takes 253 (`SCM_MAX_FD`).
pub const DESCRIPTORS_MAX: usize = 252;

/// Sends bytes with descriptors over a Unix socket (`SCM_RIGHTS`); at least one byte is needed to carry them.
///
/// # Errors
/// What `sendmsg(2)` says; `EINVAL` for more than [`DESCRIPTORS_MAX`] descriptors.
pub fn send_descriptors(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let carried = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    let parts = [IoSlice::new(bytes)];
    Ok(sendmsg::<()>(socket.as_raw_fd(), &parts, carried, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives bytes and the descriptors that came with them, which are closed on exec; 0 bytes is the end.
///
/// # Errors
/// What `recvmsg(2)` says; `EMSGSIZE` when there were more than [`DESCRIPTORS_MAX`] descriptors.
pub fn receive_descriptors(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for us and told it to nobody else, so this value is
                // its only owner.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, AsRawFd};
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
    fn a_taken_descriptor_is_ours_alone() {
        let (left, mut right) = UnixStream::pair().unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(left);
        let taken = take_inherited_descriptor(number).unwrap();
        drop(taken);
        // The other end sees the end only when no copy is left.
        assert_eq!(right.read(&mut [0]).unwrap(), 0);
        assert!(take_inherited_descriptor(-1).is_err());
    }

    #[test]
    fn descriptors_travel_with_bytes() {
        let (from, to) = UnixStream::pair().unwrap();
        let (left, mut right) = UnixStream::pair().unwrap();
        assert_eq!(send_descriptors(from.as_fd(), b"ab", &[left.as_fd(), from.as_fd()]).unwrap(), 2);
        assert_eq!(send_descriptors(from.as_fd(), b"c", &[]).unwrap(), 1);
        drop((left, from));
        let mut bytes = [0; 10];
        let (length, mut descriptors) = receive_descriptors(to.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..length], descriptors.len()), (&b"ab"[..], 2));
        UnixStream::from(descriptors.remove(0)).write_all(b"x").unwrap();
        let mut byte = [0];
        right.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        let (length, none) = receive_descriptors(to.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..length], none.len()), (&b"c"[..], 0));
        drop(descriptors);
        assert_eq!(receive_descriptors(to.as_fd(), &mut bytes).unwrap().0, 0);
    }

    #[test]
    fn a_number_that_is_not_open_is_an_error() {
        assert_eq!(duplicate_descriptor(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(duplicate_descriptor(1_000_000).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
