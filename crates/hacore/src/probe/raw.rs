//! Runs a program over bytes: `tcp-check` and the built-in checks.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::connect::{Close, Connection, Seen, Target, Timeouts, connect, os_text};
use super::steps::{Action, Connect, Expect, Judgement, Pattern, Program, Received, Step, Text};
use super::{Context, RECEIVED_MAX_BYTES, Verdict};
use crate::health::{CheckResult, CheckStatus};

/// Runs the steps in order until one fails.
pub(super) async fn run(
    program: &Program,
    target: &Target,
    timeouts: &Timeouts,
    context: &Context,
) -> CheckResult {
    let start = Instant::now();
    let mut run =
        Run { program, context, received: Vec::new(), connection: None, comment: None, stale: false };
    run.steps(target, timeouts).await.into_result(start)
}

struct Run<'a> {
    program: &'a Program,
    context: &'a Context,
    connection: Option<Connection>,
    received: Vec<u8>,
    /// The comment of the last `comment` step.
    comment: Option<&'a str>,
    /// Whether what was received belongs to a question before the last one.
    stale: bool,
}

/// Whether a step is the last that does anything.
fn is_last(program: &Program, at: usize) -> bool {
    program.steps.iter().skip(at + 1).all(|s| s.action.is_silent())
}

impl<'a> Run<'a> {
    async fn steps(&mut self, target: &Target, timeouts: &Timeouts) -> Verdict {
        let program = self.program;
        let first = program.steps.iter().find(|s| !s.action.is_silent());
        if !matches!(first.map(|s| &s.action), Some(Action::Connect(_))) {
            match connect(target, &Connect::default(), timeouts, Close::Reset, &self.seen()).await {
                Ok(connection) => self.connection = Some(connection),
                Err(verdict) => return self.explained(verdict, None),
            }
        }
        let mut success = None;
        for (at, step) in program.steps.iter().enumerate() {
            success = None;
            let done = match &step.action {
                Action::Comment => {
                    self.comment = step.comment.as_deref();
                    Ok(())
                }
                Action::Connect(options) => {
                    let done = self.reconnect(target, options, timeouts).await;
                    done.map_err(|verdict| self.explained(verdict, Some((at, step))))
                }
                Action::Send(text) => {
                    let done = self.send(text).await;
                    done.map_err(|verdict| self.explained(verdict, Some((at, step))))
                }
                Action::Evaluate(text) => {
                    text.bytes(&self.received());
                    Ok(())
                }
                // Only HTTP programs have these, and they are not run here.
                Action::SendHttp(_) => Ok(()),
                Action::Expect(expect) => match self.expect(at, step, expect).await {
                    Ok(verdict) => {
                        success = Some(verdict);
                        Ok(())
                    }
                    Err(verdict) => Err(verdict),
                },
            };
            if let Err(failure) = done {
                return failure;
            }
            if is_last(program, at) {
                break;
            }
        }
        success.unwrap_or_else(|| self.success())
    }

