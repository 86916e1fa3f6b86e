//! The genuine program beside ours: the same configuration, the same bytes, the same answers.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::daemon::Daemon;
use crate::log_catcher::LogCatcher;
use crate::{environment, port};

/// Both proxies; `None`, after saying so, when one of them is not there.
pub fn proxies(test: &str) -> Option<[PathBuf; 2]> {
    let Some(ours) = environment::built("proxyd") else {
        environment::skip(test, "proxyd is not built (cargo build --workspace)");
        return None;
    };
    let Some(genuine) = environment::installed("haproxy") else {
        environment::skip(test, "the genuine haproxy is not installed");
        return None;
    };
    Some([ours, genuine])
}

/// A running proxy with a log catcher of its own.
#[derive(Debug)]
pub struct Bench {
    pub daemon: Daemon,
    pub address: SocketAddr,
    pub log: LogCatcher,
}

impl Bench {
    /// Starts a proxy; in `configuration` `@LISTEN@`, `@LOG@` and `@ORIGIN@` become addresses.
    pub fn start(program: &std::path::Path, configuration: &str, origin: SocketAddr) -> io::Result<Self> {
        let log = LogCatcher::new()?;
        let address = port::free_tcp()?;
        let text = configuration
            .replace("@LISTEN@", &address.to_string())
            .replace("@LOG@", &log.address()?.to_string())
            .replace("@ORIGIN@", &origin.to_string());
        let mut daemon = Daemon::proxy(program, &text)?;
        daemon.await_listening(address)?;
        Ok(Self { daemon, address, log })
    }
}

/// A log message without what differs from run to run: ports, dates and times become `N`.
pub fn normalise_log(message: &str) -> String {
    let mut out = String::new();
    for word in message.split(' ') {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.starts_with('[') && word.ends_with(']') {
            out.push_str("[date]");
        } else if let Some((address, _port)) = word.rsplit_once(':').filter(|(a, _)| a.contains("127.0.0.1"))
        {
            out.push_str(address);
            out.push_str(":port");
        } else if word.split('/').count() == 5 && word.split('/').all(is_timer) {
            let timers: Vec<&str> =
                word.split('/').map(|n| if n.starts_with('-') { "-1" } else { "N" }).collect();
            out.push_str(&timers.join("/"));
        } else {
            out.push_str(word);
        }
    }
    out
}

fn is_timer(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_keeps_what_matters() {
        let line = "127.0.0.1:4711 [22/Nov/2026:16:00:00.123] web app/s1 0/0/1/-1/3 502 208 - - SH-- 1/1/0/0/+3 0/0 \"GET / HTTP/1.1\"";
        let want =
            "127.0.0.1:port [date] web app/s1 N/N/N/-1/N 502 208 - - SH-- N/N/N/N/N 0/0 \"GET / HTTP/1.1\"";
        assert_eq!(normalise_log(line), want);
    }
}
