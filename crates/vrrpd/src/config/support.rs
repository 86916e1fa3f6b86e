//! `docs/support-vrrpd.md`: what is carried out of keepalived.conf, from the keyword tables.

use std::fmt::Write;

use super::keyword::Support;
use super::keywords;

/// The whole document.
pub fn table() -> String {
    let mut out = String::from(
        "# What of keepalived.conf is supported\n\n\
         Generated from the keyword tables by `vrrpd --support-table`; do not edit.\n\n\
         * **yes**: carried out.\n\
         * **no effect**: accepted with a note; there is nothing here that it could change.\n\
         * **not yet, ignored**: read and checked; one warning says that it is not carried out.\n",
    );
    let keywords = keywords::all();
    let mut blocks: Vec<&str> = Vec::new();
    for keyword in &keywords {
        if !blocks.contains(&keyword.block) {
            blocks.push(keyword.block);
        }
    }
    for block in blocks {
        let title = if block.is_empty() { "Top level".to_owned() } else { format!("`{block}`") };
        let _ = writeln!(out, "\n## {title}\n\n| keyword | arguments | support | |\n|---|---|---|---|");
        for keyword in keywords.iter().filter(|keyword| keyword.block == block) {
            let arguments = match keyword.arguments {
                "" => String::new(),
                text => format!("`{}`", escaped(text)),
            };
            let name = escaped(keyword.name);
            let _ = writeln!(
                out,
                "| `{name}` | {arguments} | {} | {} |",
                state(keyword.support),
                escaped(keyword.doc)
            );
        }
    }
    out
}

fn state(support: Support) -> &'static str {
    match support {
        Support::Implemented => "yes",
        Support::NoEffect => "no effect",
        Support::NotYet => "not yet, ignored",
    }
}

/// A bar would end the cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/support-vrrpd.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == table(), "run `vrrpd --support-table > docs/support-vrrpd.md`");
    }

    #[test]
    fn every_keyword_has_a_line_and_every_line_four_cells() {
        let text = table();
        let rows = text.lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>();
        assert_eq!(rows.len(), keywords::all().len());
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
        }
    }
}
