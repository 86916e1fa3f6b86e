//! Files to logical lines: includes, comments, conditions, definitions and repetitions (manual, "DESCRIPTION",
//! "Conditional configuration and configuration id", "Parameter substitution", "Sequence blocks", "List blocks").
//!
//! Nothing here knows a keyword, except `include*`, which keepalived too finds before everything else, and
//! `random_seed` and `include_check`, which have to work on the line after them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hacore::diag::{Diagnostic, Diagnostics, FileId, SourceMap, Span};

use super::environment::Environment;
use super::lexer::{self, Rule};
use super::{CODE_INCLUDE, glob, repeat};

/// A physical line may be this long; longer ones are left out with a message (keepalived: 1023 bytes, and it reads the
/// rest as a line of its own).
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024;
/// A line after substitution may be this long.
const EXPANDED_BYTES_MAX: usize = 64 * 1024;
/// A file may be this long.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How deep files may include files.
const INCLUDE_DEPTH_MAX: usize = 32;
/// How many files are read altogether.
const FILES_MAX: usize = 10_000;
/// How deep definitions may refer to definitions.
const SUBSTITUTION_DEPTH_MAX: usize = 32;
/// How many lines substitution and repetition may make; the manual's largest example makes 0.9 million.
const LINES_MAX: usize = 2_000_000;
/// How many bytes all lines together may have.
const OUTPUT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A line that is ready to be split into words.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: Rc<str>,
    pub(super) file: FileId,
    pub(super) number: u32,
    /// Where `text` starts in the physical line; `None` when it is not verbatim what stands there.
    column: Option<u32>,
}

impl Line {
    /// The place of a byte range of [`Self::text`]; the whole line when the text was made by substitution.
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        match self.column {
            Some(column) => Span {
                file: self.file,
                line: self.number,
                start: column.saturating_add(start as u32),
                end: column.saturating_add(end as u32),
            },
            None => Span::line(self.file, self.number),
        }
    }
}

/// What has to be checked about the files that an `include` names (manual, `include_check`).
#[derive(Debug, Clone, Copy, Default)]
struct IncludeChecks {
    readable: bool,
    matched: bool,
    wildcard_matched: bool,
    brace_matched: bool,
}

impl IncludeChecks {
    const ALL: Self = Self { readable: true, matched: true, wildcard_matched: true, brace_matched: true };

    fn and(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            matched: self.matched || other.matched,
            wildcard_matched: self.wildcard_matched || other.wildcard_matched,
            brace_matched: self.brace_matched || other.brace_matched,
        }
    }

    /// Carries out the words of `include_check` (manual): without any all checks, with `+` or `-` before one those after
    /// it are added or removed, else they are what is checked.
    fn changed(self, words: &str) -> Self {
        if words.trim().is_empty() {
            return Self::ALL;
        }
        let relative = words.trim_start().starts_with(['+', '-']);
        let (mut checks, mut add) = (if relative { self } else { Self::default() }, true);
        for word in words.split_whitespace() {
            add = match word.as_bytes().first() {
                Some(b'-') => false,
                Some(b'+') => true,
                _ => add,
            };
            match word.trim_start_matches(['+', '-']) {
                "read" | "readable" => checks.readable = add,
                "match" => checks.matched = add,
                "wildcard_match" => checks.wildcard_matched = add,
                "brace_match" => checks.brace_matched = add,
                // Which word is unknown is said where the keyword is read.
                _ => {}
            }
        }
        // The others include it.
        checks.readable |= checks.matched || checks.wildcard_matched || checks.brace_matched;
        checks
    }

    /// The checks of `include`, `includer`, …; `None` when the word is none of them.
    fn of(keyword: &str) -> Option<Self> {
        let none = Self::default();
        Some(match keyword {
            "include" => none,
            "includer" => Self { readable: true, ..none },
            "includem" => Self { readable: true, matched: true, ..none },
            "includew" => Self { readable: true, wildcard_matched: true, ..none },
            "includeb" => Self { readable: true, brace_matched: true, ..none },
            "includea" => Self::ALL,
            _ => return None,
        })
    }
}

/// Where a line stands while it is expanded.
#[derive(Clone, Copy)]
struct Place<'p> {
    file: FileId,
    number: u32,
    dir: &'p Path,
}

impl Place<'_> {
    fn span(&self) -> Span {
        Span::line(self.file, self.number)
    }
}

