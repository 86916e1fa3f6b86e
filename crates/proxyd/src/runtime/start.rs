//! Starting the data-plane threads, and stopping them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::core::Core;
use super::inbox::{Inboxes, Message};
use super::listeners::Listeners;
use super::log_writer::LogWriter;
use super::reload::Adoption;
use super::thread::Thread;
use crate::logs::Outlets;
use crate::proxy::Snapshot;
use crate::proxy::counters::set_thread_index;
use crate::stream::ProcessVariables;

/// The running data plane.
#[derive(Debug)]
pub struct Runtime {
    pub snapshot: Arc<Snapshot>,
    pub inboxes: Arc<Inboxes>,
    threads: Vec<JoinHandle<()>>,
}

impl Runtime {
    /// Starts `process.threads` threads on the bound listeners. `tag` is the log tag when the configuration has none.
    pub fn start(
        snapshot: &Arc<Snapshot>,
        listeners: &Listeners,
        tag: &str,
        outlets: &mut Outlets,
    ) -> io::Result<Self> {
        let count = snapshot.process.threads;
        let inboxes = Arc::new(Inboxes::new(count)?);
        let variables = Arc::new(ProcessVariables::at_start(&snapshot.global.variables));
        // Checks use the same; a process starts once.
        let _ = snapshot.process.variables.set(Arc::clone(&variables));
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let writer = LogWriter::new(snapshot, tag, outlets).map_err(io::Error::other)?;
            let sockets = listeners.of_thread(index)?;
            let (snapshot, inboxes) = (Arc::clone(snapshot), Arc::clone(&inboxes));
            let variables = Arc::clone(&variables);
            let main = move || {
                set_thread_index(index + 1);
                bind_to_cpus(&snapshot, index + 1);
                let core = Core::new(index as u16, &snapshot, &inboxes, writer, &variables);
                let outcome = core.and_then(|core| Thread::new(core, sockets)).and_then(Thread::run);
                if let Err(error) = outcome {
                    tracing::error!(thread = index + 1, %error, "data-plane thread ended");
                }
            };
            threads.push(std::thread::Builder::new().name(format!("proxyd/{}", index + 1)).spawn(main)?);
        }
        Ok(Self { snapshot: Arc::clone(snapshot), inboxes, threads })
    }

    /// Hands a new configuration to the threads.
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        self.snapshot = Arc::clone(&adoption.snapshot);
        self.inboxes.broadcast(&Message::Reload(Arc::new(adoption)));
    }

    /// Stops accepting, lets requests finish.
    pub fn soft_stop(&self) {
        self.snapshot.process.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        self.inboxes.broadcast(&Message::SoftStop);
    }

    /// Ends every session now.
    pub fn hard_stop(&self) {
        self.inboxes.broadcast(&Message::HardStop);
    }

    /// Whether every thread has ended.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the threads' end, which [`Self::soft_stop`] or [`Self::hard_stop`] brought about.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a data-plane thread panicked");
            }
        }
    }
}

/// `cpu-map`, for the calling thread. A CPU that this machine does not have is no reason not to serve.
fn bind_to_cpus(snapshot: &Snapshot, thread: usize) {
    let number = u16::try_from(thread).unwrap_or(u16::MAX);
    let Some(cpus) = snapshot.global.cpu_map.get(&number) else { return };
    let mut set = CpuSet::new();
    let known = cpus.iter().try_for_each(|cpu| set.set(usize::from(*cpu)));
    if let Err(error) = known.and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)) {
        tracing::warn!(thread, ?cpus, %error, "'cpu-map' cannot be followed, the thread runs anywhere");
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::sched_getaffinity;

    use super::*;
    use crate::model::Config;
    use crate::proxy::Process;

    #[test]
    fn cpu_map_binds_the_thread_it_names() {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        let last = (0..CpuSet::count()).rfind(|cpu| allowed.is_set(*cpu) == Ok(true)).unwrap();
        let mut config = Config::default();
        config.global.cpu_map.insert(2, vec![last as u16]);
        let snapshot = Snapshot::build(&config, &Arc::new(Process::new(2, 10)));
        // In a thread of its own: the binding stays.
        let bound = std::thread::spawn(move || {
            bind_to_cpus(&snapshot, 1);
            assert_eq!(sched_getaffinity(this).unwrap(), allowed);
            bind_to_cpus(&snapshot, 2);
            sched_getaffinity(this).unwrap()
        });
        let now = bound.join().unwrap();
        assert_eq!(
            (0..CpuSet::count()).filter(|cpu| now.is_set(*cpu) == Ok(true)).collect::<Vec<_>>(),
            [last]
        );
    }
}
