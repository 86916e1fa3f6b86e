//! `GET /metrics` for Prometheus: the few bytes of HTTP/1 that takes. One request a connection, bounded in size and time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Command, Question, ask};

/// Scrapers served at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// The longest request head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How long a scraper may take to ask, and to read.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens and serves.
pub(super) fn open(address: SocketAddr, questions: mpsc::Sender<Question>) -> io::Result<JoinHandle<()>> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    Ok(tokio::spawn(serve(listener, questions)))
}

async fn serve(listener: TcpListener, questions: mpsc::Sender<Question>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    // A scraper that is too slow comes again.
                    let _ = timeout(PATIENCE, converse(stream, &questions)).await;
                    drop(slot);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(mut stream: TcpStream, questions: &mpsc::Sender<Question>) -> io::Result<()> {
    let Some(head) = read_head(&mut stream).await? else {
        return reply(&mut stream, "431 Request Header Fields Too Large", "the request is too long\n", true)
            .await;
    };
    let mut words = head.split(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let with_body = match method {
        b"GET" => true,
        b"HEAD" => false,
        _ => return reply(&mut stream, "405 Method Not Allowed", "only GET and HEAD\n", true).await,
    };
    match path {
        b"/metrics" => match ask(questions, Command::Metrics).await {
            Ok(text) => reply(&mut stream, "200 OK", &text, with_body).await,
            Err(reason) => {
                reply(&mut stream, "503 Service Unavailable", &format!("{reason}\n"), with_body).await
            }
        },
        b"/" => reply(&mut stream, "200 OK", "vrrpd: the metrics are at /metrics\n", with_body).await,
        _ => reply(&mut stream, "404 Not Found", "the metrics are at /metrics\n", with_body).await,
    }
}

/// The request up to its empty line; `None` when it is too long.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend(buffer.iter().take(count));
        if head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n") {
            return Ok(Some(head));
        }
        if head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
    }
}

async fn reply(stream: &mut TcpStream, status: &str, body: &str, with_body: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if with_body {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exchange(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (questions, mut from) = mpsc::channel::<Question>(4);
        tokio::spawn(async move {
            while let Some(question) = from.recv().await {
                let _ = question.answer.send(Ok("keepalived_up 1\n".into()));
            }
        });
        let task = tokio::spawn(serve(listener, questions));
        let mut stream = TcpStream::connect(address).await.unwrap();
        for byte in request {
            stream.write_all(&[*byte]).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        task.abort();
        answer
    }

    #[tokio::test]
    async fn metrics_are_there_and_nothing_else_is() {
        let answer = exchange(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Content-Length: 16\r\n") && answer.ends_with("\r\n\r\nkeepalived_up 1\n"));
        assert!(exchange(b"HEAD /metrics HTTP/1.0\r\n\r\n").await.ends_with("\r\n\r\n"));
        assert!(exchange(b"GET /secret HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(exchange(b"POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    }
}
