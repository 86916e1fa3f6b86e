//! `vrrpd ctl`: asks a running daemon and prints what it says.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    process::ExitCode,
    time::Duration,
};

use super::command;
use crate::model::AdminSocket;

/// How long the daemon may be silent. A reload is the longest thing it does.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is printed.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A question from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub socket: String,
    /// The line to send.
    pub line: String,
}

/// What `vrrpd ctl` was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ctl {
    /// Ask the daemon.
    Ask(Request),
    /// Say how it is used.
    Help,
}

/// Reads the words after `ctl`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Ctl, String> {
    let mut socket = AdminSocket::DEFAULT_PATH.to_owned();
    let mut words = words.into_iter().peekable();
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        if let Some(path) = option.strip_prefix("--socket=") {
            socket = path.to_owned();
            continue;
        }
        match option.as_str() {
            "-s" | "--socket" => socket = words.next().ok_or("ctl: option '-s' requires a path")?,
            "-h" | "--help" => return Ok(Ctl::Help),
            other => return Err(format!("ctl: Unknown option {other}")),
        }
    }
    let line = words.collect::<Vec<_>>().join(" ");
    if line == "help" {
        return Ok(Ctl::Help);
    }
    command::parse(&line).map_err(|error| format!("ctl: {error}"))?;
    Ok(Ctl::Ask(Request { socket, line }))
}

/// The text of `vrrpd ctl help`.
pub fn usage() -> String {
    format!(
        "Usage: vrrpd ctl [-s SOCKET] COMMAND\nAsks the running daemon (default socket {}).\n\n{}",
        AdminSocket::DEFAULT_PATH,
        command::help()
    )
}

/// Asks and prints; the exit status is 0 if the daemon did what was asked, 1 if it would not, 2 if it cannot be reached.
pub fn run(request: &Request) -> ExitCode {
    match ask(request) {
        Err(error) => {
            complain(&format!("vrrpd ctl: {}: {}", request.socket, reason(&error)));
            ExitCode::from(2)
        }
        Ok(answer) => match answer.strip_prefix("error: ") {
            Some(reason) => {
                complain(reason.trim_end());
                ExitCode::FAILURE
            }
            None => {
                // A reader that has gone away wants no more.
                let _ = io::stdout().write_all(answer.as_bytes());
                ExitCode::SUCCESS
            }
        },
    }
}

fn ask(request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(&request.socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", request.line).as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The error with what can be done about it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no such socket - is vrrpd running, and is this its admin_socket? (-s names another)".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there - vrrpd is not running".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied - ask as root, or give yourself access with admin_socket … group".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    }
}

#[expect(clippy::print_stderr, reason = "the answer of a command line tool")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Ctl, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_command_line_is_checked_before_anybody_is_asked() {
        let asked = |socket: &str, line: &str| {
            Ok(Ctl::Ask(Request { socket: socket.to_owned(), line: line.to_owned() }))
        };
        assert_eq!(words("status"), asked(AdminSocket::DEFAULT_PATH, "status"));
        assert_eq!(words("-s /tmp/x drain VI_1"), asked("/tmp/x", "drain VI_1"));
        assert_eq!(words("--socket=/tmp/x reload"), asked("/tmp/x", "reload"));
        assert_eq!(words("--help"), Ok(Ctl::Help));
        assert!(words("").is_err() && words("statsu").is_err() && words("-q status").is_err());
    }
}
