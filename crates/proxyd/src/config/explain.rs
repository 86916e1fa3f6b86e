//! `proxyd --explain FILE:LINE`: what a line does, in the words of the keyword tables.
//!
//! Reads the lines above for the section and its ACLs only; whether the file is right is not judged here.

use std::collections::HashMap;
use std::fmt::Write;

use hacore::diag::{FileId, Word};

use super::keyword::{Item, Support};
use super::keywords::{self, bind, server};
use super::lexer;
use super::section::{SECTIONS, SectionKind};
use crate::expr::acl::derived_acls;
use crate::expr::{conv, fetch, logformat};
use crate::rules::{RuleSet, action_defs};

/// Why a line cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("the file has {0} lines only")]
    NoSuchLine(usize),
    #[error("line {0} is empty or a comment")]
    Empty(u32),
    #[error("line {line}: {problem}")]
    Unreadable { line: u32, problem: String },
}

/// The section in which the line stands.
#[derive(Default)]
struct Place {
    section: Option<&'static SectionKind>,
    name: String,
    /// Named ACLs above the line, with their lines.
    acls: HashMap<String, Vec<(u32, String)>>,
}

/// The explanation of line `number` of a file's `text`.
pub fn explain(text: &[u8], number: u32) -> Result<String, ExplainError> {
    let mut place = Place::default();
    let mut count = 0;
    let unexpanded = |name: &str| Some(format!("${{{name}}}"));
    for (index, raw) in text.split(|&byte| byte == b'\n').enumerate() {
        let at = index as u32 + 1;
        count = index + 1;
        let words = lexer::split(raw, FileId(0), at, &unexpanded);
        if at < number {
            place.see(&words.unwrap_or_default(), at);
            continue;
        }
        let words = words.map_err(|error| ExplainError::Unreadable { line: at, problem: error.message })?;
        if words.is_empty() {
            return Err(ExplainError::Empty(at));
        }
        return Ok(Explanation { place: &place, out: String::new() }.of(&words));
    }
    Err(ExplainError::NoSuchLine(count.saturating_sub(usize::from(text.ends_with(b"\n")))))
}

impl Place {
    fn see(&mut self, words: &[Word], line: u32) {
        let Some(first) = words.first() else { return };
        if let Some(kind) = SECTIONS.iter().find(|kind| *first == *kind.name) {
            self.section = Some(kind);
            self.name = words.get(1).map_or("", Word::as_str).to_owned();
            self.acls.clear();
        } else if *first == "acl"
            && let Some(name) = words.get(1)
        {
            let text = words.iter().skip(2).map(Word::as_str).collect::<Vec<_>>().join(" ");
            self.acls.entry(name.as_str().to_owned()).or_default().push((line, text));
        }
    }
}

struct Explanation<'a> {
    place: &'a Place,
    out: String,
}

/// What `.if` and its relatives do.
const DIRECTIVES: &[(&str, &str)] = &[
    (".if", "The lines up to '.elif', '.else' or '.endif' are read if the condition holds."),
    (".elif", "Otherwise, the lines that follow are read if this condition holds."),
    (".else", "Otherwise, the lines that follow are read."),
    (".endif", "Ends the conditional block."),
    (".notice", "Shows this message while the file is read."),
    (".warning", "Shows this warning while the file is read."),
    (".alert", "Refuses the file with this message."),
    (".diag", "Shows this message in diagnostic mode (-dD)."),
];

