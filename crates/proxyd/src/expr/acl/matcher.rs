//! How a sample is compared: the matching method, its flags and patterns.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hacore::diag::{Diagnostic, Word, Words};

use super::pattern::{PatternSet, parse_range, range_error};
use crate::expr::pattern_file::{Look, PatternEntry, PatternFile, Recompile};
use crate::expr::{ParseScope, Sample, SampleType};

/// `-m` methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchMethod {
    Found,
    Bool,
    Int,
    Ip,
    Bin,
    Len,
    Str,
    Beg,
    Sub,
    Dir,
    Dom,
    End,
    Reg,
}

impl MatchMethod {
    pub const ALL: [MatchMethod; 13] = [
        MatchMethod::Found,
        MatchMethod::Bool,
        MatchMethod::Int,
        MatchMethod::Ip,
        MatchMethod::Bin,
        MatchMethod::Len,
        MatchMethod::Str,
        MatchMethod::Beg,
        MatchMethod::Sub,
        MatchMethod::Dir,
        MatchMethod::Dom,
        MatchMethod::End,
        MatchMethod::Reg,
    ];

    pub fn name(self) -> &'static str {
        match self {
            MatchMethod::Found => "found",
            MatchMethod::Bool => "bool",
            MatchMethod::Int => "int",
            MatchMethod::Ip => "ip",
            MatchMethod::Bin => "bin",
            MatchMethod::Len => "len",
            MatchMethod::Str => "str",
            MatchMethod::Beg => "beg",
            MatchMethod::Sub => "sub",
            MatchMethod::Dir => "dir",
            MatchMethod::Dom => "dom",
            MatchMethod::End => "end",
            MatchMethod::Reg => "reg",
        }
    }

    /// The method a type has without `-m`.
    fn default_of(output: SampleType) -> Option<MatchMethod> {
        match output {
            SampleType::Bool => Some(MatchMethod::Bool),
            SampleType::Int => Some(MatchMethod::Int),
            SampleType::Addr | SampleType::Ipv4 | SampleType::Ipv6 => Some(MatchMethod::Ip),
            SampleType::Str | SampleType::Method => Some(MatchMethod::Str),
            SampleType::Bin | SampleType::Any | SampleType::Same => None,
        }
    }
}

/// Compiled patterns of one ACL expression.
#[derive(Debug)]
pub struct Matcher {
    sets: Vec<PatternSet>,
    files: Vec<Arc<FileSet>>,
}

impl Matcher {
    pub fn matches(&self, sample: Sample<'_>) -> bool {
        self.sets.iter().any(|set| set.find(&sample).is_some())
            || self.files.iter().any(|file| file.set.load().find(&sample).is_some())
    }
}

/// The patterns of a file, compiled again when the runtime API changes them.
#[derive(Debug)]
pub(crate) struct FileSet {
    method: MatchMethod,
    ignore_case: bool,
    set: ArcSwap<PatternSet>,
}

impl Recompile for FileSet {
    fn recompile(&self, entries: &[PatternEntry]) -> Result<(), String> {
        let keys = entries.iter().map(|entry| &*entry.key);
        self.set.store(Arc::new(PatternSet::compile(self.method, self.ignore_case, keys)?));
        Ok(())
    }

    fn look_up(&self, key: &str) -> Look {
        self.set.load().look_up(key)
    }
}

/// Collects flags and patterns while an ACL line is read.
pub(super) struct MatcherBuilder {
    output: SampleType,
    method: Option<MatchMethod>,
    explicit: bool,
    ignore_case: bool,
    files_are_maps: bool,
    files: Vec<(Word, bool, bool)>,
    patterns: Vec<Word>,
    ranges: Vec<(i64, i64)>,
}

