//! Answers with the metrics of the process: `http-request use-service prometheus-exporter`.

use super::rules::Flow;
use super::session::Session;
use super::state::Stream;
use crate::http::{HeadFull, Method, ResponseHead, Version};
use crate::runtime::Core;
use crate::services::prometheus::{Export, Query};
use crate::services::report::{Content, Report};
use crate::txn::{Cause, Phase};

impl Stream {
    pub(super) fn serve_metrics(&mut self, session: &mut Session, core: &mut Core) -> Flow {
        self.info.termination.set_once(Cause::Local, Phase::Request);
        self.count_intercepted(session);
        let target = String::from_utf8_lossy(self.request.target()).into_owned();
        let parameters = target.split_once('?').map_or("", |(_, parameters)| parameters);
        let asked = matches!(self.request.method(), Method::Get | Method::Head);
        let Some(query) = Query::parse(parameters).ok().filter(|_| asked) else {
            return Flow::Stop(self.reply_for(session, core, 400));
        };
        if head(&mut self.reply.head).is_err() {
            return Flow::Stop(self.reply_for(session, core, 500));
        }
        let report = Report::new(&session.snapshot.shared, Content::Metrics(Export::new(query)));
        self.reply_with_report(session, core, report)
    }
}

fn head(head: &mut ResponseHead) -> Result<(), HeadFull> {
    head.clear();
    head.set_start_line(Version::HTTP_11, 200, b"OK")?;
    head.headers.add(b"cache-control", b"no-cache")?;
    head.headers.add(b"content-type", b"text/plain; version=0.0.4")
}
