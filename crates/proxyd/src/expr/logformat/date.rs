//! Calendar dates from seconds since the epoch, without a library: the log needs four shapes.

/// A moment in the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1..=12.
    pub month: u32,
    /// 1..=31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 1..=366.
    pub day_of_year: u32,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Civil {
    /// The UTC date of a number of seconds since 1970-01-01.
    pub fn from_unix(seconds: i64) -> Civil {
        let days = seconds.div_euclid(86_400);
        let rest = seconds.rem_euclid(86_400) as u32;
        // Days are counted from 0000-03-01 in eras of 400 years, so that leap days come last.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_march = (5 * day_of_year_march + 2) / 153;
        let day = (day_of_year_march - (153 * month_march + 2) / 5 + 1) as u32;
        let month = if month_march < 10 { month_march + 3 } else { month_march - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        let before: u32 = [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            .iter()
            .take(month as usize - 1)
            .sum();
        Civil {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
            day_of_year: before + day,
        }
    }

    /// `Jan` … `Dec`.
    pub fn month_name(&self) -> &'static str {
        MONTHS.get(self.month as usize - 1).copied().unwrap_or("???")
    }

    /// `Sun` … `Sat`.
    pub fn weekday_name(&self) -> &'static str {
        DAYS.get(self.weekday as usize).copied().unwrap_or("???")
    }

    /// `22/Nov/2026:16:00:00`.
    pub fn log_text(&self) -> String {
        let stamp = self.log_stamp(0);
        String::from_utf8_lossy(stamp.get(..20).unwrap_or_default()).into_owned()
    }

    /// `22/Nov/2026:16:00:00.123`, made without memory of its own: every log line has one.
    pub fn log_stamp(&self, milliseconds: u64) -> [u8; 24] {
        let mut stamp = *b"00/???/0000:00:00:00.000";
        let mut put = |at: usize, digits: usize, mut value: u64| {
            for place in stamp.iter_mut().skip(at).take(digits).rev() {
                *place = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 2, self.day.into());
        put(7, 4, u64::try_from(self.year).unwrap_or(0));
        put(12, 2, self.hour.into());
        put(15, 2, self.minute.into());
        put(18, 2, self.second.into());
        put(21, 3, milliseconds);
        for (place, letter) in stamp.iter_mut().skip(3).zip(self.month_name().bytes().take(3)) {
            *place = letter;
        }
        stamp
    }

    /// `Sun, 22 Nov 2026 16:00:00 GMT` (RFC 9110 §5.6.7).
    pub fn http_text(&self) -> String {
        format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            self.weekday_name(),
            self.day,
            self.month_name(),
            self.year,
            self.hour,
            self.minute,
            self.second
        )
    }
}

/// `+0130`.
pub fn offset_text(offset_s: i32) -> String {
    let minutes = offset_s.abs() / 60;
    format!("{}{:02}{:02}", if offset_s < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(Civil::from_unix(0).http_text(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Civil::from_unix(951_782_400).http_text(), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(Civil::from_unix(1_483_228_799).log_text(), "31/Dec/2016:23:59:59");
        assert_eq!(Civil::from_unix(1_483_228_799).day_of_year, 366);
        assert_eq!(Civil::from_unix(-1).http_text(), "Wed, 31 Dec 1969 23:59:59 GMT");
        assert_eq!(offset_text(-12_600), "-0330");
    }
}