impl MatcherBuilder {
    pub(super) fn new(implied: Option<MatchMethod>, output: SampleType) -> Self {
        Self {
            output,
            method: implied.or_else(|| MatchMethod::default_of(output)),
            explicit: false,
            ignore_case: false,
            files_are_maps: false,
            files: Vec::new(),
            patterns: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// Reads flags; `true` when they ended with `--`.
    pub(super) fn parse_flags(
        &mut self,
        words: &mut Words<'_>,
        scope: &ParseScope<'_>,
    ) -> Result<bool, Diagnostic> {
        let _ = scope;
        while let Some(word) = words.peek().filter(|w| w.as_str().starts_with('-')) {
            // A lone `-` and negative numbers are patterns.
            if word.as_str() == "-"
                || self.is_numeric() && word.as_str()[1..].starts_with(|c: char| c.is_ascii_digit())
            {
                break;
            }
            let _ = words.next();
            match word.as_str() {
                "--" => return Ok(true),
                "-i" => self.ignore_case = true,
                // Host names in address patterns are never resolved here, so `-n` is always on.
                "-n" => {}
                "-M" => self.files_are_maps = true,
                "-u" => {
                    let id = argument(words, "-u", "an unique id")?;
                    if id.as_str().parse::<u32>().is_err() {
                        return Err(Diagnostic::alert("an unique id is expected after -u").at(id.span));
                    }
                }
                "-f" => {
                    let file = argument(words, "-f", "a file name")?;
                    self.files.push((file.clone(), self.ignore_case, self.files_are_maps));
                }
                "-m" => self.set_method(argument(words, "-m", "a matching method")?)?,
                other => {
                    return Err(Diagnostic::alert(format!(
                        "'{other}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'"
                    ))
                    .at(word.span));
                }
            }
        }
        Ok(false)
    }

    fn is_numeric(&self) -> bool {
        matches!(self.method, Some(MatchMethod::Int | MatchMethod::Len))
    }

    fn set_method(&mut self, word: &Word) -> Result<(), Diagnostic> {
        if !self.files.is_empty() {
            return Err(Diagnostic::alert(
                "'-m' must only be specified before patterns and files in parsing ACL expression",
            )
            .at(word.span));
        }
        let method = MatchMethod::ALL.into_iter().find(|m| m.name() == word.as_str()).ok_or_else(|| {
            Diagnostic::alert(format!(
                "unknown matching method '{word}' when parsing ACL expression",
                word = word.as_str()
            ))
            .at(word.span)
            .did_you_mean(word.as_str(), MatchMethod::ALL.map(MatchMethod::name))
        })?;
        self.method = Some(method);
        self.explicit = true;
        Ok(())
    }

    /// Takes the rest of the words as patterns.
    pub(super) fn add_patterns(&mut self, words: &mut Words<'_>) -> Result<(), Diagnostic> {
        if !self.is_numeric() {
            self.patterns = words.rest().to_vec();
            words.seek(usize::MAX);
            return Ok(());
        }
        let mut operator = "eq";
        for word in words.by_ref() {
            let text = word.as_str();
            if let Some(known) = ["eq", "ge", "gt", "le", "lt"].into_iter().find(|op| *op == text) {
                operator = known;
                continue;
            }
            let dotted = text.contains('.');
            let (low, high) = parse_range(text, dotted).ok_or_else(|| self.number_error(word))?;
            self.ranges.push(match operator {
                "ge" => (low, i64::MAX),
                "gt" => (high.saturating_add(1), i64::MAX),
                "le" => (i64::MIN, high),
                "lt" => (i64::MIN, low.saturating_sub(1)),
                _ => (low, high),
            });
        }
        Ok(())
    }

    fn number_error(&self, word: &Word) -> Diagnostic {
        let text = word.as_str();
        let message = range_error(text);
        let message = if self.explicit || message.contains("range") {
            message
        } else {
            format!("'{text}' is neither a number nor a supported operator")
        };
        Diagnostic::alert(message).at(word.span).did_you_mean(text, ["eq", "ge", "gt", "le", "lt"])
    }

    pub(super) fn never_matches(&self) -> bool {
        let needs_none = matches!(self.method, Some(MatchMethod::Found | MatchMethod::Bool));
        !needs_none && self.patterns.is_empty() && self.ranges.is_empty() && self.files.is_empty()
    }

    pub(super) fn build(self, keyword: &str, scope: &ParseScope<'_>) -> Result<Matcher, Diagnostic> {
        let span = self.patterns.first().or(self.files.first().map(|f| &f.0)).map(|w| w.span);
        let alert = |message: String| {
            let diagnostic = Diagnostic::alert(message);
            match span {
                Some(span) => diagnostic.at(span),
                None => diagnostic,
            }
        };
        let Some(method) = self.method else {
            return Err(alert(format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{keyword}')"
            )));
        };
        // Without `-m`, methods compare by number where they have one, so case counts for them.
        let by_number = !self.explicit && self.output == SampleType::Method;
        let mut files = Vec::new();
        for (name, ignore_case, is_map) in &self.files {
            let file: Arc<PatternFile> = scope
                .pattern_files
                .open(name.as_str(), *is_map, scope.loader)
                .map_err(|e| Diagnostic::alert(e.to_string()).at(name.span))?;
            let set = file_set(&file, method, *ignore_case)
                .map_err(|e| Diagnostic::alert(format!("{e} in file '{}'", file.name)).at(name.span))?;
            files.push(set);
        }
        let mut sets = Vec::new();
        match method {
            MatchMethod::Int | MatchMethod::Len => sets.push(PatternSet::ranges(method, self.ranges)),
            _ if files.is_empty() || !self.patterns.is_empty() => {
                let patterns = self.patterns.iter().map(Word::bytes);
                let set = PatternSet::compile(method, self.ignore_case, patterns).map_err(alert)?;
                sets.push(if by_number { set.for_methods() } else { set });
            }
            _ => {}
        }
        Ok(Matcher { sets, files })
    }
}

/// Compiles a file's keys and keeps them compiled.
pub(crate) fn file_set(
    file: &PatternFile,
    method: MatchMethod,
    ignore_case: bool,
) -> Result<Arc<FileSet>, String> {
    let empty = PatternSet::compile(method, ignore_case, std::iter::empty())?;
    let set = Arc::new(FileSet { method, ignore_case, set: ArcSwap::from_pointee(empty) });
    let user: Arc<dyn Recompile> = Arc::clone(&set) as Arc<dyn Recompile>;
    file.attach(&user)?;
    Ok(set)
}

fn argument<'w>(words: &mut Words<'w>, flag: &str, what: &str) -> Result<&'w Word, Diagnostic> {
    let here = words.here();
    words.next().ok_or_else(|| Diagnostic::alert(format!("missing {what} after '{flag}'")).at(here))
}
