//! `~SEQ`, `~SEQx` and `~LST`: the values that a line is repeated over.

use pest::iterators::Pair;

use super::lexer::{self, Rule};

/// A parsed repetition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Sequence {
        name: String,
        start: i64,
        step: i64,
        end: i64,
        hex: bool,
    },
    /// Names, and per turn as many values.
    List {
        names: Vec<String>,
        turns: Vec<Vec<String>>,
    },
}

/// Why a repetition cannot be carried out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RepeatError {
    #[error("invalid ~SEQ or ~LST block '{0}'")]
    Syntax(String),
    #[error("invalid number '{0}' in ~SEQ")]
    Number(String),
    #[error("~SEQ step must not be 0")]
    ZeroStep,
    #[error("~LST has {names} variables but {values} values")]
    Count { names: usize, values: usize },
}

/// Whether a line starts a repetition.
pub(super) fn starts(line: &str) -> bool {
    line.starts_with("~SEQ") || line.starts_with("~LST")
}

/// The repetition at the start of `line`, and how long it is.
pub(super) fn parse(line: &str) -> Result<(Repeat, usize), RepeatError> {
    let syntax = || RepeatError::Syntax(line.chars().take(60).collect());
    let pair = lexer::parse(Rule::repeat, line).ok_or_else(syntax)?;
    let length = pair.as_str().len();
    let block = pair.into_inner().next().ok_or_else(syntax)?;
    let repeat = if block.as_rule() == Rule::sequence { sequence(block)? } else { list(block)? };
    Ok((repeat, length))
}

fn sequence(pair: Pair<'_, Rule>) -> Result<Repeat, RepeatError> {
    let mut hex = false;
    let mut name = String::new();
    let mut numbers = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::hex => hex = !part.as_str().is_empty(),
            Rule::name => name = part.as_str().to_owned(),
            _ => numbers.push(number(part.as_str())?),
        }
    }
    let (start, step, end) = match numbers[..] {
        [start, step, end] => (start, step, end),
        [start, end] => (start, if end >= start { 1 } else { -1 }, end),
        [end] => {
            let start = if end > 0 { 1 } else { -1 };
            (start, start, end)
        }
        _ => return Err(RepeatError::Syntax("~SEQ".into())),
    };
    if step == 0 {
        return Err(RepeatError::ZeroStep);
    }
    Ok(Repeat::Sequence { name, start, step, end, hex })
}

fn number(text: &str) -> Result<i64, RepeatError> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => digits.parse::<i64>(),
    };
    let value = value.map_err(|_| RepeatError::Number(text.to_owned()))?;
    Ok(if negative { -value } else { value })
}

fn list(pair: Pair<'_, Rule>) -> Result<Repeat, RepeatError> {
    let mut names = Vec::new();
    let mut turns = Vec::new();
    for part in pair.into_inner() {
        let texts: Vec<String> = part.clone().into_inner().map(|inner| inner.as_str().to_owned()).collect();
        if part.as_rule() == Rule::variables {
            names = texts;
        } else if texts.len() == names.len() {
            turns.push(texts);
        } else {
            return Err(RepeatError::Count { names: names.len(), values: texts.len() });
        }
    }
    Ok(Repeat::List { names, turns })
}

impl Repeat {
    /// The assignments of each turn, lazily: a sequence may be long and the caller has a budget.
    pub(super) fn turns(&self) -> Box<dyn Iterator<Item = Vec<(&str, String)>> + '_> {
        match self {
            Self::Sequence { name, start, step, end, hex } => {
                let inside = move |value: &i64| if *step > 0 { value <= end } else { value >= end };
                let values = std::iter::successors(Some(*start), move |value| value.checked_add(*step));
                Box::new(values.take_while(inside).map(move |value| {
                    let text = if *hex { format!("{value:x}") } else { value.to_string() };
                    vec![(name.as_str(), text)]
                }))
            }
            Self::List { names, turns } => Box::new(
                turns.iter().map(|turn| names.iter().map(String::as_str).zip(turn.iter().cloned()).collect()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        let (repeat, _) = parse(line).unwrap();
        repeat
            .turns()
            .map(|turn| turn.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join("/"))
            .collect()
    }

    #[test]
    fn the_manuals_examples() {
        assert_eq!(values("~SEQ(SUBNET, 0, 3) x"), ["0", "1", "2", "3"]);
        assert_eq!(values("~SEQx(SUBNET, 0x90, 0x10, 0xc0) x"), ["90", "a0", "b0", "c0"]);
        assert_eq!(values("~SEQx(SUBNET, 144, 16, 192) x"), ["90", "a0", "b0", "c0"]);
        assert_eq!(values("~SEQ(Q,3,1)"), ["3", "2", "1"]);
        assert_eq!(values("~SEQ(Q,1,5,12)"), ["1", "6", "11"]);
        assert_eq!(values("~SEQ(Q,2)"), ["1", "2"]);
        assert_eq!(values("~LST({IP, IP1}, {10,1},{20,4}) 192"), ["10/1", "20/4"]);
        assert_eq!(values("~LST(IP, 1, 2, 3)"), ["1", "2", "3"]);
    }

    #[test]
    fn what_cannot_be_repeated_is_an_error() {
        assert_eq!(parse("~SEQ(Q,1,0,3)"), Err(RepeatError::ZeroStep));
        assert_eq!(parse("~LST({A,B},{1})"), Err(RepeatError::Count { names: 2, values: 1 }));
        assert!(matches!(parse("~SEQ(Q)"), Err(RepeatError::Syntax(_))));
    }
}
