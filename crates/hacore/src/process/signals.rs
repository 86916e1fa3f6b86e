//! Signals by name and number, and as streams of a tokio runtime.

use std::io;

use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Names without `SIG` and their numbers on Linux (x86, arm; `signal(7)`).
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
    ("CLD", 17),
    ("POLL", 29),
];

/// The lowest real-time signal that programs may use; the C library keeps the first two of the kernel's.
pub fn realtime_min() -> i32 {
    nix::libc::SIGRTMIN()
}

/// The highest real-time signal.
pub fn realtime_max() -> i32 {
    nix::libc::SIGRTMAX()
}

/// A signal's number from `15`, `TERM`, `SIGTERM`, `RTMIN+2`, `SIGRTMAX-1`; `None` when there is no such signal.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=realtime_max()).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let number = if let Some(offset) = name.strip_prefix("RTMIN") {
        realtime_min().checked_add(signed(offset)?)?
    } else {
        realtime_max().checked_add(signed(name.strip_prefix("RTMAX")?)?)?
    };
    (realtime_min()..=realtime_max()).contains(&number).then_some(number)
}

/// An empty text is 0; otherwise a sign must come first.
fn signed(offset: &str) -> Option<i32> {
    if offset.is_empty() {
        return Some(0);
    }
    offset.starts_with(['+', '-']).then(|| offset.parse().ok()).flatten()
}

/// `SIGTERM`, `SIGRTMIN+2`; `signal N` for what has no name.
pub fn name(number: i32) -> String {
    if let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == number) {
        return format!("SIG{name}");
    }
    match number - realtime_min() {
        0 => "SIGRTMIN".to_owned(),
        offset if offset > 0 && number <= realtime_max() => format!("SIGRTMIN+{offset}"),
        _ => format!("signal {number}"),
    }
}

/// A stream of one signal, real-time ones included. Needs a runtime with I/O enabled.
///
/// # Errors
/// For `SIGKILL`, `SIGSTOP` and the signals of faults, which cannot be caught.
pub fn stream(number: i32) -> io::Result<Signal> {
    signal(SignalKind::from_raw(number))
}

/// Sends a process a signal, real-time ones included.
///
/// # Errors
/// `ESRCH` when it is gone, `EPERM` when it is somebody else's.
pub fn send(pid: Pid, number: i32) -> io::Result<()> {
    crate::sys::send_signal(pid.as_raw(), number)
}

/// Makes a signal have no effect (`SIGPIPE`, `SIGTTOU`): its stream is read by nobody.
pub fn ignore(number: i32) -> io::Result<()> {
    stream(number).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_every_spelling() {
        for (text, expected) in [
            ("15", Some(15)),
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("SIGUSR2", Some(12)),
            ("RTMIN", Some(realtime_min())),
            ("SIGRTMIN+2", Some(realtime_min() + 2)),
            ("RTMAX-1", Some(realtime_max() - 1)),
            ("0", None),
            ("65", None),
            ("NOPE", None),
            ("RTMIN2", None),
            ("RTMAX+1", None),
            ("RTMIN+99999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn names_of_numbers() {
        assert_eq!(name(1), "SIGHUP");
        assert_eq!(name(realtime_min() + 2), "SIGRTMIN+2");
        assert_eq!(name(99), "signal 99");
    }

    #[tokio::test]
    async fn a_realtime_signal_arrives() {
        let number = realtime_min() + 5;
        let mut received = stream(number).unwrap();
        let status = std::process::Command::new("kill")
            .args(["-s", &number.to_string(), &std::process::id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(received.recv().await, Some(()));
    }
}
