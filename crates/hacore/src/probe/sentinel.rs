//! Asks a quorum of Redis sentinels whether a server is the master, an extension: HAProxy asks the server itself.
//!
//! A Redis that returns after its replica was promoted says `role:master` until a sentinel demotes it, so that for some
//! seconds two servers pass the usual check. The sentinels know better: a server passes when a majority of them (or as
//! many as `quorum` says) names it as the master. One that does not answer counts as a vote against.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Context, Timeouts};
use crate::health::{CheckResult, CheckStatus};

/// `option sentinel-check`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelCheck {
    /// The master's name in the sentinels' configuration.
    pub master: String,
    /// The sentinels, at most [`SENTINELS_MAX`].
    pub sentinels: Vec<SocketAddr>,
    /// How many must agree; none: more than half.
    pub quorum: Option<usize>,
}

/// More sentinels than this are not asked.
pub const SENTINELS_MAX: usize = 15;
/// Longer answers than this are none.
const ANSWER_MAX_BYTES: usize = 512;

impl SentinelCheck {
    /// How many votes a server needs.
    pub fn needed(&self) -> usize {
        self.quorum.unwrap_or(self.sentinels.len() / 2 + 1).max(1)
    }
}

/// Asks all sentinels at the same time whether `server` is the master.
pub async fn sentinel(
    check: &SentinelCheck,
    server: SocketAddr,
    timeouts: &Timeouts,
    context: &Context,
) -> CheckResult {
    let start = Instant::now();
    let end = start + timeouts.connect + timeouts.answer.unwrap_or_default();
    let mut questions = Vec::new();
    for address in check.sentinels.iter().take(SENTINELS_MAX) {
        questions.push(Box::pin(timeout_at(end, master_of(*address, &check.master))));
    }
    let mut votes = Votes::default();
    for question in join_all(questions).await {
        match question {
            Ok(Ok(master)) if master == server => votes.yes += 1,
            Ok(Ok(other)) => votes.other = Some(other),
            Ok(Err(_)) | Err(_) => votes.silent += 1,
        }
    }
    if let Some(tape) = &context.tape {
        let mut tape = tape.borrow_mut();
        tape.note_sent(&request(&check.master));
        tape.note_received(votes.told(check).as_bytes());
    }
    let needed = check.needed();
    let status = match () {
        () if votes.yes >= needed => CheckStatus::Layer7Ok,
        // Enough sentinels to decide have not answered: nobody knows, so nobody is the master.
        () if check.sentinels.len() - votes.silent.min(check.sentinels.len()) < needed => {
            CheckStatus::Layer7Timeout
        }
        () => CheckStatus::Layer7Status,
    };
    let code = u32::try_from(votes.yes).unwrap_or(u32::MAX);
    CheckResult::new(status, start.elapsed()).with_code(code).with_description(votes.told(check))
}

/// Runs all to their end; they are few.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut waiting = false;
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match std::pin::Pin::new(future).poll(cx) {
                    std::task::Poll::Ready(output) => *slot = Some(output),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[derive(Debug, Default)]
struct Votes {
    yes: usize,
    silent: usize,
    other: Option<SocketAddr>,
}

impl Votes {
    fn told(&self, check: &SentinelCheck) -> String {
        let all = check.sentinels.len();
        let mut text = format!("{} of {all} sentinels, {} needed", self.yes, check.needed());
        if let Some(other) = self.other {
            text.push_str(&format!(", master is {other}"));
        }
        if self.silent > 0 {
            text.push_str(&format!(", {} silent", self.silent));
        }
        text
    }
}

fn request(master: &str) -> Vec<u8> {
    let length = master.len();
    format!("*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n${length}\r\n{master}\r\n")
        .into_bytes()
}

async fn master_of(sentinel: SocketAddr, master: &str) -> std::io::Result<SocketAddr> {
    let mut stream = TcpStream::connect(sentinel).await?;
    stream.write_all(&request(master)).await?;
    let mut answer = Vec::with_capacity(64);
    loop {
        let room = ANSWER_MAX_BYTES - answer.len();
        let count = (&mut stream).take(room as u64).read_buf(&mut answer).await?;
        match parse(&answer) {
            Answer::Master(address) => return Ok(address),
            Answer::More if count > 0 && answer.len() < ANSWER_MAX_BYTES => {}
            Answer::More | Answer::Invalid => return Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    More,
    Master(SocketAddr),
    Invalid,
}

/// `*2`, the address, the port, each as a bulk string (RESP 2).
fn parse(bytes: &[u8]) -> Answer {
    let mut lines = Lines(bytes);
    let mut parts = [None; 2];
    match lines.next() {
        None => return Answer::More,
        Some(b"*2") => {}
        Some(_) => return Answer::Invalid,
    }
    for part in &mut parts {
        match (lines.next(), lines.next()) {
            (Some(length), _) if !length.starts_with(b"$") => return Answer::Invalid,
            (Some(_), Some(text)) => *part = std::str::from_utf8(text).ok(),
            _ => return Answer::More,
        }
    }
    let address = parts[0].and_then(|ip| ip.parse().ok());
    let port = parts[1].and_then(|port| port.parse().ok());
    match (address, port) {
        (Some(ip), Some(port)) => Answer::Master(SocketAddr::new(ip, port)),
        _ => Answer::Invalid,
    }
}

/// Complete lines without their end.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memmem::find(self.0, b"\r\n")?;
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(2..).unwrap_or_default();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    const ANSWER: &[u8] = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n";

    /// A sentinel that knows this master; none: it never answers.
    async fn serve(master: Option<SocketAddr>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 256];
            let _ = stream.read(&mut question).await;
            if let Some(master) = master {
                let (ip, port) = (master.ip().to_string(), master.port().to_string());
                let answer = format!("*2\r\n${}\r\n{ip}\r\n${}\r\n{port}\r\n", ip.len(), port.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            let _ = stream.read(&mut question).await;
        });
        address
    }

    async fn asked(masters: [Option<&str>; 3]) -> (&'static str, String) {
        let mut sentinels = Vec::new();
        for master in masters {
            sentinels.push(serve(master.map(|address| address.parse().unwrap())).await);
        }
        let check = SentinelCheck { master: "db".to_owned(), sentinels, quorum: None };
        let timeouts = Timeouts::new(Duration::from_millis(300), None, None);
        let result = sentinel(&check, "10.0.0.1:6379".parse().unwrap(), &timeouts, &Context::default()).await;
        (result.status.word(), result.description)
    }

    #[tokio::test]
    async fn a_majority_of_sentinels_names_the_master() {
        let (me, other) = (Some("10.0.0.1:6379"), Some("10.0.0.2:6379"));
        assert_eq!(asked([me, me, other]).await.0, "L7OK");
        assert_eq!(asked([me, me, None]).await.0, "L7OK");
        let (word, text) = asked([me, other, other]).await;
        assert_eq!((word, &*text), ("L7STS", "1 of 3 sentinels, 2 needed, master is 10.0.0.2:6379"));
        assert_eq!(asked([me, None, None]).await.0, "L7TOUT");
    }

    proptest! {
        #[test]
        fn an_answer_in_pieces_is_waited_for(at in 0..ANSWER.len()) {
            prop_assert_eq!(parse(&ANSWER[..at]), Answer::More);
            prop_assert_eq!(parse(ANSWER), Answer::Master("127.0.0.1:6379".parse().unwrap()));
        }

        #[test]
        fn anything_else_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
