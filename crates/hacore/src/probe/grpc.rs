//! The gRPC health check (`grpc.health.v1.Health/Check`), an extension: HAProxy has none.
//!
//! A server passes when it answers that the service, or with no name the server as a whole, is `SERVING`.

use super::Verdict;
use super::http::Response;
use super::steps::{Action, Expect, HttpRequest, Pattern, Program, Protocol, Step, Text};
use crate::health::CheckStatus;

/// The check of one service; an empty name asks about the whole server. The target must speak HTTP/2.
pub fn health(service: &str) -> Program {
    let request = HttpRequest {
        method: "POST".to_owned(),
        uri: Text::from("/grpc.health.v1.Health/Check"),
        http11: true,
        headers: vec![
            ("host".to_owned(), Text::from("localhost")),
            ("content-type".to_owned(), Text::from("application/grpc")),
            ("te".to_owned(), Text::from("trailers")),
        ],
        body: Some(Text::Fixed(question(service))),
    };
    let steps = vec![
        Step::new(Action::SendHttp(request)),
        Step::new(Action::Expect(Expect::new(Pattern::GrpcServing))),
    ];
    Program { protocol: Protocol::Http, steps, ..Program::default() }
}

/// A `HealthCheckRequest` in a gRPC frame: field 1 is the service's name.
fn question(service: &str) -> Vec<u8> {
    let name = service.as_bytes().get(..SERVICE_LENGTH_MAX).unwrap_or(service.as_bytes());
    let mut message = Vec::with_capacity(name.len() + 2);
    if !name.is_empty() {
        message.extend_from_slice(&[0x0a, name.len() as u8]);
        message.extend_from_slice(name);
    }
    let mut frame = vec![0, 0, 0, 0, message.len() as u8];
    frame.extend_from_slice(&message);
    frame
}

/// Lengths stay in one byte of a protobuf varint.
pub const SERVICE_LENGTH_MAX: usize = 120;

/// `HealthCheckResponse.ServingStatus` (grpc/health/v1/health.proto).
fn status_name(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "unknown serving status",
    }
}

/// Judges the whole response. The code that is shown is gRPC's own.
pub(super) fn judge(response: &Response) -> Result<Verdict, Verdict> {
    let fail = |status, code, text: String| Err(Verdict { status, code, description: text });
    if response.status != 200 {
        let code = Some(u32::from(response.status));
        return fail(CheckStatus::Layer7Status, code, response.reason.clone());
    }
    let header = |name: &str| {
        let found = response.headers.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let code = header("grpc-status").and_then(|code| code.trim().parse::<u32>().ok());
    match code {
        None => return fail(CheckStatus::Layer7Response, None, "not a gRPC answer".to_owned()),
        Some(0) => {}
        Some(code) => {
            let text = header("grpc-message").unwrap_or_else(|| format!("grpc-status {code}"));
            return fail(CheckStatus::Layer7Status, Some(code), text);
        }
    }
    match serving_status(&response.body) {
        Some(1) => {
            Ok(Verdict { status: CheckStatus::Layer7Ok, code: Some(0), description: "SERVING".to_owned() })
        }
        Some(other) => fail(CheckStatus::Layer7Status, Some(0), status_name(other).to_owned()),
        None => fail(CheckStatus::Layer7Response, None, "invalid HealthCheckResponse".to_owned()),
    }
}

/// Field 1 of the message in the first frame; a message without it says 0.
fn serving_status(frame: &[u8]) -> Option<u64> {
    let (header, rest) = frame.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *header;
    let mut message = rest.get(..u32::from_be_bytes(length) as usize).filter(|_| compressed == 0)?;
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            (_, 0) => drop(varint(&mut message)?),
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            (_, 1) => message = message.get(8..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(body: &[u8], grpc_status: &str) -> Response {
        let headers = vec![("grpc-status".to_owned(), grpc_status.as_bytes().to_vec())];
        Response { status: 200, headers, body: body.to_vec(), ..Response::default() }
    }

    fn said(response: &Response) -> (&'static str, String) {
        let verdict = judge(response).unwrap_or_else(|failure| failure);
        (verdict.status.word(), verdict.description)
    }

    #[test]
    fn only_serving_passes() {
        for (body, grpc_status, word, text) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], "0", "L7OK", "SERVING"),
            (b"\0\0\0\0\x02\x08\x02", "0", "L7STS", "NOT_SERVING"),
            (b"\0\0\0\0\0", "0", "L7STS", "UNKNOWN"),
            (b"\0\0\0\0\x09\x08\x01", "0", "L7RSP", "invalid HealthCheckResponse"),
            (b"\x01\0\0\0\x02\x08\x01", "0", "L7RSP", "invalid HealthCheckResponse"),
            (b"", "12", "L7STS", "grpc-status 12"),
            (b"", "x", "L7RSP", "not a gRPC answer"),
        ] {
            assert_eq!(said(&answer(body, grpc_status)), (word, text.to_owned()), "{body:?}");
        }
        assert_eq!(said(&Response { status: 503, ..Response::default() }).0, "L7STS");
    }

    #[test]
    fn the_question_names_the_service() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("db"), *b"\0\0\0\0\x04\x0a\x02db");
    }

    proptest! {
        #[test]
        fn any_body_is_judged(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = judge(&answer(&body, "0"));
        }
    }
}