/// Reads files into [`Line`]s.
pub(super) struct Preprocessor<'a> {
    pub(super) sources: SourceMap,
    pub(super) diagnostics: Diagnostics,
    pub(super) lines: Vec<Line>,
    environment: &'a dyn Environment,
    config_id: String,
    definitions: HashMap<String, Rc<[String]>>,
    /// Names whose values are being expanded, so that none is expanded within itself.
    active: Vec<String>,
    random: u64,
    /// `include_check`: what every include of the present file is checked for besides its own word.
    checks: IncludeChecks,
    files: usize,
    steps: usize,
    bytes: usize,
    exhausted: bool,
}

impl<'a> Preprocessor<'a> {
    pub(super) fn new(environment: &'a dyn Environment, config_id: Option<&str>, random_seed: u64) -> Self {
        let host = || environment.host_name().split('.').next().unwrap_or_default().to_owned();
        Self {
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            lines: Vec::new(),
            environment,
            config_id: config_id.map_or_else(host, str::to_owned),
            definitions: HashMap::new(),
            active: Vec::new(),
            random: random_seed | 1,
            checks: IncludeChecks::default(),
            files: 0,
            steps: 0,
            bytes: 0,
            exhausted: false,
        }
    }

    /// Reads a file that must be there.
    pub(super) fn read_main(&mut self, path: &Path) {
        for found in self.resolve(Path::new("."), &path.to_string_lossy()) {
            if let Err(error) = self.read_file(&found, 0) {
                self.diagnostics.push(Diagnostic {
                    code: Some(CODE_INCLUDE),
                    ..Diagnostic::alert(format!("Unable to find config file '{}': {error}", path.display()))
                });
            }
        }
    }

    /// Reads text as if it were the file `name`.
    pub(super) fn read_text(&mut self, name: &str, text: &[u8]) {
        self.process(name.to_owned(), PathBuf::from("."), text.to_vec(), 0);
    }

    /// The name itself, or what its wildcards match; the main file may be a pattern too.
    fn resolve(&self, dir: &Path, pattern: &str) -> Vec<PathBuf> {
        if glob::has_wildcard(pattern) || pattern.contains('{') {
            glob::braces(pattern).iter().flat_map(|one| glob::matches(dir, one)).collect()
        } else {
            vec![dir.join(pattern)]
        }
    }

