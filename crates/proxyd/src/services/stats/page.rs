//! The statistics page as HTML: a plain table that works by itself, and a script that keeps it fresh, sorts and filters.
//!
//! One request loads everything; nothing comes from outside, and the policy in [`policy`] allows nothing else. Classes and
//! texts that scrapers of HAProxy's page look for (title, version, form fields) are the same.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;

use super::collect::Clock;
use super::walk::{Filter, Position};
use super::{Column, ObjectKind, StatRow};
use crate::model::{ProxyId, StatsPage};
use crate::proxy::Snapshot;
use crate::services::report::PIECE_BYTES;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the table shows, and under which head; the script finds the columns by their names in `show stat`.
const SHOWN: &[(Column, &str, &str)] = &[
    (Column::Status, "status", "Status"),
    (Column::CheckStatus, "check_status", "LastChk"),
    (Column::Weight, "weight", "Wght"),
    (Column::QueueCurrent, "qcur", "Queue"),
    (Column::QueueMax, "qmax", "max"),
    (Column::Rate, "rate", "Rate"),
    (Column::RateMax, "rate_max", "max"),
    (Column::SessionsCurrent, "scur", "Sessions"),
    (Column::SessionsMax, "smax", "max"),
    (Column::SessionLimit, "slim", "limit"),
    (Column::SessionsTotal, "stot", "total"),
    (Column::Balanced, "lbtot", "LbTot"),
    (Column::TotalTime, "ttime", "Time ms"),
    (Column::BytesIn, "bin", "Bytes in"),
    (Column::BytesOut, "bout", "out"),
    (Column::DeniedRequests, "dreq", "Denied req"),
    (Column::DeniedResponses, "dresp", "resp"),
    (Column::RequestErrors, "ereq", "Errors req"),
    (Column::ConnectionErrors, "econ", "conn"),
    (Column::ResponseErrors, "eresp", "resp"),
    (Column::Retries, "wretr", "Retr"),
    (Column::Redispatches, "wredis", "Redis"),
    (Column::Active, "act", "Act"),
    (Column::Backup, "bck", "Bck"),
    (Column::ChecksFailed, "chkfail", "Chk"),
    (Column::ChecksDown, "chkdown", "Dwn"),
    (Column::Downtime, "downtime", "Dwntme"),
];

/// The actions of the form, by HAProxy's names.
const ACTIONS: &[(&str, &str)] = &[
    ("", ""),
    ("ready", "Set state to READY"),
    ("drain", "Set state to DRAIN"),
    ("maint", "Set state to MAINT"),
    ("dhlth", "Health: disable checks"),
    ("ehlth", "Health: enable checks"),
    ("hrunn", "Health: force UP"),
    ("hnolb", "Health: force NOLB"),
    ("hdown", "Health: force DOWN"),
    ("dagent", "Agent: disable checks"),
    ("eagent", "Agent: enable checks"),
    ("arunn", "Agent: force UP"),
    ("adown", "Agent: force DOWN"),
    ("shutdown", "Kill Sessions"),
];

/// A page on its way: what it is made for, and how far it has come.
#[derive(Debug, Clone)]
pub struct Page {
    /// The proxy with the `stats` lines.
    pub of: ProxyId,
    pub filter: Filter,
    /// The client may change servers.
    pub is_admin: bool,
    /// The code of the last action (`;st=`).
    pub outcome: Option<String>,
    /// What the links and the form keep of the request's options, such as `;up;norefresh`.
    pub kept: &'static str,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    Head,
    /// With the last row, whose table is open.
    Rows(Position, Option<StatRow>),
}

/// `Content-Security-Policy` of the page.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = |text: &str| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
            base64::engine::general_purpose::STANDARD.encode(digest.as_ref())
        };
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )
    });
    &POLICY
}

/// One server-sent event with the values of all rows, and when the client shall come again.
#[derive(Debug, Clone)]
pub struct Event {
    filter: Filter,
    /// `None`: nothing is written yet.
    position: Option<Position>,
}

impl Event {
    pub fn new(filter: Filter) -> Self {
        Self { filter, position: None }
    }

    /// Writes on until there is a piece; false once that was the end.
    pub fn more(&mut self, snapshot: &Snapshot, out: &mut String) -> bool {
        let mut is_first = self.position.is_none();
        let position = self.position.get_or_insert_with(|| {
            out.push_str("retry: 2000\nevent: stats\ndata: {");
            Position::default()
        });
        let clock = Clock::of(snapshot);
        while let Some(row) = position.next_row(snapshot, &self.filter, &clock) {
            let values = SHOWN.iter().map(|(column, ..)| serde_json::Value::String(text(&row, *column)));
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "{comma}{}:{}",
                serde_json::Value::String(key(&row)),
                serde_json::Value::Array(values.collect())
            );
            if out.len() >= PIECE_BYTES {
                return true;
            }
        }
        out.push_str("}\n\n");
        false
    }
}

