//! The machine's time zone, which only the C library knows how to read.

/// A moment as a calendar and a clock on the wall show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrokenDownTime {
    pub year: i32,
    /// 1..=12.
    pub month: u8,
    /// 1..=31.
    pub day: u8,
    /// 0..=23.
    pub hour: u8,
    /// 0..=59.
    pub minute: u8,
    /// 0..=60 (a leap second).
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// Minutes east of Greenwich.
    pub utc_offset_minutes: i32,
}

/// The local time of a moment given in seconds since the epoch; all zero where the year does not fit.
pub fn local_time(unix_seconds: i64) -> BrokenDownTime {
    let seconds: libc::time_t = unix_seconds;
    // SAFETY: `tm` is a C struct of integers and one pointer; all zero is a valid value of it.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call, which is the reentrant variant. It reads the environment
    // variable TZ through the C library, and nothing in this workspace changes the environment while threads
    // run (`std::env::set_var` is banned by clippy.toml).
    let done = unsafe { libc::localtime_r(&seconds, &mut tm) };
    if done.is_null() {
        return BrokenDownTime::default();
    }
    BrokenDownTime {
        year: tm.tm_year.saturating_add(1900),
        month: (tm.tm_mon + 1) as u8,
        day: tm.tm_mday as u8,
        hour: tm.tm_hour as u8,
        minute: tm.tm_min as u8,
        second: tm.tm_sec as u8,
        weekday: tm.tm_wday as u8,
        utc_offset_minutes: (tm.tm_gmtoff / 60) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_agrees_with_date() {
        let at = 1_700_000_000;
        let date = std::process::Command::new("date")
            .args(["-d", &format!("@{at}"), "+%Y %-m %-d %-H %-M %-S %w"])
            .output()
            .unwrap();
        let t = local_time(at);
        let ours =
            format!("{} {} {} {} {} {} {}\n", t.year, t.month, t.day, t.hour, t.minute, t.second, t.weekday);
        assert_eq!(ours, String::from_utf8(date.stdout).unwrap());
    }

    #[test]
    fn a_year_out_of_range_is_all_zero() {
        assert_eq!(local_time(i64::MAX), BrokenDownTime::default());
    }
}
