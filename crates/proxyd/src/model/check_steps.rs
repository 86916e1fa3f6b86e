//! What the words of `tcp-check` and `http-check` lines mean: steps of a probe.
//!
//! The configuration calls it to judge a line, the check driver to run it. What needs the expression engine (`*-lf`
//! forms, variables, `%[…]` in texts) is refused by name.

use hacore::health::CheckStatus;
use hacore::probe::ProxyHeader;
use hacore::probe::steps::{
    Action, Connect, Expect, HeaderPattern, HttpRequest, HttpSend, Matcher, Pattern, Step, Text,
};
use regex::bytes::Regex;

use super::CheckRule;

/// A step, or for `http-check send` what it says about the request.
#[derive(Debug, Clone)]
pub enum CheckStep {
    Step(Step),
    /// Stands on the `option httpchk` line or on the default request; see [`HttpSend::over`].
    HttpSend {
        send: HttpSend,
        comment: Option<String>,
    },
}

/// Why a line is refused; begins in lower case and ends with a full stop, as behind the keyword's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepError(String);

type Parsed<T> = Result<T, StepError>;

fn refuse<T>(message: impl Into<String>) -> Parsed<T> {
    Err(StepError(message.into()))
}

/// The steps of a backend's check in order; `line` is the request of the `option httpchk` line.
pub fn steps(rules: &[CheckRule], family: &str, line: &HttpRequest) -> Parsed<Vec<Step>> {
    let mut steps = Vec::new();
    let mut first_send = true;
    for rule in rules.iter().filter(|rule| rule.family == family) {
        match step(rule.family, &rule.words)? {
            CheckStep::Step(step) => steps.push(step),
            CheckStep::HttpSend { send, comment } => {
                let request = if first_send { send.over(line) } else { send.over(&HttpRequest::default()) };
                first_send = false;
                steps.push(Step { action: Action::SendHttp(request), comment });
            }
        }
    }
    Ok(steps)
}

/// The step of one line: `family` is `tcp` or `http`, `words` what follows `tcp-check` or `http-check`.
pub fn step(family: &str, words: &[String]) -> Parsed<CheckStep> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((name, rest)) = words.split_first() else { return refuse("expects a step.") };
    let mut rest = Cursor(rest);
    let http = family == "http";
    let (action, comment) = match *name {
        "comment" => (Action::Comment, Some(rest.value("comment")?.to_owned())),
        "connect" => connect(&mut rest)?,
        "expect" => expect(http, &mut rest)?,
        "send" if http => {
            let (send, comment) = http_send(&mut rest)?;
            return Ok(CheckStep::HttpSend { send, comment });
        }
        "send" => {
            let text = Text::from(rest.value("send")?);
            (Action::Send(text), rest.trailing_comment()?)
        }
        "send-binary" => {
            let bytes = binary(rest.value("send-binary")?)?;
            (Action::Send(Text::Fixed(bytes)), rest.trailing_comment()?)
        }
        other => return refuse(format!("'{other}' is not supported yet: it needs expressions in checks.")),
    };
    rest.end()?;
    Ok(CheckStep::Step(Step { action, comment }))
}

/// The words not yet taken.
struct Cursor<'a>(&'a [&'a str]);

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn value(&mut self, of: &str) -> Parsed<&'a str> {
        self.next().ok_or_else(|| StepError(format!("'{of}' expects an argument.")))
    }

    /// A text that may be a log format: fixed as long as it holds no `%`.
    fn format(&mut self, of: &str) -> Parsed<Text> {
        let value = self.value(of)?;
        if value.replace("%%", "").contains('%') {
            return refuse(format!("'{of}' with '%' is not supported yet: it needs expressions in checks."));
        }
        Ok(Text::from(value.replace("%%", "%").as_str()))
    }

    fn trailing_comment(&mut self) -> Parsed<Option<String>> {
        match self.0.first() {
            Some(&"comment") => {
                self.next();
                Ok(Some(self.value("comment")?.to_owned()))
            }
            _ => Ok(None),
        }
    }

    fn end(&self) -> Parsed<()> {
        self.0.first().map_or(Ok(()), |word| refuse(format!("does not know the argument '{word}'.")))
    }
}

fn connect(words: &mut Cursor<'_>) -> Parsed<(Action, Option<String>)> {
    let mut connect = Connect::default();
    let mut comment = None;
    while let Some(word) = words.next() {
        match word {
            "default" => connect.default = true,
            "port" => connect.port = Some(number(words.value("port")?, "port")?),
            "addr" => match words.value("addr")?.parse() {
                Ok(address) => connect.addr = Some(address),
                Err(_) => return refuse("'addr' expects an IP address."),
            },
            "send-proxy" => connect.send_proxy = Some(ProxyHeader::V1),
            "ssl" => connect.ssl = true,
            "sni" => connect.sni = Some(words.value("sni")?.to_owned()),
            "alpn" => connect.alpn = words.value("alpn")?.split(',').map(str::to_owned).collect(),
            "linger" => connect.linger = true,
            "comment" => comment = Some(words.value("comment")?.to_owned()),
            other => return refuse(format!("'connect' does not know the argument '{other}'.")),
        }
    }
    Ok((Action::Connect(connect), comment))
}

