//! The statistics page of a proxy (configuration manual, "stats enable"): HTML, CSV, JSON and events of the same rows, and the
//! admin form. What they look like is `services::stats::{page, form}`'s.

use std::sync::Arc;

use super::rules::Flow;
use super::session::Session;
use super::state::Stream;
use crate::expr::Condition;
use crate::expr::conv::encode::b64_decode;
use crate::http::{HeadFull, Method, Version};
use crate::model::{ProxyId, StatsPage};
use crate::runtime::Core;

use crate::services::report::{Content, Report, Table};
use crate::services::stats::encode::Encoding;
use crate::services::stats::form;
use crate::services::stats::page::{self, Event, Page};
use crate::services::stats::walk::Filter;
use crate::txn::{Cause, Phase};

/// How long the body of the admin form may take.
const FORM_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

impl Stream {
    /// Answers a request for the page of this proxy; `None`: the request is for something else.
    pub(super) fn serve_stats(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        of: ProxyId,
    ) -> Option<Flow> {
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let proxy = snapshot.proxies.get(of.0 as usize)?;
        let page = proxy.stats.as_ref()?;
        if !matches!(self.request.method(), Method::Get | Method::Head | Method::Post) {
            return None;
        }
        let target = self.request.target();
        let options = target.get(
            target.windows(3).position(|w| w == b"://").map_or(0, |scheme| {
                let rest = target.get(scheme + 3..).unwrap_or_default();
                scheme + 3 + memchr::memchr(b'/', rest).unwrap_or(rest.len())
            })..,
        )?;
        let options = options.strip_prefix(page.uri.as_bytes())?;
        if !self.may_see(page) {
            self.info.termination.set_once(Cause::Proxy, Phase::Request);
            self.count_denied(session, of);
            let realm = page.realm.as_deref().unwrap_or("HAProxy Statistics");
            crate::http::reply::builtin(401).write_to(&mut self.reply.head, &mut self.reply.body);
            let challenge = format!("Basic realm=\"{realm}\"");
            // A head with one more line fits.
            let _ = self.reply.head.headers.add(b"www-authenticate", challenge.as_bytes());
            return Some(self.send_rule_reply(session, core));
        }
        let options = options.to_vec();
        let has = |word: &[u8]| options.split(|byte| *byte == b';').any(|option| option == word);
        let is_admin = self.may_change(session, core, page);
        self.info.service = Some("<STATS>");
        let now_us = Some(core.clock.monotonic_us);
        let timing = &mut self.info.timing;
        // The page is its own server: chosen, connected and answering at once.
        (timing.queue_done_us, timing.connect_done_us, timing.response_head_us) = (now_us, now_us, now_us);
        if matches!(self.request.method(), Method::Post) {
            return Some(self.submit_form(
                session,
                core,
                page,
                is_admin.then_some(kept_options(&options, page)),
            ));
        }
        self.info.termination.set_once(Cause::Local, Phase::Request);
        self.count_intercepted(session);
        let kind = Kind::of(&options);
        let scope = page.scope.iter().map(|name| if name == "." { proxy.name.clone() } else { name.clone() });
        let filter = Filter {
            only_up: has(b"up"),
            without_maintenance: has(b"no-maint"),
            with_legends: page.show_legends,
            scope: scope.collect(),
            ..Filter::default()
        };
        let content = match kind {
            Kind::Html => {
                let outcome =
                    options.split(|byte| *byte == b';').find_map(|option| option.strip_prefix(b"st="));
                let outcome = outcome.map(|code| String::from_utf8_lossy(code).into_owned());
                Content::Page(Page::new(of, filter, is_admin, outcome, kept_options(&options, page)))
            }
            Kind::Events => Content::Event(Event::new(filter)),
            Kind::Csv => Content::Table(Table::new(filter, Encoding::Plain, false)),
            Kind::Typed => Content::Table(Table::new(filter, Encoding::Typed, false)),
            Kind::Json => Content::Table(Table::new(filter, Encoding::Json, false)),
        };
        let refresh = page.refresh.filter(|_| !has(b"norefresh"));
        let refresh_s = refresh.map(|refresh| refresh.as_secs()).filter(|seconds| *seconds > 0);
        if page_head(&mut self.reply.head, kind, refresh_s).is_err() {
            return Some(Flow::Stop(self.reply_for(session, core, 500)));
        }
        Some(self.reply_with_report(session, core, Report::new(&snapshot.shared, content)))
    }

    /// `stats admin`: whether some rule lets this client change servers.
    fn may_change(&self, session: &Session, core: &Core, page: &StatsPage) -> bool {
        let context = self.context(session, core);
        let allows = |condition: &Option<Arc<Condition>>| condition.as_ref().is_none_or(|c| c.eval(&context));
        page.admin.iter().any(|rule| allows(&rule.condition))
    }

