//! A sample expression: a fetch and the converters behind it, compiled at load.

use hacore::diag::{Diagnostic, Span, Word, Words};
use serde::{Serialize, Serializer};

use super::args::{check_count, parse_args};
use super::conv::{self, Converter};
use super::fetch::{self, Fetch};
use super::{Args, Contexts, EvalCtx, FetchState, ParseScope, Sample, SampleType};

/// `fetch(args),converter(args)…`. Compares and serialises as its source text.
#[derive(Debug, Clone)]
pub struct Expr {
    text: String,
    fetch: &'static Fetch,
    args: Args,
    converters: Vec<(&'static Converter, Args)>,
    output: SampleType,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Expr {
    /// Converters of one expression; a longer chain is refused.
    pub const CONVERTERS_MAX: usize = 256;

    /// Reads an expression from as many words as belong to it: converters may follow as words of their own.
    ///
    /// A fetch that has no data at any of `scope.contexts` is an error. Messages are HAProxy's, without the part
    /// that names the rule.
    pub fn parse(words: &mut Words<'_>, scope: &ParseScope<'_>) -> Result<Expr, Diagnostic> {
        let span = words.here();
        let expr = Self::parse_anywhere(words, scope)?;
        if !expr.contexts().intersects(scope.contexts) {
            return Err(Diagnostic::alert(format!(
                "fetch method '{}' extracts information from '{}', none of which is available here",
                expr.text,
                fetch::source_name(expr.fetch),
            ))
            .at(span));
        }
        Ok(expr)
    }

    /// [`Self::parse`] without the check of contexts, which ACLs turn into a warning.
    pub fn parse_anywhere(words: &mut Words<'_>, scope: &ParseScope<'_>) -> Result<Expr, Diagnostic> {
        let Some(word) = words.peek() else {
            return Err(Diagnostic::alert("missing fetch method").at(words.here()));
        };
        let _ = words.next();
        Self::parse_from(word, 0, Some(words), scope).map(|(expr, _)| expr)
    }

    /// Reads the inside of `%[…]`, which starts at `start`; returns where its `]` stands.
    pub(super) fn parse_bracketed(
        word: &Word,
        start: usize,
        scope: &ParseScope<'_>,
    ) -> Result<(Expr, usize), Diagnostic> {
        Self::parse_from(word, start, None, scope)
    }

    /// Without `words` the expression ends at `]`, with them at the first word that is no converter.
    fn parse_from<'w>(
        word: &'w Word,
        start: usize,
        mut words: Option<&mut Words<'w>>,
        scope: &ParseScope<'_>,
    ) -> Result<(Expr, usize), Diagnostic> {
        let (fetch, args, mut at) = parse_fetch(word, start, scope)?;
        let mut expr =
            Expr { text: String::new(), fetch, args, converters: Vec::new(), output: fetch.output };
        expr.append_text(word, start, at);
        let mut word = word;
        loop {
            match word.bytes().get(at) {
                Some(b']') if words.is_none() => break,
                None | Some(b',') => {}
                Some(_) => return Err(expr.missing_comma(word.span)),
            }
            at += word.bytes().get(at..).unwrap_or_default().iter().take_while(|b| **b == b',').count();
            let in_new_word = at >= word.bytes().len();
            if in_new_word {
                let Some(next) = words.as_deref().and_then(Words::peek) else { break };
                word = next;
                at = 0;
            }
            let name_length = ident_length(word.bytes().get(at..).unwrap_or_default());
            // Offsets are those of the bytes: the text is longer where they are not UTF-8.
            let name = word.bytes().get(at..at + name_length).unwrap_or_default();
            let name = std::str::from_utf8(name).unwrap_or_default();
            let Some(converter) = conv::find(name) else {
                if words.is_none() && word.bytes().get(at) == Some(&b']') {
                    break;
                }
                // A word that begins with no converter is not ours (`if`, an ACL's first pattern…).
                if in_new_word {
                    break;
                }
                return Err(unknown_converter(name, expr.output, word.span));
            };
            if let (true, Some(words)) = (in_new_word, words.as_deref_mut()) {
                let _ = words.next();
            }
            let start = at;
            at = expr.push_converter(converter, word, at + name_length, scope)?;
            expr.append_text(word, start, at);
        }
        Ok((expr, at))
    }

    /// Reads an expression that is exactly `text`.
    pub fn parse_str(text: &str, span: Span, scope: &ParseScope<'_>) -> Result<Expr, Diagnostic> {
        let words = [Word::new(text.as_bytes().to_vec(), span)];
        let mut words = Words::new(&words, span);
        Self::parse_anywhere(&mut words, scope)
    }

    /// The ACLs that the fetch `acl()` names.
    pub(super) fn named_acls(&self) -> impl Iterator<Item = &std::sync::Arc<super::acl::Acl>> {
        let list = match &self.args.state {
            conv::ConverterState::Acls(list) => list.as_slice(),
            _ => &[],
        };
        list.iter().map(|(acl, _)| acl)
    }

    fn append_text(&mut self, word: &Word, start: usize, end: usize) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&String::from_utf8_lossy(word.bytes().get(start..end).unwrap_or_default()));
    }

    fn missing_comma(&self, span: Span) -> Diagnostic {
        let message = match self.converters.last() {
            None => format!("missing comma after fetch keyword '{}'", self.fetch.name),
            Some((converter, _)) => format!("missing comma after converter '{}'", converter.name),
        };
        Diagnostic::alert(message).at(span)
    }

    fn push_converter(
        &mut self,
        converter: &'static Converter,
        word: &Word,
        at: usize,
        scope: &ParseScope<'_>,
    ) -> Result<usize, Diagnostic> {
        let name = converter.name;
        let alert = |message: String| Diagnostic::alert(message).at(word.span);
        if self.converters.len() >= Self::CONVERTERS_MAX {
            return Err(alert(format!("more than {} converters", Self::CONVERTERS_MAX)));
        }
        if !self.output.casts_to(converter.input) {
            return Err(alert(format!("converter '{name}' cannot be applied")).help(format!(
                "it takes {}, and what comes before gives {}",
                converter.input.name(),
                self.output.name()
            )));
        }
        let (list, end) = parse_arg_list(word, at, name, converter.args, scope).map_err(|e| {
            alert(format!("invalid arg {} in converter '{name}' : {}", e.position, e.message))
        })?;
        let mut args = Args { keyword: name, list, ..Args::default() };
        if let Some(check) = converter.check {
            check(&mut args, scope, word.span)
                .map_err(|e| alert(format!("invalid args in converter '{name}' : {e}")))?;
        }
        if converter.output != SampleType::Same {
            self.output = converter.output;
        }
        self.converters.push((converter, args));
        Ok(end)
    }

    /// The source text, blanks between words replaced by commas.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fetch's name.
    pub fn fetch_name(&self) -> &'static str {
        self.fetch.name
    }

    /// The fetch's arguments.
    pub fn fetch_args(&self) -> &Args {
        &self.args
    }

    /// Names of the converters in order.
    pub fn converter_names(&self) -> impl Iterator<Item = &'static str> {
        self.converters.iter().map(|(converter, _)| converter.name)
    }

    /// Where the fetch has its data.
    pub fn contexts(&self) -> Contexts {
        self.fetch.contexts
    }

    /// The type of the value, as far as it is known at load.
    pub fn output_type(&self) -> SampleType {
        self.output
    }

    /// The value now; `None` when the fetch has nothing or a converter fails.
    pub fn eval<'a>(&'a self, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
        self.eval_step(ctx, &mut FetchState::default())
    }

    /// What the converters make of `sample`, which takes the place of the fetch's value.
    pub fn convert<'a>(&'a self, mut sample: Sample<'a>, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
        for (converter, args) in &self.converters {
            sample = (converter.run)(sample.cast(converter.input)?, args, ctx)?;
        }
        Some(sample)
    }

    /// The value as `to`.
    pub fn eval_as<'a>(&'a self, ctx: &EvalCtx<'a>, to: SampleType) -> Option<Sample<'a>> {
        self.eval(ctx)?.cast(to)
    }

    /// One value of an iteration; see [`FetchState`].
    pub fn eval_step<'a>(&'a self, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
        state.more = false;
        let sample = (self.fetch.run)(&self.args, ctx, state)?;
        self.convert(sample, ctx)
    }
}

