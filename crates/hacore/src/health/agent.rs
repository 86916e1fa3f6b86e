//! What an agent may say (manual, server option "agent-check").

use std::time::Duration;

use super::check::{CheckResult, CheckStatus};
use super::state::AdminState;

/// The longest line taken from an agent, in bytes.
pub const AGENT_LINE_LENGTH_MAX: usize = 1024;

/// An agent's line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAnswer {
    /// The weight in percent of the configured one.
    pub weight_percent: Option<u32>,
    /// `maxconn:N`.
    pub maxconn: Option<u32>,
    /// `ready`, `drain`, `maint`; the last one counts.
    pub admin: Option<AdminState>,
    /// What it says about the state, in HAProxy's words: L7OK, L7STS or CHECKED.
    pub result: CheckResult,
}

impl AgentAnswer {
    /// What it is to have got no line: a result that says nothing about the server.
    pub fn without_words(result: CheckResult) -> Self {
        AgentAnswer { weight_percent: None, maxconn: None, admin: None, result }
    }
}

/// Understands what came from the agent. `bytes` is all that came, with its line end if there was one.
pub fn parse(bytes: &[u8], duration: Duration) -> AgentAnswer {
    let mut answer = AgentAnswer::without_words(CheckResult::new(CheckStatus::Checked, duration));
    let bytes = &bytes[..bytes.len().min(AGENT_LINE_LENGTH_MAX)];
    let Some(end) = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
        answer.result = answer.result.with_description("Ignoring incomplete line from agent");
        return answer;
    };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let (words, reason) = match line.split_once('#') {
        Some((words, reason)) => (words, Some(reason.trim())),
        None => (&*line, None),
    };
    let (mut state, mut unknown, mut bad_maxconn) = (None, None, false);
    for word in words.split([' ', '\t', ',']).filter(|w| !w.is_empty()) {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "up" => state = Some((CheckStatus::Layer7Ok, word)),
            "down" | "fail" | "stopped" => state = Some((CheckStatus::Layer7Status, word)),
            "ready" => answer.admin = Some(AdminState::Ready),
            "drain" => answer.admin = Some(AdminState::Drain),
            "maint" => answer.admin = Some(AdminState::Maintenance),
            _ => match other_word(&lower) {
                Some(Other::Weight(percent)) => answer.weight_percent = Some(percent),
                Some(Other::Maxconn(Some(maxconn))) => answer.maxconn = Some(maxconn),
                Some(Other::Maxconn(None)) => bad_maxconn = true,
                None => unknown = unknown.or(Some(word)),
            },
        }
    }
    let result = answer.result;
    answer.result = match (state, reason.or(unknown)) {
        (Some((status, word)), note) => {
            let note = note.filter(|n| !n.is_empty()).map(|n| format!(" ({n})")).unwrap_or_default();
            CheckResult { status, ..result }.with_description(format!("via agent : {word}{note}"))
        }
        (None, Some(note)) => result.with_description(format!("agent reports an error : {note}")),
        (None, None) if bad_maxconn => {
            result.with_description("agent warns : maxconn string empty or preceded by garbage")
        }
        (None, None) => result,
    };
    answer
}

enum Other {
    Weight(u32),
    Maxconn(Option<u32>),
}

fn other_word(word: &str) -> Option<Other> {
    if let Some(number) = word.strip_prefix("maxconn:") {
        return Some(Other::Maxconn(digits(number)));
    }
    word.strip_suffix('%').and_then(digits).map(Other::Weight)
}

/// A number of digits only, saturating.
fn digits(text: &str) -> Option<u32> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(line: &str) -> (&'static str, String) {
        let answer = parse(line.as_bytes(), Duration::ZERO);
        (answer.result.status.word(), answer.result.description)
    }

    /// Recorded from HAProxy 2.6 with an agent that sent these lines.
    #[test]
    fn agent_words_are_answered_as_by_haproxy() {
        for (line, word, description) in [
            ("up\n", "L7OK", "via agent : up"),
            ("UP\n", "L7OK", "via agent : UP"),
            ("50%\n", "CHECKED", ""),
            ("drain\n", "CHECKED", ""),
            ("fail\n", "L7STS", "via agent : fail"),
            ("down\r\n", "L7STS", "via agent : down"),
            ("down no\n", "L7STS", "via agent : down (no)"),
            ("down #my reason\n", "L7STS", "via agent : down (my reason)"),
            ("down # my reason, x\n", "L7STS", "via agent : down (my reason, x)"),
            ("drain down\n", "L7STS", "via agent : down"),
            ("garbage\n", "CHECKED", "agent reports an error : garbage"),
            ("-5%\n", "CHECKED", "agent reports an error : -5%"),
            ("5\n", "CHECKED", "agent reports an error : 5"),
            ("maxconn:x\n", "CHECKED", "agent warns : maxconn string empty or preceded by garbage"),
            ("up", "CHECKED", "Ignoring incomplete line from agent"),
        ] {
            assert_eq!(said(line), (word, description.to_owned()), "{line:?}");
        }
    }

    /// The manual promises it ("optionally followed by a description string after a sharp"); HAProxy 2.6 wants a blank.
    #[test]
    fn a_sharp_right_after_the_word_starts_the_reason() {
        assert_eq!(said("stopped#disk full\n"), ("L7STS", "via agent : stopped (disk full)".to_owned()));
    }

    #[test]
    fn several_words_are_all_taken() {
        let answer = parse(b"ready,up,20% maxconn:30\n", Duration::ZERO);
        assert_eq!(
            (answer.weight_percent, answer.maxconn, answer.admin),
            (Some(20), Some(30), Some(AdminState::Ready))
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let answer = parse(&bytes, Duration::ZERO);
            prop_assert!(answer.result.description.len() <= super::super::check::DESCRIPTION_LENGTH_MAX);
        }
    }
}
