//! Answers whose length grows with the configuration (tables, the statistics page, metrics), made piece by piece.
//!
//! A piece is a few milliseconds' work at most and costs a bounded amount of memory, however many servers there are. Pieces are
//! made by a thread of their own, [`Renderer`], which yields to those that carry traffic and to the checks; whoever wants the
//! answer sends a piece on and asks for the next one when it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

use super::prometheus::Export;
use super::stats::collect::Clock;
use super::stats::encode::{Encoding, RowEncoder};
use super::stats::page::{Event, Page};
use super::stats::walk::{Filter, Position};
use crate::proxy::Snapshot;

/// A piece ends with the row or sample that makes it this long.
pub const PIECE_BYTES: usize = 64 * 1024;
/// Room for the rest of the row or sample that makes a piece full.
const PIECE_ROOM_BYTES: usize = PIECE_BYTES + 4096;

/// An answer on its way.
#[derive(Debug, Clone)]
pub struct Report {
    number: u64,
    snapshot: Arc<Snapshot>,
    content: Content,
}

/// What an answer is.
#[derive(Debug, Clone)]
pub enum Content {
    Table(Table),
    Page(Page),
    Event(Event),
    Metrics(Export),
}

/// Some of an answer's text, and how to get more.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Of the report.
    pub number: u64,
    pub text: String,
    /// `None`: that was all.
    pub rest: Option<Box<Report>>,
}

impl Report {
    pub fn new(snapshot: &Arc<Snapshot>, content: Content) -> Box<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Relaxed);
        Box::new(Self { number, snapshot: Arc::clone(snapshot), content })
    }

    /// What its pieces are known by.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Makes the next piece.
    pub fn piece(mut self: Box<Self>) -> Piece {
        let mut text = String::with_capacity(PIECE_ROOM_BYTES);
        let snapshot = &self.snapshot;
        let goes_on = match &mut self.content {
            Content::Table(table) => table.more(snapshot, &mut text),
            Content::Page(page) => page.more(snapshot, &mut text),
            Content::Event(event) => event.more(snapshot, &mut text),
            Content::Metrics(export) => export.more(snapshot, &mut text),
        };
        Piece { number: self.number, text, rest: goes_on.then_some(self) }
    }

    /// All pieces in one.
    pub fn whole(self: Box<Self>) -> String {
        let mut piece = self.piece();
        let mut text = piece.text;
        while let Some(rest) = piece.rest {
            piece = rest.piece();
            text.push_str(&piece.text);
        }
        text
    }
}

/// Rows of statistics as CSV, typed lines or JSON.
#[derive(Debug, Clone)]
pub struct Table {
    pub filter: Filter,
    pub encoding: Encoding,
    pub with_description: bool,
    progress: Option<(RowEncoder, Position)>,
}

impl Table {
    pub fn new(filter: Filter, encoding: Encoding, with_description: bool) -> Self {
        Self { filter, encoding, with_description, progress: None }
    }

    fn more(&mut self, snapshot: &Snapshot, out: &mut String) -> bool {
        let (mut encoder, mut position) = match self.progress.take() {
            Some(progress) => progress,
            None => (RowEncoder::begin(self.encoding, self.with_description, out), Position::default()),
        };
        let clock = Clock::of(snapshot);
        while let Some(row) = position.next_row(snapshot, &self.filter, &clock) {
            encoder.row(&row, out);
            if out.len() >= PIECE_BYTES {
                self.progress = Some((encoder, position));
                return true;
            }
        }
        encoder.end(out);
        false
    }
}

type Receiver = Box<dyn FnOnce(Piece) + Send>;

/// The thread that makes pieces, in the order in which they were asked for. Whoever asks waits for its piece, so that there are
/// never more of them than connections.
#[derive(Debug)]
pub struct Renderer {
    jobs: mpsc::Sender<(Box<Report>, Receiver)>,
}

impl Renderer {
    /// Starts the thread; it ends with the process.
    pub fn start() -> std::io::Result<Self> {
        /// Behind everything that carries traffic, but not starved by other programs.
        const NICE: i32 = 5;
        let (jobs, waiting) = mpsc::channel::<(Box<Report>, Receiver)>();
        let work = move || {
            // Without it, reports only compete a little more.
            let _ = hacore::sys::set_nice(NICE);
            for (report, receiver) in waiting {
                receiver(report.piece());
            }
        };
        std::thread::Builder::new().name("proxyd/reports".to_owned()).spawn(work)?;
        Ok(Self { jobs })
    }