    /// The admin form: waits for its body, carries it out and sends the client back to the page.
    fn submit_form(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        page: &StatsPage,
        // What the page was asked for with; `None`: this client may not.
        kept: Option<&'static str>,
    ) -> Flow {
        let is_admin = kept.is_some();
        if is_admin && !self.has_whole_body(session) && !self.wait_expired {
            return self.wait_for_body(session, core, FORM_LIMIT, 0);
        }
        self.info.termination.set_once(Cause::Local, Phase::Request);
        self.count_intercepted(session);
        // Commands work on the configuration in force, whatever the session is under.
        let snapshot = Arc::clone(&core.snapshot.shared);
        let outcome = match snapshot.process.reporter.get() {
            _ if !is_admin => "DENY",
            _ if !self.has_whole_body(session) => "EXCD",
            Some(reporter) => {
                let body = self.decoded_body(session).map(|(body, _)| body);
                form::submit(&snapshot, reporter, body.as_deref().unwrap_or(session.input.as_slice()))
            }
            None => "UNKN",
        };
        let head = &mut self.reply.head;
        head.clear();
        let location = format!("{};st={outcome}{}", page.uri, kept.unwrap_or_default());
        let written = head
            .set_start_line(Version::HTTP_11, 303, b"See Other")
            .and_then(|()| head.headers.add(b"cache-control", b"no-cache"))
            .and_then(|()| head.headers.add(b"content-type", b"text/plain"))
            .and_then(|()| head.headers.add(b"content-length", b"0"))
            .and_then(|()| head.headers.add(b"location", location.as_bytes()));
        if written.is_err() {
            return Flow::Stop(self.reply_for(session, core, 500));
        }
        self.reply.body.clear();
        self.reply.is_silent = false;
        // The body is left where it is: the connection ends with this answer.
        self.client_keep_alive = false;
        self.send_rule_reply(session, core)
    }

    /// `stats auth`: without any user everybody may.
    fn may_see(&self, page: &StatsPage) -> bool {
        if page.users.is_empty() {
            return true;
        }
        let given = self.request.headers.find(b"authorization").and_then(|value| {
            let (scheme, credentials) = value.split_at_checked(6)?;
            scheme.eq_ignore_ascii_case(b"basic ").then(|| b64_decode(credentials.trim_ascii()))?
        });
        let Some(given) = given else { return false };
        // Every user is looked at in full, so that the time says nothing about how much was right.
        page.users.iter().fold(false, |found, (user, password)| {
            let wanted = [user.as_bytes(), b":", password.as_bytes()].concat();
            let same_length = wanted.len() == given.len();
            let difference = wanted.iter().zip(&given).fold(0, |all, (a, b)| all | (a ^ b));
            found | (same_length & (difference == 0))
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Csv,
    Typed,
    Json,
    Events,
}

impl Kind {
    /// By the first word that names one.
    fn of(options: &[u8]) -> Self {
        options
            .split(|byte| *byte == b';')
            .find_map(|option| {
                Some(match option {
                    b"csv" => Kind::Csv,
                    b"typed" => Kind::Typed,
                    b"json" => Kind::Json,
                    b"events" => Kind::Events,
                    _ => return None,
                })
            })
            .unwrap_or(Kind::Html)
    }
}

/// The options that links, the form and the way back from it keep, in HAProxy's order.
fn kept_options(options: &[u8], page: &StatsPage) -> &'static str {
    let has = |word: &[u8]| options.split(|byte| *byte == b';').any(|option| option == word);
    match (has(b"up"), has(b"norefresh") && page.refresh.is_some()) {
        (true, true) => ";up;norefresh",
        (true, false) => ";up",
        (false, true) => ";norefresh",
        (false, false) => "",
    }
}

fn page_head(
    head: &mut crate::http::ResponseHead,
    kind: Kind,
    refresh_s: Option<u64>,
) -> Result<(), HeadFull> {
    head.clear();
    head.set_start_line(Version::HTTP_11, 200, b"OK")?;
    let headers = &mut head.headers;
    headers.add(b"cache-control", b"no-cache")?;
    match kind {
        Kind::Csv | Kind::Typed => headers.add(b"content-type", b"text/plain")?,
        Kind::Json => headers.add(b"content-type", b"application/json")?,
        Kind::Events => headers.add(b"content-type", b"text/event-stream")?,
        Kind::Html => {
            headers.add(b"content-type", b"text/html")?;
            let policy = page::policy().as_bytes();
            headers.add(b"content-security-policy", policy)?;
        }
    }
    match refresh_s {
        Some(seconds) if kind != Kind::Events => headers.add(b"refresh", seconds.to_string().as_bytes()),
        _ => Ok(()),
    }
}
