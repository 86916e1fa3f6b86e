//! What instances follow besides their interfaces: scripts and files. Pure states, and the tasks that feed them.
//!
//! Every tracker sends a [`Stimulus`] to the actor when what it does to an instance changes. Dropping [`Trackers`] ends
//! all of them; scripts that run get SIGTERM.

mod condition;
mod file;
mod followers;
mod script;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use crate::model::Config;
use crate::runtime::outside::Stimulus;

pub use condition::Condition;
pub use file::{FileState, file_effect};
pub use followers::{Follower, Followers};
pub use script::{ScriptChange, ScriptResult, ScriptState};

/// The running trackers of one configuration.
#[derive(Debug)]
pub struct Trackers {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Trackers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Trackers {
    /// Starts a task for each script and file that somebody follows. Needs a tokio runtime with I/O and time.
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
        Self { tasks }
    }
}

/// What every tracker does to every instance before its first result: files are read at once, scripts of weight 0 hold
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
    scripts.chain(files).collect()
}