    fn read_file(&mut self, path: &Path, depth: usize) -> std::io::Result<()> {
        if depth > INCLUDE_DEPTH_MAX || self.files >= FILES_MAX {
            return Err(std::io::Error::other("includes too deep or too many files"));
        }
        self.files += 1;
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other("file too large"));
        }
        let text = std::fs::read(path)?;
        let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let dir = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let checks = self.checks;
        self.process(path.display().to_string(), dir, text, depth);
        self.checks = checks;
        Ok(())
    }

    fn process(&mut self, name: String, dir: PathBuf, text: Vec<u8>, depth: usize) {
        let file = self.sources.add(name, text);
        let Some(source) = self.sources.file(file).cloned() else { return };
        let mut number = 0;
        while number < source.line_count() && !self.exhausted {
            number += 1;
            let raw = source.line(number);
            let place = Place { file, number, dir: &dir };
            if raw.len() > LINE_BYTES_MAX {
                self.warn(
                    place,
                    format!("Configuration line is longer than {LINE_BYTES_MAX} bytes - ignoring"),
                );
                continue;
            }
            let text = lexer::decode(raw);
            let (column, code) = lexer::code(&text);
            if code.is_empty() || self.include(place, code, depth) {
                continue;
            }
            if !self.condition_holds(code) {
                continue;
            }
            let (skipped, code) = without_condition(code);
            if let Some((name, first)) = definition(code) {
                let mut value = vec![first];
                while value.last().is_some_and(|line| line.ends_with('\\')) && number < source.line_count() {
                    number += 1;
                    let next = lexer::decode(source.line(number));
                    value.push(lexer::code(&next).1.to_owned());
                }
                self.define(name, value);
                continue;
            }
            self.expand(code, place, Some((column + skipped) as u32), 0);
        }
    }

    /// Carries out an `include*` line; `false` when it is none.
    fn include(&mut self, place: Place<'_>, code: &str, depth: usize) -> bool {
        let mut words = code.splitn(2, [' ', '\t']);
        let Some(checks) = words.next().and_then(IncludeChecks::of) else { return false };
        let checks = checks.and(self.checks);
        let pattern = words.next().unwrap_or_default().trim().trim_matches('"');
        if pattern.is_empty() {
            self.warn(place, "include is missing a file name".into());
            return true;
        }
        let mut any = false;
        for alternative in glob::braces(pattern) {
            let wildcard = glob::has_wildcard(&alternative);
            let found = glob::matches(place.dir, &alternative);
            any |= !found.is_empty();
            let needed =
                if wildcard { checks.wildcard_matched } else { checks.matched } || checks.brace_matched;
            if found.is_empty() && (needed || checks.readable && !wildcard) {
                self.missing(place, &alternative);
            }
            for path in found {
                match self.read_file(&path, depth + 1) {
                    Ok(()) => {}
                    Err(error) if checks.readable => {
                        self.missing(place, &format!("{}: {error}", path.display()));
                    }
                    Err(error) => self.diagnostics.push(
                        Diagnostic::notice(format!("include file '{}' not read: {error}", path.display()))
                            .at(place.span()),
                    ),
                }
            }
        }
        if !any && !glob::has_wildcard(pattern) {
            self.diagnostics
                .push(Diagnostic::notice(format!("no file matches include '{pattern}'")).at(place.span()));
        }
        true
    }

    fn missing(&mut self, place: Place<'_>, what: &str) {
        self.diagnostics.push(Diagnostic {
            code: Some(CODE_INCLUDE),
            ..Diagnostic::alert(format!("Config files missing '{what}'.")).at(place.span())
        });
    }

    /// Whether the `@ID` or `@^ID` before a line lets it through; lines without one pass.
    fn condition_holds(&self, code: &str) -> bool {
        let Some((negated, identity, _)) = condition(code) else { return true };
        (identity == self.config_id) != negated
    }

    fn define(&mut self, name: String, value: Vec<String>) {
        let lines: Vec<String> = value
            .into_iter()
            .map(|line| line.strip_suffix('\\').unwrap_or(&line).trim().to_owned())
            .collect();
        let lines =
            if lines.len() > 1 { lines.into_iter().filter(|l| !l.is_empty()).collect() } else { lines };
        self.definitions.insert(name, lines.into());
    }

    /// Conditions, definitions, repetitions and substitution until only words are left, then a line of output.
    fn expand(&mut self, code: &str, place: Place<'_>, column: Option<u32>, depth: usize) {
        self.steps += 1;
        if self.exhausted || self.steps > LINES_MAX || self.bytes > OUTPUT_BYTES_MAX {
            if !self.exhausted {
                self.exhausted = true;
                self.diagnostics
                    .push(Diagnostic::alert("the configuration expands to too many lines").at(place.span()));
            }
            return;
        }
        if depth > SUBSTITUTION_DEPTH_MAX {
            self.warn(place, "definitions refer to each other without end - ignoring line".into());
            return;
        }
        if depth > 0 && !self.condition_holds(code) {
            return;
        }
        let (skipped, code) = if depth > 0 { without_condition(code) } else { (0, code) };
        if depth > 0
            && let Some((name, value)) = definition(code)
        {
            self.define(name, vec![value]);
            return;
        }
        if repeat::starts(code) {
            self.repeat(code, place, depth);
            return;
        }
        let level = self.active.len();
        match self.substitute(code, place) {
            Some(lines) => {
                lines.iter().for_each(|line| self.expand(line.trim(), place, None, depth + 1));
                self.active.truncate(level);
            }
            None => self.emit(code, place, column.map(|column| column + skipped as u32)),
        }
    }

    fn emit(&mut self, code: &str, place: Place<'_>, column: Option<u32>) {
        if code.is_empty() {
            return;
        }
        if let Some(seed) = code.strip_prefix("random_seed ").and_then(|seed| seed.trim().parse::<u64>().ok())
        {
            self.random = seed | 1;
        }
        if let Some(words) = code.strip_prefix("include_check") {
            self.checks = self.checks.changed(words);
        }
        self.bytes += code.len();
        self.lines.push(Line { text: code.into(), file: place.file, number: place.number, column });
    }

    fn repeat(&mut self, code: &str, place: Place<'_>, depth: usize) {
        // The block's own arguments may be definitions; only they are substituted here, the rest is late.
        let end = code.find(')').map_or(code.len(), |at| at + 1);
        let (head, tail) = code.split_at(end);
        let level = self.active.len();
        let substituted = self.substitute(head, place);
        self.active.truncate(level);
        let head = substituted.map_or_else(|| head.to_owned(), |lines| lines.join(" "));
        let code = format!("{head}{tail}");
        let (repeat, length) = match repeat::parse(&code) {
            Ok(parsed) => parsed,
            Err(error) => return self.warn(place, format!("{error} - ignoring line")),
        };
        let rest = code.get(length..).unwrap_or_default();
        for turn in repeat.turns() {
            for (name, value) in turn {
                self.definitions.insert(name.to_owned(), Rc::from([value]));
            }
            self.expand(rest, place, None, depth + 1);
            if self.exhausted {
                return;
            }
        }
    }

    /// One pass of substitution: the resulting lines, or `None` when there is nothing to substitute.
    fn substitute(&mut self, code: &str, place: Place<'_>) -> Option<Vec<String>> {
        if !code.contains('$') {
            return None;
        }
        let pair = lexer::parse(Rule::template, code)?;
        let mut lines = vec![String::new()];
        let mut changed = false;
        let level = self.active.len();
        for part in pair.into_inner() {
            let text = part.as_str();
            let value = match part.as_rule() {
                Rule::literal => {
                    append(&mut lines, text);
                    continue;
                }
                Rule::EOI => continue,
                rule => {
                    let mut words = part.into_inner().map(|word| word.as_str());
                    let name = words.next().unwrap_or_default();
                    if self.active.iter().take(level).any(|active| active == name) {
                        self.warn(
                            place,
                            "definitions refer to each other without end - ignoring line".into(),
                        );
                        self.active.truncate(level);
                        return Some(Vec::new());
                    }
                    if !self.active.iter().skip(level).any(|active| active == name) {
                        self.active.push(name.to_owned());
                    }
                    self.value(name, &mut words, place.dir).or_else(|| {
                        (rule == Rule::braced).then(|| {
                            // Left as it is, the braces would open a block.
                            self.warn(place, format!("Unknown definition '{text}'"));
                            Rc::from([format!("${name}")])
                        })
                    })
                }
            };
            match value {
                Some(value) => {
                    changed = changed || value.len() != 1 || value.first().is_none_or(|first| first != text);
                    let mut parts = value.iter();
                    append(&mut lines, parts.next().map_or("", String::as_str));
                    lines.extend(parts.cloned());
                }
                None => append(&mut lines, text),
            }
            if lines.iter().map(String::len).sum::<usize>() > EXPANDED_BYTES_MAX {
                self.warn(place, "line is too long after substitution - ignoring".into());
                return Some(Vec::new());
            }
        }
        if !changed {
            self.active.truncate(level);
        }
        changed.then_some(lines)
    }

    fn value(
        &mut self,
        name: &str,
        arguments: &mut dyn Iterator<Item = &str>,
        dir: &Path,
    ) -> Option<Rc<[String]>> {
        let one = |text: String| Some(Rc::from([text]));
        match name {
            "_PWD" => one(dir.display().to_string()),
            "_INSTANCE" => one(self.config_id.clone()),
            "_HASH" => one("\\#".into()),
            "_BANG" => one("\\!".into()),
            "_ENV" => one(self.environment.variable(arguments.next()?).unwrap_or_default()),
            "_RANDOM" => {
                let mut number = |default: u64| match arguments.next() {
                    Some(text) => text.parse::<u32>().ok().map(u64::from),
                    None => Some(default),
                };
                let (low, high) = (number(0)?, number(32767)?);
                one((low + self.next_random() % (high.checked_sub(low)? + 1)).to_string())
            }
            _ => self.definitions.get(name).cloned(),
        }
    }

    /// xorshift64*: good enough to pick numbers, and the same for the same seed.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn warn(&mut self, place: Place<'_>, message: String) {
        self.diagnostics.push(Diagnostic::warning(message).at(place.span()));
    }
}

fn append(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

/// `@ID` in front of a line: negated or not, the id, and the length with the blanks after it.
fn condition(code: &str) -> Option<(bool, &str, usize)> {
    if !code.starts_with('@') {
        return None;
    }
    let pair = lexer::parse(Rule::condition, code)?;
    let length = pair.as_str().len();
    let mut parts = pair.into_inner();
    let negated = parts.next().is_some_and(|mark| mark.as_str() == "^");
    Some((negated, parts.next()?.as_str(), length))
}

fn without_condition(code: &str) -> (usize, &str) {
    let length = condition(code).map_or(0, |(_, _, length)| length);
    (length, code.get(length..).unwrap_or_default())
}

/// Name and value of `$NAME=value`.
fn definition(code: &str) -> Option<(String, String)> {
    if !code.starts_with('$') {
        return None;
    }
    let mut parts = lexer::parse(Rule::definition, code)?.into_inner();
    Some((parts.next()?.as_str().to_owned(), parts.next()?.as_str().to_owned()))
}
