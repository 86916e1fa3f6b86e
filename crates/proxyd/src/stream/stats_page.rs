//! The statistics page of a proxy (configuration manual, "stats enable"): HTML, CSV and JSON of the same rows.
//!
//! It is read only: there are no buttons, and a `POST` gets the page too. The HTML names no script, style or image, and
//! its policy forbids them.

use std::fmt::Write as _;

use super::rules::Flow;
use super::session::Session;
use super::state::Stream;
use crate::expr::conv::encode::b64_decode;
use crate::http::{HeadFull, Method, Version};
use crate::model::{ProxyId, StatsPage};
use crate::runtime::Core;

use crate::services::stats::collect::{self, Filter};
use crate::services::stats::encode::{Encoding, RowEncoder};
use crate::services::stats::{Column, ObjectKind, StatRow};
use crate::txn::{Cause, Phase};

/// What the HTML table shows, and under which head.
const SHOWN: &[(Column, &str)] = &[
    (Column::ServiceName, "Name"),
    (Column::QueueCurrent, "Queue"),
    (Column::QueueMax, "max"),
    (Column::Rate, "Rate"),
    (Column::RateMax, "max"),
    (Column::SessionsCurrent, "Sessions"),
    (Column::SessionsMax, "max"),
    (Column::SessionLimit, "limit"),
    (Column::SessionsTotal, "total"),
    (Column::Balanced, "LbTot"),
    (Column::BytesIn, "Bytes in"),
    (Column::BytesOut, "out"),
    (Column::DeniedRequests, "Denied req"),
    (Column::DeniedResponses, "resp"),
    (Column::RequestErrors, "Errors req"),
    (Column::ConnectionErrors, "conn"),
    (Column::ResponseErrors, "resp"),
    (Column::Retries, "Retr"),
    (Column::Redispatches, "Redis"),
    (Column::Status, "Status"),
    (Column::CheckStatus, "LastChk"),
    (Column::Weight, "Wght"),
    (Column::Active, "Act"),
    (Column::Backup, "Bck"),
    (Column::ChecksFailed, "Chk"),
    (Column::ChecksDown, "Dwn"),
    (Column::Downtime, "Dwntme"),
];

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
        self.info.termination.set_once(Cause::Local, Phase::Request);
        self.count_intercepted(session);
        let has = |word: &[u8]| options.split(|byte| *byte == b';').any(|option| option == word);
        let kind = if has(b"csv") {
            Kind::Csv
        } else if has(b"json") {
            Kind::Json
        } else {
            Kind::Html
        };
        let filter = Filter {
            only_up: has(b"up"),
            without_maintenance: has(b"no-maint"),
            with_legends: page.show_legends,
            ..Filter::default()
        };
        let refresh = page.refresh.filter(|_| !has(b"norefresh"));
        let in_scope = |row: &StatRow| {
            let name = row.value(Column::ProxyName).map(ToString::to_string).unwrap_or_default();
            page.scope.is_empty()
                || page.scope.iter().any(|scope| *scope == name || scope == "." && name == proxy.name)
        };
        let mut body = String::new();
        match kind {
            Kind::Html => html(page, &snapshot, &filter, in_scope, &mut body),
            Kind::Csv | Kind::Json => {
                let encoding = if kind == Kind::Csv { Encoding::Plain } else { Encoding::Json };
                let mut encoder = RowEncoder::begin(encoding, false, &mut body);
                collect::rows(&snapshot, &filter, |row| {
                    if in_scope(&row) {
                        encoder.row(&row, &mut body);
                    }
                });
                encoder.end(&mut body);
            }
        }
        let refresh_s = refresh.map(|refresh| refresh.as_secs()).filter(|seconds| *seconds > 0);
        if page_head(&mut self.reply.head, kind, refresh_s).is_err() {
            return Some(Flow::Stop(self.reply_for(session, core, 500)));
        }
        self.reply.body = body.into_bytes();
        self.reply.is_silent = false;
        Some(self.send_rule_reply(session, core))
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
    Json,
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
        Kind::Csv => headers.add(b"content-type", b"text/plain")?,
        Kind::Json => headers.add(b"content-type", b"application/json")?,
        Kind::Html => {
            headers.add(b"content-type", b"text/html")?;
            let policy = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            headers.add(b"content-security-policy", policy)?;
        }
    }
    match refresh_s {
        Some(seconds) if kind == Kind::Html => headers.add(b"refresh", seconds.to_string().as_bytes()),
        _ => Ok(()),
    }
}

fn html(
    page: &StatsPage,
    snapshot: &crate::proxy::Snapshot,
    filter: &Filter,
    in_scope: impl Fn(&StatRow) -> bool,
    out: &mut String,
) {
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Statistics Report</title></head>\n<body>\n<h1>");
    if page.hide_version {
        out.push_str("proxyd");
    } else {
        escape(&crate::version::short(), out);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "</h1>\n<h2>Statistics Report for pid {}</h2>", snapshot.process.pid);
    if let Some(node) = page.show_node.as_deref().filter(|node| !node.is_empty()) {
        out.push_str("<p>Node: ");
        escape(node, out);
        out.push_str("</p>\n");
    }
    if let Some(text) = page.show_description.as_deref().filter(|text| !text.is_empty()) {
        out.push_str("<p>");
        escape(text, out);
        out.push_str("</p>\n");
    }
    let mut proxy = None;
    collect::rows(snapshot, filter, |row| {
        if !in_scope(&row) {
            return;
        }
        if proxy != Some(row.proxy_number) {
            if proxy.is_some() {
                out.push_str("</table>\n");
            }
            proxy = Some(row.proxy_number);
            out.push_str("<h3>");
            escape(&row.value(Column::ProxyName).map(ToString::to_string).unwrap_or_default(), out);
            out.push_str("</h3>\n<table border=\"1\">\n<tr>");
            for (_, title) in SHOWN {
                let _ = write!(out, "<th>{title}</th>");
            }
            out.push_str("</tr>\n");
        }
        html_row(&row, out);
    });
    if proxy.is_some() {
        out.push_str("</table>\n");
    }
    out.push_str("</body></html>\n");
}

fn html_row(row: &StatRow, out: &mut String) {
    out.push_str("<tr>");
    for (column, _) in SHOWN {
        let emphasised = *column == Column::ServiceName && row.kind != ObjectKind::Server;
        out.push_str(if emphasised { "<td><b>" } else { "<td>" });
        if let Some(value) = row.value(*column) {
            escape(&value.to_string(), out);
        }
        out.push_str(if emphasised { "</b></td>" } else { "</td>" });
    }
    out.push_str("</tr>\n");
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}
