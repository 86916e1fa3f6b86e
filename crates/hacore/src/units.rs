//! Times and sizes as both daemons' configurations write them (haproxy configuration manual, section 2.5 "Time format").
//!
//! It does not know which keyword it reads for: the caller puts the error into the original's sentence.

use std::time::Duration;

/// The longest time that is accepted: 2147483647 ms, about 24.8 days.
pub const DURATION_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// The unit of a number that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl TimeUnit {
    fn microseconds(self) -> u64 {
        match self {
            TimeUnit::Microseconds => 1,
            TimeUnit::Milliseconds => 1_000,
            TimeUnit::Seconds => 1_000_000,
            TimeUnit::Minutes => 60_000_000,
            TimeUnit::Hours => 3_600_000_000,
            TimeUnit::Days => 86_400_000_000,
        }
    }
}

/// Why a time or size is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("unexpected character '{0}'")]
    Unexpected(char),
    /// Larger than [`DURATION_MAX`], or than the size's type can hold.
    #[error("value is too large")]
    Overflow,
    /// Not zero, but less than one millisecond.
    #[error("value is smaller than one unit")]
    Underflow,
    #[error("missing value")]
    Empty,
}

/// Reads `10`, `10s`, `1500us`, `2d`; a bare number counts in `unit`.
///
/// The result is whole milliseconds, rounded up as HAProxy does. Errors: an unknown unit or other character, more
/// than [`DURATION_MAX`], a positive time below one millisecond.
pub fn parse_duration(text: &str, unit: TimeUnit) -> Result<Duration, UnitError> {
    let (number, rest) = split_number(text)?;
    let (unit, used) = match rest.as_bytes() {
        [] => (unit, 0),
        [b'u', b's', ..] => (TimeUnit::Microseconds, 2),
        [b'm', b's', ..] => (TimeUnit::Milliseconds, 2),
        [b's', ..] => (TimeUnit::Seconds, 1),
        [b'm', ..] => (TimeUnit::Minutes, 1),
        [b'h', ..] => (TimeUnit::Hours, 1),
        [b'd', ..] => (TimeUnit::Days, 1),
        _ => return Err(first_unexpected(rest)),
    };
    let rest = rest.get(used..).unwrap_or_default();
    if !rest.is_empty() {
        return Err(first_unexpected(rest));
    }
    let microseconds = number.checked_mul(unit.microseconds()).ok_or(UnitError::Overflow)?;
    let duration = Duration::from_millis(microseconds.div_ceil(1_000));
    if duration > DURATION_MAX {
        return Err(UnitError::Overflow);
    }
    if number != 0 && microseconds < 1_000 {
        return Err(UnitError::Underflow);
    }
    Ok(duration)
}

/// Reads `100`, `16k`, `1M`, `2g` as bytes; the suffix is a power of 1024, in either case.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, rest) = split_number(text)?;
    let shift = match rest.as_bytes() {
        [] => 0,
        [b'k' | b'K'] => 10,
        [b'm' | b'M'] => 20,
        [b'g' | b'G'] => 30,
        _ => return Err(first_unexpected(rest)),
    };
    number.checked_mul(1 << shift).ok_or(UnitError::Overflow)
}

fn split_number(text: &str) -> Result<(u64, &str), UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(first_unexpected(rest));
    }
    Ok((number.parse().map_err(|_| UnitError::Overflow)?, rest))
}

fn first_unexpected(rest: &str) -> UnitError {
    rest.chars().next().map_or(UnitError::Empty, UnitError::Unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_their_unit_or_the_keywords_own() {
        let ms = |text| parse_duration(text, TimeUnit::Milliseconds).map(|d| d.as_millis());
        assert_eq!(ms("5000"), Ok(5000));
        assert_eq!(ms("5s"), Ok(5000));
        assert_eq!(ms("2m"), Ok(120_000));
        assert_eq!(ms("1d"), Ok(86_400_000));
        assert_eq!(ms("1500us"), Ok(2));
        assert_eq!(ms("5x"), Err(UnitError::Unexpected('x')));
        assert_eq!(ms("5ss"), Err(UnitError::Unexpected('s')));
        assert_eq!(ms("10us"), Err(UnitError::Underflow));
        assert_eq!(ms("25d"), Err(UnitError::Overflow));
        assert_eq!(ms("99999999999999999999999"), Err(UnitError::Overflow));
        assert_eq!(ms(""), Err(UnitError::Empty));
        assert_eq!(parse_duration("10", TimeUnit::Seconds), Ok(Duration::from_secs(10)));
    }

    #[test]
    fn sizes_take_k_m_and_g() {
        assert_eq!(parse_size("16k"), Ok(16384));
        assert_eq!(parse_size("1M"), Ok(1 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        assert_eq!(parse_size("16kb"), Err(UnitError::Unexpected('k')));
        assert_eq!(parse_size("99999999999g"), Err(UnitError::Overflow));
    }
}
