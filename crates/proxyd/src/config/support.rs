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
            row(&mut out, keyword.name, keyword.support, keyword.doc);
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
}