fn parse_fetch(
    word: &Word,
    start: usize,
    scope: &ParseScope<'_>,
) -> Result<(&'static Fetch, Args, usize), Diagnostic> {
    let alert = |message: String| Diagnostic::alert(message).at(word.span);
    let length = start + ident_length(word.bytes().get(start..).unwrap_or_default());
    let name = word.as_str().get(start..length).unwrap_or_default();
    if name.is_empty() {
        return Err(alert("missing fetch method".to_owned()));
    }
    let Some(fetch) = fetch::find(name) else {
        if let Some((_, feature)) = fetch::UNSUPPORTED.iter().find(|(known, _)| *known == name) {
            return Err(Diagnostic::needs(name, feature).at(word.span));
        }
        if name.starts_with("lua.") {
            return Err(Diagnostic::needs(name, super::LUA).at(word.span));
        }
        let fitting = fetch::all().filter(|f| f.contexts.intersects(scope.contexts)).map(|f| f.name);
        return Err(alert(format!("unknown fetch method '{name}'")).did_you_mean(name, fitting));
    };
    let (list, end) = parse_arg_list(word, length, fetch.name, fetch.args, scope)
        .map_err(|e| alert(format!("fetch method '{name}' : {}", e.message)))?;
    let mut args = Args { keyword: fetch.name, list, ..Args::default() };
    if let Some(check) = fetch.check {
        check(&mut args, scope, word.span)
            .map_err(|e| alert(format!("invalid args in fetch method '{name}' : {e}")))?;
    }
    Ok((fetch, args, end))
}

fn parse_arg_list(
    word: &Word,
    at: usize,
    keyword: &'static str,
    spec: super::args::ArgSpec,
    scope: &ParseScope<'_>,
) -> Result<(Vec<super::Arg>, usize), super::args::ArgError> {
    let bytes = word.bytes();
    if bytes.get(at) != Some(&b'(') {
        let mut list = Vec::new();
        check_count(&mut list, spec)?;
        return Ok((list, at));
    }
    let rest = bytes.get(at + 1..).unwrap_or_default();
    let (list, length) = parse_args(rest, keyword, spec, scope, word.span)?;
    Ok((list, at + 1 + length))
}

/// Bytes of a keyword: letters, digits, `-_.:+`.
fn ident_length(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(b)).count()
}

fn unknown_converter(name: &str, input: SampleType, span: Span) -> Diagnostic {
    if conv::UNSUPPORTED.contains(&name) {
        return Diagnostic::needs(name, "JSON Web Encryption").at(span);
    }
    if name.starts_with("lua.") {
        return Diagnostic::needs(name, super::LUA).at(span);
    }
    let fitting = conv::all().filter(|c| input.casts_to(c.input)).map(|c| c.name);
    Diagnostic::alert(format!("unknown converter '{name}'")).at(span).did_you_mean(name, fitting)
}
