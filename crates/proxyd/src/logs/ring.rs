//! A ring of log lines: the newest lines within so many bytes, and how far each of its servers has got.
//!
//! Who writes never waits: when the ring is full the oldest line goes, and counts as lost if a server has not got it.
//! What this is not: the connections to those servers ([`super::delivery`]).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hacore::logging::Receiver;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model;

/// What a line costs besides its bytes.
const LINE_OVERHEAD_BYTES: usize = 16;
/// Bytes that a server is given at once.
const BATCH_BYTES: usize = 16 * 1024;

/// How lines are set apart on a stream (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFraming {
    /// `log-proto octet-count`.
    OctetCount,
    /// `log-proto legacy`: each ends with a line feed.
    LineFeed,
}

/// One ring; see the module.
#[derive(Debug)]
pub struct Ring {
    pub name: String,
    pub description: String,
    pub size_bytes: usize,
    length_max_bytes: usize,
    pub backing_file: Option<PathBuf>,
    pub connect_timeout: Option<Duration>,
    pub server_timeout: Option<Duration>,
    pub servers: Vec<model::Server>,
    lines: Mutex<Lines>,
    news: Notify,
    dropped: AtomicU64,
    /// No configuration has it any more: what it holds is still delivered.
    retired: AtomicBool,
}

#[derive(Debug)]
struct Lines {
    queue: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The number of the line at the queue's front.
    first: u64,
    /// By server: the number of the first line that it has not got.
    cursors: Vec<u64>,
}

/// Lines for one reader, in their framing.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// The number of the line behind the last one.
    pub end: u64,
}

impl Ring {
    /// An empty ring as its section wants it.
    pub fn new(model: &model::Ring) -> Self {
        let lines =
            Lines { queue: VecDeque::new(), bytes: 0, first: 0, cursors: vec![0; model.servers.len()] };
        Self {
            name: model.name.clone(),
            description: model.description.clone().unwrap_or_else(|| model.name.clone()),
            size_bytes: model.size_bytes,
            length_max_bytes: model.length_max_bytes,
            backing_file: model.backing_file.clone(),
            connect_timeout: model.connect_timeout,
            server_timeout: model.server_timeout,
            servers: model.servers.clone(),
            lines: Mutex::new(lines),
            news: Notify::new(),
            dropped: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        }
    }

    /// Lines that went before a server got them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// What is in it from line number `from` on, each line with a line feed, and the number of the next line.
    pub fn read(&self, from: u64) -> (Vec<u8>, u64) {
        let mut batch = Batch::default();
        self.lines.lock().copy(from, LineFraming::LineFeed, usize::MAX, &mut batch);
        (batch.bytes, batch.end)
    }

    /// The number that the next line will have.
    pub fn end(&self) -> u64 {
        self.lines.lock().end()
    }

    /// Waits until there are lines from number `from` on, and copies some; false when the ring is retired and empty.
    pub(super) async fn wait(&self, from: u64, framing: LineFraming, batch: &mut Batch) -> bool {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on no line is missed.
            news.as_mut().enable();
            if self.lines.lock().copy(from, framing, BATCH_BYTES, batch) {
                return true;
            }
            if self.retired.load(Relaxed) {
                return false;
            }
            news.await;
        }
    }

    /// The first line that this server has not got.
    pub(super) fn cursor(&self, server: usize) -> u64 {
        self.lines.lock().cursors.get(server).copied().unwrap_or_default()
    }

    /// The server has all lines before `end`.
    pub(super) fn delivered(&self, server: usize, end: u64) {
        if let Some(cursor) = self.lines.lock().cursors.get_mut(server) {
            *cursor = (*cursor).max(end);
        }
    }

    /// Whether every server has everything.
    pub(super) fn is_delivered(&self) -> bool {
        let lines = self.lines.lock();
        lines.cursors.iter().all(|cursor| *cursor >= lines.end())
    }

    /// Nobody writes to it any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.news.notify_waiters();
    }
}

