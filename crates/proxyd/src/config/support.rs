//! `docs/support.md`: which keyword is carried out, which is accepted, which is refused, from the tables.

use std::fmt::Write;

use super::keyword::{Places, Support};
use super::keywords::{self, bind, server};
use super::section::SECTIONS;

/// The whole document.
pub fn table() -> String {
    let mut out = String::from(
        "# What of haproxy.cfg is supported\n\n\
         Generated from the keyword tables by `proxyd --support-table`; do not edit.\n\n\
         * **yes**: carried out.\n\
         * **no effect**: accepted with a notice; there is nothing here that it could change.\n\
         * **not yet, ignored**: accepted with a warning; no client and no server sees a difference.\n\
         * **not yet, refused**: a file with it is refused, with a line that names the feature.\n\
         * **removed**: refused, as HAProxy refuses it, with what to write instead.\n",
    );
    let _ = writeln!(out, "\n## Sections\n\n| section | support | |\n|---|---|---|");
    for section in SECTIONS {
        row(&mut out, section.name, section.support, section.doc);
    }
    for section in SECTIONS {
        let rows: Vec<_> = keywords::tables().filter(|keyword| keyword.places.has(section.place)).collect();
        if rows.is_empty() || matches!(section.place, Places::DEFAULTS | Places::LISTEN) {
            continue;
        }
        let _ = writeln!(out, "\n## `{}`\n\n| keyword | support | |\n|---|---|---|", section.name);
        for keyword in rows {
            // A section that is not carried out carries out nothing.
            let support = if keyword.support == Support::Yes { section.support } else { keyword.support };
            row(&mut out, keyword.name, support, keyword.doc);
        }
    }
    let _ = writeln!(out, "\n## Words of `bind` lines\n\n| word | support | |\n|---|---|---|");
    for keyword in bind::keywords() {
        row(&mut out, keyword.name, keyword.support, keyword.doc);
    }
    let _ = writeln!(out, "\n## Words of `server` lines\n\n| word | support | |\n|---|---|---|");
    for keyword in server::keywords() {
        row(&mut out, keyword.name, keyword.support, keyword.doc);
    }
    out
}

fn row(out: &mut String, name: &str, support: Support, doc: &str) {
    let (state, remark) = match support {
        Support::Yes => ("yes", ""),
        Support::NoEffect(reason) => ("no effect", reason),
        Support::Later(what) => ("not yet, ignored", what),
        Support::Refused(feature) => ("not yet, refused", feature),
        Support::Removed(instead) => ("removed", instead),
    };
    let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
    let _ = writeln!(out, "| `{name}` | {state} | {doc}{remark} |");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/support.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == table(), "run `proxyd --support-table > docs/support.md`");
    }

    /// Fields of the model that only the configuration itself reads, or nobody: each with the reason why that is right.
    const NOT_READ: &[(&str, &str)] = &[
        ("external_check", "whether external checks are allowed is judged at load"),
        ("unix_bind", "becomes part of each listener at load"),
        ("http_cookie_length", "cuts captures at load"),
        ("restrict_header_names", "becomes a rule at load"),
        ("init_addr", "addresses are found at load"),
        ("resolve_settings", "addresses are found at load"),
        ("nice", "no effect"),
        ("max_accept", "no effect"),
        ("http_no_delay", "no effect"),
        ("http_use_htx", "no effect"),
        ("h1_accept_payload_with_any_method", "refused"),
        ("server_state_base", "StateFiles reads it"),
        ("server_state_file", "StateFiles reads it"),
        ("load_server_state", "StateFiles reads it"),
        ("server_state_file_name", "StateFiles reads it"),
        ("corrupted_line", "StateFiles reads it"),
        ("tls_switchable", "its TLS side is made at load"),
        ("non_stick", "no effect"),
        ("max_spread_checks", "later"),
        ("receive_buffer_client_bytes", "later"),
        ("receive_buffer_server_bytes", "later"),
        ("send_buffer_client_bytes", "later"),
        ("send_buffer_server_bytes", "later"),
        ("receive_bytes_max", "later"),
        ("contstats", "later"),
        ("idle_close_on_response", "later"),
        ("pool_conn_name_text", "tells whether a reload changes it"),
        ("show_modules", "no effect"),
        ("reject_privileged_ports", "refused"),
        ("http_use_proxy_header", "refused"),
        ("http_drop_request_trailers", "refused"),
        ("http_drop_response_trailers", "refused"),
    ];

    /// All text of the files below `folder`, without their tests.
    fn texts(folder: &std::path::Path, keep: &dyn Fn(&str) -> bool, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                texts(&path, keep, into);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && keep(&name) {
                let text = std::fs::read_to_string(&path).unwrap();
                into.push_str(text.split("#[cfg(test)]\nmod ").next().unwrap());
            }
        }
    }

    #[test]
    fn what_a_keyword_sets_is_read_by_somebody() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut model, mut readers) = (String::new(), String::new());
        texts(&source.join("model"), &|_| true, &mut model);
        texts(&source, &|name| !name.contains("/src/config/") && !name.contains("/src/model/"), &mut readers);
        let words: std::collections::HashSet<&str> =
            readers.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let fields = model.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
        let forgotten: Vec<&str> = fields
            .map(|(name, _)| name)
            .filter(|name| !name.contains('(') && !name.starts_with("const "))
            .filter(|name| !words.contains(name) && !NOT_READ.iter().any(|(known, _)| known == name))
            .collect();
        assert!(forgotten.is_empty(), "read by nobody: {forgotten:?}; give their keywords another state");
    }
}
