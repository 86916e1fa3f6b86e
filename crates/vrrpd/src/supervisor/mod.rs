//! The process whose number is in the pid file: it starts the worker, hands its signals on, and starts the next one when
//! it dies. It has one thread and no runtime, reads no configuration, and takes no memory after its start.
//!
//! ```text
//!   signal ──▶ supervisor ── forwards ──▶ worker ── writes ──▶ board (memory file)
//!                  │  worker died: fork again ──▶ next worker ◀── reads ──┘
//!                  └─ five deaths in ten seconds: farewell ◀── reads ─────┘
//! ```
//!
//! A worker whose supervisor dies is told by the kernel (`PR_SET_PDEATHSIG`) and leaves as on SIGTERM, as keepalived's
//! children do: whoever starts the service again must find one owner of the addresses at most, and that is the peer.

pub mod farewell;
pub mod record;
pub mod will;

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use hacore::{
    process::{daemonize::Readiness, signals},
    sys::{Forked, HeldSignals, fork_single_threaded},
    time::monotonic_us,
};
use nix::{
    errno::Errno,
    libc,
    sys::{
        prctl::set_pdeathsig,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpid, getppid, setpgid},
};

use crate::logging::Log;
use crate::runtime::signals::FORWARDED;

pub use farewell::Reserve;
pub use record::{Board, HostRecord, Record};
pub use will::Will;

/// So many deaths within [`DEATHS_WITHIN_US`] and no worker is started again.
const DEATHS_MAX: usize = 5;
const DEATHS_WITHIN_US: u64 = 10_000_000;
/// Pauses before the first, second, … start within that time: the first costs nothing, a mistake that comes back at
/// once does not burn the processor.
const PAUSES_MS: [u64; DEATHS_MAX] = [0, 20, 100, 200, 400];
/// What Rust's runtime exits with after a panic.
const PANIC_STATUS: u8 = 101;
/// Exit status when the worker could not be kept alive.
pub const EXIT_WORKER_LOST: u8 = 70;

/// What a worker gets from its supervisor.
#[derive(Debug)]
pub struct Start {
    /// Whom to tell that the daemon is up; only the first worker of a daemon in the background has it.
    pub readiness: Option<Readiness>,
    /// Held back until the worker catches them.
    pub signals: HeldSignals,
    /// Where it writes what it leaves behind.
    pub board: Board,
    /// What its predecessors left.
    pub records: Vec<Record>,
    /// What they changed on the machine.
    pub host: HostRecord,
    /// How many workers there were before.
    pub predecessors: usize,
    /// The supervisor, which is the process that the service manager knows.
    pub main_pid: Pid,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited(u8),
    Killed(Option<Signal>),
}

impl End {
    fn is_death(self) -> bool {
        matches!(self, End::Killed(_) | End::Exited(PANIC_STATUS))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exited with status {code}"),
            End::Killed(Some(signal)) => write!(f, "died of {signal}"),
            End::Killed(None) => f.write_str("died"),
        }
    }
}

/// The supervisor's state.
#[derive(Debug)]
struct Supervisor {
    signals: HeldSignals,
    board: Board,
    reserve: Reserve,
    worker: Pid,
    starts: usize,
    /// When workers died, the latest last.
    deaths_us: Vec<u64>,
    stopping: bool,
}

/// Runs `work` in a child process until it ends in an orderly way, and answers with the exit status of the daemon.
/// Without `respawn` its first death is the end.
///
/// # Errors
/// When the process cannot be set up; the worker's own failures are exit statuses.
pub fn run(
    readiness: Option<Readiness>,
    respawn: bool,
    board: Board,
    log: &Log,
    mut work: impl FnMut(Start) -> u8,
) -> io::Result<u8> {
    let numbers: Vec<i32> = FORWARDED.iter().map(|number| number()).chain([libc::SIGCHLD]).collect();
    let signals = HeldSignals::hold(&numbers)?;
    let mut supervisor = Supervisor {
        signals,
        reserve: Reserve::new(board.try_clone()?),
        board,
        worker: getpid(),
        starts: 0,
        deaths_us: Vec::with_capacity(DEATHS_MAX + 1),
        stopping: false,
    };
    supervisor.start(readiness, &mut work)?;
    loop {
        let end = supervisor.await_end()?;
        if supervisor.is_final(end, respawn) {
            return Ok(supervisor.finish(end, log));
        }
        log.say(format_args!("The VRRP process {} {end}: restarting it", supervisor.worker));
        let pause_ms = PAUSES_MS.get(supervisor.deaths_us.len() - 1).copied().unwrap_or_default();
        supervisor.pause(Duration::from_millis(pause_ms))?;
        if supervisor.stopping {
            return Ok(supervisor.finish(end, log));
        }
        if let Err(error) = supervisor.start(None, &mut work) {
            log.say(format_args!("no process can be started: {}", farewell::code(&error)));
            return Ok(supervisor.finish(end, log));
        }
    }
}

