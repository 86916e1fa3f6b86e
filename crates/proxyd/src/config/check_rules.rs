//! What the words of `tcp-check` and `http-check` lines mean: steps of a probe, their expressions compiled.

use hacore::diag::{Word, Words};
use hacore::health::CheckStatus;
use hacore::probe::ProxyHeader;
use hacore::probe::steps::{Action, Connect, Expect, HeaderPattern, HttpSend, Matcher, Pattern, Step, Text};
use regex::bytes::Regex;

use crate::expr::{Expr, LogFormat, LogFormatOptions, ParseScope, VarName};
use crate::model::CheckStep;
use crate::rules::actions::variable::Test;
use crate::rules::check;

/// Why a line is refused; begins in lower case and ends with a full stop, as behind the keyword's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepError(String);

type Parsed<T> = Result<T, StepError>;

fn refuse<T>(message: impl Into<String>) -> Parsed<T> {
    Err(StepError(message.into()))
}

/// The step of one line: `family` is `tcp` or `http`, `words` what follows `tcp-check` or `http-check`.
pub fn step(family: &str, words: &[Word], scope: &ParseScope<'_>) -> Parsed<CheckStep> {
    let Some((name, rest)) = words.split_first() else { return refuse("expects a step.") };
    let mut rest = Cursor { words: rest, scope };
    let http = family == "http";
    let (action, comment) = match name.as_str() {
        "comment" => (Action::Comment, Some(rest.value("comment")?.to_owned())),
        "connect" => connect(&mut rest)?,
        "expect" => expect(http, &mut rest)?,
        "send" if http => {
            let (send, comment) = http_send(&mut rest)?;
            return Ok(CheckStep::HttpSend { send, comment });
        }
        "send" => {
            let text = Text::Fixed(rest.word("send")?.bytes().to_vec());
            (Action::Send(text), rest.trailing_comment()?)
        }
        "send-lf" => {
            let text = rest.format("send-lf")?;
            (Action::Send(text), rest.trailing_comment()?)
        }
        "send-binary" => {
            let bytes = binary(rest.value("send-binary")?)?;
            (Action::Send(Text::Fixed(bytes)), rest.trailing_comment()?)
        }
        "send-binary-lf" => {
            let text = rest.hex_format("send-binary-lf")?;
            (Action::Send(text), rest.trailing_comment()?)
        }
        variable => (Action::Evaluate(assignment(variable, &mut rest)?), None),
    };
    rest.end()?;
    Ok(CheckStep::Step(Step { action, comment }))
}

/// `set-var(NAME[,COND…]) EXPR`, `set-var-fmt(NAME[,COND…]) FORMAT`, `unset-var(NAME)`.
fn assignment(word: &str, rest: &mut Cursor<'_, '_>) -> Parsed<Text> {
    let known = word.split_once('(').and_then(|(kind, rest)| Some((kind, rest.strip_suffix(')')?)));
    let Some((kind, inner)) = known else {
        return refuse(format!("'{word}' expects a variable's name in parentheses."));
    };
    let mut parts = inner.split(',');
    let name = VarName::parse(parts.next().unwrap_or_default()).map_err(StepError)?;
    let tests = parts
        .map(|part| {
            Test::named(part.trim()).ok_or_else(|| StepError(format!("unknown condition \"{part}\".")))
        })
        .collect::<Parsed<Vec<Test>>>()?;
    match kind {
        "set-var" => Ok(check::set_variable(name, tests, rest.expression("set-var")?)),
        "set-var-fmt" => {
            let format = rest.log_format("set-var-fmt")?;
            Ok(check::set_variable_format(name, tests, format))
        }
        "unset-var" => Ok(check::unset_variable(name)),
        other => refuse(format!("does not know the step '{other}'.")),
    }
}

/// The words not yet taken, and where they stand.
struct Cursor<'a, 's> {
    words: &'a [Word],
    scope: &'s ParseScope<'s>,
}