    /// What has come so far, as dynamic texts see it.
    fn received(&self) -> Received<'_> {
        Received { bytes: &self.received, scene: self.context.scene.as_deref(), ..Received::default() }
    }

    fn seen(&self) -> Seen<'_> {
        Seen { received: self.received(), tape: self.context.tape.as_ref() }
    }

    /// What a program without an expect at its end finds.
    fn success(&self) -> Verdict {
        let silent = |action: &Action| matches!(action, Action::Connect(_)) || action.is_silent();
        let only_connects = self.program.steps.iter().all(|s| silent(&s.action));
        let ssl = self.connection.as_ref().is_some_and(|c| c.ssl);
        let status = match (only_connects, ssl) {
            (true, false) => CheckStatus::Layer4Ok,
            (true, true) => CheckStatus::Layer6Ok,
            (false, _) => CheckStatus::Layer7Ok,
        };
        Verdict::new(status, self.program.success)
    }

    async fn reconnect(
        &mut self,
        target: &Target,
        options: &Connect,
        timeouts: &Timeouts,
    ) -> Result<(), Verdict> {
        self.connection = None;
        self.received.clear();
        self.connection = Some(connect(target, options, timeouts, Close::Reset, &self.seen()).await?);
        Ok(())
    }

    async fn send(&mut self, text: &Text) -> Result<(), Verdict> {
        let bytes = text.bytes(&self.received()).into_owned();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        self.stale = true;
        match timeout_at(connection.answer_by, connection.io.write_all(&bytes)).await {
            Err(_) => Err(Verdict::new(CheckStatus::Layer7Timeout, "")),
            Ok(Err(error)) => Err(Verdict::new(CheckStatus::SocketError, os_text(&error))),
            Ok(Ok(())) => Ok(()),
        }
    }

    async fn expect(&mut self, at: usize, step: &Step, expect: &Expect) -> Result<Verdict, Verdict> {
        if std::mem::take(&mut self.stale) && self.program.names_steps {
            self.received.clear();
        }
        let mut ended = false;
        loop {
            if ended || !self.received.is_empty() {
                if let Some(judged) = self.judge(at, step, expect, ended) {
                    return judged;
                }
                if ended {
                    // Nothing more will come and nothing was said against it: only a judge that always asks for more
                    // gets here.
                    return Err(self.failure(step, expect, None, String::new()));
                }
            }
            let more = self.receive(expect).await;
            let more = more.map_err(|verdict| self.explained(verdict, Some((at, step))))?;
            ended = !more || self.received.len() >= RECEIVED_MAX_BYTES;
        }
    }

    /// Reads once; false at the end of the stream.
    async fn receive(&mut self, expect: &Expect) -> Result<bool, Verdict> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        let room = RECEIVED_MAX_BYTES.saturating_sub(self.received.len()) as u64;
        let mut limited = (&mut connection.io).take(room);
        match timeout_at(connection.answer_by, limited.read_buf(&mut self.received)).await {
            Err(_) => Err(Verdict::new(expect.timeout_status.unwrap_or(CheckStatus::Layer7Timeout), "")),
            Ok(Err(error)) => Err(Verdict::new(CheckStatus::SocketError, os_text(&error))),
            Ok(Ok(count)) => Ok(count > 0),
        }
    }

    /// The verdict on what has been received; none: more is needed.
    fn judge(
        &self,
        at: usize,
        step: &Step,
        expect: &Expect,
        ended: bool,
    ) -> Option<Result<Verdict, Verdict>> {
        if self.received.is_empty() {
            let text = format!("TCPCHK got an empty response at step {}", at + 1);
            return Some(Err(self.failure(step, expect, None, text)));
        }
        if let Pattern::Protocol(judge) = &expect.pattern {
            return match judge(&self.received, ended) {
                Judgement::More => None,
                Judgement::Match(code, text) => Some(Ok(self.matched(expect, code, text))),
                Judgement::Fail(status, code, text) => Some(Err(Verdict { status, code, description: text })),
            };
        }
        let received = self.received();
        if !ended && self.received.len() < wanted_bytes(expect, &received) {
            return None;
        }
        let found = finds(&expect.pattern, &received);
        if !found && !ended && expect.min_recv_bytes.is_none() {
            return None;
        }
        if found != expect.negated {
            return Some(Ok(self.matched(expect, None, self.program.success.to_owned())));
        }
        let verb = if expect.negated { "matched unwanted" } else { "did not match" };
        let what = match &expect.pattern {
            Pattern::String(text) => format!(" '{}'", text.string(&received)),
            Pattern::Regex(_) => " (regex)".to_owned(),
            Pattern::Binary(_) => " (binary)".to_owned(),
            Pattern::BinaryRegex(_) => " (binary regex)".to_owned(),
            _ => String::new(),
        };
        let text = format!("TCPCHK {verb} content{what} at step {}", at + 1);
        Some(Err(self.failure(step, expect, None, text)))
    }

    fn matched(&self, expect: &Expect, code: Option<u32>, text: String) -> Verdict {
        let received = self.received();
        let description = expect.on_success.as_ref().map_or(text, |on_success| on_success.string(&received));
        let code = status_code(expect, &received).or(code);
        Verdict { status: expect.ok_status.unwrap_or(CheckStatus::Layer7Ok), code, description }
    }

    fn failure(&self, step: &Step, expect: &Expect, code: Option<u32>, text: String) -> Verdict {
        let received = self.received();
        let description = match (&expect.on_error, step.comment.as_deref().or(self.comment)) {
            (Some(on_error), _) => on_error.string(&received),
            (None, Some(comment)) => format!("{text} comment: {comment}"),
            (None, None) => text,
        };
        let code = status_code(expect, &received).or(code);
        Verdict { status: expect.error_status.unwrap_or(CheckStatus::Layer7Response), code, description }
    }

    /// Adds at which step a connection failed or timed out, as `option tcp-check` does.
    fn explained(&self, verdict: Verdict, at: Option<(usize, &Step)>) -> Verdict {
        if !self.program.names_steps || self.program.steps.is_empty() {
            return verdict;
        }
        let mut description = verdict.description;
        match at {
            None => description.push_str(" at initial connection step of tcp-check"),
            Some((at, step)) => {
                description.push_str(&format!(
                    " at step {} of tcp-check ({})",
                    at + 1,
                    step_text(&step.action)
                ));
                if let Some(comment) = step.comment.as_deref().or(self.comment) {
                    description.push_str(&format!(" comment: '{comment}'"));
                }
            }
        }
        Verdict { description, ..verdict }
    }
}