impl Lines {
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// Copies lines from number `from` on, at least one if there is any, and says whether there was.
    fn copy(&self, from: u64, framing: LineFraming, bytes_max: usize, batch: &mut Batch) -> bool {
        batch.bytes.clear();
        batch.end = from.max(self.first);
        let skipped = usize::try_from(batch.end - self.first).unwrap_or(usize::MAX);
        for line in self.queue.iter().skip(skipped) {
            if batch.bytes.len() >= bytes_max {
                break;
            }
            if framing == LineFraming::OctetCount {
                batch.bytes.extend_from_slice(itoa::Buffer::new().format(line.len()).as_bytes());
                batch.bytes.push(b' ');
            }
            batch.bytes.extend_from_slice(line);
            if framing == LineFraming::LineFeed {
                batch.bytes.push(b'\n');
            }
            batch.end += 1;
        }
        !batch.bytes.is_empty()
    }
}

impl Receiver for Ring {
    fn take(&self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.get(..self.length_max_bytes).unwrap_or(line);
        let cost = line.len() + LINE_OVERHEAD_BYTES;
        if cost > self.size_bytes {
            self.dropped.fetch_add(1, Relaxed);
            return false;
        }
        let mut lost = 0;
        {
            let mut lines = self.lines.lock();
            while lines.bytes + cost > self.size_bytes {
                let Some(old) = lines.queue.pop_front() else { break };
                lines.bytes -= old.len() + LINE_OVERHEAD_BYTES;
                let number = lines.first;
                lost += u64::from(lines.cursors.iter().any(|cursor| *cursor <= number));
                lines.first += 1;
            }
            lines.bytes += cost;
            lines.queue.push_back(line.into());
        }
        self.news.notify_waiters();
        self.dropped.fetch_add(lost, Relaxed);
        lost == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(size_bytes: usize, servers: usize) -> Ring {
        let address = model::Address::Inet(([127, 0, 0, 1], 1).into());
        let server = model::Server::new("s", address, model::Location::default());
        let servers = vec![server; servers];
        Ring::new(&model::Ring { size_bytes, servers, ..model::Ring::new("r") })
    }

    #[test]
    fn a_full_ring_keeps_the_newest_lines() {
        let ring = ring(10 * (LINE_OVERHEAD_BYTES + 6), 0);
        for number in 0..25 {
            assert!(ring.take(format!("line{number:02}\n").as_bytes()), "nobody waits for the lines that go");
        }
        let (bytes, end) = ring.read(0);
        assert!(bytes.starts_with(b"line15\nline16\n") && bytes.ends_with(b"line24\n"));
        assert_eq!((end, ring.end(), ring.dropped()), (25, 25, 0));
        assert_eq!(ring.read(24).0, b"line24\n");
    }

    #[test]
    fn lines_that_a_server_has_not_got_are_lost_and_counted() {
        let ring = ring(10 * (LINE_OVERHEAD_BYTES + 6), 1);
        for number in 0..10 {
            assert!(ring.take(format!("line{number:02}\n").as_bytes()));
        }
        ring.delivered(0, 4);
        let taken = (10..16).filter(|number| ring.take(format!("line{number:02}\n").as_bytes())).count();
        assert_eq!((taken, ring.dropped()), (4, 2), "four had been delivered before their place was needed");
    }

    #[test]
    fn long_lines_are_cut_at_maxlen_and_longer_than_the_ring_are_lost() {
        let ring = Ring::new(&model::Ring { length_max_bytes: 5, ..model::Ring::new("r") });
        assert!(ring.take(b"123456789\n"));
        assert_eq!(ring.read(0).0, b"12345\n");
        let tiny = Ring::new(&model::Ring { size_bytes: 20, ..model::Ring::new("r") });
        assert!(!tiny.take(b"123456789\n"));
        assert_eq!(tiny.dropped(), 1);
    }

    #[tokio::test]
    async fn a_reader_is_woken_and_gets_octet_counted_lines() {
        let ring = std::sync::Arc::new(ring(1000, 1));
        let writer = std::sync::Arc::clone(&ring);
        let mut batch = Batch::default();
        let (got, ()) = tokio::join!(ring.wait(0, LineFraming::OctetCount, &mut batch), async {
            tokio::task::yield_now().await;
            writer.take(b"hello\n");
        });
        assert!(got);
        assert_eq!((batch.bytes.as_slice(), batch.end), (&b"5 hello"[..], 1));
        ring.retire();
        assert!(!ring.wait(1, LineFraming::LineFeed, &mut batch).await, "retired and read to its end");
    }
}
