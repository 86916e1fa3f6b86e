//! All configuration keywords, in tables by noun, and the index that finds them.

pub mod bind;
pub mod global;
pub mod proxy;
pub mod sections;
pub mod server;

use std::collections::HashMap;
use std::sync::OnceLock;

use hacore::diag::{Diagnostic, Word};

use super::keyword::{Keyword, Places};
use super::loader::{Loader, Section};

/// Keywords that `no` and `default` may precede.
pub const NEGATABLE: &[&str] = &[
    "option",
    "log",
    "busy-polling",
    "set-dumpable",
    "strict-limits",
    "insecure-fork-wanted",
    "numa-cpu-mapping",
    "quick-exit",
];

/// Every table of keywords that begin a line.
pub fn tables() -> impl Iterator<Item = &'static Keyword> {
    global::TABLES.iter().chain(proxy::TABLES).chain(sections::TABLES).flat_map(|table| table.iter())
}

type Index = HashMap<&'static str, Vec<&'static Keyword>>;

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index::new();
        for keyword in tables() {
            index.entry(keyword.head()).or_default().push(keyword);
        }
        index
    })
}

/// Why no keyword was found.
#[derive(Debug, Clone, Copy)]
pub enum Unknown {
    /// No keyword of that name exists here.
    Keyword,
    /// The first word is a family such as `option` or `timeout`, but the second is no member of it here.
    Member,
    /// It exists, but elsewhere.
    Misplaced,
    /// It belongs to the other side of a proxy: ignored with a warning, after it was read.
    OtherSide(&'static Keyword, usize),
}

/// The keyword that `words` begin with in a section, and how many words its name has.
pub fn find(place: Places, words: &[Word]) -> Result<(&'static Keyword, usize), Unknown> {
    let first = words.first().map_or("", Word::as_str);
    let Some(family) = index().get(first) else { return Err(Unknown::Keyword) };
    let mut best: Option<(&'static Keyword, usize)> = None;
    let mut elsewhere: Option<(&'static Keyword, usize)> = None;
    let mut here = false;
    let mut misplaced = false;
    for keyword in family {
        let name_words = keyword.name.split(' ');
        let mut used = 0;
        let fits =
            name_words.zip(words.iter().map(Some).chain(std::iter::repeat(None))).all(|(part, word)| {
                used += 1;
                word.is_some_and(|word| *word == part)
            });
        here |= keyword.places.has(place);
        if !fits {
            continue;
        }
        if !keyword.places.has(place) {
            if keyword.places.has(Places::LISTEN) && elsewhere.is_none_or(|(_, length)| used > length) {
                elsewhere = Some((keyword, used));
            }
            misplaced = true;
        } else if best.is_none_or(|(_, length)| used > length) {
            best = Some((keyword, used));
        }
    }
    let one_sided = Places::FRONTEND.or(Places::BACKEND).has(place);
    best.ok_or(match elsewhere {
        Some((keyword, used)) if one_sided && !REFUSED_ON_OTHER_SIDE.contains(&keyword.name) => {
            Unknown::OtherSide(keyword, used)
        }
        _ if misplaced || !here => Unknown::Misplaced,
        _ => Unknown::Member,
    })
}

/// Keywords that HAProxy refuses in a proxy that lacks their side, instead of ignoring them.
const REFUSED_ON_OTHER_SIDE: &[&str] = &[
    "server",
    "default-server",
    "server-template",
    "declare",
    "tcp-request connection",
    "tcp-request session",
    "tcp-response content",
    "tcp-response inspect-delay",
];

impl Unknown {
    /// The diagnostic, in HAProxy's words.
    pub fn explain(self, loader: &Loader, section: Section, words: &[Word]) -> Diagnostic {
        let Some(first) = words.first() else { return Diagnostic::alert("empty line") };
        let second = words.get(1);
        let known_here = |head: Option<&'static str>| {
            tables().filter(move |keyword| keyword.places.has(section.place)).filter_map(move |keyword| {
                match head {
                    None => Some(keyword.head()),
                    Some(head) => keyword.name.strip_prefix(head).and_then(|rest| rest.strip_prefix(' ')),
                }
            })
        };
        match self {
            Unknown::Misplaced => misplaced(loader, section, words),
            Unknown::OtherSide(..) => misplaced(loader, section, words).help("it was read and ignored"),
            Unknown::Member => {
                let word = second.map_or("", Word::as_str);
                let at = second.map_or(first.span, |word| word.span);
                let head = index().get_key_value(first.as_str()).map_or("", |(head, _)| *head);
                let message = match head {
                    "option" => format!("unknown option '{word}'"),
                    head => {
                        let mut list: Vec<&str> = known_here(Some(head)).collect();
                        list.sort_unstable();
                        list.dedup();
                        let list = list.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
                        format!("'{head}' supports {list} (got '{word}').")
                    }
                };
                suggest(Diagnostic::alert(message).at(at), word, known_here(Some(head)))
            }
            Unknown::Keyword => {
                let word = first.as_str();
                let message = format!("unknown keyword '{word}' in '{}' section", section.kind);
                let names = known_here(None).chain(super::section::SECTIONS.iter().map(|kind| kind.name));
                suggest(Diagnostic::alert(message).at(first.span), word, names)
            }
        }
    }
}

/// Adds HAProxy's own "did you mean" to the first line, and the replacement for the help below it.
pub fn suggest<'a>(
    diagnostic: Diagnostic,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let mut diagnostic = diagnostic.did_you_mean(word, candidates);
    if let Some(close) = &diagnostic.replacement {
        diagnostic.message = format!("{}; did you mean '{close}' maybe ?", diagnostic.message);
    }
    diagnostic
}

/// A keyword that exists in other sections only. HAProxy ignores most of them with a warning when only the proxy's
/// capability is missing, and refuses the others.
fn misplaced(loader: &Loader, section: Section, words: &[Word]) -> Diagnostic {
    let Some(first) = words.first() else { return Diagnostic::alert("empty line") };
    let name = &loader.section_name;
    let candidates = index().get(first.as_str()).map_or(&[][..], Vec::as_slice);
    let fitting: Vec<&&Keyword> = candidates
        .iter()
        .filter(|keyword| {
            keyword
                .name
                .split(' ')
                .enumerate()
                .all(|(n, part)| words.get(n).is_some_and(|word| *word == part))
        })
        .collect();
    let keyword = fitting.iter().max_by_key(|keyword| keyword.name.len());
    let places = fitting.iter().fold(Places::NONE, |places, keyword| places.or(keyword.places));
    let shown = keyword.map_or(first.as_str(), |keyword| keyword.name);
    let capability = if section.place == Places::FRONTEND && places.has(Places::BACKEND) {
        "backend"
    } else if section.place == Places::BACKEND && places.has(Places::FRONTEND) {
        "frontend"
    } else {
        ""
    };
    let where_else = where_allowed(candidates);
    let mut diagnostic = if section.place == Places::DEFAULTS && places.has(Places::PROXY_ONLY) {
        Diagnostic::alert(format!("'{shown}' not allowed in 'defaults' section."))
    } else if capability.is_empty() {
        let message = format!("unknown keyword '{}' in '{}' section", first.as_str(), section.kind);
        Diagnostic::alert(message)
    } else if shown == "declare" {
        Diagnostic::alert("'declare' only available in frontend or listen section")
    } else if shown.starts_with("tcp-request ") {
        Diagnostic::alert(format!("{shown} is not allowed because {} {name} is not a frontend", section.kind))
    } else if shown.starts_with("tcp-response ") {
        Diagnostic::alert(format!(
            "{shown} is only allowed in 'backend' sections or 'defaults' section with a name"
        ))
    } else if REFUSED_ON_OTHER_SIDE.contains(&shown) {
        Diagnostic::alert(format!(
            "'{shown}' not allowed because {} '{name}' has no {capability} capability.",
            section.kind
        ))
    } else {
        Diagnostic::warning(format!(
            "'{shown}' ignored because {} '{name}' has no {capability} capability.",
            section.kind
        ))
    };
    diagnostic.span = Some(first.span);
    if where_else.is_empty() {
        diagnostic
    } else {
        diagnostic.help(format!("'{shown}' belongs into {where_else}"))
    }
}

fn where_allowed(candidates: &[&'static Keyword]) -> String {
    let places = candidates.iter().fold(Places::NONE, |places, keyword| places.or(keyword.places));
    let names: Vec<&str> =
        super::section::SECTIONS.iter().filter(|kind| places.has(kind.place)).map(|kind| kind.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyword_is_in_two_tables_of_one_section() {
        let mut seen: HashMap<&str, Places> = HashMap::new();
        for keyword in tables() {
            let places = seen.entry(keyword.name).or_insert(Places::NONE);
            assert!(!places.has(keyword.places), "'{}' is registered twice", keyword.name);
            *places = places.or(keyword.places);
        }
    }

    #[test]
    fn every_keyword_is_documented() {
        for keyword in tables() {
            assert!(keyword.doc.ends_with('.'), "'{}'", keyword.name);
        }
    }
}
