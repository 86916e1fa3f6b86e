//! Replies whose body is made piece by piece beside the data plane (`services::report`): the statistics page, metrics.
//!
//! While a piece is sent the next one is made, and no more: a slow client costs two pieces of memory.

use super::Step;
use super::body::Incoming;
use super::exchange::{end_stream, send_or_keep};
use super::response::counted_bytes;
use super::rules::Flow;
use super::session::Session;
use super::state::Stream;
use crate::http::Framing;
use crate::http::Version;
use crate::http::h1::{ConnectionField, EncodePlan, encode_response};
use crate::runtime::{Core, Message};
use crate::services::report::{Piece, Report};

/// Where the body of a reply comes from.
#[derive(Debug)]
pub enum Rendering {
    /// The next piece is to be asked for.
    Ready(Box<Report>),
    /// It was asked for; the report's number.
    Asked(u64),
    Made(Piece),
}

impl Stream {
    /// Answers with the head in `self.reply` and what the report says.
    pub(super) fn reply_with_report(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        report: Box<Report>,
    ) -> Flow {
        self.keep_alive_only_if_received();
        std::mem::swap(&mut self.response, &mut self.reply.head);
        self.reply.body.clear();
        self.info.status = self.response.status();
        self.after_response(session, core);
        self.info.bytes_sent = counted_bytes(&self.response);
        let framing = match self.request.version() >= Version::HTTP_11 {
            // How long the body would be is not known.
            _ if self.is_head => Framing::None,
            true => Framing::Chunked,
            false => Framing::UntilClose,
        };
        self.head_unsent = self.down.streams.to;
        if !self.head_unsent {
            self.client_keep_alive &= framing != Framing::UntilClose;
            let version = self.request.version();
            let connection = ConnectionField::for_response(&self.response, version, self.client_keep_alive);
            let mut out = std::mem::take(&mut core.out);
            out.clear();
            encode_response(&self.response, &mut out, EncodePlan { connection, framing });
            if let Some(case) = session.policy().client_case.as_ref() {
                case.adjust(&mut out);
            }
            core.buffers.append(&mut self.down.pending, &out);
            core.out = out;
        }
        self.start_reply(core);
        if self.is_head {
            return Flow::Stop(Step::Again);
        }
        let limits = self.response_limits(session);
        self.down.start(Framing::UntilClose, framing == Framing::Chunked, limits);
        self.report = Some(Rendering::Ready(report));
        Flow::Stop(Step::Again)
    }

    /// A piece was made; false when nobody waits for it.
    pub(super) fn rendered(&mut self, piece: Piece) -> bool {
        let waits = matches!(self.report, Some(Rendering::Asked(number)) if number == piece.number);
        if waits {
            self.report = Some(Rendering::Made(piece));
        }
        waits
    }

    /// Goes on with the body; everything that was there before has been sent.
    pub(super) fn send_report(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let now_ms = core.clock.monotonic_ms();
        match self.report.take() {
            None => self.finish(session, core),
            Some(Rendering::Asked(number)) => {
                self.report = Some(Rendering::Asked(number));
                Step::Wait
            }
            Some(Rendering::Ready(report)) => {
                self.client_active_ms = now_ms;
                let (next, step) = match ask(session, core, report) {
                    Rendering::Ready(report) => (Rendering::Made(report.piece()), Step::Again),
                    asked => (asked, Step::Wait),
                };
                self.report = Some(next);
                step
            }
            Some(Rendering::Made(piece)) => {
                self.client_active_ms = now_ms;
                let mut out = std::mem::take(&mut core.out);
                out.clear();
                // Text of our own is never a malformed body.
                let _ = self.down.take(piece.text.as_bytes(), &mut out);
                self.report = piece.rest.map(|rest| ask(session, core, rest));
                if self.report.is_none() {
                    self.down.sender_closed(b"", &mut out);
                    self.down.incoming = Incoming::Nothing;
                }
                let sent = out.is_empty() || send_or_keep(core, session.client, &mut self.down, &out);
                core.out = out;
                if !sent {
                    self.report = None;
                    self.client_keep_alive = false;
                    return self.finish(session, core);
                }
                if self.report.is_none() && self.down.pending.is_empty() {
                    end_stream(core, &self.down, session.client);
                    return self.finish(session, core);
                }
                if self.down.pending.is_empty() { Step::Again } else { Step::Wait }
            }
        }
    }
}

/// Has the next piece made beside the data plane; gives the report back where nobody does that.
fn ask(session: &Session, core: &Core, report: Box<Report>) -> Rendering {
    let Some(renderer) = core.process.renderer.get() else { return Rendering::Ready(report) };
    let asked = Rendering::Asked(report.number());
    let (inboxes, stream) = (std::sync::Arc::clone(&core.inboxes), session.key());
    renderer.submit(report, move |piece| {
        inboxes.send(usize::from(stream.thread), Message::Rendered { stream, piece: Box::new(piece) });
    });
    asked
}
