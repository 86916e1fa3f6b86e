//! Reads format strings.

use hacore::diag::{Diagnostic, Word};

use super::alias::{self, Alias};
use super::{Flags, Item, LogFormat, LogFormatOptions};
use crate::expr::{Expr, ParseScope, SampleType, fetch};

impl LogFormat {
    /// Items of one format; a longer one is refused.
    pub const ITEMS_MAX: usize = 4096;

    /// Compiles a format. Messages are HAProxy's, without the part that names the rule.
    pub fn parse(
        word: &Word,
        options: LogFormatOptions,
        scope: &ParseScope<'_>,
    ) -> Result<LogFormat, Diagnostic> {
        let mut reader =
            Reader { word, options, scope, at: 0, defaults: Flags::default(), items: Vec::new() };
        reader.run()?;
        let whole = Flags { json: reader.defaults.json, cbor: reader.defaults.cbor, ..Flags::default() };
        Ok(LogFormat { text: word.as_str().to_owned(), items: reader.items, options, whole })
    }

    /// A format given as text, such as one of [`super::defaults`].
    pub fn parse_str(
        text: &str,
        span: hacore::diag::Span,
        options: LogFormatOptions,
        scope: &ParseScope<'_>,
    ) -> Result<LogFormat, Diagnostic> {
        Self::parse(&Word::new(text.as_bytes().to_vec(), span), options, scope)
    }
}

struct Reader<'a, 's> {
    word: &'a Word,
    options: LogFormatOptions,
    scope: &'a ParseScope<'s>,
    at: usize,
    /// Flags set by `%{…}o`, for all that follow.
    defaults: Flags,
    items: Vec<Item>,
}

impl Reader<'_, '_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        let mut text = Vec::new();
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'%', Some(b'%')) => {
                    text.push(b'%');
                    self.at += 2;
                }
                (b'%', _) => {
                    self.flush(&mut text);
                    self.at += 1;
                    self.item()?;
                }
                (b' ', _) if self.options.merge_spaces => {
                    self.flush(&mut text);
                    self.at += 1;
                    if !matches!(self.items.last(), Some(Item::Separator)) {
                        self.items.push(Item::Separator);
                    }
                }
                _ => {
                    text.push(byte);
                    self.at += 1;
                }
            }
            if self.items.len() > LogFormat::ITEMS_MAX {
                return Err(self.alert(format!("more than {} items in format", LogFormat::ITEMS_MAX)));
            }
        }
        self.flush(&mut text);
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.word.bytes().get(self.at + ahead).copied()
    }

    fn flush(&mut self, text: &mut Vec<u8>) {
        if !text.is_empty() {
            self.items.push(Item::Text(std::mem::take(text).into()));
        }
    }

    fn alert(&self, message: String) -> Diagnostic {
        Diagnostic::alert(message).at(self.word.span)
    }

    /// What follows `%`: `(name:type)`, `{flags}`, then `[expr]` or an alias.
    fn item(&mut self) -> Result<(), Diagnostic> {
        let mut name = None;
        if self.peek(0) == Some(b'(') {
            let inside = self.delimited(b')')?;
            let (label, cast) = inside.split_once(':').unwrap_or((&inside, ""));
            name = Some((Box::<str>::from(label), self.cast_type(cast)?));
        }
        let mut flags = self.defaults;
        if self.peek(0) == Some(b'{') {
            let inside = self.delimited(b'}')?;
            self.apply_flags(&inside, &mut flags);
        }
        match self.peek(0) {
            Some(b'[') => self.expression(flags, name),
            _ => self.alias(flags, name.map(|(label, _)| label)),
        }
    }

    fn delimited(&mut self, close: u8) -> Result<String, Diagnostic> {
        let rest = self.word.bytes().get(self.at + 1..).unwrap_or_default();
        let Some(length) = memchr::memchr(close, rest) else {
            let shown = String::from_utf8_lossy(rest).into_owned();
            return Err(self.alert(format!("truncated line after '{shown}'")));
        };
        let inside = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        self.at += length + 2;
        Ok(inside)
    }

    fn cast_type(&self, name: &str) -> Result<SampleType, Diagnostic> {
        match name {
            "" => Ok(SampleType::Any),
            "sint" => Ok(SampleType::Int),
            "bool" => Ok(SampleType::Bool),
            "str" => Ok(SampleType::Str),
            "bin" => Ok(SampleType::Bin),
            other => Err(self
                .alert(format!("unexpected output type '{other}' in log-format"))
                .did_you_mean(other, ["sint", "bool", "str", "bin"])),
        }
    }

    /// `+Q,-X,+json`; unknown letters are ignored as HAProxy ignores them.
    fn apply_flags(&self, text: &str, flags: &mut Flags) {
        let mut on = true;
        for part in text.split(',') {
            let mut rest = part.trim();
            while let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-')) {
                on = sign == '+';
                rest = &rest[1..];
            }
            match rest {
                "json" => flags.json = on,
                "cbor" => flags.cbor = on,
                "bin" => flags.binary = on,
                letters => {
                    for letter in letters.chars() {
                        match letter {
                            'Q' => flags.quote = on,
                            'E' => flags.escape = on,
                            'X' => flags.hex = on,
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    fn expression(&mut self, flags: Flags, name: Option<(Box<str>, SampleType)>) -> Result<(), Diagnostic> {
        let start = self.at + 1;
        let rest = self.word.as_str().get(start..).unwrap_or_default().to_owned();
        let (expr, end) = Expr::parse_bracketed(self.word, start, self.scope).map_err(|mut d| {
            d.message = format!("failed to parse sample expression <{rest}> : {}", d.message);
            d
        })?;
        if self.word.bytes().get(end) != Some(&b']') {
            let text = self.word.as_str().get(start..end).unwrap_or_default().to_owned();
            return Err(self.alert(format!("missing ']' after '{text}'")));
        }
        if !expr.contexts().intersects(self.scope.contexts) {
            return Err(self.alert(format!(
                "sample fetch <{}> may not be reliably used here because it needs '{}' which is not available here",
                expr.text(),
                fetch::source_name_of(&expr),
            )));
        }
        self.at = end + 1;
        self.items.push(Item::Expr(Box::new(expr), flags, name));
        Ok(())
    }

    fn alias(&mut self, flags: Flags, name: Option<Box<str>>) -> Result<(), Diagnostic> {
        let rest = self.word.bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        self.at += length;
        if text == "o" {
            self.defaults = flags;
            return Ok(());
        }
        let Some(alias) = alias::find(&text) else {
            let shown =
                if text.is_empty() { self.word.as_str().get(self.at..).unwrap_or_default() } else { &text };
            let known = alias::aliases().iter().map(|a| a.name);
            return Err(self
                .alert(format!(
                    "no such format variable '{shown}'. If you wanted to emit the '%' character verbatim, you need to use '%%'"
                ))
                .did_you_mean(&text, known));
        };
        self.check_mode(alias)?;
        if matches!(&*text, "bi" | "bp" | "si" | "sp") {
            self.scope.reads_server_ends.set(true);
        }
        self.items.push(Item::Alias(alias, flags, name));
        Ok(())
    }

    fn check_mode(&self, alias: Alias) -> Result<(), Diagnostic> {
        let def = alias.def();
        if def.http_only && self.scope.mode != crate::model::Mode::Http && self.scope.proxy.is_some() {
            self.scope.warn(
                Diagnostic::warning(format!("format variable '{}' is reserved for HTTP mode", def.name))
                    .at(self.word.span),
            );
        }
        Ok(())
    }
}
