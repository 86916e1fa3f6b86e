//! How the VRRP thread is scheduled and kept in memory: `vrrp_priority`, `vrrp_no_swap`, `vrrp_rt_priority`,
//! `vrrp_cpu_affinity`, `vrrp_rlimit_rttime`.
//!
//! What the system refuses is a line for the log and no reason not to run: the daemon is then late, not wrong.

use hacore::sys::{set_nice, set_round_robin_priority};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;

use crate::model::{GlobalDefs, ProcessSettings};

/// `RLIMIT_RTTIME` with a real-time priority and nothing written (manual, `vrrp_rlimit_rttime`), microseconds.
pub const RTTIME_DEFAULT_US: u64 = 10_000;
/// How often the first limit the second one is: after the first the kernel sends SIGXCPU, after the second SIGKILL.
const RTTIME_HARD_FACTOR: u64 = 100;

/// Applies the settings to the calling thread and, for memory and limits, to the process. Returns what failed, for
/// the log.
pub fn apply(settings: &ProcessSettings) -> Vec<String> {
    let mut failures = Vec::new();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(error) = result {
            failures.push(format!("{what}: {error}"));
        }
    };
    if !settings.cpu_affinity.is_empty() {
        note("vrrp_cpu_affinity", affinity(&settings.cpu_affinity));
    }
    if let Some(nice) = settings.nice {
        note("vrrp_priority", set_nice(nice).map_err(|error| error.to_string()));
    }
    if settings.no_swap {
        // Pages stay from their first use on; whole stacks and the code of rare cases need not be there for that.
        let locked = mlockall(
            MlockAllFlags::MCL_CURRENT
                | MlockAllFlags::MCL_FUTURE
                | MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT),
        );
        note("vrrp_no_swap", locked.map_err(|error| format!("{error} (needs CAP_IPC_LOCK)")));
    }
    if let Some(priority) = settings.rt_priority {
        let soft_us = settings.rlimit_rttime_us.unwrap_or(RTTIME_DEFAULT_US);
        let limited = limit_real_time(soft_us);
        let raised = limited
            .and_then(|()| set_round_robin_priority(u32::from(priority)).map_err(|error| error.to_string()));
        note("vrrp_rt_priority", raised);
    }
    failures
}

/// Gives the calling thread, and with it the process, a title (`process_name`), of which the kernel keeps 15 bytes.
pub fn set_title(name: Option<&str>) {
    let title = name.and_then(|name| std::ffi::CString::new(name).ok());
    if let Some(title) = title {
        // Nobody depends on it.
        let _ = nix::sys::prctl::set_name(&title);
    }
}

/// `max_auto_priority`: a daemon that wakes up late gives itself real-time priority, one more each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoPriority {
    /// The highest it may become; 0 for never.
    max: u8,
    /// What it is; 0 for none.
    current: u8,
    /// A wake-up counts as late from so much on, microseconds.
    late_us: u64,
    rlimit_rttime_us: u64,
}

impl AutoPriority {
    /// From what the file says.
    pub fn new(global: &GlobalDefs) -> Self {
        Self {
            max: global.max_auto_priority.and_then(|max| u8::try_from(max).ok()).unwrap_or(0),
            current: global.vrrp_process.rt_priority.unwrap_or(0),
            late_us: global.min_auto_priority_delay_us,
            rlimit_rttime_us: global.vrrp_process.rlimit_rttime_us.unwrap_or(RTTIME_DEFAULT_US),
        }
    }

    /// Takes over the limits of a new configuration.
    pub fn reconfigure(&mut self, global: &GlobalDefs) {
        *self = Self { current: self.current, ..Self::new(global) };
    }

    /// The priority to go to after a wake-up that was so late, if it is to be raised.
    fn raised(&self, late_us: u64) -> Option<u8> {
        (late_us >= self.late_us && self.current < self.max).then(|| self.current + 1)
    }