fn text(row: &StatRow, column: Column) -> String {
    row.value(column).map(ToString::to_string).unwrap_or_default()
}

fn key(row: &StatRow) -> String {
    format!("{}/{}", text(row, Column::ProxyName), text(row, Column::ServiceName))
}

impl Page {
    pub fn new(
        of: ProxyId,
        filter: Filter,
        is_admin: bool,
        outcome: Option<String>,
        kept: &'static str,
    ) -> Self {
        Self { of, filter, is_admin, outcome, kept, stage: Stage::Head }
    }

    /// Writes on until there is a piece; false once that was the end.
    pub fn more(&mut self, snapshot: &Snapshot, out: &mut String) -> bool {
        let Some(page) = snapshot.proxies.get(self.of.0 as usize).and_then(|proxy| proxy.stats.as_ref())
        else {
            return false;
        };
        let mut stage = std::mem::replace(&mut self.stage, Stage::Head);
        let (mut position, mut open) = match &mut stage {
            Stage::Head => {
                self.head(page, snapshot, out);
                (Position::default(), None)
            }
            Stage::Rows(position, open) => (*position, open.take()),
        };
        let clock = Clock::of(snapshot);
        while let Some(row) = position.next_row(snapshot, &self.filter, &clock) {
            if open.as_ref().is_none_or(|open| open.proxy_number != row.proxy_number) {
                if let Some(open) = open.take() {
                    self.end_table(&open, out);
                }
                self.begin_table(page, snapshot, &row, out);
            }
            self.table_row(page, &row, out);
            open = Some(row);
            if out.len() >= PIECE_BYTES {
                self.stage = Stage::Rows(position, open);
                return true;
            }
        }
        if let Some(open) = open {
            self.end_table(&open, out);
        }
        let _ = write!(out, "<script>{SCRIPT}</script>\n</body></html>\n");
        false
    }

