//! Clocks: exact ones, a coarse one that is read once per round of events, and calendar time for log lines.
//!
//! Sans-IO code never comes here; it is given `now`. All times are microseconds: monotonic ones count from an
//! arbitrary start, wall-clock ones from 1970.

use std::cell::Cell;

use nix::time::{ClockId, clock_gettime};

pub use crate::sys::{BrokenDownTime, local_time};

fn read(clock: ClockId) -> u64 {
    // Reading these clocks cannot fail on Linux; 0 keeps the function total.
    clock_gettime(clock)
        .map_or(0, |t| (t.tv_sec() as u64).saturating_mul(1_000_000) + t.tv_nsec() as u64 / 1000)
}

/// Monotonic time in microseconds (`CLOCK_MONOTONIC`); the clock sd_notify's `MONOTONIC_USEC` speaks of.
pub fn monotonic_us() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Wall-clock time in microseconds since the epoch.
pub fn wall_us() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Both clocks as read at the last [`CoarseClock::refresh`]: one per thread, refreshed once per round of
/// events, so that a request does not pay for a clock read at each step. Not shared between threads.
#[derive(Debug)]
pub struct CoarseClock {
    monotonic_us: Cell<u64>,
    wall_us: Cell<u64>,
}

impl CoarseClock {
    pub fn new() -> Self {
        Self { monotonic_us: Cell::new(monotonic_us()), wall_us: Cell::new(wall_us()) }
    }

    /// Reads both clocks; returns the monotonic one.
    pub fn refresh(&self) -> u64 {
        let now_us = monotonic_us();
        self.monotonic_us.set(now_us);
        self.wall_us.set(wall_us());
        now_us
    }

    pub fn monotonic_us(&self) -> u64 {
        self.monotonic_us.get()
    }

    pub fn wall_us(&self) -> u64 {
        self.wall_us.get()
    }
}

impl Default for CoarseClock {
    fn default() -> Self {
        Self::new()
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl BrokenDownTime {
    /// The same moment in UTC.
    pub fn utc(unix_seconds: i64) -> Self {
        let days = unix_seconds.div_euclid(86_400);
        let second_of_day = unix_seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Self {
            year: year.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
            month,
            day,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
            utc_offset_minutes: 0,
        }
    }

    /// `Jan` … `Dec`; `---` for a month out of range.
    pub fn month_name(&self) -> &'static str {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or("---")
    }
}

/// Day number since 1970-01-01 to year, month, day (Gregorian calendar, proleptic).
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    // Years are counted from March, so that the leap day is the last one; an era is 400 years.
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = (if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 }) as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_knows_leap_days_and_weekdays() {
        for (at, expected) in [
            (0, "1970-1-1 0:0:0 4"),
            (951_782_399, "2000-2-28 23:59:59 1"),
            (951_782_400, "2000-2-29 0:0:0 2"),
            (4_107_542_400, "2100-3-1 0:0:0 1"),
            (-1, "1969-12-31 23:59:59 3"),
            (1_795_363_200, "2026-11-22 16:00:00 0"),
        ] {
            let t = BrokenDownTime::utc(at);
            let text = format!(
                "{}-{}-{} {}:{}:{} {}",
                t.year, t.month, t.day, t.hour, t.minute, t.second, t.weekday
            );
            assert_eq!(text.replace(":00:00", ":0:0"), expected.replace(":00:00", ":0:0"), "{at}");
        }
    }

    #[test]
    fn the_coarse_clock_stands_still_between_refreshes() {
        let clock = CoarseClock::new();
        let before = clock.monotonic_us();
        while monotonic_us() == before {}
        assert_eq!(clock.monotonic_us(), before);
        assert!(clock.refresh() > before);
    }
}
