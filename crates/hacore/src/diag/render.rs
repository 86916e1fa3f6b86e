//! Diagnostics as text: the original program's one line first, then for people a snippet and the fix.

use std::fmt::Write;

use super::{Diagnostic, SourceMap};

/// How a daemon writes the first line of a diagnostic.
pub trait Style {
    /// The first line, without line feed, in the original program's own format.
    fn headline(&self, diagnostic: &Diagnostic, sources: &SourceMap) -> String;
}

/// The headline, then with `verbose` the offending line, a caret line under the exact word, and the help.
pub fn render(style: &dyn Style, diagnostic: &Diagnostic, sources: &SourceMap, verbose: bool) -> String {
    let mut out = style.headline(diagnostic, sources);
    out.push('\n');
    if verbose {
        snippet(&mut out, diagnostic, sources);
        for help in &diagnostic.help {
            let _ = writeln!(out, "   = help: {help}");
        }
    }
    out
}

/// Longer lines are cut around the span so that a 100 MB line stays readable.
const SNIPPET_WIDTH_MAX: usize = 160;

fn snippet(out: &mut String, diagnostic: &Diagnostic, sources: &SourceMap) {
    let Some(span) = diagnostic.span else { return };
    let Some(file) = sources.file(span.file) else { return };
    let line = file.line(span.line);
    let start = (span.start as usize).min(line.len());
    let end = (span.end as usize).clamp(start, line.len());
    let from = if end > SNIPPET_WIDTH_MAX { start.saturating_sub(40) } else { 0 };
    let to = line.len().min(from + SNIPPET_WIDTH_MAX);
    let shown = printable(&line[from..to]);
    let number = span.line.to_string();
    let pad = " ".repeat(number.len());
    let _ = writeln!(out, " {pad} |\n {number} | {shown}");
    if start < end {
        let before = printable(&line[from..start]).chars().count();
        let width = printable(&line[start..end.min(to).max(start)]).chars().count().max(1);
        let _ = writeln!(out, " {pad} | {}{}", " ".repeat(before), "^".repeat(width));
    }
}

/// Tabs become single spaces and other control or non-UTF-8 bytes a replacement, so that carets line up and
/// nothing in a file can drive the terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Span;

    struct Plain;

    impl Style for Plain {
        fn headline(&self, diagnostic: &Diagnostic, sources: &SourceMap) -> String {
            let span = diagnostic.span.unwrap();
            format!("{}:{}: {}", sources.name(span.file), span.line, diagnostic.message)
        }
    }

    #[test]
    fn the_caret_stands_under_the_word() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.cfg", b"global\n\tmaxcon 10\n".to_vec());
        let diagnostic = Diagnostic::alert("unknown keyword 'maxcon'")
            .at(Span { file, line: 2, start: 1, end: 7 })
            .did_you_mean("maxcon", ["maxconn", "nbthread"]);
        let text = render(&Plain, &diagnostic, &sources, true);
        assert_eq!(
            text,
            "a.cfg:2: unknown keyword 'maxcon'\n   |\n 2 |  maxcon 10\n   |  ^^^^^^\n   = help: did you mean 'maxconn'?\n"
        );
    }
}