fn step_text(action: &Action) -> String {
    match action {
        Action::Connect(Connect { port: Some(Text::Fixed(port)), .. }) => {
            format!("connect port {}", String::from_utf8_lossy(port))
        }
        Action::Connect(_) => "connect".to_owned(),
        Action::Send(_) | Action::SendHttp(_) => "send".to_owned(),
        Action::Comment => "comment".to_owned(),
        Action::Evaluate(_) => "action".to_owned(),
        Action::Expect(expect) => match &expect.pattern {
            Pattern::String(Text::Fixed(text)) => {
                format!("expect string '{}'", String::from_utf8_lossy(text))
            }
            Pattern::String(Text::Dynamic(_)) => "expect log-format string".to_owned(),
            Pattern::Regex(_) => "expect regex".to_owned(),
            Pattern::Binary(Text::Fixed(text)) => {
                format!("expect binary '{}'", String::from_utf8_lossy(text))
            }
            Pattern::Binary(Text::Dynamic(_)) => "expect log-format binary".to_owned(),
            Pattern::BinaryRegex(_) => "expect binary regex".to_owned(),
            Pattern::Status(_) | Pattern::StatusRegex(_) => "expect status".to_owned(),
            Pattern::Header(_) => "expect header".to_owned(),
            Pattern::Protocol(_) | Pattern::GrpcServing => "expect".to_owned(),
        },
    }
}

/// `min-recv`, which an exact string's own length lowers.
pub(super) fn wanted_bytes(expect: &Expect, received: &Received<'_>) -> usize {
    let min = expect.min_recv_bytes.unwrap_or(0);
    match &expect.pattern {
        Pattern::String(text) | Pattern::Binary(text) => min.min(text.bytes(received).len()),
        _ => min,
    }
}

/// Whether the bytes contain the pattern.
pub(super) fn finds(pattern: &Pattern, received: &Received<'_>) -> bool {
    match pattern {
        Pattern::String(text) | Pattern::Binary(text) => {
            memchr::memmem::find(received.bytes, &text.bytes(received)).is_some()
        }
        Pattern::Regex(regex) => regex.is_match(received.bytes),
        Pattern::BinaryRegex(regex) => regex.is_match(&hexadecimal(received.bytes)),
        Pattern::Status(_)
        | Pattern::StatusRegex(_)
        | Pattern::Header(_)
        | Pattern::Protocol(_)
        | Pattern::GrpcServing => false,
    }
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

/// What `status-code` gives.
pub(super) fn status_code(expect: &Expect, received: &Received<'_>) -> Option<u32> {
    expect.status_code.as_ref().and_then(|text| text.string(received).trim().parse().ok())
}
