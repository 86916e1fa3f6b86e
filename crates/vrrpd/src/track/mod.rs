//! What instances follow besides their interfaces: scripts, files, processes, proxies. Pure states, and the tasks that feed them.
//! The file with the time of a planned reload is watched here, too.
//!
//! Every tracker sends a [`Stimulus`] to the actor when what it does to an instance changes. Dropping [`Trackers`] ends
//! all of them; scripts that run get SIGTERM.

mod condition;
mod file;
mod followers;
mod process;
mod proxy;
mod reload_time;
mod script;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use crate::model::{Config, TrackProcess, TrackedProxy};
use crate::runtime::outside::Stimulus;

pub use condition::Condition;
pub use file::{FileState, file_effect};
pub use followers::{Follower, Followers};
use process::ProcessState;
pub use script::{ScriptChange, ScriptResult, ScriptState};

/// The running trackers of one configuration.
#[derive(Debug)]
pub struct Trackers {
    tasks: Vec<JoinHandle<()>>,
    _processes: Option<process::Watch>,
}

impl Drop for Trackers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Trackers {
    /// Starts what follows each script, file and process that somebody follows. Needs a tokio runtime with I/O and time.
    pub fn start(config: &Config, stimuli: &Sender<Stimulus>) -> Self {
        let mut tasks = Vec::new();
        for script in &config.scripts {
            let followers = Followers::of_script(config, &script.name);
            if !followers.is_empty() {
                tasks.push(tokio::spawn(script::run_forever(script.clone(), followers, stimuli.clone())));
            }
        }
        let files: Vec<_> = config
            .track_files
            .iter()
            .map(|file| (file.clone(), Followers::of_file(config, &file.name)))
            .filter(|(_, followers)| !followers.is_empty())
            .collect();
        if !files.is_empty() {
            tasks.push(tokio::spawn(file::watch_forever(files, stimuli.clone())));
        }
        for (proxy, instances) in followed_proxies(config) {
            tasks.push(tokio::spawn(proxy::follow_forever(proxy, instances, stimuli.clone())));
        }
        if let Some(path) = &config.global.reload.time_file {
            let watch =
                reload_time::watch_forever(path.clone(), config.global.reload.repeat, stimuli.clone());
            tasks.push(tokio::spawn(watch));
        }
        let processes = followed_processes(config);
        let watch = (!processes.is_empty()).then(|| {
            let receive_buffer = config.global.process_monitor_rcv_bufs.map(|(bytes, _)| bytes);
            process::Watch::start(processes, receive_buffer, stimuli.clone())
        });
        let watch = match watch.transpose() {
            Ok(watch) => watch,
            Err(error) => {
                let _ = stimuli.try_send(Stimulus::Log(format!("Cannot watch processes: {error}")));
                None
            }
        };
        Self { tasks, _processes: watch }
    }
}

/// The processes that somebody follows.
fn followed_processes(config: &Config) -> Vec<(TrackProcess, Followers)> {
    config
        .track_processes
        .iter()
        .map(|process| (process.clone(), Followers::of_process(config, &process.name)))
        .filter(|(_, followers)| !followers.is_empty())
        .collect()
}

/// The backends that somebody follows, each question once, with the instances that follow it.
fn followed_proxies(config: &Config) -> Vec<(TrackedProxy, Vec<String>)> {
    let mut followed: Vec<(TrackedProxy, Vec<String>)> = Vec::new();
    for instance in &config.vrrp_instances {
        let of_group =
            config.sync_group_of(&instance.name).into_iter().flat_map(|group| &group.track.proxies);
        for proxy in instance.track.proxies.iter().chain(of_group) {
            match followed.iter_mut().find(|(known, _)| known == proxy) {
                Some((_, instances)) => instances.push(instance.name.clone()),
                None => followed.push((proxy.clone(), vec![instance.name.clone()])),
            }
        }
    }
    followed
}

/// What every tracker does to every instance before its first result: files are read and processes counted at once, scripts of weight 0 hold
/// their instances back, the others count as neither good nor bad unless `init_fail`.
pub fn initial_stimuli(config: &Config) -> Vec<Stimulus> {
    let scripts = config.scripts.iter().flat_map(|script| {
        let followers = Followers::of_script(config, &script.name);
        ScriptState::new(script).stimuli(&followers)
    });
    let files = config.track_files.iter().flat_map(|file| {
        let followers = Followers::of_file(config, &file.name);
        file::prepare(file);
        FileState::read(&file.path).stimuli(&file.name, &followers)
    });
    let processes = followed_processes(config);
    let counts = if processes.is_empty() { Vec::new() } else { process::counts(&processes) };
    let processes = processes
        .iter()
        .zip(counts)
        .flat_map(|((process, followers), count)| ProcessState::new(process, count).stimuli(followers));
    let followed = followed_proxies(config);
    let proxies = followed.iter().flat_map(|(proxy, instances)| {
        let state = proxy::ProxyState::new(proxy.clone());
        instances.iter().map(move |instance| state.stimulus(instance)).collect::<Vec<_>>()
    });
    scripts.chain(files).chain(processes).chain(proxies).collect()
}
