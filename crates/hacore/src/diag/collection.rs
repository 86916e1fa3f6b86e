//! One diagnostic, and the list that a parser fills.

use serde::Serialize;

use super::Span;

/// How bad it is. The order is from harmless to fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Advice that the original program would not give; never changes a verdict.
    Hint,
    /// `[NOTICE]`.
    Notice,
    /// `[WARNING]`: loads, but something is doubtful.
    Warning,
    /// `[ALERT]`: the file is refused.
    Alert,
}

/// How the original program writes the position into the first line of this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum PositionForm {
    /// The daemon's usual way.
    #[default]
    Usual,
    /// Not at all, although the span is known: the snippet below still shows it.
    Omitted,
    /// With these texts before and after `file:line`.
    Between(&'static str, &'static str),
}

/// One finding about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Where; `None` for what has no place in a file.
    pub span: Option<Span>,
    /// How the first line shows `span`.
    pub position: PositionForm,
    /// The sentence in the original program's wording, without prefix and position.
    pub message: String,
    /// A stable code such as `L003` by which a comment can silence it; only hints and some warnings have one.
    pub code: Option<&'static str>,
    /// What to write instead or to do, one sentence each.
    pub help: Vec<String>,
    /// The exact text that should stand where `span` is.
    pub replacement: Option<String>,
    /// The feature that is missing, when that is all that is wrong.
    pub needs: Option<&'static str>,
}

impl Diagnostic {
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            span: None,
            position: PositionForm::Usual,
            message: message.into(),
            code: None,
            help: Vec::new(),
            replacement: None,
            needs: None,
        }
    }

    /// The alert about `what` that would be right if this version had `feature`.
    pub fn needs(what: &str, feature: &'static str) -> Self {
        let message = format!("'{what}' needs {feature}, which this version does not have yet.");
        Self { needs: Some(feature), ..Self::alert(message) }
    }

    pub fn alert(message: impl Into<String>) -> Self {
        Self::new(Severity::Alert, message)
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    pub fn notice(message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, message)
    }

    pub fn hint(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(Severity::Hint, message) }
    }

    /// Sets where it is.
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Sets how the first line shows the position.
    pub fn positioned(mut self, position: PositionForm) -> Self {
        self.position = position;
        self
    }

    /// Adds a sentence of help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds "did you mean" when `candidates` has a word close to `word`.
    pub fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match super::suggest::closest(word, candidates) {
            Some(close) => {
                let mut this = self.help(format!("did you mean '{close}'?"));
                this.replacement = Some(close.to_owned());
                this
            }
            None => self,
        }
    }
}

/// What a parser has found so far, in order, up to a limit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// The most that are kept; a million wrong lines must not become a million messages.
    pub const COUNT_MAX: usize = 10_000;

    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < Self::COUNT_MAX || diagnostic.severity == Severity::Alert && !self.has_alerts() {
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    pub fn extend(&mut self, other: Diagnostics) {
        self.dropped += other.dropped;
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.list.iter_mut()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many were not kept because of [`Self::COUNT_MAX`].
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|d| d.severity == severity).count()
    }

    pub fn has_alerts(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Alert)
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
