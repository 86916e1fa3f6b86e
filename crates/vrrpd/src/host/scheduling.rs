//! How the VRRP thread is scheduled and kept in memory: `vrrp_priority`, `vrrp_no_swap`, `vrrp_rt_priority`,
//! `vrrp_cpu_affinity`, `vrrp_rlimit_rttime`.
//!
//! What the system refuses is a line for the log and no reason not to run: the daemon is then late, not wrong.

use hacore::sys::{set_nice, set_round_robin_priority};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;

use crate::model::ProcessSettings;

/// `RLIMIT_RTTIME` with a real-time priority and nothing written (manual, `vrrp_rlimit_rttime`), microseconds.
const RTTIME_DEFAULT_US: u64 = 10_000;
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
        let locked = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE);
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