impl<'a> Cursor<'a, '_> {
    fn next(&mut self) -> Option<&'a Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.first().map(Word::as_str)
    }

    fn word(&mut self, of: &str) -> Parsed<&'a Word> {
        self.next().ok_or_else(|| StepError(format!("'{of}' expects an argument.")))
    }

    fn value(&mut self, of: &str) -> Parsed<&'a str> {
        self.word(of).map(Word::as_str)
    }

    fn log_format(&mut self, of: &str) -> Parsed<LogFormat> {
        let word = self.word(of)?;
        LogFormat::parse(word, LogFormatOptions::STRING, self.scope).map_err(|diagnostic| {
            StepError(format!("'{of}' : {}.", diagnostic.message.trim_end_matches('.')))
        })
    }

    /// A text that may be a log format.
    fn format(&mut self, of: &str) -> Parsed<Text> {
        self.log_format(of).map(check::format_text)
    }

    fn hex_format(&mut self, of: &str) -> Parsed<Text> {
        let text = self.words.first().map(|word| word.as_str().to_owned()).unwrap_or_default();
        check::hex_format_text(self.log_format(of)?).ok_or_else(|| not_binary(&text))
    }

    /// A sample expression; its converters may be words of their own.
    fn expression(&mut self, of: &str) -> Parsed<Expr> {
        let Some(first) = self.words.first() else {
            return refuse(format!("'{of}' expects an expression."));
        };
        let mut words = Words::new(self.words, first.span);
        let expr = Expr::parse(&mut words, self.scope).map_err(|diagnostic| {
            StepError(format!("'{of}' : {}.", diagnostic.message.trim_end_matches('.')))
        })?;
        self.words = words.rest();
        Ok(expr)
    }

    fn trailing_comment(&mut self) -> Parsed<Option<String>> {
        match self.peek() {
            Some("comment") => {
                self.next();
                Ok(Some(self.value("comment")?.to_owned()))
            }
            _ => Ok(None),
        }
    }

    fn end(&self) -> Parsed<()> {
        self.peek().map_or(Ok(()), |word| refuse(format!("does not know the argument '{word}'.")))
    }
}

fn connect(words: &mut Cursor<'_, '_>) -> Parsed<(Action, Option<String>)> {
    let mut connect = Connect::default();
    let mut comment = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "default" => connect.default = true,
            "port" => connect.port = Some(port(words)?),
            "addr" => address(words.value("addr")?, &mut connect)?,
            "send-proxy" => connect.send_proxy = Some(ProxyHeader::V1),
            "ssl" => connect.ssl = true,
            "sni" => connect.sni = Some(words.value("sni")?.to_owned()),
            "alpn" => connect.alpn = words.value("alpn")?.split(',').map(str::to_owned).collect(),
            "via-socks4" => connect.via_socks4 = true,
            "proto" => connect.http2 = Some(http2(words.value("proto")?)?),
            "linger" => connect.linger = true,
            "comment" => comment = Some(words.value("comment")?.to_owned()),
            other => return refuse(format!("'connect' does not know the argument '{other}'.")),
        }
    }
    Ok((Action::Connect(connect), comment))
}

/// A number, or an expression that gives one when the connection is made.
fn port(words: &mut Cursor<'_, '_>) -> Parsed<Text> {
    match words.peek().map(str::parse::<u16>) {
        Some(Ok(1..)) => Ok(Text::Fixed(words.word("port")?.bytes().to_vec())),
        Some(Ok(0)) => refuse("'port' expects a port between 1 and 65535."),
        Some(Err(_)) if words.peek().is_some_and(|word| !word.bytes().all(|b| b.is_ascii_digit())) => {
            words.expression("port").map(check::expression_text)
        }
        Some(Err(_)) => refuse("'port' expects a port between 1 and 65535."),
        None => refuse("'port' expects an argument."),
    }
}

/// `ADDRESS` or `ADDRESS:PORT`.
fn address(text: &str, connect: &mut Connect) -> Parsed<()> {
    let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if let Some(address) = bare(text) {
        connect.addr = Some(address);
        return Ok(());
    }
    let parts = text.rsplit_once(':').and_then(|(ip, port)| Some((bare(ip)?, port.parse::<u16>().ok()?)));
    let Some((address, port)) = parts else { return refuse("'addr' expects an IP address.") };
    connect.addr = Some(address);
    connect.port.get_or_insert_with(|| Text::from(port.to_string().as_str()));
    Ok(())
}

