//! Numbers, timers, booleans and addresses as keepalived writes them, with its messages for what is wrong.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Why a word is no acceptable number. The texts are keepalived's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    #[error("invalid number '{0}'")]
    Invalid(String),
    #[error("negative number '{0}'")]
    Negative(String),
    #[error("number '{text}' outside range [{low}, {high}]")]
    Range { text: String, low: String, high: String },
}

/// A decimal whole number within `range`.
pub(super) fn integer(text: &str, range: &RangeInclusive<i64>) -> Result<i64, NumberError> {
    let (low, high) = (*range.start(), *range.end());
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Invalid(text.to_owned()));
    }
    if text.starts_with('-') && low >= 0 {
        return Err(NumberError::Negative(text.to_owned()));
    }
    text.parse::<i64>().ok().filter(|value| range.contains(value)).ok_or_else(|| NumberError::Range {
        text: text.to_owned(),
        low: low.to_string(),
        high: high.to_string(),
    })
}

/// A timer as it was read.
pub(super) struct Timer {
    pub(super) value: Result<u64, NumberError>,
    /// More than six decimals: keepalived says so and rounds.
    pub(super) extra_decimals: bool,
}

/// Decimal seconds as microseconds (manual, `<TIMER>`): `3`, `2.71828`, `1.`, `.5`.
pub(super) fn timer(text: &str, range_us: &RangeInclusive<u64>) -> Timer {
    let invalid = |error| Timer { value: Err(error), extra_decimals: false };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if seconds.starts_with('-') && timer_digits(seconds.trim_start_matches('-'), fraction) {
        return invalid(NumberError::Negative(text.to_owned()));
    }
    if !timer_digits(seconds, fraction) {
        return invalid(NumberError::Invalid(text.to_owned()));
    }
    let whole = if seconds.is_empty() { Some(0) } else { seconds.parse::<u64>().ok() };
    let decimals: String = fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    let round = u64::from(fraction.as_bytes().get(6).is_some_and(|digit| *digit >= b'5'));
    let value = whole
        .and_then(|whole| whole.checked_mul(1_000_000))
        .and_then(|us| us.checked_add(decimals.parse::<u64>().ok()?))
        .and_then(|us| us.checked_add(round))
        .filter(|us| range_us.contains(us))
        .ok_or_else(|| NumberError::Range {
            text: text.to_owned(),
            low: seconds_text(*range_us.start()),
            high: seconds_text(*range_us.end()),
        });
    Timer { value, extra_decimals: fraction.len() > 6 }
}

fn timer_digits(seconds: &str, fraction: &str) -> bool {
    (!seconds.is_empty() || !fraction.is_empty())
        && seconds.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
}

/// Microseconds as keepalived prints them: `1.400000`.
pub(super) fn seconds_text(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// `<BOOL>`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// `ADDRESS` or `ADDRESS/LEN`; the length is left as text because a wrong one has a message of its own.
pub(super) fn address(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    Some((address.parse().ok()?, length))
}

/// The longest prefix of the address's family.
pub(super) fn length_max(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `ADDRESS[/LEN]` with a valid length.
pub(super) fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = address(text)?;
    let max = length_max(address);
    let length = length.map_or(Some(max), |length| length.parse().ok().filter(|length| *length <= max))?;
    Some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_keepalived_s_messages() {
        let message = |text| integer(text, &(1..=255)).unwrap_err().to_string();
        assert_eq!(integer("010", &(1..=255)), Ok(10));
        assert_eq!(message("5x"), "invalid number '5x'");
        assert_eq!(message("0x20"), "invalid number '0x20'");
        assert_eq!(message("-1"), "negative number '-1'");
        assert_eq!(message("300"), "number '300' outside range [1, 255]");
        assert_eq!(message("99999999999999999999"), "number '99999999999999999999' outside range [1, 255]");
    }

    #[test]
    fn timers_are_microseconds() {
        let all = 10_000..=255_000_000;
        let read = |text| timer(text, &all).value;
        assert_eq!(read("1"), Ok(1_000_000));
        assert_eq!(read("1."), Ok(1_000_000));
        assert_eq!(read(".5"), Ok(500_000));
        assert_eq!(read("0.1234567"), Ok(123_457));
        assert_eq!(read("0").unwrap_err().to_string(), "number '0' outside range [0.010000, 255.000000]");
        assert_eq!(read("1s").unwrap_err().to_string(), "invalid number '1s'");
        assert_eq!(read(".").unwrap_err().to_string(), "invalid number '.'");
        assert!(timer("0.1234567", &all).extra_decimals);
    }
}
