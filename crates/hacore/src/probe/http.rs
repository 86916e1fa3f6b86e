//! Runs a program over HTTP: `option httpchk` and `http-check`.
//!
//! hyper's client speaks HTTP/1, [`super::http2`] the other. Each send uses a connection of its own, as `http-check send` has no keep-alive.

use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::connect::{Close, Connection, Seen, Target, Timeouts, connect, os_text};
use super::raw::{finds, status_code, wanted_bytes};
use super::steps::{Action, Connect, Expect, HttpRequest, Pattern, Program, Received, Step};
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
    steps(program, target, timeouts, context).await.unwrap_or_else(|verdict| verdict).into_result(start)
}

async fn steps(
    program: &Program,
    target: &Target,
    timeouts: &Timeouts,
    context: &Context,
) -> Result<Verdict, Verdict> {
    let mut connection = None;
    let mut comment = None;
    let mut response = Response::default();
    let mut success = Verdict::new(CheckStatus::Layer4Ok, "");
    for (at, step) in program.steps.iter().enumerate() {
        match &step.action {
            Action::Comment => comment = step.comment.as_deref(),
            Action::Evaluate(text) => {
                text.bytes(&response.received(context));
            }
            Action::Connect(options) => {
                let seen = Seen { received: response.received(context), tape: context.tape.as_ref() };
                connection = Some(connect(target, options, timeouts, Close::InOrder, &seen).await?);
            }
            Action::SendHttp(request) => {
                let connection = match connection.take() {
                    Some(connection) => connection,
                    None => {
                        let seen = Seen { received: response.received(context), tape: context.tape.as_ref() };
                        connect(target, &Connect::default(), timeouts, Close::InOrder, &seen).await?
                    }
                };
                let expects = program.steps.iter().skip(at + 1).map_while(|s| match &s.action {
                    Action::Expect(expect) => Some(Some(expect)),
                    action if action.is_silent() => Some(None),
                    _ => None,
                });
                let expects: Vec<&Expect> = expects.flatten().collect();
                response = exchange(connection, request, &expects, &response, context).await?;
            }
            Action::Expect(expect) => {
                if let Some(verdict) = not_found(program, &response, context) {
                    return Ok(verdict);
                }
                success = judge(step, expect, comment, &response, context)?;
            }
            // Only raw programs have these, and they are not run here.
            Action::Send(_) => {}
        }
    }
    Ok(success)
}

/// `http-check disable-on-404` goes before every expect, for servers that are up.
fn not_found(program: &Program, response: &Response, context: &Context) -> Option<Verdict> {
    let applies = program.disable_on_404 && context.server_up && response.status == 404;
    applies.then(|| Verdict {
        status: CheckStatus::Layer7OkConditionally,
        code: Some(404),
        description: String::new(),
    })
}

/// What has come of the last response; trailers stand behind the headers.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    fn received<'a>(&'a self, context: &'a Context) -> Received<'a> {
        let status = (self.status != 0).then_some(self.status);
        let scene = context.scene.as_deref();
        Received { status, headers: &self.headers, bytes: &self.body, scene }
    }
}

/// Sends one request and reads the response's head, and of the body what the expects that follow need.
async fn exchange(
    connection: Connection,
    request: &HttpRequest,
    expects: &[&Expect],
    before: &Response,
    context: &Context,
) -> Result<Response, Verdict> {
    let timeout = expects.first().and_then(|e| e.timeout_status).unwrap_or(CheckStatus::Layer7Timeout);
    let Connection { io, answer_by, ssl, http2 } = connection;
    let received = before.received(context);
    let enough = |answer: &Response, ended| expects.iter().all(|e| is_conclusive(e, answer, ended, context));
    if http2 {
        let request = build(request, &received, context, Wire::Http2 { ssl })?;
        return match timeout_at(answer_by, super::http2::exchange(io, request, enough)).await {
            Err(_) => Err(Verdict::new(timeout, "")),
            Ok(answer) => answer,
        };
    }
    let exchange = async {
        let mut client = http1::Builder::new();
        client.max_buf_size(RECEIVED_MAX_BYTES);
        let (mut sender, driver) = client.handshake(TokioIo::new(io)).await.map_err(|e| failure(&e))?;
        let interim = Arc::new(Mutex::new(None));
        let request = build(request, &received, context, Wire::Http1)?;
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        let seen = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |response| {
            if let Ok(mut seen) = seen.lock() {
                seen.get_or_insert(response.status());
            }
        });
        let mut driver = pin!(driver);
        let mut ask = pin!(ask(&mut sender, request, enough));
        let mut open = true;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut ask => break answer,
                _ = &mut driver, if open => open = false,
            }
        };
        // HAProxy takes an interim response for the answer, so a server that sends one fails with its status.
        let interim = interim.lock().ok().and_then(|seen| *seen);
        match interim {
            Some(status) => Ok(Response {
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default().to_owned(),
                ..Response::default()
            }),
            None => answer,
        }
    };
    match timeout_at(answer_by, exchange).await {
        Err(_) => Err(Verdict::new(timeout, "")),
        Ok(answer) => answer,
    }
}

/// What a request is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Http1,
    /// The scheme follows from the transport, the authority from the `Host` header.
    Http2 {
        ssl: bool,
    },
}