/// Whether a multiplexer's name is that of HTTP/2.
pub fn http2(name: &str) -> Parsed<bool> {
    match name {
        "h2" => Ok(true),
        "h1" | "none" => Ok(false),
        other => refuse(format!("unknown MUX protocol '{other}'.")),
    }
}

fn http_send(words: &mut Cursor<'_, '_>) -> Parsed<(HttpSend, Option<String>)> {
    let mut send = HttpSend::default();
    let mut comment = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "meth" => send.method = Some(words.value("meth")?.to_owned()),
            "uri" => send.uri = Some(Text::Fixed(words.word("uri")?.bytes().to_vec())),
            "ver" => send.http11 = Some(words.value("ver")? >= "HTTP/1.1"),
            "hdr" => {
                let name = words.value("hdr")?.to_owned();
                send.headers.push((name, words.format("hdr")?));
            }
            "body" => send.body = Some(Text::Fixed(words.word("body")?.bytes().to_vec())),
            "comment" => comment = Some(words.value("comment")?.to_owned()),
            "uri-lf" => send.uri = Some(words.format("uri-lf")?),
            "body-lf" => send.body = Some(words.format("body-lf")?),
            other => return refuse(format!("'send' does not know the argument '{other}'.")),
        }
    }
    Ok((send, comment))
}

fn expect(http: bool, words: &mut Cursor<'_, '_>) -> Parsed<(Action, Option<String>)> {
    let mut expect = Expect::new(Pattern::Status(Vec::new()));
    let mut comment = None;
    loop {
        let mut word = words.value("expect")?;
        // `! status 503` and `!status 503` are both written.
        if let Some(rest) = word.strip_prefix('!').filter(|rest| !rest.is_empty()) {
            (word, expect.negated) = (rest, true);
        }
        match word {
            "!" => expect.negated = true,
            "min-recv" => {
                // -1 is the default: as much as there is.
                let value: i64 = number(words.value(word)?, word)?;
                expect.min_recv_bytes = usize::try_from(value).ok();
            }
            "comment" => comment = Some(words.value(word)?.to_owned()),
            "ok-status" => expect.ok_status = Some(status(words.value(word)?, OK_STATUSES, word)?),
            "error-status" => expect.error_status = Some(status(words.value(word)?, ERROR_STATUSES, word)?),
            "tout-status" => {
                expect.timeout_status = Some(status(words.value(word)?, TIMEOUT_STATUSES, word)?)
            }
            "on-success" => expect.on_success = Some(words.format(word)?),
            "on-error" => expect.on_error = Some(words.format(word)?),
            "status-code" => {
                expect.status_code = Some(check::expression_text(words.expression(word)?));
            }
            _ => {
                expect.pattern = pattern(http, word, words)?;
                break;
            }
        }
    }
    Ok((Action::Expect(expect), comment))
}

fn pattern(http: bool, kind: &str, words: &mut Cursor<'_, '_>) -> Parsed<Pattern> {
    Ok(match (kind, http) {
        ("string", _) => Pattern::String(Text::Fixed(words.word(kind)?.bytes().to_vec())),
        ("string-lf", _) => Pattern::String(words.format(kind)?),
        ("binary-lf", false) => Pattern::Binary(words.hex_format(kind)?),
        ("rstring", _) => Pattern::Regex(regex(words.value(kind)?)?),
        ("binary", false) => Pattern::Binary(Text::Fixed(binary(words.value(kind)?)?)),
        ("rbinary", false) => Pattern::BinaryRegex(regex(words.value(kind)?)?),
        ("status", true) => Pattern::Status(statuses(words.value(kind)?)?),
        ("rstatus", true) => Pattern::StatusRegex(regex(words.value(kind)?)?),
        ("hdr" | "fhdr", true) => Pattern::Header(header(kind == "fhdr", words)?),
        _ => {
            let known = if http {
                "status, rstatus, hdr, fhdr, string, rstring"
            } else {
                "string, rstring, binary, rbinary"
            };
            return refuse(format!("'expect' does not know '{kind}'; it takes {known}."));
        }
    })
}

