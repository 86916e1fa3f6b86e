//! Findings that say the same of several places, for people: shown once, with the other places below.

use std::collections::HashMap;
use std::fmt::Write;

use hacore::diag::{Diagnostic, Diagnostics, Severity, SourceMap};

/// The first finding and those that differ from it in quoted names and place only.
pub struct Group<'a> {
    pub first: &'a Diagnostic,
    pub rest: Vec<&'a Diagnostic>,
}

/// Places that are named before the rest is only counted.
const SHOWN_MAX: usize = 8;

impl Group<'_> {
    /// The line about the other places; empty when there are none.
    pub fn others(&self, sources: &SourceMap) -> String {
        if self.rest.is_empty() {
            return String::new();
        }
        let mut out = String::from("   = also:");
        for (index, other) in self.rest.iter().take(SHOWN_MAX).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let place = other
                .span
                .map_or("?".to_owned(), |span| format!("{}:{}", sources.name(span.file), span.line));
            let _ = write!(out, "{comma} {place}");
            if let Some(name) = difference(&self.first.message, &other.message) {
                let _ = write!(out, " ('{name}')");
            }
        }
        if self.rest.len() > SHOWN_MAX {
            let _ = write!(out, " and {} more", self.rest.len() - SHOWN_MAX);
        }
        out.push('\n');
        out
    }
}

/// The parts between single quotes, and the others.
fn parts(message: &str) -> impl Iterator<Item = (bool, &str)> {
    message.split('\'').enumerate().map(|(index, part)| (index % 2 == 1, part))
}

/// A message without its quoted names and numbers.
fn shape(message: &str) -> String {
    parts(message).filter(|(quoted, _)| !quoted).map(|(_, part)| part).collect::<Vec<_>>().join("'")
}

/// The first quoted part in which two messages of one shape differ.
fn difference<'a>(first: &str, other: &'a str) -> Option<&'a str> {
    let pairs = parts(first).zip(parts(other));
    pairs.filter(|((quoted, _), _)| *quoted).find(|((_, a), (_, b))| a != b).map(|(_, (_, name))| name)
}

/// All findings in order of their first; alerts stay alone, because each is a fault of its own.
pub fn groups(diagnostics: &Diagnostics) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<(Severity, String), usize> = HashMap::new();
    for diagnostic in diagnostics {
        if diagnostic.severity != Severity::Alert {
            let key = (diagnostic.severity, shape(&diagnostic.message));
            if let Some(group) = known.get(&key).and_then(|&index| groups.get_mut(index)) {
                group.rest.push(diagnostic);
                continue;
            }
            known.insert(key, groups.len());
        }
        groups.push(Group { first: diagnostic, rest: Vec::new() });
    }
    groups
}

#[cfg(test)]
mod tests {
    use hacore::diag::Span;

    use super::*;

    #[test]
    fn a_repeated_warning_is_shown_once_with_the_other_places_and_names() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.cfg", b"1\n2\n3\n".to_vec());
        let mut found = Diagnostics::default();
        for (line, name) in [(1, "x"), (2, "y"), (3, "y")] {
            found.push(Diagnostic::warning(format!("ACL '{name}' is odd.")).at(Span::line(file, line)));
            found.push(Diagnostic::alert("wrong"));
        }
        let groups = groups(&found);
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0].others(&sources), "   = also: a.cfg:2 ('y'), a.cfg:3 ('y')\n");
    }
}