    fn head(&self, page: &StatsPage, snapshot: &Snapshot, out: &mut String) {
        let uri = escaped(&page.uri);
        let kept = self.kept;
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><title>Statistics Report</title>\n<style>{STYLE}</style></head>\n\
             <body data-events=\"{uri};events{kept}\">\n<header><h1>"
        );
        if page.hide_version {
            out.push_str("proxyd");
        } else {
            out.push_str(&escaped(crate::version::short().lines().next().unwrap_or_default()));
        }
        let uptime_s = snapshot.process.now_ms() / 1000;
        let _ = write!(out, "</h1><span class=\"dim\">Statistics Report for pid {}", snapshot.process.pid);
        for (name, shown, default) in [
            ("node", &page.show_node, &snapshot.global.node),
            ("", &page.show_description, &snapshot.global.description),
        ] {
            let shown = shown
                .as_deref()
                .map(|text| if text.is_empty() { default.as_deref().unwrap_or("") } else { text });
            if let Some(text) = shown.filter(|text| !text.is_empty()) {
                let _ = write!(out, " · {name} {}", escaped(text));
            }
        }
        let _ = write!(
            out,
            " · uptime = {}d {}h{:02}m{:02}s · {} connections</span>\n<span class=\"tools\"><input id=\"filter\" \
             type=\"search\" placeholder=\"Filter ( / )\" aria-label=\"Filter\" hidden><button id=\"live\" \
             type=\"button\" hidden>live</button>",
            uptime_s / 86_400,
            uptime_s / 3600 % 24,
            uptime_s / 60 % 60,
            uptime_s % 60,
            snapshot.process.connections.current(),
        );
        // What HAProxy's page offers under "Display option" and "External resources".
        let (without_up, with_up) = (kept.replace(";up", ""), self.filter.only_up);
        let refresh = if kept.contains(";norefresh") { "" } else { ";norefresh" };
        for (href, title, is_offered) in [
            (format!("{uri}{without_up}"), "All", with_up),
            (format!("{uri};up{kept}"), "Hide DOWN", !with_up),
            (
                format!("{uri}{}{refresh}", kept.replace(";norefresh", "")),
                "Refresh on/off",
                page.refresh.is_some(),
            ),
            (format!("{uri};csv{kept}"), "CSV", true),
            (format!("{uri};json{kept}"), "JSON", true),
        ] {
            if is_offered {
                let _ = write!(out, " <a href=\"{href}\">{title}</a>");
            }
        }
        out.push_str("</span></header>\n");
        if let Some(said) = self.outcome.as_deref().and_then(outcome_text) {
            let _ = writeln!(
                out,
                "<p class=\"notice\" role=\"status\">{said} <a href=\"{uri}{kept}\">[X]</a></p>"
            );
        }
    }

    fn begin_table(&self, page: &StatsPage, snapshot: &Snapshot, row: &StatRow, out: &mut String) {
        let name = escaped(&text(row, Column::ProxyName));
        let legend = match page.show_legends {
            true => format!(" title=\"mode: {}, id: {}\"", text(row, Column::Mode), row.proxy_number),
            false => String::new(),
        };
        let _ = write!(out, "<section data-p=\"{name}\"><h2 id=\"{name}\"{legend}>{name}</h2>");
        let shown = page.show_description.as_ref();
        let model = shown.and_then(|_| snapshot.proxies.iter().find(|p| p.numeric_id == row.proxy_number));
        match model.and_then(|proxy| proxy.description.as_deref()) {
            Some(text) => {
                let _ = writeln!(out, "<p class=\"dim\">{}</p>", escaped(text));
            }
            None => out.push('\n'),
        }
        if self.is_admin {
            out.push_str("<form method=\"post\">");
        }
        out.push_str("<div class=\"wide\"><table><thead><tr><th>");
        if self.is_admin {
            out.push_str("<input type=\"checkbox\" data-all aria-label=\"all\" hidden>");
        }
        out.push_str("</th><th data-sort>Name</th>");
        for (column, _, title) in SHOWN {
            let _ = write!(out, "<th data-sort>{title}</th>");
            if matches!(column, Column::RateMax | Column::TotalTime) {
                out.push_str("<th></th>");
            }
        }
        out.push_str("</tr></thead><tbody>\n");
    }

    fn table_row(&self, page: &StatsPage, row: &StatRow, out: &mut String) {
        let name = escaped(&text(row, Column::ServiceName));
        let total = if row.kind == ObjectKind::Server { "" } else { " class=\"total\"" };
        let _ = write!(out, "<tr data-k=\"{}\"{total}><td>", escaped(&key(row)));
        if self.is_admin && row.kind == ObjectKind::Server {
            let _ =
                write!(out, "<input type=\"checkbox\" name=\"s\" value=\"{name}\" aria-label=\"{name}\">");
        }
        let legend = if page.show_legends { legend(row) } else { String::new() };
        let _ = write!(out, "</td><td data-t=\"Name\"{legend}>{name}</td>");
        for (column, short, title) in SHOWN {
            let value = text(row, *column);
            let class = match column {
                Column::Status if value.starts_with("UP") || value == "OPEN" || value == "no check" => {
                    " class=\"up\""
                }
                Column::Status if value.starts_with("DOWN") || value == "STOP" => " class=\"down\"",
                Column::Status => " class=\"warn\"",
                _ => "",
            };
            let _ = write!(out, "<td data-c=\"{short}\" data-t=\"{title}\"{class}>{}</td>", escaped(&value));
            match column {
                Column::RateMax => out.push_str("<td data-s=\"rate\"></td>"),
                Column::TotalTime => out.push_str("<td data-s=\"ttime\"></td>"),
                _ => {}
            }
        }
        out.push_str("</tr>\n");
    }

    fn end_table(&self, row: &StatRow, out: &mut String) {
        out.push_str("</tbody></table></div>");
        if self.is_admin {
            if row.kind == ObjectKind::Backend {
                out.push_str("<p class=\"apply\"><label>Choose the action to perform on the checked servers : <select name=\"action\">");
                for (value, title) in ACTIONS {
                    let _ = write!(out, "<option value=\"{value}\">{title}</option>");
                }
                let number = row.proxy_number;
                let _ = write!(
                    out,
                    "</select></label><input type=\"hidden\" name=\"b\" value=\"#{number}\"><input type=\"submit\" \
                     value=\"Apply\"></p>"
                );
            }
            out.push_str("</form>");
        }
        out.push_str("</section>\n");
    }
}

/// `stats show-legends`: what HAProxy's page shows when the mouse rests on a name.
fn legend(row: &StatRow) -> String {
    let mut said = Vec::new();
    for (column, name) in
        [(Column::Address, "IP"), (Column::Cookie, "cookie"), (Column::Algorithm, "algorithm")]
    {
        if let Some(value) = row.value(column) {
            said.push(format!("{name}: {value}"));
        }
    }
    said.push(format!("id: {}", row.object_number));
    format!(" title=\"{}\"", escaped(&said.join(", ")))
}

/// What HAProxy's page says about the codes of `;st=`.
fn outcome_text(code: &str) -> Option<&'static str> {
    Some(match code {
        "DONE" => "Action processed successfully.",
        "NONE" => "Nothing has changed.",
        "PART" => "Action partially processed. Some server names are probably unknown or ambiguous.",
        "ERRP" => {
            "Action not processed because of invalid parameters. The action is maybe unknown, invalid, or the server names are \
             probably unknown or ambiguous."
        }
        "EXCD" => {
            "Action not processed : the buffer couldn't store all the data. You should retry with less servers at a time."
        }
        "DENY" => "Action denied.",
        "UNKN" => "Unexpected result.",
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
