//! Bytes from one socket to another inside the kernel: pipes, and the pool of a thread's empty ones.
//!
//! A pipe belongs to a transfer only while bytes are in it; a connection that waits for its peer owns none. Pieces go
//! out without `SPLICE_F_MORE`: the kernel would hold back the last one for 200 ms.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

/// What a pipe is made to hold unless `tune.pipesize` says otherwise; the kernel may give less.
pub const PIPE_BYTES: usize = 256 * 1024;
/// Empty pipes that a thread keeps.
const FREE_MAX: usize = 64;

/// A pipe with the bytes that have left one socket and not reached the other.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held_bytes: usize,
    _place: Place,
}

/// One of the pipes that the thread may have, until it is dropped.
#[derive(Debug)]
struct Place(Rc<Cell<usize>>, Arc<PipeFigures>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
        self.1.open.fetch_sub(1, Relaxed);
    }
}

impl Pipe {
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes up to `most_bytes` from a socket; 0 at the end of its data.
    ///
    /// # Errors
    /// `EAGAIN` when nothing is there, `EINVAL` when this kind of socket cannot be spliced, or what broke the connection.
    pub fn fill(&mut self, from: BorrowedFd<'_>, most_bytes: usize) -> Result<usize, Errno> {
        let count = moved(|flags| splice(from, None, &self.write, None, most_bytes, flags))?;
        self.held_bytes += count;
        Ok(count)
    }

    /// Gives as much as the socket takes.
    ///
    /// # Errors
    /// `EAGAIN` when it takes nothing now, or what broke the connection.
    pub fn drain(&mut self, to: BorrowedFd<'_>) -> Result<usize, Errno> {
        let count = moved(|flags| splice(&self.read, None, to, None, self.held_bytes, flags))?;
        self.held_bytes = self.held_bytes.saturating_sub(count);
        Ok(count)
    }
}

fn moved(mut attempt: impl FnMut(SpliceFFlags) -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match attempt(SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK) {
            Err(Errno::EINTR) => {}
            outcome => return outcome,
        }
    }
}

/// How many pipes there are, of all threads (`PipesUsed`, `PipesFree`).
#[derive(Debug, Default)]
pub struct PipeFigures {
    open: AtomicU32,
    free: AtomicU32,
}

impl PipeFigures {
    pub fn used(&self) -> u32 {
        self.open.load(Relaxed).saturating_sub(self.free())
    }

    pub fn free(&self) -> u32 {
        self.free.load(Relaxed)
    }
}

/// The pipes of one thread.
#[derive(Debug)]
pub struct PipePool {
    free: Vec<Pipe>,
    open: Rc<Cell<usize>>,
    open_max: usize,
    pipe_bytes: Option<usize>,
    figures: Arc<PipeFigures>,
}

impl PipePool {
    /// At most `open_max` pipes at a time (`maxpipes`), each for `pipe_bytes` (`tune.pipesize`).
    pub fn new(open_max: usize, pipe_bytes: Option<usize>, figures: &Arc<PipeFigures>) -> Self {
        let figures = Arc::clone(figures);
        Self { free: Vec::new(), open: Rc::default(), open_max, pipe_bytes, figures }
    }

    /// An empty pipe; `None` when there are enough or the process has no descriptors left: copy instead.
    pub fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.free.pop() {
            self.figures.free.fetch_sub(1, Relaxed);
            return Some(pipe);
        }
        self.make()
    }

    fn make(&mut self) -> Option<Pipe> {
        if self.open.get() >= self.open_max {
            return None;
        }
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).ok()?;
        let size = i32::try_from(self.pipe_bytes.unwrap_or(PIPE_BYTES)).unwrap_or(i32::MAX);
        // A user's share of pipe memory is limited (pipe(7)): then it stays at the kernel's default.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(size));
        self.open.set(self.open.get() + 1);
        self.figures.open.fetch_add(1, Relaxed);
        Some(Pipe {
            read,
            write,
            held_bytes: 0,
            _place: Place(Rc::clone(&self.open), Arc::clone(&self.figures)),
        })
    }

    /// Takes a pipe back; one with bytes in it is closed.
    pub fn give_back(&mut self, pipe: Pipe) {
        if pipe.held_bytes == 0 && self.free.len() < FREE_MAX {
            self.figures.free.fetch_add(1, Relaxed);
            self.free.push(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_pass_through_a_pipe_and_it_is_used_again() {
        let mut pool = PipePool::new(1, None, &Arc::default());
        let (mut sender, from) = UnixStream::pair().unwrap();
        let (to, mut receiver) = UnixStream::pair().unwrap();
        from.set_nonblocking(true).unwrap();
        let mut pipe = pool.take().unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 100), Err(Errno::EAGAIN));
        sender.write_all(b"hello world").unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 5), Ok(5));
        assert_eq!(pipe.drain(to.as_fd()), Ok(5));
        let mut bytes = [0; 5];
        receiver.read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, pipe.held_bytes()), (b"hello", 0));
        assert!(pool.take().is_none(), "maxpipes");
        pool.give_back(pipe);
        assert!(pool.take().is_some());
    }

    #[test]
    fn a_pipe_with_bytes_is_closed_and_leaves_its_place() {
        let mut pool = PipePool::new(1, Some(4096), &Arc::default());
        let (mut sender, from) = UnixStream::pair().unwrap();
        sender.write_all(b"x").unwrap();
        let mut pipe = pool.take().unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 1), Ok(1));
        pool.give_back(pipe);
        assert_eq!(pool.take().map(|pipe| pipe.held_bytes()), Some(0));
        drop(sender);
        let mut pipe = PipePool::new(1, None, &Arc::default()).take().unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 1), Ok(0), "end of data");
    }
}