/// `hdr name [-m METHOD] NAME [value [-m METHOD] VALUE]`.
fn header(full: bool, words: &mut Cursor<'_, '_>) -> Parsed<HeaderPattern> {
    let format = match words.value("hdr")? {
        "name" => false,
        "name-lf" => true,
        _ => return refuse("'hdr' expects 'name' or 'name-lf'."),
    };
    let name = matcher(words, true, format)?;
    let value = match words.peek() {
        Some(kind @ ("value" | "value-lf")) => {
            words.next();
            Some(matcher(words, false, kind == "value-lf")?)
        }
        _ => None,
    };
    Ok(HeaderPattern { full, name, value })
}

fn matcher(words: &mut Cursor<'_, '_>, without_case: bool, format: bool) -> Parsed<Matcher> {
    let mut method = "str";
    if words.peek() == Some("-m") {
        words.next();
        method = words.value("-m")?;
    }
    if method == "reg" {
        let text = words.value("name")?;
        return match (format, without_case) {
            (true, _) => refuse("log-format strings cannot be regular expressions."),
            (false, true) => Ok(Matcher::Regex(regex(&format!("(?i){text}"))?)),
            (false, false) => Ok(Matcher::Regex(regex(text)?)),
        };
    }
    let text = match format {
        true => words.format("name")?,
        false => Text::Fixed(words.word("name")?.bytes().to_vec()),
    };
    Ok(match method {
        "str" => Matcher::Exact(text),
        "beg" => Matcher::Prefix(text),
        "end" => Matcher::Suffix(text),
        "sub" => Matcher::Contains(text),
        other => return refuse(format!("'-m' does not know '{other}'; it takes str, beg, end, sub, reg.")),
    })
}

const OK_STATUSES: &[(&str, CheckStatus)] = &[
    ("L7OK", CheckStatus::Layer7Ok),
    ("L7OKC", CheckStatus::Layer7OkConditionally),
    ("L6OK", CheckStatus::Layer6Ok),
    ("L4OK", CheckStatus::Layer4Ok),
];
const ERROR_STATUSES: &[(&str, CheckStatus)] = &[
    ("L7OKC", CheckStatus::Layer7OkConditionally),
    ("L7RSP", CheckStatus::Layer7Response),
    ("L7STS", CheckStatus::Layer7Status),
    ("L6RSP", CheckStatus::Layer6Response),
    ("L4CON", CheckStatus::Layer4Connection),
];
const TIMEOUT_STATUSES: &[(&str, CheckStatus)] = &[
    ("L7TOUT", CheckStatus::Layer7Timeout),
    ("L6TOUT", CheckStatus::Layer6Timeout),
    ("L4TOUT", CheckStatus::Layer4Timeout),
];

fn status(word: &str, known: &[(&str, CheckStatus)], of: &str) -> Parsed<CheckStatus> {
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, status)| *status);
    found.ok_or_else(|| {
        let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        StepError(format!("'{of}' does not know '{word}'; it takes {names}."))
    })
}

/// `200`, `200-399`, `200,301-308`.
fn statuses(text: &str) -> Parsed<Vec<(u16, u16)>> {
    text.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u16, u16) = (number(first, "status")?, number(last, "status")?);
            if (100..=999).contains(&first) && first <= last && last <= 999 {
                Ok((first, last))
            } else {
                refuse(format!("'status' expects codes between 100 and 999 (got '{range}')."))
            }
        })
        .collect()
}

fn number<T: std::str::FromStr>(text: &str, of: &str) -> Parsed<T> {
    text.parse().map_err(|_| StepError(format!("'{of}' expects a number (got '{text}').")))
}

fn regex(text: &str) -> Parsed<Regex> {
    Regex::new(text)
        .map_err(|error| StepError(format!("cannot compile the regular expression '{text}': {error}.")))
}

/// Bytes in hexadecimal digits.
fn binary(text: &str) -> Parsed<Vec<u8>> {
    check::unhex(text.as_bytes()).ok_or_else(|| not_binary(text))
}

