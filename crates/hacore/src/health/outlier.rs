//! Outlier ejection, an extension: a server that fails request after request is left out for a while, unless too many
//! would be. It needs no check and no configuration of the server's.
//!
//! ```text
//!                errors in a row                 time × how often, at most TIMES_MAX
//!   in use  ------------------------>  ejected  ------------------------------------>  in use
//! ```
//!
//! Panic: once fewer than `panic_percent` of the servers would be left, ejections no longer count, because spreading the
//! load over doubtful servers is better than drowning the few good ones.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// `option outlier-ejection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlierSettings {
    /// `errors`: failures in a row that eject a server.
    pub errors: u32,
    /// `time`: for how long, the first time.
    pub time: Duration,
    /// `max`: the most servers that are out at once, in percent; one may always be.
    pub max_percent: u32,
    /// `panic`: below this many servers left, in percent, nobody is out.
    pub panic_percent: u32,
}

impl Default for OutlierSettings {
    fn default() -> Self {
        Self { errors: 5, time: Duration::from_secs(30), max_percent: 50, panic_percent: 50 }
    }
}

/// A server that offends again is ejected for longer, up to this many times `time`.
pub const TIMES_MAX: u32 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    errors: u32,
    times: u32,
    until: Option<Instant>,
}

/// What became of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ejection {
    /// Left out for this long.
    Out(Duration),
    /// Failing, but too many are out already.
    Refused,
}

/// The servers of one backend.
#[derive(Clone, Debug)]
pub struct Outliers {
    settings: OutlierSettings,
    servers: Vec<Record>,
}

impl Outliers {
    /// All in use.
    pub fn new(settings: OutlierSettings, servers: usize) -> Self {
        Self { settings, servers: vec![Record::default(); servers] }
    }

    /// Takes the outcome of one request. `up` tells how many servers are up by their checks.
    pub fn on_traffic(&mut self, server: usize, failed: bool, up: u32, now: Instant) -> Option<Ejection> {
        let out = self.out(now);
        let settings = self.settings;
        let record = self.servers.get_mut(server)?;
        if !failed {
            record.errors = 0;
            return None;
        }
        record.errors = record.errors.saturating_add(1);
        if record.errors < settings.errors.max(1) || record.until.is_some_and(|until| until > now) {
            return None;
        }
        record.errors = 0;
        if out > 0 && (out + 1) * 100 > up.saturating_mul(settings.max_percent) {
            return Some(Ejection::Refused);
        }
        record.times = (record.times + 1).min(TIMES_MAX);
        let time = settings.time * record.times;
        record.until = Some(now + time);
        Some(Ejection::Out(time))
    }

    fn out(&self, now: Instant) -> u32 {
        self.servers.iter().filter(|record| record.until.is_some_and(|until| until > now)).count() as u32
    }

    /// Whether so few would be left that nobody is out.
    pub fn is_panicking(&self, up: u32, now: Instant) -> bool {
        let left = up.saturating_sub(self.out(now));
        u64::from(left) * 100 < u64::from(up) * u64::from(self.settings.panic_percent)
    }

    /// Which servers are out now, by their place; nobody in a panic. A server that has stayed in use for as long as its
    /// last ejection is forgiven one offence.
    pub fn ejected(&mut self, up: u32, now: Instant) -> Vec<bool> {
        let panicking = self.is_panicking(up, now);
        let time = self.settings.time;
        self.servers
            .iter_mut()
            .map(|record| match record.until {
                Some(until) if until > now => !panicking,
                Some(until) if now >= until + time * record.times => {
                    record.times = record.times.saturating_sub(1);
                    record.until = None;
                    false
                }
                _ => false,
            })
            .collect()
    }

    /// Until when a server is out, if it is.
    pub fn until(&self, server: usize, now: Instant) -> Option<Instant> {
        self.servers.get(server)?.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn errors_in_a_row_eject_for_longer_each_time() {
        let mut now = Instant::now();
        let mut outliers = Outliers::new(OutlierSettings { errors: 3, ..Default::default() }, 4);
        for (failed, expected) in
            [(true, None), (true, None), (false, None), (true, None), (true, None), (true, Some(30))]
        {
            let ejection = outliers.on_traffic(1, failed, 4, now);
            assert_eq!(ejection, expected.map(|s| Ejection::Out(SECOND * s)), "{failed}");
        }
        assert_eq!(outliers.ejected(4, now), [false, true, false, false]);
        now += SECOND * 31;
        assert_eq!(outliers.ejected(4, now), [false; 4]);
        let again = (0..3).find_map(|_| outliers.on_traffic(1, true, 4, now));
        assert_eq!(again, Some(Ejection::Out(SECOND * 60)));
        // Good for long enough, it is forgiven, one offence at a time.
        now += SECOND * 200;
        outliers.ejected(4, now);
        let later = (0..3).find_map(|_| outliers.on_traffic(1, true, 4, now));
        assert_eq!(later, Some(Ejection::Out(SECOND * 60)));
    }

    #[test]
    fn not_too_many_are_out_and_in_a_panic_nobody_is() {
        let now = Instant::now();
        let settings = OutlierSettings { errors: 1, max_percent: 50, ..Default::default() };
        let mut outliers = Outliers::new(settings, 4);
        let out: Vec<_> = (0..4).map(|server| outliers.on_traffic(server, true, 4, now)).collect();
        let (thirty, refused) = (Some(Ejection::Out(SECOND * 30)), Some(Ejection::Refused));
        assert_eq!(out, [thirty, thirty, refused, refused]);
        assert_eq!(outliers.ejected(4, now), [true, true, false, false]);
        // Two others go down by their checks: none of the two that are up would be left.
        assert!(outliers.is_panicking(2, now));
        assert_eq!(outliers.ejected(2, now), [false; 4]);
    }

    proptest! {
        /// Whatever happens, as many servers as the panic threshold wants are left, or all are in use.
        #[test]
        fn the_panic_threshold_holds(
            outcomes in prop::collection::vec((0usize..6, any::<bool>(), 0u64..20_000), 1..200),
            panic_percent in 0u32..=100,
            max_percent in 0u32..=100,
        ) {
            let settings = OutlierSettings { errors: 2, panic_percent, max_percent, ..Default::default() };
            let mut outliers = Outliers::new(settings, 6);
            let mut now = Instant::now();
            for (server, failed, ms) in outcomes {
                now += Duration::from_millis(ms);
                outliers.on_traffic(server, failed, 6, now);
                let left = outliers.ejected(6, now).iter().filter(|out| !**out).count() as u32;
                prop_assert!(left == 6 || left * 100 >= 6 * panic_percent);
                prop_assert!(left >= 1 || panic_percent == 0);
            }
        }
    }
}
