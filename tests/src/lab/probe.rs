//! A client that asks at a steady rate, and what it saw.
//!
//! The rate does not depend on the answers (an open loop), so that a stall shows as what a user would see.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::now_us;

/// The longest response that is read.
const RESPONSE_MAX_BYTES: u64 = 65536;

/// One request and its outcome; one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub sent_us: u64,
    pub done_us: u64,
    /// The server's name, or why there was no answer.
    pub outcome: Result<String, String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.outcome {
            Ok(name) => ("ok", name),
            Err(reason) => ("failed", reason),
        };
        write!(f, "{} {} {word} {text}", self.sent_us, self.done_us)
    }
}

impl FromStr for Answer {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or("a time is missing");
        let (sent_us, done_us) = (number()?, number()?);
        let outcome = match (words.next(), words.next()) {
            (Some("ok"), Some(name)) => Ok(name.to_owned()),
            (Some("failed"), Some(reason)) => Err(reason.to_owned()),
            _ => return Err("neither ok nor failed"),
        };
        Ok(Self { sent_us, done_us, outcome })
    }
}

/// Asks once; a new connection each time, as a new visitor would.
pub async fn ask(target: &str, timeout: Duration) -> Answer {
    let sent_us = now_us();
    let outcome = match tokio::time::timeout(timeout, exchange(target)).await {
        Ok(Ok(response)) => server_name(&response),
        Ok(Err(error)) => Err(error.kind().to_string().replace(' ', "-")),
        Err(_) => Err("timeout".into()),
    };
    Answer { sent_us, done_us: now_us(), outcome }
}

async fn exchange(target: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await?;
    let mut response = Vec::new();
    stream.take(RESPONSE_MAX_BYTES).read_to_end(&mut response).await?;
    Ok(response)
}

fn server_name(response: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(response);
    let status = text.split(' ').nth(1).unwrap_or("nothing").to_owned();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    if status == "200" && !body.is_empty() { Ok(body.to_owned()) } else { Err(format!("status-{status}")) }
}

/// The longest time without an answered request between `from_us` and `to_us`, in microseconds.
///
/// A stall that still lasts at `to_us` counts up to there.
pub fn longest_gap_us(answers: &[Answer], from_us: u64, to_us: u64) -> u64 {
    let mut times: Vec<u64> =
        answers.iter().filter(|answer| answer.outcome.is_ok()).map(|answer| answer.done_us).collect();
    times.sort_unstable();
    let inside = times.iter().copied().filter(|&at| at > from_us && at < to_us);
    let before = times.iter().copied().rfind(|&at| at <= from_us).unwrap_or(from_us);
    let (gap, last) = inside.fold((0, before), |(gap, last), at| (gap.max(at - last), at));
    gap.max(to_us.saturating_sub(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(done_us: u64, ok: bool) -> Answer {
        let outcome = if ok { Ok("app1".into()) } else { Err("timeout".into()) };
        Answer { sent_us: done_us - 1, done_us, outcome }
    }

    #[test]
    fn an_answer_survives_its_text() {
        for ok in [true, false] {
            let answer = answer(7, ok);
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
    }

    #[test]
    fn the_gap_spans_failures_and_reaches_to_the_end() {
        let answers = [answer(10, true), answer(20, false), answer(35, true), answer(40, true)];
        assert_eq!(longest_gap_us(&answers, 11, 41), 25);
        assert_eq!(longest_gap_us(&answers, 11, 100), 60);
    }
}
