//! The thread that counts processes. Reading `/proc` can take milliseconds, which the VRRP thread does not have.
//!
//! It listens to the kernel's process events; where there are none (outside of the first network namespace, or in a
//! kernel without them) it looks at all processes twice a second. Now and then it looks at all in any case.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hacore::time::monotonic_us;
use netlink_sys::{Socket, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use tokio::sync::mpsc::Sender;

use super::{ProcessState, events, events::ProcessEvent, matching};
use crate::model::TrackProcess;
use crate::runtime::outside::Stimulus;
use crate::track::followers::Followers;

/// How often all processes are looked at without events.
const LOOK_INTERVAL_US: u64 = 500_000;
/// The same with events, in case one was missed.
const LOOK_AGAIN_INTERVAL_US: u64 = 30_000_000;
/// How long the thread sleeps at most: it has to notice that nobody needs it any more.
const SLEEP_MAX_US: u64 = 250_000;
/// Events taken in a row before deadlines are looked at again.
const BATCH_MAX: usize = 256;
const DATAGRAM_BYTES: usize = 1024;

/// What is followed, with its followers.
type Followed = Vec<(TrackProcess, Followers)>;

/// The running thread; it ends soon after this is dropped.
#[derive(Debug)]
pub(in crate::track) struct Watch {
    ending: Arc<AtomicBool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

/// How many processes there are now of each.
pub(in crate::track) fn counts(followed: &[(TrackProcess, Followers)]) -> Vec<usize> {
    let specs: Vec<&TrackProcess> = followed.iter().map(|(process, _)| process).collect();
    let matches = look_at_all(&specs);
    (0..specs.len()).map(|index| matches.values().filter(|which| which.contains(&index)).count()).collect()
}

/// Indices of the specifications that each process meets; those that meet none are left out.
fn look_at_all(specs: &[&TrackProcess]) -> BTreeMap<u32, BTreeSet<usize>> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, look_at(pid, specs)?))).collect()
}

fn look_at(pid: u32, specs: &[&TrackProcess]) -> Option<BTreeSet<usize>> {
    let with_command = specs.iter().any(|spec| matching::by_command(spec));
    let identity = matching::Identity::read(pid, with_command)?;
    let which: BTreeSet<usize> =
        specs.iter().enumerate().filter(|(_, spec)| identity.is(spec)).map(|(index, _)| index).collect();
    (!which.is_empty()).then_some(which)
}

impl Watch {
    /// Starts the thread. `receive_buffer` is `process_monitor_rcv_bufs`, in bytes.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(in crate::track) fn start(
        followed: Followed,
        receive_buffer: Option<u32>,
        stimuli: Sender<Stimulus>,
    ) -> io::Result<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let mut thread = Thread {
            socket: open(receive_buffer),
            states: Vec::new(),
            matches: BTreeMap::new(),
            looked_us: 0,
            ending: Arc::clone(&ending),
            followed,
            stimuli,
        };
        std::thread::Builder::new().name("vrrpd-processes".to_owned()).spawn(move || thread.run())?;
        Ok(Self { ending })
    }
}

fn open(receive_buffer: Option<u32>) -> io::Result<Socket> {
    let mut socket = Socket::new(events::NETLINK_CONNECTOR)?;
    if let Some(bytes) = receive_buffer {
        socket.set_rx_buf_sz(bytes)?;
    }
    socket.bind(&SocketAddr::new(0, events::GROUP))?;
    socket.set_non_blocking(true)?;
    socket.send_to(&events::subscription(), &SocketAddr::new(0, 0), 0)?;
    Ok(socket)
}

struct Thread {
    socket: io::Result<Socket>,
    followed: Followed,
    states: Vec<ProcessState>,
    matches: BTreeMap<u32, BTreeSet<usize>>,
    /// When all processes were looked at last.
    looked_us: u64,
    ending: Arc<AtomicBool>,
    stimuli: Sender<Stimulus>,
}

