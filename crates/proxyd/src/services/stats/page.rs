//! The statistics page as HTML: a plain table that works by itself, and a script that keeps it fresh, sorts and filters.
//!
//! One request loads everything; nothing comes from outside, and the policy in [`policy`] allows nothing else. Classes and
//! texts that scrapers of HAProxy's page look for (title, version, form fields) are the same.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;

use super::collect::{self, Filter};
use super::{Column, ObjectKind, StatRow};
use crate::model::StatsPage;
use crate::proxy::Snapshot;

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

/// What a page is made for.
pub struct View<'a> {
    pub page: &'a StatsPage,
    pub snapshot: &'a Snapshot,
    pub filter: &'a Filter,
    /// The client may change servers.
    pub is_admin: bool,
    /// The code of the last action (`;st=`).
    pub outcome: Option<&'a str>,
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
pub fn event(snapshot: &Snapshot, filter: &Filter, in_scope: impl Fn(&StatRow) -> bool, out: &mut String) {
    let mut all = serde_json::Map::new();
    collect::rows(snapshot, filter, |row| {
        if in_scope(&row) {
            let values = SHOWN.iter().map(|(column, ..)| serde_json::Value::String(text(&row, *column)));
            all.insert(key(&row), values.collect());
        }
    });
    // Writing to a String cannot fail.
    let _ = write!(out, "retry: 2000\nevent: stats\ndata: {}\n\n", serde_json::Value::Object(all));
}

fn text(row: &StatRow, column: Column) -> String {
    row.value(column).map(ToString::to_string).unwrap_or_default()
}

fn key(row: &StatRow) -> String {
    format!("{}/{}", text(row, Column::ProxyName), text(row, Column::ServiceName))
}

/// The whole page.
pub fn html(view: &View<'_>, in_scope: impl Fn(&StatRow) -> bool, out: &mut String) {
    let View { page, snapshot, .. } = view;
    let uri = escaped(&page.uri);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>Statistics Report</title>\n<style>{STYLE}</style></head>\n<body \
         data-events=\"{uri};events\">\n<header><h1>"
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
        " · uptime {}d {}h{:02}m{:02}s · {} connections</span>\n<span class=\"tools\"><input id=\"filter\" type=\"search\" \
         placeholder=\"Filter ( / )\" aria-label=\"Filter\" hidden><button id=\"live\" type=\"button\" hidden>live</button><a \
         href=\"{uri};csv\">CSV</a> <a href=\"{uri};json\">JSON</a></span></header>\n",
        uptime_s / 86_400,
        uptime_s / 3600 % 24,
        uptime_s / 60 % 60,
        uptime_s % 60,
        snapshot.process.connections.current(),
    );
    if let Some(said) = view.outcome.and_then(outcome_text) {
        let _ = writeln!(out, "<p class=\"notice\" role=\"status\">{said} <a href=\"{uri}\">[X]</a></p>");
    }
    let mut open: Option<StatRow> = None;
    collect::rows(snapshot, view.filter, |row| {
        if !in_scope(&row) {
            return;
        }
        if open.as_ref().is_none_or(|open| open.proxy_number != row.proxy_number) {
            if let Some(open) = open.take() {
                end_table(view, &open, out);
            }
            begin_table(view, &row, out);
        }
        table_row(view, &row, out);
        open = Some(row);
    });
    if let Some(open) = open {
        end_table(view, &open, out);
    }
    let _ = write!(out, "<script>{SCRIPT}</script>\n</body></html>\n");
}

fn begin_table(view: &View<'_>, row: &StatRow, out: &mut String) {
    let name = escaped(&text(row, Column::ProxyName));
    let _ = writeln!(out, "<section data-p=\"{name}\"><h2 id=\"{name}\">{name}</h2>");
    if view.is_admin {
        out.push_str("<form method=\"post\">");
    }
    out.push_str("<div class=\"wide\"><table><thead><tr><th>");
    if view.is_admin {
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

fn table_row(view: &View<'_>, row: &StatRow, out: &mut String) {
    let name = escaped(&text(row, Column::ServiceName));
    let total = if row.kind == ObjectKind::Server { "" } else { " class=\"total\"" };
    let _ = write!(out, "<tr data-k=\"{}\"{total}><td>", escaped(&key(row)));
    if view.is_admin && row.kind == ObjectKind::Server {
        let _ = write!(out, "<input type=\"checkbox\" name=\"s\" value=\"{name}\" aria-label=\"{name}\">");
    }
    let _ = write!(out, "</td><td data-t=\"Name\">{name}</td>");
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

fn end_table(view: &View<'_>, row: &StatRow, out: &mut String) {
    out.push_str("</tbody></table></div>");
    if view.is_admin {
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