fn http_send(words: &mut Cursor<'_>) -> Parsed<(HttpSend, Option<String>)> {
    let mut send = HttpSend::default();
    let mut comment = None;
    while let Some(word) = words.next() {
        match word {
            "meth" => send.method = Some(words.value("meth")?.to_owned()),
            "uri" => send.uri = Some(Text::from(words.value("uri")?)),
            "ver" => send.http11 = Some(words.value("ver")? >= "HTTP/1.1"),
            "hdr" => {
                let name = words.value("hdr")?.to_owned();
                send.headers.push((name, words.format("hdr")?));
            }
            "body" => send.body = Some(Text::from(words.value("body")?)),
            "comment" => comment = Some(words.value("comment")?.to_owned()),
            "uri-lf" | "body-lf" => {
                return refuse(format!("'{word}' is not supported yet: it needs expressions in checks."));
            }
            other => return refuse(format!("'send' does not know the argument '{other}'.")),
        }
    }
    Ok((send, comment))
}

fn expect(http: bool, words: &mut Cursor<'_>) -> Parsed<(Action, Option<String>)> {
    let mut expect = Expect::new(Pattern::Status(Vec::new()));
    let mut comment = None;
    loop {
        let word = words.value("expect")?;
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
                return refuse("'status-code' is not supported yet: it needs expressions in checks.");
            }
            _ => {
                expect.pattern = pattern(http, word, words)?;
                break;
            }
        }
    }
    Ok((Action::Expect(expect), comment))
}

fn pattern(http: bool, kind: &str, words: &mut Cursor<'_>) -> Parsed<Pattern> {
    // `! status 503` and `!status` are both written.
    Ok(match (kind, http) {
        ("string", _) => Pattern::String(Text::from(words.value(kind)?)),
        ("rstring", _) => Pattern::Regex(regex(words.value(kind)?)?),
        ("binary", false) => Pattern::Binary(Text::Fixed(binary(words.value(kind)?)?)),
        ("rbinary", false) => Pattern::BinaryRegex(regex(words.value(kind)?)?),
        ("status", true) => Pattern::Status(statuses(words.value(kind)?)?),
        ("rstatus", true) => Pattern::StatusRegex(regex(words.value(kind)?)?),
        ("hdr" | "fhdr", true) => Pattern::Header(header(kind == "fhdr", words)?),
        ("string-lf" | "binary-lf", _) => {
            return refuse(format!("'{kind}' is not supported yet: it needs expressions in checks."));
        }
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
fn header(full: bool, words: &mut Cursor<'_>) -> Parsed<HeaderPattern> {
    match words.value("hdr")? {
        "name" => {}
        "name-lf" => return refuse("'name-lf' is not supported yet: it needs expressions in checks."),
        _ => return refuse("'hdr' expects 'name'."),
    }
    let name = matcher(words, true)?;
    let value = match words.0.first() {
        Some(&"value") => {
            words.next();
            Some(matcher(words, false)?)
        }
        Some(&"value-lf") => {
            return refuse("'value-lf' is not supported yet: it needs expressions in checks.");
        }
        _ => None,
    };
    Ok(HeaderPattern { full, name, value })
}

fn matcher(words: &mut Cursor<'_>, without_case: bool) -> Parsed<Matcher> {
    let mut method = "str";
    if words.0.first() == Some(&"-m") {
        words.next();
        method = words.value("-m")?;
    }
    let text = words.value("name")?;
    Ok(match method {
        "str" => Matcher::Exact(Text::from(text)),
        "beg" => Matcher::Prefix(Text::from(text)),
        "end" => Matcher::Suffix(Text::from(text)),
        "sub" => Matcher::Contains(Text::from(text)),
        "reg" if without_case => Matcher::Regex(regex(&format!("(?i){text}"))?),
        "reg" => Matcher::Regex(regex(text)?),
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
    let wrong = || StepError(format!("expects pairs of hexadecimal digits (got '{text}')."));
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).map_err(|_| wrong())?;
            u8::from_str_radix(digits, 16).map_err(|_| wrong())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn parsed(family: &str, line: &str) -> String {
        match step(family, &words(line)) {
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
            ("tcp", "connect port 443 ssl sni www", "port: Some(443)"),
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
            ("tcp", "send-lf %[x]", "'send-lf' is not supported yet: it needs expressions in checks."),
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
            words in prop::collection::vec("send|expect|connect|comment|!|status|string|hdr|name|-m|reg|.{0,6}", 0..8),
        ) {
            let _ = step(if http { "http" } else { "tcp" }, &words);
        }
    }
}
