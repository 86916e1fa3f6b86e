//! `strftime(3)` formats in the C locale.

use crate::expr::logformat::date::{Civil, offset_text};

/// Writes `seconds` (since the epoch, UTC) as local time `offset_s` ahead of UTC; `fraction` is what `%N` shows.
///
/// A directive that C does not know is copied.
pub(super) fn format(format: &str, seconds: i64, fraction: &str, offset_s: i32, zone: &str) -> String {
    let civil = Civil::from_unix(seconds.saturating_add(i64::from(offset_s)));
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(directive) = chars.next() else {
            out.push('%');
            break;
        };
        // `%E` and `%O` select other representations, which the C locale has not.
        let directive =
            if matches!(directive, 'E' | 'O') { chars.next().unwrap_or(directive) } else { directive };
        match directive {
            'N' => out.push_str(fraction),
            'z' => out.push_str(&offset_text(offset_s)),
            'Z' => out.push_str(zone),
            's' => out.push_str(&seconds.to_string()),
            other => push(&mut out, &civil, other),
        }
    }
    out
}

const LONG_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn push(out: &mut String, c: &Civil, directive: char) {
    let hour12 = match c.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match directive {
        'a' => c.weekday_name().to_owned(),
        'A' => LONG_DAYS.get(c.weekday as usize).copied().unwrap_or("?").to_owned(),
        'b' | 'h' => c.month_name().to_owned(),
        'B' => LONG_MONTHS.get(c.month as usize - 1).copied().unwrap_or("?").to_owned(),
        'C' => format!("{:02}", c.year.div_euclid(100)),
        'd' => format!("{:02}", c.day),
        'e' => format!("{:2}", c.day),
        'F' => format!("{}-{:02}-{:02}", c.year, c.month, c.day),
        'D' | 'x' => format!("{:02}/{:02}/{:02}", c.month, c.day, c.year.rem_euclid(100)),
        'H' => format!("{:02}", c.hour),
        'I' => format!("{hour12:02}"),
        'j' => format!("{:03}", c.day_of_year),
        'k' => format!("{:2}", c.hour),
        'l' => format!("{hour12:2}"),
        'm' => format!("{:02}", c.month),
        'M' => format!("{:02}", c.minute),
        'n' => "\n".to_owned(),
        'p' => if c.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if c.hour < 12 { "am" } else { "pm" }.to_owned(),
        'r' => {
            format!("{hour12:02}:{:02}:{:02} {}", c.minute, c.second, if c.hour < 12 { "AM" } else { "PM" })
        }
        'R' => format!("{:02}:{:02}", c.hour, c.minute),
        'S' => format!("{:02}", c.second),
        't' => "\t".to_owned(),
        'T' | 'X' => format!("{:02}:{:02}:{:02}", c.hour, c.minute, c.second),
        'u' => if c.weekday == 0 { 7 } else { c.weekday }.to_string(),
        'w' => c.weekday.to_string(),
        'U' => format!("{:02}", (c.day_of_year + 6 - c.weekday) / 7),
        'W' => format!("{:02}", (c.day_of_year + 6 - (c.weekday + 6) % 7) / 7),
        'V' => format!("{:02}", iso_week(c).1),
        'G' => iso_week(c).0.to_string(),
        'g' => format!("{:02}", iso_week(c).0.rem_euclid(100)),
        'y' => format!("{:02}", c.year.rem_euclid(100)),
        'Y' => c.year.to_string(),
        'c' => format!(
            "{} {} {:2} {:02}:{:02}:{:02} {}",
            c.weekday_name(),
            c.month_name(),
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.year
        ),
        '%' => "%".to_owned(),
        other => format!("%{other}"),
    };
    out.push_str(&text);
}

/// ISO 8601 year and week.
fn iso_week(c: &Civil) -> (i64, u32) {
    let weekday = (c.weekday + 6) % 7; // Monday is 0.
    let week = (c.day_of_year + 9 - weekday - 1 + 1) / 7;
    let is_leap = |y: i64| y % 4 == 0 && y % 100 != 0 || y % 400 == 0;
    let weeks_in = |year: i64, jan1: u32| 52 + u32::from(jan1 == 3 || jan1 == 2 && is_leap(year));
    // Weekday of January 1st of this year, Monday 0.
    let jan1 = (weekday + 371 - (c.day_of_year - 1)) % 7;
    if week == 0 {
        let days = if is_leap(c.year - 1) { 366 } else { 365 };
        let previous_jan1 = (jan1 + 371 - days % 7) % 7;
        return (c.year - 1, weeks_in(c.year - 1, previous_jan1));
    }
    if week > weeks_in(c.year, jan1) { (c.year + 1, 1) } else { (c.year, week) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_as_c_writes_them() {
        let all = "%a %A %b %B %d %e %H:%M:%S %j %U %W %V %G %y %Y %u %w %p %I %s %z %Z %% %F %T %D";
        assert_eq!(
            format(all, 951_782_400, "", 0, "UTC"),
            "Tue Tuesday Feb February 29 29 00:00:00 060 09 09 09 2000 00 2000 2 2 AM 12 951782400 +0000 UTC % 2000-02-29 00:00:00 02/29/00"
        );
        // 2021-01-03 is a Sunday in ISO week 53 of 2020.
        assert_eq!(format("%V %G %U %W", 1_609_632_000, "", 0, "UTC"), "53 2020 01 00");
        assert_eq!(format("%V %G", 1_609_718_400, "", 0, "UTC"), "01 2021");
    }
}
