//! Asks an agent: connect, send `agent-send`, read a line.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::Verdict;
use super::connect::{Close, Seen, Target, Timeouts, connect, os_text};
use super::steps::{Connect, Received};
use crate::health::agent::{AGENT_LINE_LENGTH_MAX, parse};
use crate::health::{AgentAnswer, CheckStatus};

/// One agent check. `send` is `agent-send`, empty if not given.
pub async fn agent(target: &Target, timeouts: &Timeouts, send: &[u8]) -> AgentAnswer {
    let start = Instant::now();
    match line(target, timeouts, send).await {
        Ok(line) => parse(&line, start.elapsed()),
        Err(verdict) => AgentAnswer::without_words(verdict.into_result(start)),
    }
}

async fn line(target: &Target, timeouts: &Timeouts, send: &[u8]) -> Result<Vec<u8>, Verdict> {
    let seen = Seen { received: Received::default(), tape: None };
    let mut connection = connect(target, &Connect::default(), timeouts, Close::InOrder, &seen).await?;
    let io = async {
        connection.io.write_all(send).await?;
        let mut received = Vec::with_capacity(64);
        let mut limited = (&mut connection.io).take(AGENT_LINE_LENGTH_MAX as u64);
        while !received.iter().any(|b| matches!(b, b'\r' | b'\n'))
            && limited.read_buf(&mut received).await? > 0
        {}
        Ok::<_, std::io::Error>(received)
    };
    match timeout_at(connection.answer_by, io).await {
        Err(_) => Err(Verdict::new(CheckStatus::Layer7Timeout, "")),
        Ok(Err(error)) => Err(Verdict::new(CheckStatus::SocketError, os_text(&error))),
        Ok(Ok(received)) if received.is_empty() => {
            Err(Verdict::new(CheckStatus::Layer7Response, "TCPCHK got an empty response at step 2"))
        }
        Ok(Ok(received)) => Ok(received),
    }
}
