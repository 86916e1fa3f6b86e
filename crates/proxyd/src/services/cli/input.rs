//! Lines, commands and words of an admin session's input.
//!
//! `;` separates commands, blanks separate words, a backslash takes the next character as it is, `<<` as the last word
//! announces a payload that ends with an empty line, or with a line that repeats what follows `<<`.

/// The longest line (HAProxy's is its buffer, `tune.bufsize`).
pub const LINE_LENGTH_MAX: usize = 16_384;
/// The largest payload: certificates with their chain and maps come this way.
pub const PAYLOAD_LENGTH_MAX: usize = 4 * 1024 * 1024;
/// The most words of one command.
pub const WORDS_MAX: usize = 64;

/// One command and whether it waits for a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub words: Vec<String>,
    /// The line that ends the payload (empty by default); `None` without a payload.
    pub payload_end: Option<String>,
}

/// The commands of one line, without empty ones.
pub fn commands(line: &str) -> Vec<Command> {
    let parts = split(line, |c| c == ';');
    let last = parts.len().saturating_sub(1);
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| command(part, index == last))
        .filter(|command| !command.words.is_empty())
        .collect()
}

fn command(text: &str, may_have_payload: bool) -> Command {
    let mut words: Vec<&str> = split(text, char::is_whitespace);
    words.retain(|word| !word.is_empty());
    let mut payload_end = None;
    if may_have_payload && let Some(end) = words.last().and_then(|last| last.strip_prefix("<<")) {
        payload_end = Some(end.to_owned());
        words.pop();
    }
    words.truncate(WORDS_MAX);
    Command { words: words.into_iter().map(unescape).collect(), payload_end }
}

/// Splits at separators that no backslash precedes; the backslashes stay.
fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if separates(c) {
            parts.push(text.get(start..at).unwrap_or_default());
            start = at + c.len_utf8();
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn unescape(word: &str) -> String {
    if !word.contains('\\') {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<String>> {
        commands(line).into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn semicolons_blanks_and_backslashes() {
        for (line, expected) in [
            ("show info", vec![vec!["show", "info"]]),
            ("  show   info ; ; show\tstat;", vec![vec!["show", "info"], vec!["show", "stat"]]),
            (r"add map f a\;b c\ d", vec![vec!["add", "map", "f", "a;b", "c d"]]),
            (r"set map f k a\\b", vec![vec!["set", "map", "f", "k", r"a\b"]]),
            (r"x\", vec![vec!["x\\"]]),
            ("", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn only_the_last_command_may_announce_a_payload() {
        let all = commands("show info; add map f <<");
        assert_eq!(
            all[1],
            Command { words: vec!["add".into(), "map".into(), "f".into()], payload_end: Some("".into()) }
        );
        assert_eq!(commands("set ssl cert f <<%EOF%")[0].payload_end.as_deref(), Some("%EOF%"));
        assert_eq!(commands("a <<; b")[0].payload_end, None);
    }
}