fn not_binary(text: &str) -> StepError {
    StepError(format!("expects pairs of hexadecimal digits (got '{text}')."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::{Contexts, LoadState, NoFiles};
    use crate::model::Mode;

    const SPAN: hacore::diag::Span =
        hacore::diag::Span { file: hacore::diag::FileId(0), line: 1, start: 0, end: 0 };

    fn stepped(family: &str, words: &[&str]) -> Parsed<CheckStep> {
        let words: Vec<Word> = words.iter().map(|word| Word::new(word.as_bytes().to_vec(), SPAN)).collect();
        let state = LoadState::default();
        step(family, &words, &state.scope(Contexts::BE_CHECK, Mode::Tcp, Some("be"), &NoFiles))
    }

    fn parsed(family: &str, line: &str) -> String {
        match stepped(family, &line.split(' ').collect::<Vec<_>>()) {
            Ok(CheckStep::Step(step)) => format!("{:?} {:?}", step.action, step.comment),
            Ok(CheckStep::HttpSend { send, comment }) => format!("{send:?} {comment:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lines_of_the_manual() {
        for (family, line, holds) in [
            ("http", "expect status 200,301-308", "Status([(200, 200), (301, 308)])"),
            ("http", "expect ! string SQL", "negated: true"),
            ("http", "expect comment why rstatus ^2", "Some(\"why\")"),
            ("http", "expect fhdr name set-cookie value -m beg sessid=", "Prefix(\"sessid=\")"),
            ("http", "send meth GET uri /health ver HTTP/1.1 hdr Host www", "http11: Some(true)"),
            ("tcp", "send PING comment ask", "Some(\"ask\")"),
            ("tcp", "expect string +PONG", "String(\"+PONG\")"),
            ("tcp", "expect min-recv 4 binary 0a0B", "Binary(\"\\n\\u{b}\")"),
            ("tcp", "connect port 443 ssl sni www", "port: Some(\"443\")"),
            ("tcp", "connect addr 192.0.2.1:8080", "port: Some(\"8080\")"),
            ("tcp", "connect port int(80),add(1) via-socks4", "port: Some((dynamic))"),
            ("http", "connect proto h2", "http2: Some(true)"),
            ("tcp", "send-lf %[be_name]", "Send((dynamic))"),
            ("tcp", "send-binary-lf 0a%[str(0b)]", "Send((dynamic))"),
            ("tcp", "set-var(check.a,ifnotexists) int(1),add(2)", "Evaluate((dynamic))"),
            ("tcp", "unset-var(check.a)", "Evaluate((dynamic))"),
            ("http", "set-var-fmt(check.a) %[srv_name]", "Evaluate((dynamic))"),
            ("http", "send uri-lf /%[var(check.a)] body-lf x", "body: Some(\"x\")"),
            (
                "http",
                "expect status-code int(7) on-error %[res.body] status 200",
                "status_code: Some((dynamic))",
            ),
            ("http", "expect hdr name-lf a%[str(b)] value-lf -m beg %[str(c)]", "Prefix((dynamic))"),
            ("tcp", "comment greeting", "Some(\"greeting\")"),
        ] {
            let text = parsed(family, line);
            assert!(text.contains(holds), "{line}: {text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (family, line, expected) in [
            ("http", "expect status 2000", "'status' expects codes between 100 and 999 (got '2000')."),
            ("http", "expect status", "'status' expects an argument."),
            (
                "http",
                "expect colour red",
                "'expect' does not know 'colour'; it takes status, rstatus, hdr, fhdr, string, rstring.",
            ),
            (
                "tcp",
                "expect status 200",
                "'expect' does not know 'status'; it takes string, rstring, binary, rbinary.",
            ),
            ("tcp", "send-binary 0a0", "expects pairs of hexadecimal digits (got '0a0')."),
            ("tcp", "send-binary +1", "expects pairs of hexadecimal digits (got '+1')."),
            ("tcp", "connect colour", "'connect' does not know the argument 'colour'."),
            ("tcp", "connect port 70000", "'port' expects a port between 1 and 65535."),
            ("tcp", "set-var(check.a,never) int(1)", "unknown condition \"never\"."),
            ("http", "unset-var", "'unset-var' expects a variable's name in parentheses."),
            ("http", "expect string a b", "does not know the argument 'b'."),
        ] {
            assert_eq!(parsed(family, line), expected, "{line}");
        }
        assert!(parsed("tcp", "expect rstring (").starts_with("cannot compile the regular expression '('"));
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(
            http in any::<bool>(),
            words in prop::collection::vec("send|send-lf|expect|connect|comment|!|status|string|hdr|name|-m|reg|port|set-var\\(check.a\\)|%\\[int\\(1\\)|.{0,6}", 0..8),
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _ = stepped(if http { "http" } else { "tcp" }, &words);
        }
    }
}
