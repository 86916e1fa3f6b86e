//! Checks against servers in this process. Statuses, codes and descriptions of the tables were recorded from HAProxy
//! 2.6 against servers that did the same.

mod connections;
mod datagrams;
mod http_steps;
mod raw_steps;
mod services;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use super::steps::{
    Action, Connect, Expect, HeaderPattern, HttpRequest, HttpSend, Matcher, Pattern, Program, Received,
    Render, Step, Text,
};
use super::*;

/// What a scripted server does on a connection.
#[derive(Clone, Copy, Debug)]
enum Act {
    Read,
    Write(&'static [u8]),
    /// One byte at a time.
    Dribble(&'static [u8]),
    /// Over and over, until the peer closes.
    Endless(&'static [u8]),
    Close,
    Reset,
    /// Says nothing more and waits for the peer to close.
    Wait,
}
use Act::{Close, Dribble, Endless, Read, Reset, Wait, Write};

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(20);

async fn serve(mut stream: TcpStream, script: &[Act]) -> Vec<u8> {
    let mut got = Vec::new();
    for act in script {
        let _ = match act {
            Read => {
                got.reserve(4096);
                stream.read_buf(&mut got).await.map(|_| ())
            }
            Write(bytes) => stream.write_all(bytes).await,
            Dribble(bytes) => {
                let _ = stream.set_nodelay(true);
                for byte in *bytes {
                    let _ = stream.write_all(&[*byte]).await;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Endless(bytes) => {
                while stream.write_all(bytes).await.is_ok() {}
                Ok(())
            }
            Close => return got,
            Reset => stream.set_zero_linger(),
            Wait => stream.read_to_end(&mut got).await.map(|_| ()),
        };
    }
    got
}

/// Runs a program against a server that follows the script on its first connection; the result and what it was sent.
async fn probe(program: Program, script: &'static [Act], timeout: Duration) -> (CheckResult, Vec<u8>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        match listener.accept().await {
            Ok((stream, _)) => serve(stream, script).await,
            Err(_) => Vec::new(),
        }
    });
    let timeouts = Timeouts::new(timeout, None, None);
    let result = run(&program, &Target::tcp(address), &timeouts, &up()).await;
    if matches!(result.status, CheckStatus::Layer4Ok) {
        server.abort();
    }
    (result, server.await.unwrap_or_default())
}

fn up() -> Context {
    Context { server_up: true, ..Context::default() }
}

async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

fn said(result: &CheckResult) -> (&'static str, Option<u32>, &str) {
    (result.status.word(), result.shown_code(), &result.description)
}

fn expect(pattern: Pattern) -> Step {
    Step::new(Action::Expect(Expect::new(pattern)))
}

fn string(text: &str) -> Pattern {
    Pattern::String(text.into())
}

fn regex(text: &str) -> Pattern {
    Pattern::Regex(regex::bytes::Regex::new(text).unwrap())
}

fn with(pattern: Pattern, change: impl FnOnce(&mut Expect)) -> Step {
    let mut expect = Expect::new(pattern);
    change(&mut expect);
    Step::new(Action::Expect(expect))
}

fn tcp_check(steps: Vec<Step>) -> Program {
    Program::tcp_check(steps)
}

fn httpchk(steps: Vec<Step>) -> Program {
    Program::http_check(HttpRequest::default(), steps)
}
