//! One request over HTTP/2 for a check: prior knowledge or ALPN has settled the protocol already.
//!
//! The `h2` crate speaks it; there is one stream, and nothing is pushed.

use bytes::Bytes;
use hyper::Request;

use super::connect::{Io, os_text};
use super::http::Response;
use super::{RECEIVED_MAX_BYTES, Verdict};
use crate::health::CheckStatus;

/// Sends the request and reads the response until `enough` says so; trailers come behind the headers.
pub(super) async fn exchange(
    io: Box<dyn Io>,
    request: Request<Vec<u8>>,
    enough: impl Fn(&Response, bool) -> bool,
) -> Result<Response, Verdict> {
    let mut client = h2::client::Builder::new();
    client.enable_push(false).max_header_list_size(RECEIVED_MAX_BYTES as u32);
    client.initial_window_size(RECEIVED_MAX_BYTES as u32);
    let (sender, driver) = client.handshake::<_, Bytes>(io).await.map_err(|error| failure(&error))?;
    let mut driver = std::pin::pin!(driver);
    let mut ask = std::pin::pin!(ask(sender, request, enough));
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut ask => return answer,
            _ = &mut driver, if open => open = false,
        }
    }
}

async fn ask(
    sender: h2::client::SendRequest<Bytes>,
    request: Request<Vec<u8>>,
    enough: impl Fn(&Response, bool) -> bool,
) -> Result<Response, Verdict> {
    let mut sender = sender.ready().await.map_err(|error| failure(&error))?;
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    let (answer, mut stream) = sender.send_request(head, body.is_empty()).map_err(|error| failure(&error))?;
    if !body.is_empty() {
        stream.send_data(Bytes::from(body), true).map_err(|error| failure(&error))?;
    }
    let (head, mut body) = answer.await.map_err(|error| failure(&error))?.into_parts();
    let reason = head.status.canonical_reason().unwrap_or_default().to_owned();
    let mut response = Response { status: head.status.as_u16(), reason, ..Response::default() };
    note(&mut response, &head.headers);
    while !enough(&response, body.is_end_stream()) && response.body.len() < RECEIVED_MAX_BYTES {
        let Some(Ok(data)) = body.data().await else {
            // A body that breaks off counts as ended: what has come is judged.
            if let Ok(Some(trailers)) = body.trailers().await {
                note(&mut response, &trailers);
            }
            break;
        };
        let room = RECEIVED_MAX_BYTES - response.body.len();
        response.body.extend_from_slice(&data[..data.len().min(room)]);
        // Giving back more than was taken would be our own fault; then there is nothing to give.
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(response)
}

fn note(response: &mut Response, headers: &hyper::HeaderMap) {
    let headers = headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    response.headers.extend(headers);
}

/// A reset of the connection is the socket's fault, anything else the answer's.
fn failure(error: &h2::Error) -> Verdict {
    match error.get_io().filter(|io| io.raw_os_error().is_some()) {
        Some(io) => Verdict::new(CheckStatus::SocketError, os_text(io)),
        None => Verdict::new(CheckStatus::Layer7Response, ""),
    }
}