    /// A deadline was noticed so late. Answers with lines for the log, in keepalived's words.
    pub fn woke_up(&mut self, late_us: u64) -> Vec<String> {
        if late_us < self.late_us {
            return Vec::new();
        }
        let mut lines = vec![format!("A thread timer expired {:.6} seconds ago", late_us as f64 / 1e6)];
        if let Some(priority) = self.raised(late_us) {
            let raised = limit_real_time(self.rlimit_rttime_us).and_then(|()| {
                set_round_robin_priority(u32::from(priority)).map_err(|error| error.to_string())
            });
            match raised {
                Ok(()) => {
                    self.current = priority;
                    lines.push(format!("Set realtime priority {priority}"));
                }
                Err(error) => {
                    // It would be refused the next time, too.
                    self.max = 0;
                    lines.push(format!("max_auto_priority: {error}"));
                }
            }
        }
        lines
    }
}

/// A real-time thread that never sleeps would take the machine with it; the kernel ends it instead. Between the two
/// limits SIGXCPU is sent, which this daemon ignores.
fn limit_real_time(soft_us: u64) -> Result<(), String> {
    let hard_us = soft_us.saturating_mul(RTTIME_HARD_FACTOR);
    ignore_cpu_limit_signal()?;
    setrlimit(Resource::RLIMIT_RTTIME, soft_us, hard_us).map_err(|error| format!("RLIMIT_RTTIME: {error}"))
}

fn ignore_cpu_limit_signal() -> Result<(), String> {
    hacore::sys::ignore_signal(nix::sys::signal::Signal::SIGXCPU).map_err(|error| format!("SIGXCPU: {error}"))
}

fn affinity(cpus: &[u32]) -> Result<(), String> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu as usize).map_err(|error| format!("CPU {cpu}: {error}"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_rises_by_one_with_each_late_wake_up_up_to_its_maximum() {
        let global = |max| GlobalDefs {
            max_auto_priority: max,
            min_auto_priority_delay_us: 500_000,
            ..GlobalDefs::default()
        };
        let auto = AutoPriority::new(&global(Some(2)));
        assert_eq!(auto.raised(499_999), None);
        assert_eq!(auto.raised(500_000), Some(1));
        assert_eq!(AutoPriority { current: 1, ..auto }.raised(500_000), Some(2));
        assert_eq!(AutoPriority { current: 2, ..auto }.raised(9_000_000), None);
        for never in [None, Some(-1), Some(0)] {
            assert_eq!(AutoPriority::new(&global(never)).raised(9_000_000), None);
        }
        let mut quiet = AutoPriority::new(&global(None));
        assert_eq!(quiet.woke_up(499_999), Vec::<String>::new());
        assert_eq!(quiet.woke_up(1_500_000), ["A thread timer expired 1.500000 seconds ago"]);
    }

    #[test]
    fn the_title_is_what_ps_shows() {
        let title = std::thread::spawn(|| {
            set_title(Some("keepalived_vrrp"));
            std::fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(title.join().unwrap().trim_end(), "keepalived_vrrp");
    }

    #[test]
    fn nothing_asked_is_nothing_done() {
        assert!(apply(&ProcessSettings::default()).is_empty());
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        let failures = std::thread::spawn(|| {
            apply(&ProcessSettings { cpu_affinity: vec![1023], ..ProcessSettings::default() })
        })
        .join()
        .unwrap();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("vrrp_cpu_affinity: "), "{failures:?}");
    }

    #[test]
    fn a_thread_takes_its_processor() {
        let cpus = std::thread::spawn(|| {
            let now = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let first = (0..CpuSet::count()).find(|cpu| now.is_set(*cpu).unwrap()).unwrap();
            let failures =
                apply(&ProcessSettings { cpu_affinity: vec![first as u32], ..ProcessSettings::default() });
            assert!(failures.is_empty(), "{failures:?}");
            let now = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            (0..CpuSet::count()).filter(|cpu| now.is_set(*cpu).unwrap()).count()
        });
        assert_eq!(cpus.join().unwrap(), 1);
    }
}