impl Thread {
    fn run(&mut self) {
        self.look();
        for (process, _) in &self.followed {
            self.states.push(ProcessState::new(process, self.count_of(self.states.len())));
        }
        for index in 0..self.states.len() {
            self.tell(index);
        }
        if let Err(error) = &self.socket {
            let line = format!(
                "process events: {error} - looking at all processes every {} ms",
                LOOK_INTERVAL_US / 1000
            );
            self.say(Stimulus::Log(line));
        }
        while !self.ending.load(Ordering::Relaxed) && !self.stimuli.is_closed() {
            self.wait();
            if monotonic_us() >= self.next_look_us() {
                self.look();
            }
            self.count();
        }
    }

    fn next_look_us(&self) -> u64 {
        let interval_us = if self.socket.is_ok() { LOOK_AGAIN_INTERVAL_US } else { LOOK_INTERVAL_US };
        self.looked_us + interval_us
    }

    fn look(&mut self) {
        let specs: Vec<&TrackProcess> = self.followed.iter().map(|(process, _)| process).collect();
        self.matches = look_at_all(&specs);
        self.looked_us = monotonic_us();
    }

    fn count_of(&self, index: usize) -> usize {
        self.matches.values().filter(|which| which.contains(&index)).count()
    }

    /// Sleeps until something happens or is due, and takes events.
    fn wait(&mut self) {
        let now_us = monotonic_us();
        let deadlines = self.states.iter().filter_map(ProcessState::deadline_us);
        let until_us = deadlines.chain([self.next_look_us()]).min().unwrap_or(now_us);
        let sleep_us = until_us.saturating_sub(now_us).min(SLEEP_MAX_US);
        let Ok(socket) = &self.socket else {
            return std::thread::park_timeout(Duration::from_micros(sleep_us));
        };
        let milliseconds = u16::try_from(sleep_us.div_ceil(1000)).unwrap_or(u16::MAX);
        let mut descriptors = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        // A signal only wakes us early.
        let _ = poll(&mut descriptors, PollTimeout::from(milliseconds));
        let mut happened = Vec::new();
        for _ in 0..BATCH_MAX {
            let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
            match socket.recv(&mut buffer, 0) {
                Ok(_) => happened.extend(events::parse(&buffer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Events were lost.
                Err(_) => {
                    self.looked_us = 0;
                    break;
                }
            }
        }
        let specs: Vec<&TrackProcess> = self.followed.iter().map(|(process, _)| process).collect();
        for event in happened {
            match event {
                ProcessEvent::Look(pid) => match look_at(pid, &specs) {
                    Some(which) => drop(self.matches.insert(pid, which)),
                    None => drop(self.matches.remove(&pid)),
                },
                ProcessEvent::Gone(pid) => drop(self.matches.remove(&pid)),
            }
        }
    }

    fn count(&mut self) {
        let now_us = monotonic_us();
        for index in 0..self.states.len() {
            let count = self.count_of(index);
            let Some(state) = self.states.get_mut(index) else { continue };
            let line = state.count(count, now_us).or_else(|| state.timer(now_us));
            if let Some(line) = line {
                self.say(Stimulus::Log(line));
                self.tell(index);
            }
        }
    }

    fn tell(&self, index: usize) {
        let (Some(state), Some((_, followers))) = (self.states.get(index), self.followed.get(index)) else {
            return;
        };
        for stimulus in state.stimuli(followers) {
            self.say(stimulus);
        }
    }

    fn say(&self, stimulus: Stimulus) {
        // Only when the actor is gone.
        let _ = self.stimuli.blocking_send(stimulus);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::process;
    use super::*;
    use crate::track::Follower;
    use crate::vrrp::Effect;

    #[tokio::test]
    async fn a_process_that_comes_and_goes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tracked-prog");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let follower = Follower { instance: "VI_1".into(), weight: 0, reverse: false };
        let followed = vec![(process("tracked-prog"), Followers(vec![follower]))];
        assert_eq!(counts(&followed), [0]);
        let (sender, mut stimuli) = tokio::sync::mpsc::channel(64);
        let watch = Watch::start(followed.clone(), None, sender).unwrap();
        let mut until = async |wanted: Effect| loop {
            if let Stimulus::Track { effect, .. } = stimuli.recv().await.unwrap()
                && effect == wanted
            {
                break;
            }
        };
        until(Effect::Fault).await;
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        until(Effect::None).await;
        assert_eq!(counts(&followed), [1]);
        child.kill().unwrap();
        child.wait().unwrap();
        until(Effect::Fault).await;
        drop(watch);
    }
}
