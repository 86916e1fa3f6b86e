//! One thread's epoll instance: edge-triggered registrations, events as tokens.

use std::io;
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What a registration is known by: an index and the generation that tells its reuses apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    pub slot: u32,
    pub generation: u32,
}

impl Token {
    fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// What happened on a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub token: Token,
    pub readable: bool,
    pub writable: bool,
    /// The peer closed its sending side (or everything).
    pub hangup: bool,
    pub error: bool,
}

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// An epoll instance and room for a batch of events.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); BATCH] })
    }

    /// Registers for input (and output when asked) until the descriptor is closed.
    pub fn add(&self, fd: impl AsFd, token: Token, output: bool) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(interest(output), token.to_bits()))?)
    }

    /// Adds output to a registration; needed the first time a write blocks.
    pub fn want_output(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let mut event = EpollEvent::new(interest(true), token.to_bits());
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// A listener: level-triggered, so that an accept loop may stop early.
    pub fn add_listener(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.to_bits()))?)
    }

    /// Pauses or resumes a listener.
    pub fn set_listening(&self, fd: impl AsFd, token: Token, on: bool) -> io::Result<()> {
        let flags = if on { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags, token.to_bits()))?)
    }

    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits up to `timeout_ms` (for ever without one); tells how many events there are.
    pub fn wait(&mut self, timeout_ms: Option<u64>) -> io::Result<usize> {
        let timeout = match timeout_ms {
            None => EpollTimeout::NONE,
            Some(ms) => EpollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX)),
        };
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => Ok(count),
            Err(nix::errno::Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// One of the events of the last [`Self::wait`].
    pub fn event(&self, index: usize) -> Option<Event> {
        let event = self.events.get(index)?;
        let flags = event.events();
        let error = flags.contains(EpollFlags::EPOLLERR);
        let gone = flags.contains(EpollFlags::EPOLLHUP);
        Some(Event {
            token: Token::from_bits(event.data()),
            readable: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP) || gone || error,
            writable: flags.contains(EpollFlags::EPOLLOUT) || gone || error,
            hangup: flags.contains(EpollFlags::EPOLLRDHUP) || gone,
            error,
        })
    }
}

fn interest(output: bool) -> EpollFlags {
    let input = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    if output { input | EpollFlags::EPOLLOUT } else { input }
}