    /// Has the next piece made and given to `receiver`, on the renderer's thread.
    pub fn submit(&self, report: Box<Report>, receiver: impl FnOnce(Piece) + Send + 'static) {
        if let Err(mpsc::SendError((report, receiver))) = self.jobs.send((report, Box::new(receiver))) {
            // The thread has died: slower for the asker, but answered.
            receiver(report.piece());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Process;
    use crate::services::prometheus::Query;

    fn snapshot(servers: usize) -> Arc<Snapshot> {
        let mut text = "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nlisten l\n bind \
                        127.0.0.1:1\n stats enable\n option socket-stats\nbackend b\n"
            .to_owned();
        for number in 0..servers {
            text.push_str(&format!(" server s{number} 127.0.0.1:9\n"));
        }
        let loaded = crate::config::load_text("t.cfg", &text, Default::default(), Default::default());
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        Arc::new(Snapshot::build(&config, &Arc::new(Process::new(1, 1000))))
    }

    /// All kinds of reports about a snapshot.
    fn reports(snapshot: &Arc<Snapshot>) -> impl Iterator<Item = Box<Report>> {
        let table = |encoding| Content::Table(Table::new(Filter::default(), encoding, true));
        let page = Page::new(crate::model::ProxyId(0), Filter::default(), true, None, "");
        [
            table(Encoding::Plain),
            table(Encoding::Typed),
            table(Encoding::Json),
            Content::Page(page),
            Content::Event(Event::new(Filter::default())),
            Content::Metrics(Export::new(Query::default())),
        ]
        .into_iter()
        .map(|content| Report::new(snapshot, content))
    }

    #[test]
    fn pieces_are_bounded_and_make_up_the_whole() {
        /// A typed row with descriptions, or a row of the page, is the longest that a piece ends with; the page's style and
        /// script stand in its first and last one.
        const LONGEST_BYTES: usize = PIECE_BYTES + 24 * 1024;
        for report in reports(&snapshot(700)) {
            let whole = report.clone().whole();
            let (mut pieces, mut text) = (0, String::new());
            let mut next = Some(report);
            while let Some(report) = next {
                let piece = report.piece();
                assert!(piece.text.len() < LONGEST_BYTES, "{}", piece.text.len());
                pieces += 1;
                text.push_str(&piece.text);
                next = piece.rest;
            }
            assert!(pieces > 1 && pieces >= whole.len() / LONGEST_BYTES, "{pieces}");
            assert_eq!(text.len(), whole.len());
            assert_eq!(text.matches("s699").count(), whole.matches("s699").count());
            assert!(text.contains("s699") && text.contains("s0"));
        }
    }

    #[test]
    fn scope_and_filters_leave_rows_out() {
        let snapshot = snapshot(3);
        let rows = |filter: Filter| {
            let table = Content::Table(Table::new(filter, Encoding::Plain, false));
            let text = Report::new(&snapshot, table).whole();
            text.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(rows(Filter::default()), ["FRONTEND", "sock-1", "BACKEND", "s0", "s1", "s2", "BACKEND"]);
        assert_eq!(
            rows(Filter { scope: vec!["l".to_owned()], ..Filter::default() }),
            ["FRONTEND", "sock-1", "BACKEND"]
        );
        assert_eq!(rows(Filter { kinds: 4, object_number: Some(2), ..Filter::default() }), ["s1"]);
    }

    #[test]
    fn columns_that_nobody_looks_up_are_not_found_out() {
        use crate::services::stats::Column;
        use crate::services::stats::walk::Columns;
        let snapshot = snapshot(1);
        let clock = Clock::of(&snapshot);
        let all = Filter { kinds: 4, ..Filter::default() };
        let one = Filter { columns: Columns::only(Column::Status), ..all.clone() };
        let row = |filter: &Filter| Position::default().next_row(&snapshot, filter, &clock).unwrap();
        assert_eq!(row(&one).value(Column::Status), row(&all).value(Column::Status));
        assert!(
            row(&one).value(Column::SessionsTotal).is_none()
                && row(&all).value(Column::SessionsTotal).is_some()
        );
    }
}