impl Explanation<'_> {
    fn of(mut self, words: &[Word]) -> String {
        let Some(first) = words.first() else { return self.out };
        if let Some((name, doc)) = DIRECTIVES.iter().find(|(name, _)| *first == **name) {
            self.item(name, "", doc);
            return self.out;
        }
        if let Some(kind) = SECTIONS.iter().find(|kind| *first == *kind.name) {
            self.item(&format!("section '{}'", kind.name), "", kind.doc);
            self.support(kind.support);
            return self.out;
        }
        let Some(section) = self.place.section else {
            self.item(first.as_str(), "", "This line stands in no section.");
            return self.out;
        };
        let _ = match self.place.name.as_str() {
            "" => writeln!(self.out, "In section '{}':", section.name),
            name => writeln!(self.out, "In {} '{name}':", section.name),
        };
        let words = self.prefix(words);
        self.keyword(section, words);
        self.out
    }

    fn prefix<'w>(&mut self, words: &'w [Word]) -> &'w [Word] {
        let text = match words.first().map(Word::as_str) {
            Some("no") => "Switches off what follows, whatever the defaults say.",
            Some("default") => "Sets what follows back to its built-in default.",
            _ => return words,
        };
        self.item(words.first().map_or("", Word::as_str), "", text);
        words.get(1..).unwrap_or_default()
    }

    fn keyword(&mut self, section: &'static SectionKind, words: &[Word]) {
        let (keyword, used) = match keywords::find(section.place, words) {
            Ok(found) => found,
            Err(keywords::Unknown::OtherSide(keyword, used)) => {
                let _ = writeln!(self.out, "It belongs to the other side of a proxy and is ignored here.");
                (keyword, used)
            }
            Err(_) => {
                let word = words.first().map_or("", Word::as_str);
                let doc = format!("There is no such keyword in a '{}' section.", section.name);
                self.item(word, "", &doc);
                return;
            }
        };
        self.entry(keyword);
        let arguments = words.get(used..).unwrap_or_default();
        match keyword.name {
            "bind" | "stats socket" | "default-bind" => self.options(arguments, bind::keywords()),
            "server" | "server-template" | "default-server" => self.options(arguments, server::keywords()),
            "acl" => self.criterion(arguments.get(1..).unwrap_or_default()),
            _ => {}
        }
        if let Some(set) = RULE_SETS.iter().find(|set| set.keyword() == keyword.name) {
            self.action(*set, arguments);
        } else if keyword.name == "redirect" {
            self.action(RuleSet::HttpRequest, words);
        }
        for word in arguments {
            self.formats(word.as_str());
        }
        self.condition(arguments);
    }

    fn item(&mut self, name: &str, arguments: &str, doc: &str) {
        let blank = if arguments.is_empty() { "" } else { " " };
        let _ = writeln!(self.out, "  {name}{blank}{arguments}\n      {doc}");
    }

    fn entry<P: Copy>(&mut self, item: &Item<P>) {
        self.item(item.name, item.arguments, item.doc);
        self.support(item.support);
    }

    fn support(&mut self, support: Support) {
        let _ = match support {
            Support::Yes => Ok(()),
            Support::NoEffect(reason) => writeln!(self.out, "      It has no effect here: {reason}."),
            Support::Later(what) => writeln!(self.out, "      It is not supported yet and ignored: {what}."),
            Support::Refused(feature) => {
                writeln!(self.out, "      It needs {feature}, which this version does not have yet.")
            }
            Support::Removed(instead) => writeln!(self.out, "      It is not supported anymore: {instead}."),
        };
    }

    /// Words of `bind` and `server` lines.
    fn options<P: Copy + 'static>(&mut self, words: &[Word], items: impl Iterator<Item = &'static Item<P>>) {
        let known: HashMap<&str, &Item<P>> = items.map(|item| (item.name, item)).collect();
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            if let Some(item) = known.get(word.as_str()) {
                self.entry(item);
                rest = after.get(usize::from(!item.arguments.is_empty())..).unwrap_or_default();
            } else if *word == "ssl" {
                self.item("ssl", "", "Speaks TLS on these connections.");
            }
        }
    }

    fn action(&mut self, set: RuleSet, words: &[Word]) {
        let Some(word) = words.first() else { return };
        let name = word.as_str().split('(').next().unwrap_or_default();
        let found = action_defs()
            .filter(|def| def.sets.contains(&set))
            .find(|def| def.name == name || (def.is_prefix && name.starts_with(def.name)));
        if let Some(def) = found {
            self.item(word.as_str(), "", def.doc);
        }
        if name.starts_with("set-var") && name != "set-var-fmt" {
            self.expression(words.get(1).map_or("", Word::as_str));
        }
    }

    /// `%[expressions]` and `%aliases` of a format.
    fn formats(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            rest = rest.get(at + 1..).unwrap_or_default();
            if let Some(inner) = rest.strip_prefix('[') {
                self.expression(inner.split(']').next().unwrap_or_default());
                continue;
            }
            // `%{+Q}[…]` and `%{+Q}ci`.
            let plain = match rest.strip_prefix('{').and_then(|flags| flags.split_once('}')) {
                Some((_, after)) => after,
                None => rest,
            };
            if let Some(inner) = plain.strip_prefix('[') {
                self.expression(inner.split(']').next().unwrap_or_default());
                continue;
            }
            let length = plain.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(plain.len());
            let name = plain.get(..length).unwrap_or_default();
            if let Some(alias) = logformat::aliases().iter().find(|alias| alias.name == name) {
                self.item(&format!("%{name}"), "", alias.doc);
            }
        }
    }

    /// `fetch(args),converter(args)…`.
    fn expression(&mut self, text: &str) {
        for (index, part) in top_level(text).into_iter().enumerate() {
            let name = part.split('(').next().unwrap_or_default();
            let doc = match index {
                0 => fetch::find(name).map(|fetch| fetch.doc),
                _ => conv::find(name).map(|converter| converter.doc),
            };
            if let Some(doc) = doc {
                self.item(part, "", doc);
            }
        }
    }

    /// An ACL's criterion, flags and patterns.
    fn criterion(&mut self, words: &[Word]) {
        let Some(criterion) = words.first().map(Word::as_str) else { return };
        let name = criterion.split(['(', ',']).next().unwrap_or_default();
        if let Some(derived) = derived_acls().get(name) {
            let method = derived.method.name();
            let doc = fetch::find(derived.fetch).map_or("", |fetch| fetch.doc);
            self.item(criterion, "", &format!("{doc} Compared with the patterns by '-m {method}'."));
            let rest = top_level(criterion).into_iter().skip(1).collect::<Vec<_>>();
            for part in rest {
                let name = part.split('(').next().unwrap_or_default();
                if let Some(converter) = conv::find(name) {
                    self.item(part, "", converter.doc);
                }
            }
        } else {
            self.expression(criterion);
        }
        for (index, word) in words.iter().enumerate().skip(1) {
            let text = match word.as_str() {
                "-i" => "Patterns match whatever the case of letters.",
                "-f" => "Patterns are read from a file.",
                "-M" => "The file is a map: its first column are the patterns.",
                "-m" => "The patterns are compared by this method.",
                "-n" => "Host names among the patterns are not resolved.",
                "-u" => "Gives the ACL this number for the admin socket.",
                _ => continue,
            };
            let next = words.get(index + 1).map_or("", Word::as_str);
            let argument = if matches!(word.as_str(), "-f" | "-m" | "-u") { next } else { "" };
            self.item(word.as_str(), argument, text);
        }
    }

    fn condition(&mut self, words: &[Word]) {
        let Some(at) = words.iter().position(|word| matches!(word.as_str(), "if" | "unless")) else { return };
        let mut rest = words.get(at + 1..).unwrap_or_default();
        let doc = match words.get(at).map(Word::as_str) {
            Some("if") => {
                "Only when this holds; words side by side must all hold, 'or' separates alternatives:"
            }
            _ => {
                "Only when this does not hold; words side by side must all hold, 'or' separates alternatives:"
            }
        };
        self.item(words.get(at).map_or("", Word::as_str), "", doc);
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            let bare = word.as_str().trim_start_matches('!');
            if bare == "{" {
                let end = rest.iter().position(|word| *word == "}").unwrap_or(rest.len());
                self.criterion(rest.get(..end).unwrap_or_default());
                rest = rest.get(end + 1..).unwrap_or_default();
            } else if let Some(lines) = self.place.acls.get(bare) {
                let what = if word.as_str().len() != bare.len() { "not the ACL" } else { "the ACL" };
                let lines: Vec<String> =
                    lines.iter().map(|(line, text)| format!("line {line}: {text}")).collect();
                self.item(word.as_str(), "", &format!("{what} of {}", lines.join("; or of ")));
            }
        }
    }
}

