//! A small HTTP/1 server on hyper that says who it is and what it received.
//!
//! | path | answer |
//! |---|---|
//! | `/health` | 200 `healthy` |
//! | `/echo` | the request's head as text, then its body, chunked |
//! | `/bytes/N` | N bytes with a content length |
//! | `/chunked/N` | N bytes in chunks |
//! | `/status/N` | an empty response of that status |
//! | anything else | the server's name |

use std::convert::Infallible;
use std::fmt::Write;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The most bytes that `/bytes` and `/chunked` give.
const BODY_MAX_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 8192;

type ResponseBody = BoxBody<Bytes, Infallible>;

/// Serves connections of `listener` for ever; each connection is a task of the current `LocalSet` or runtime.
pub async fn serve(listener: TcpListener, name: String) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve_connection(stream, name.clone()));
    }
}

async fn serve_connection(stream: TcpStream, name: String) {
    let service = service_fn(move |request| answer(name.clone(), request));
    // A peer that goes away ends its connection; that is no event for a test origin.
    let _ = hyper::server::conn::http1::Builder::new()
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(name: String, request: Request<Incoming>) -> Result<Response<ResponseBody>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let argument = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.parse::<usize>().ok());
    let body = if path == "/health" {
        full("healthy\n")
    } else if path == "/echo" {
        echo(request).await?
    } else if let Some(count) = argument("/bytes/") {
        full(vec![b'x'; count.min(BODY_MAX_BYTES)])
    } else if let Some(count) = argument("/chunked/") {
        chunked(count.min(BODY_MAX_BYTES))
    } else if let Some(status) = argument("/status/") {
        let status = u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let mut response = Response::new(full(""));
        *response.status_mut() = status.unwrap_or(StatusCode::BAD_REQUEST);
        return Ok(response);
    } else {
        full(format!("{name}\n"))
    };
    let response = Response::builder().header("x-served-by", name).body(body);
    Ok(response.unwrap_or_else(|_| Response::new(full("unusable name\n"))))
}

fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).boxed()
}

fn chunked(count: usize) -> ResponseBody {
    let chunks = (0..count).step_by(CHUNK_BYTES).map(move |at| {
        let size = CHUNK_BYTES.min(count - at);
        Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))
    });
    StreamBody::new(futures_util::stream::iter(chunks)).boxed()
}

async fn echo(request: Request<Incoming>) -> Result<ResponseBody, hyper::Error> {
    let mut head = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        let _ = writeln!(head, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    head.push('\n');
    let hint = request.body().size_hint().upper().unwrap_or(0) as usize;
    let mut bytes = Vec::with_capacity(head.len() + hint.min(CHUNK_BYTES));
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(&request.into_body().collect().await?.to_bytes());
    let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(bytes)))];
    Ok(StreamBody::new(futures_util::stream::iter(frames)).boxed())
}

/// An origin on a free loopback port, in a thread of its own that ends with the process.
pub fn spawn(name: &str) -> std::io::Result<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let name = name.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { serve(TcpListener::from_std(listener)?, name).await })
    });
    Ok(address)
}