fn build(
    request: &HttpRequest,
    received: &Received<'_>,
    context: &Context,
    wire: Wire,
) -> Result<hyper::Request<Vec<u8>>, Verdict> {
    let body = request.body.as_ref().map(|body| body.bytes(received).into_owned());
    let http11 = request.http11 || wire != Wire::Http1;
    let mut uri = request.uri.string(received);
    if uri.is_empty() {
        uri.push('/');
    }
    let mut built = hyper::Request::builder().method(request.method.as_str());
    let mut connection_given = false;
    for (name, value) in &request.headers {
        // The length is the body's, whatever the configuration says (manual, "http-check send").
        if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        let value = value.bytes(received);
        if let Wire::Http2 { ssl } = wire {
            if name.eq_ignore_ascii_case("host") {
                let scheme = if ssl { "https" } else { "http" };
                uri = format!("{scheme}://{}{uri}", String::from_utf8_lossy(&value));
                continue;
            }
            // These have no meaning there and would be a protocol error (RFC 9113 §8.2.2).
            if ["connection", "upgrade", "keep-alive"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
                continue;
            }
        }
        connection_given |= name.eq_ignore_ascii_case("connection");
        built = built.header(name.as_str(), &*value);
    }
    if let Some(state) = &context.state_header {
        built = built.header("x-haproxy-server-state", state.as_str());
    }
    if let Some(body) = &body {
        built = built.header("content-length", body.len());
    }
    if wire == Wire::Http1 && http11 && !connection_given {
        built = built.header("connection", "close");
    }
    let version = if http11 { hyper::Version::HTTP_11 } else { hyper::Version::HTTP_10 };
    built
        .uri(uri)
        .version(version)
        .body(body.unwrap_or_default())
        .map_err(|error| Verdict::new(CheckStatus::SocketError, error.to_string()))
}

async fn ask(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
    enough: impl Fn(&Response, bool) -> bool,
) -> Result<Response, Verdict> {
    let response = sender.send_request(request).await.map_err(|e| failure(&e))?;
    let status = response.status();
    let reason = match response.extensions().get::<hyper::ext::ReasonPhrase>() {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let headers =
        response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
    let mut answer = Response { status: status.as_u16(), reason, headers, body: Vec::new() };
    let mut body = response.into_body();
    while !enough(&answer, body.is_end_stream()) && answer.body.len() < RECEIVED_MAX_BYTES {
        if !read_more(&mut body, &mut answer.body).await {
            break;
        }
    }
    Ok(answer)
}

/// Takes one more piece of the body; false at its end. A body that breaks off counts as ended: what has come is judged.
async fn read_more(body: &mut Incoming, received: &mut Vec<u8>) -> bool {
    match body.frame().await {
        Some(Ok(frame)) => {
            if let Some(data) = frame.data_ref() {
                let room = RECEIVED_MAX_BYTES - received.len();
                received.extend_from_slice(&data[..data.len().min(room)]);
            }
            true
        }
        Some(Err(_)) | None => false,
    }
}

/// Whether more of the body could not change what an expect says.
fn is_conclusive(expect: &Expect, response: &Response, ended: bool, context: &Context) -> bool {
    match &expect.pattern {
        Pattern::GrpcServing => ended,
        Pattern::String(_) | Pattern::Regex(_) | Pattern::Binary(_) | Pattern::BinaryRegex(_) => {
            let received = response.received(context);
            ended
                || response.body.len() >= wanted_bytes(expect, &received) && finds(&expect.pattern, &received)
        }
        _ => true,
    }
}

fn judge(
    step: &Step,
    expect: &Expect,
    comment: Option<&str>,
    response: &Response,
    context: &Context,
) -> Result<Verdict, Verdict> {
    let received = response.received(context);
    let found = match &expect.pattern {
        Pattern::GrpcServing => return super::grpc::judge(response),
        Pattern::Status(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&response.status)),
        Pattern::StatusRegex(regex) => regex.is_match(format!("{:03}", response.status).as_bytes()),
        Pattern::Header(pattern) => response.headers.iter().any(|(name, value)| {
            pattern.name.matches_name(name, &received)
                && pattern.value.as_ref().is_none_or(|matcher| {
                    let whole = std::iter::once(value.as_slice()).filter(|_| pattern.full);
                    let parts = value.split(|b| *b == b',').filter(|_| !pattern.full);
                    whole.chain(parts).any(|part| matcher.matches(part.trim_ascii(), &received))
                })
        }),
        body => finds(body, &received),
    };
    let code = status_code(expect, &received).or(Some(u32::from(response.status)));
    if found != expect.negated {
        let description = expect.on_success.as_ref().map(|t| t.string(&received)).unwrap_or_default();
        return Ok(Verdict { status: expect.ok_status.unwrap_or(CheckStatus::Layer7Ok), code, description });
    }
    let about_body = matches!(expect.pattern, Pattern::String(_) | Pattern::Regex(_));
    let (status, text) = match about_body {
        false => (CheckStatus::Layer7Status, response.reason.as_str()),
        true if response.body.is_empty() && !expect.negated => {
            (CheckStatus::Layer7Response, "HTTP content check could not find a response body")
        }
        true if expect.negated => (CheckStatus::Layer7Response, "HTTP check matched unwanted content"),
        true => (CheckStatus::Layer7Response, "HTTP content check did not match"),
    };
    let description = match (&expect.on_error, step.comment.as_deref().or(comment)) {
        (Some(on_error), _) => on_error.string(&received),
        (None, Some(comment)) => format!("{text} comment: {comment}"),
        (None, None) => text.to_owned(),
    };
    Err(Verdict { status: expect.error_status.unwrap_or(status), code, description })
}

/// A reset is the socket's fault, anything else the answer's.
fn failure(error: &hyper::Error) -> Verdict {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && io.raw_os_error().is_some()
        {
            return Verdict::new(CheckStatus::SocketError, os_text(io));
        }
        source = inner.source();
    }
    Verdict::new(CheckStatus::Layer7Response, "")
}