impl Supervisor {
    fn start(&mut self, readiness: Option<Readiness>, work: &mut impl FnMut(Start) -> u8) -> io::Result<()> {
        let main_pid = getpid();
        let board = self.board.try_clone()?;
        match fork_single_threaded()? {
            Forked::Parent { child } => {
                self.worker = child;
                self.starts += 1;
                if let Some(readiness) = readiness {
                    readiness.leave_to_child()?;
                }
                Ok(())
            }
            Forked::Child => {
                let start = Start {
                    readiness,
                    signals: self.signals,
                    records: if self.starts > 0 { board.read() } else { Vec::new() },
                    host: board.read_host(),
                    board,
                    predecessors: self.starts,
                    main_pid,
                };
                // Whatever happens, this process must not go on as a supervisor: it would give back the lock of the pid
                // file that it shares.
                let code = catch_unwind(AssertUnwindSafe(|| begin(start, work))).unwrap_or(PANIC_STATUS);
                std::process::exit(i32::from(code))
            }
        }
    }

    /// Hands signals on until the worker has ended.
    fn await_end(&mut self) -> io::Result<End> {
        loop {
            match self.signals.wait(None)? {
                Some(libc::SIGCHLD) => {
                    if let Some(end) = self.reap() {
                        return Ok(end);
                    }
                }
                Some(number) => self.forward(number),
                None => {}
            }
        }
    }

    fn forward(&mut self, number: i32) {
        self.stopping |= matches!(number, libc::SIGTERM | libc::SIGINT);
        // A worker that has just died hears nothing; its end is the next thing we learn.
        let _ = signals::send(self.worker, number);
    }

    /// Takes every child that has ended: as process 1 of a container we inherit others'.
    fn reap(&self) -> Option<End> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.worker => {
                    return Some(End::Exited(u8::try_from(code).unwrap_or(u8::MAX)));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.worker => {
                    return Some(End::Killed(Some(signal)));
                }
                Ok(WaitStatus::StillAlive) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                // Somebody made the kernel reap for us: then the worker is gone if there is no child.
                Err(_) => return Some(End::Killed(None)),
            }
        }
    }

    /// Whether no worker comes after this end; counts deaths.
    fn is_final(&mut self, end: End, respawn: bool) -> bool {
        let failed_again = self.starts > 1 && end != End::Exited(0);
        if self.stopping || !(end.is_death() || failed_again) || !respawn {
            return true;
        }
        let now_us = monotonic_us();
        self.deaths_us.retain(|at_us| at_us + DEATHS_WITHIN_US > now_us);
        self.deaths_us.push(now_us);
        self.deaths_us.len() >= DEATHS_MAX
    }

    fn finish(&mut self, end: End, log: &Log) -> u8 {
        match end {
            End::Exited(0) => return 0,
            End::Exited(code) if !end.is_death() && self.starts == 1 => {
                self.say_farewell(log);
                return code;
            }
            End::Exited(_) | End::Killed(_) => {}
        }
        log.say(format_args!("The VRRP process {} {end}: it is not started again", self.worker));
        self.say_farewell(log);
        if self.stopping { 0 } else { EXIT_WORKER_LOST }
    }

    /// Waits for the new masters, unless somebody wants the end at once.
    fn say_farewell(&mut self, log: &Log) {
        let signals = self.signals;
        let asked = || {
            let signal = signals.wait(Some(Duration::ZERO));
            matches!(signal, Ok(Some(libc::SIGTERM | libc::SIGINT)))
        };
        self.reserve.say_farewell(log, asked);
    }

    /// Waits, but not longer than until somebody wants the end.
    fn pause(&mut self, time: Duration) -> io::Result<()> {
        let until_us = monotonic_us() + time.as_micros() as u64;
        loop {
            let left_us = until_us.saturating_sub(monotonic_us());
            if left_us == 0 || self.stopping {
                return Ok(());
            }
            if let Some(libc::SIGTERM | libc::SIGINT) =
                self.signals.wait(Some(Duration::from_micros(left_us)))?
            {
                self.stopping = true;
            }
        }
    }
}

/// The first steps of a worker.
fn begin(start: Start, work: &mut impl FnMut(Start) -> u8) -> u8 {
    let main_pid = start.main_pid;
    if set_pdeathsig(Signal::SIGTERM).is_err() || getppid() != main_pid {
        // It died before we could ask to be told.
        return 0;
    }
    // A terminal's interrupt goes to a whole process group; the supervisor hands it on, and once is enough.
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    work(start)
}