const RULE_SETS: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::TcpResponseContent,
    RuleSet::HttpRequest,
    RuleSet::HttpResponse,
    RuleSet::HttpAfterResponse,
];

/// Cuts at commas that stand in no parentheses.
fn top_level(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// Cuts `FILE:LINE`.
pub fn place(text: &str) -> Option<(&str, u32)> {
    let (file, line) = text.rsplit_once(':')?;
    Some((file, line.parse().ok().filter(|line| *line > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "global\n maxconn 100\nfrontend f\n bind :80 accept-proxy ssl crt x.pem\n acl api path_beg -i /api\n # note\n http-request set-header X-Real %[src,ipmask(24)] if api !{ method POST }\n log-format \"%ci %{+Q}r\"\n no option httplog\nbackend b\n server a 1.1.1.1:80 check inter 2s\n use_backend x\n";

    fn of(line: u32) -> String {
        explain(TEXT.as_bytes(), line).unwrap()
    }

    #[test]
    fn a_keyword_its_section_and_its_words_are_explained() {
        assert!(of(2).contains("In section 'global':\n  maxconn <number>\n"), "{}", of(2));
        let bind = of(4);
        assert!(
            ["In frontend 'f':", "accept-proxy\n", "  ssl\n", "  crt "]
                .iter()
                .all(|part| bind.contains(part)),
            "{bind}"
        );
        let server = of(11);
        assert!(
            ["In backend 'b':", "  check\n", "  inter "].iter().all(|part| server.contains(part)),
            "{server}"
        );
    }

    #[test]
    fn actions_fetches_converters_acls_and_aliases_are_explained() {
        let rule = of(7);
        for part in [
            "  set-header\n",
            "  src\n",
            "  ipmask(24)\n",
            "the ACL of line 5: path_beg -i /api",
            "  method\n",
        ] {
            assert!(rule.contains(part), "{part}: {rule}");
        }
        assert!(
            of(5).contains("Compared with the patterns by '-m beg'") && of(5).contains("  -i\n"),
            "{}",
            of(5)
        );
        assert!(of(8).contains("  %ci\n") && of(8).contains("  %r\n"), "{}", of(8));
        assert!(of(9).contains("Switches off"), "{}", of(9));
    }

    #[test]
    fn what_cannot_be_explained_says_why() {
        assert_eq!(explain(TEXT.as_bytes(), 6), Err(ExplainError::Empty(6)));
        assert_eq!(explain(b"global\n", 9), Err(ExplainError::NoSuchLine(1)));
        assert_eq!(place("/a/b.cfg:12"), Some(("/a/b.cfg", 12)));
        assert_eq!(place("b.cfg"), None);
    }

    #[test]
    fn every_keyword_can_be_explained() {
        for kind in SECTIONS {
            for keyword in keywords::tables().filter(|keyword| keyword.places.has(kind.place)) {
                let text = format!("{} x\n {} a b c if {{ src 1.1.1.1 }}\n", kind.name, keyword.name);
                let said = explain(text.as_bytes(), 2).unwrap();
                assert!(
                    said.contains(keyword.doc) || SECTIONS.iter().any(|kind| keyword.head() == kind.name),
                    "{said}"
                );
            }
        }
    }
}
