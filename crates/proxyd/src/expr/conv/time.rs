//! Dates.

use super::strftime;
use super::{Converter, conv, data, int};
use crate::expr::fetch::unit_us;
use crate::expr::logformat::date::Civil;
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const INT: SampleType = SampleType::Int;
const STR: SampleType = SampleType::Str;
const FORMAT: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

pub(super) const CONVERTERS: &[Converter] = &[
    conv("http_date", INT, STR, http_date, "a date as HTTP headers have it")
        .args(0, &[ArgKind::Int, ArgKind::Str])
        .check(check_unit),
    conv("utime", INT, STR, |s, a, _| utc(s, a, 1_000_000), "a date in UTC by format").args(1, FORMAT),
    conv("ms_utime", INT, STR, |s, a, _| utc(s, a, 1_000), "a date in ms in UTC by format").args(1, FORMAT),
    conv("us_utime", INT, STR, |s, a, _| utc(s, a, 1), "a date in µs in UTC by format").args(1, FORMAT),
    conv("ltime", INT, STR, |s, a, c| local(s, a, c, 1_000_000), "a date in local time by format")
        .args(1, FORMAT),
    conv("ms_ltime", INT, STR, |s, a, c| local(s, a, c, 1_000), "a date in ms in local time by format")
        .args(1, FORMAT),
    conv("us_ltime", INT, STR, |s, a, c| local(s, a, c, 1), "a date in µs in local time by format")
        .args(1, FORMAT),
    conv("date", STR, INT, parse_date, "seconds since the epoch of an HTTP date"),
];

fn check_unit(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    unit_us(args.bytes(1)).map(|_| ()).ok_or_else(|| "expects 's', 'ms' or 'us' as unit".to_owned())
}

fn http_date<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let unit_us = i64::try_from(unit_us(args.bytes(1))?).ok()?;
    let per_second = 1_000_000 / unit_us;
    let value = int(&sample)?.saturating_add(args.int(0).unwrap_or(0));
    let mut text = Civil::from_unix(value.div_euclid(per_second)).http_text();
    // Below seconds the fraction is shown, as HAProxy does.
    if per_second > 1 {
        text.insert_str(text.len() - " GMT".len(), &format!(".{}", fraction(value, unit_us)));
    }
    Some(Sample::str(text))
}

/// The value with its offset in seconds, split into seconds and the digits below.
fn split(sample: &Sample<'_>, args: &Args, unit_us: i64) -> Option<(i64, String)> {
    let per_second = 1_000_000 / unit_us;
    let value = int(sample)?.saturating_add(args.int(1).unwrap_or(0));
    Some((value.div_euclid(per_second), fraction(value, unit_us)))
}

/// The digits below a second.
fn fraction(value: i64, unit_us: i64) -> String {
    let rest = value.rem_euclid(1_000_000 / unit_us);
    match unit_us {
        1 => format!("{rest:06}"),
        1000 => format!("{rest:03}"),
        _ => String::new(),
    }
}

fn utc<'a>(sample: Sample<'a>, args: &'a Args, unit_us: i64) -> Option<Sample<'a>> {
    let (seconds, fraction) = split(&sample, args, unit_us)?;
    Some(Sample::str(strftime::format(args.text(0)?, seconds, &fraction, 0, "GMT")))
}

fn local<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>, unit_us: i64) -> Option<Sample<'a>> {
    let (seconds, fraction) = split(&sample, args, unit_us)?;
    let offset_s = ctx.env.utc_offset_s(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000));
    let zone =
        if offset_s == 0 { "UTC".to_owned() } else { crate::expr::logformat::date::offset_text(offset_s) };
    Some(Sample::str(strftime::format(args.text(0)?, seconds, &fraction, offset_s, &zone)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` and its two obsolete forms (RFC 9110 §5.6.7).
fn parse_date<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let text = std::str::from_utf8(&data).ok()?;
    let words: Vec<&str> = text.split([' ', '-', ',']).filter(|w| !w.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).filter(|at| at % 3 == 0)? as i64 / 3 + 1;
    let mut year: i64 = year.parse().ok()?;
    if year < 100 {
        year += if year < 70 { 2000 } else { 1900 };
    }
    let mut clock = time.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    Some(Sample::Int(
        days_from_civil(year, month, day.parse().ok()?) * 86_400 + hour * 3600 + minute * 60 + second,
    ))
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
