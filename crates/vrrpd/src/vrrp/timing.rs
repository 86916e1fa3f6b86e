//! The two times of VRRP that are computed: skew and master down (RFC 9568 §6.1).

use crate::model::Version;

/// Microseconds in a centisecond, the unit in which version 3 counts.
const CENTISECOND_US: u64 = 10_000;

/// How long a backup of this priority waits beyond the missed adverts, in microseconds.
///
/// Version 2 takes the fraction of a second (RFC 3768 §6.1), version 3 that of the master's interval
/// (RFC 9568 §6.1).
pub fn skew_us(version: Version, priority: u8, master_interval_us: u64) -> u64 {
    let lack = 256 - u64::from(priority);
    match version {
        Version::V2 => lack * 1_000_000 / 256,
        Version::V3 => {
            let centiseconds = master_interval_us / CENTISECOND_US;
            lack * centiseconds * CENTISECOND_US / 256
        }
    }
}

/// Silence after which the master counts as dead, in microseconds.
pub fn master_down_us(
    version: Version,
    priority: u8,
    master_interval_us: u64,
    down_timer_adverts: u8,
) -> u64 {
    u64::from(down_timer_adverts) * master_interval_us + skew_us(version, priority, master_interval_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_vrrp_md_section_3() {
        assert_eq!(master_down_us(Version::V2, 100, 1_000_000, 3), 3_609_375);
        assert_eq!(master_down_us(Version::V3, 100, 1_000_000, 3), 3_609_375);
        assert_eq!(master_down_us(Version::V3, 100, 100_000, 3), 360_937);
        assert_eq!(master_down_us(Version::V3, 100, 10_000, 3), 36_093);
    }

    #[test]
    fn an_owner_has_the_least_skew() {
        assert_eq!(skew_us(Version::V2, 255, 1_000_000), 3_906);
    }
}
