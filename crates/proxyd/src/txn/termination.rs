//! How a stream ended: the first two letters of the termination state (configuration manual, section 8.5).

/// First letter: who or what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cause {
    /// `-`: normal.
    #[default]
    Normal,
    /// `C`: the client aborted.
    ClientAbort,
    /// `S`: the server aborted or refused.
    ServerAbort,
    /// `P`: the proxy blocked or denied it.
    Proxy,
    /// `L`: answered by the proxy itself (redirect, stats, return).
    Local,
    /// `R`: a resource was exhausted.
    Resource,
    /// `I`: internal error.
    Internal,
    /// `D`: the server went down (`on-marked-down shutdown-sessions`).
    Down,
    /// `U`: a better server came up.
    Up,
    /// `K`: killed by an administrator.
    Killed,
    /// `c`: client timeout.
    ClientTimeout,
    /// `s`: server timeout.
    ServerTimeout,
}

/// Second letter: what the stream was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// `-`: finished.
    #[default]
    Done,
    /// `R`: waiting for a complete request.
    Request,
    /// `Q`: in a queue.
    Queue,
    /// `C`: connecting to the server.
    Connect,
    /// `H`: waiting for response headers.
    Headers,
    /// `D`: transferring data.
    Data,
    /// `L`: sending the last data to the client.
    Last,
    /// `T`: held by a tarpit.
    Tarpit,
}

/// The two letters; set once, by whoever ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Termination {
    pub cause: Cause,
    pub phase: Phase,
}

impl Termination {
    /// Sets both letters unless an earlier event already did.
    pub fn set_once(&mut self, cause: Cause, phase: Phase) {
        if self.cause == Cause::Normal {
            *self = Termination { cause, phase };
        }
    }

    /// The two letters as the log shows them.
    pub fn letters(self) -> [u8; 2] {
        let cause = match self.cause {
            Cause::Normal => b'-',
            Cause::ClientAbort => b'C',
            Cause::ServerAbort => b'S',
            Cause::Proxy => b'P',
            Cause::Local => b'L',
            Cause::Resource => b'R',
            Cause::Internal => b'I',
            Cause::Down => b'D',
            Cause::Up => b'U',
            Cause::Killed => b'K',
            Cause::ClientTimeout => b'c',
            Cause::ServerTimeout => b's',
        };
        let phase = match self.phase {
            Phase::Done => b'-',
            Phase::Request => b'R',
            Phase::Queue => b'Q',
            Phase::Connect => b'C',
            Phase::Headers => b'H',
            Phase::Data => b'D',
            Phase::Last => b'L',
            Phase::Tarpit => b'T',
        };
        [cause, phase]
    }
}
