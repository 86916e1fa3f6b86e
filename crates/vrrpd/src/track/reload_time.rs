//! `reload_time_file`: a file whose first line is the moment of a planned reload. It may come, change and go while the
//! daemon runs; log lines are keepalived's.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hacore::time::{local_time, wall_us};
use tokio::sync::mpsc::Sender;

use crate::runtime::outside::Stimulus;

use super::file::{drain, watch_directories};

/// How much of the file is looked at.
const BYTES_MAX: u64 = 64;
const DAY_S: i64 = 86_400;
/// The clock may be set while we wait: it is looked at again after so long.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// When to reload, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    at_s: i64,
    utc: bool,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = if self.utc { utc_time(self.at_s) } else { wall(self.at_s) };
        write!(f, "{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.0, t.1, t.2, t.3, t.4, t.5)?;
        f.write_str(if self.utc { "Z" } else { "" })
    }
}

/// Year, month, day, hour, minute, second.
type Calendar = (i64, i64, i64, i64, i64, i64);

/// Why a line is no moment to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Format,
    Invalid,
    Past,
}

impl Wrong {
    fn lines(self, text: &str) -> [String; 2] {
        let invalid = format!("Invalid reload time '{text}' specified - ignoring");
        match self {
            Self::Format => [format!("Reload time {text} format is incorrect - ignoring"), invalid],
            Self::Invalid => [format!("Reload date/time {text} invalid - ignoring"), invalid],
            Self::Past => [
                format!("Reload time {text} is in the past - ignoring"),
                "Reload date/time is in the past - ignoring".to_owned(),
            ],
        }
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn as_utc((year, month, day, hour, minute, second): Calendar) -> i64 {
    days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second
}

fn wall(at_s: i64) -> Calendar {
    let t = local_time(at_s);
    (t.year.into(), t.month.into(), t.day.into(), t.hour.into(), t.minute.into(), t.second.into())
}

fn utc_time(at_s: i64) -> Calendar {
    let of_day = at_s.rem_euclid(DAY_S);
    let mut days_left = at_s.div_euclid(DAY_S) + 719_468;
    let era = days_left.div_euclid(146_097);
    days_left = days_left.rem_euclid(146_097);
    let of_era = (days_left - days_left / 1460 + days_left / 36_524 - days_left / 146_096) / 365;
    let of_year = days_left - (365 * of_era + of_era / 4 - of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let year = of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// A local time as seconds since the epoch; where clocks were changed, one of the two that fit, or the nearest.
fn from_local(calendar: Calendar) -> i64 {
    let mut at_s = as_utc(calendar);
    // The second round settles the case that the first guess lies beyond a change of the clocks.
    for _ in 0..2 {
        at_s += as_utc(calendar) - as_utc(wall(at_s));
    }
    at_s
}

/// Reads `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, each with an optional `Z`.
fn parse(text: &str, now_s: i64) -> Result<Moment, Wrong> {
    let utc = text.ends_with('Z');
    let written = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = written.split_once(' ').map_or((None, written), |(date, time)| (Some(date), time));
    let [hour, minute, second] = numbers(time, ':', &[2]).ok_or(Wrong::Format)?;
    let seconds = |calendar| if utc { as_utc(calendar) } else { from_local(calendar) };
    if !(hour < 24 && minute < 60 && second < 60) {
        return Err(Wrong::Invalid);
    }
    let Some(date) = date else {
        let today = if utc { utc_time(now_s) } else { wall(now_s) };
        let at = |day| seconds((today.0, today.1, day, hour, minute, second));
        // Days beyond the month's end are those of the next one.
        let at_s = if at(today.2) > now_s { at(today.2) } else { at(today.2 + 1) };
        return Ok(Moment { at_s, utc });
    };
    let [year, month, day] = numbers(date, '-', &[2, 4]).ok_or(Wrong::Format)?;
    let year = if date.len() == "YY-MM-DD".len() { year + 2000 } else { year };
    let calendar = (year, month, day, hour, minute, second);
    let there_is = (1..=12).contains(&month) && utc_time(as_utc(calendar)) == calendar;
    if !there_is {
        return Err(Wrong::Invalid);
    }
    let at_s = seconds(calendar);
    if at_s > now_s { Ok(Moment { at_s, utc }) } else { Err(Wrong::Past) }
}

/// Three numbers; the first has one of these lengths, the others two digits.
fn numbers(text: &str, separator: char, first_lengths: &[usize]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |lengths: &[usize]| {
        let part = parts.next()?;
        let fits = lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| fits)
    };
    let all = [next(first_lengths)?, next(&[2])?, next(&[2])?];
    parts.next().is_none().then_some(all)
}

/// What the file asks for; `None` when it is not there.
fn first_line(path: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.lines().next().unwrap_or_default().to_owned())
}

/// The plan after a look at the file's first line, and what there is to say about it.
fn planned(text: Option<&str>, before: Option<Moment>, now_s: i64) -> (Option<Moment>, Vec<String>) {
    let mut lines = Vec::new();
    let after = match text.map(|text| (parse(text, now_s), text)) {
        None => None,
        Some((Ok(moment), _)) => Some(moment),
        Some((Err(wrong), text)) => {
            lines.extend(wrong.lines(text));
            None
        }
    };
    match (before, after) {
        (Some(before), Some(after)) if before != after => {
            lines.push(format!("Reload time updated from {before} to {after}"));
        }
        (None, Some(after)) => lines.push(format!("Scheduling reload for {after}")),
        (Some(before), None) => lines.push(format!("Cancelling reload scheduled for {before}")),
        _ => {}
    }
    (after, lines)
}

fn now_s() -> i64 {
    i64::try_from(wall_us() / 1_000_000).unwrap_or(i64::MAX)
}

/// Asks for a reload whenever the moment in the file has come. The file is removed then, unless `repeat`.
pub(super) async fn watch_forever(path: String, repeat: bool, stimuli: Sender<Stimulus>) {
    let Ok(watch) = watch_directories(std::iter::once(Path::new(&path))) else {
        let line = format!("Unable to monitor reload timer file directory {path}- ignoring");
        let _ = stimuli.send(Stimulus::Log(line)).await;
        return;
    };
    let mut plan = None;
    let mut known = None;
    loop {
        let text = first_line(&path);
        // Something may have happened to another file of the folder, our own log for one. An empty file is one that is
        // being written.
        if text != known && text.as_deref() != Some("") {
            let (now, lines) = planned(text.as_deref(), plan, now_s());
            (plan, known) = (now, text);
            for line in lines {
                if stimuli.send(Stimulus::Log(line)).await.is_err() {
                    return;
                }
            }
        }
        loop {
            let left_us = plan.map(|Moment { at_s, .. }| {
                u64::try_from(at_s).unwrap_or(0).saturating_mul(1_000_000).saturating_sub(wall_us())
            });
            if left_us == Some(0) {
                if !repeat {
                    // Without a date it would be tomorrow's, too.
                    let _ = std::fs::remove_file(&path);
                }
                // With `repeat` the same line means tomorrow.
                (plan, known) = (None, None);
                // The reload starts this task anew.
                let _ = stimuli.send(Stimulus::Reload).await;
                break;
            }
            let pause = left_us.map_or(SLEEP_MAX, |left_us| Duration::from_micros(left_us).min(SLEEP_MAX));
            match tokio::time::timeout(pause, drain(&watch)).await {
                Ok(true) => break,
                Ok(false) => return,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 22:22:44 UTC.
    const NOW_S: i64 = 1_795_386_164;

    #[test]
    fn the_formats_of_the_manual_and_no_others() {
        let at = |text| parse(text, NOW_S).map(|moment| moment.at_s);
        assert_eq!(at("22:22:45Z"), Ok(NOW_S + 1));
        assert_eq!(at("22:22:44Z"), Ok(NOW_S + DAY_S), "today it is over");
        assert_eq!(at("27-01-01 12:00:00Z"), Ok(1_798_804_800));
        assert_eq!(at("2027-01-01 12:00:00Z"), Ok(1_798_804_800));
        assert_eq!(at("2020-01-01 12:00:00Z"), Err(Wrong::Past));
        assert_eq!(at("27-13-03 12:00:00"), Err(Wrong::Invalid));
        assert_eq!(at("27-02-29 12:00:00"), Err(Wrong::Invalid));
        assert_eq!(at("24:00:00"), Err(Wrong::Invalid));
        for text in ["garbage", "", "2:00:00", " 12:00:00", "27-01-01  12:00:00", "12:00:00 Z", "12:00"] {
            assert_eq!(at(text), Err(Wrong::Format), "{text:?}");
        }
    }

    #[test]
    fn a_time_without_z_is_the_machines_own() {
        let date = std::process::Command::new("date").args(["-d", "2027-07-01 03:04:05", "+%s"]).output();
        let expected: i64 = String::from_utf8(date.unwrap().stdout).unwrap().trim().parse().unwrap();
        let moment = parse("2027-07-01 03:04:05", NOW_S).unwrap();
        assert_eq!(moment.at_s, expected);
        assert_eq!(moment.to_string(), "2027-07-01 03:04:05");
    }

    #[test]
    fn the_calendar_goes_there_and_back() {
        for at_s in (0..4_000_000_000).step_by(12_345_679) {
            assert_eq!(as_utc(utc_time(at_s)), at_s);
        }
    }

    /// The lines that keepalived 2.4.3 writes.
    #[tokio::test]
    async fn the_file_is_followed_and_its_moment_asks_for_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reload");
        let (sender, mut stimuli) = tokio::sync::mpsc::channel(16);
        std::fs::write(&path, "2999-01-01 12:00:00Z\n").unwrap();
        let watch = tokio::spawn(watch_forever(path.display().to_string(), false, sender));
        let mut next = async || stimuli.recv().await.unwrap();
        let log = |text: &str| Stimulus::Log(text.to_owned());
        assert_eq!(next().await, log("Scheduling reload for 2999-01-01 12:00:00Z"));
        std::fs::write(dir.path().join("log"), "another file of the folder changes nothing\n").unwrap();
        let write = |text: &str| {
            let other = dir.path().join("other");
            std::fs::write(&other, text).unwrap();
            std::fs::rename(&other, &path).unwrap();
        };
        write("2999-01-02 12:00:00Z\n");
        let updated = "Reload time updated from 2999-01-01 12:00:00Z to 2999-01-02 12:00:00Z";
        assert_eq!(next().await, log(updated));
        write("garbage\n");
        assert_eq!(next().await, log("Reload time garbage format is incorrect - ignoring"));
        assert_eq!(next().await, log("Invalid reload time 'garbage' specified - ignoring"));
        assert_eq!(next().await, log("Cancelling reload scheduled for 2999-01-02 12:00:00Z"));
        std::fs::write(dir.path().join("log"), "the same again\n").unwrap();
        write("2999-01-02 12:00:00Z\n");
        assert_eq!(next().await, log("Scheduling reload for 2999-01-02 12:00:00Z"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next().await, log("Cancelling reload scheduled for 2999-01-02 12:00:00Z"));
        let soon = Moment { at_s: now_s() + 1, utc: true };
        write(&format!("{soon}\n"));
        let mut seen = Vec::new();
        while seen.last() != Some(&Stimulus::Reload) {
            seen.push(next().await);
        }
        assert!(!path.exists(), "a reload that was done is not planned for tomorrow: {seen:?}");
        watch.abort();
    }
}
