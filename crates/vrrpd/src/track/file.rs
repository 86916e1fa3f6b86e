//! `track_file`: a number in a file, times a weight. The directory is watched with inotify, so that a file may come, go
//! and be replaced.

use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hacore::sys::Watched;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc::Sender;

use crate::model::TrackFile;
use crate::runtime::outside::Stimulus;
use crate::vrrp::{Effect, Tracker};

use super::Condition;
use super::followers::{Follower, Followers};

/// How much of a file is looked at: the longest number with blanks around it.
const BYTES_MAX: u64 = 128;
/// Events taken at once; more are taken in the next turn.
const EVENTS_BYTES: usize = 4096;
/// At this product or below, an instance is in FAULT (manual, "Track files").
const FAULT_AT: i64 = -254;
const WEIGHT_MAX: i64 = 253;

/// The number that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    pub value: i64,
}

impl FileState {
    /// A file that is not there or holds no number counts as 0.
    pub fn read(path: &str) -> Self {
        use std::io::Read;
        let mut text = String::new();
        // Without blocking: the path might be a FIFO.
        let opened = std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
        let _ = opened.and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        Self { value: number(&text) }
    }

    /// The effects on all followers, for the actor.
    pub fn stimuli(&self, name: &str, followers: &Followers) -> Vec<Stimulus> {
        let one = |follower: &Follower| Stimulus::Track {
            instance: follower.instance.clone(),
            tracker: Tracker::File(name.to_owned()),
            effect: file_effect(self.value, follower.weight, follower.reverse),
        };
        followers.0.iter().map(one).collect()
    }
}

/// The number at the start of the text, as strtol reads it; 0 when there is none.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let magnitude = digits.get(..length).unwrap_or_default();
    let value = magnitude.parse::<i64>().unwrap_or(if length > 0 { i64::from(i32::MAX) } else { 0 });
    let value = value.min(i64::from(i32::MAX));
    if text.starts_with('-') { -value } else { value }
}

/// What a file's number does to an instance (manual, "Track files").
pub fn file_effect(value: i64, weight: i32, reverse: bool) -> Effect {
    if weight == 0 {
        return if (value == 0) != reverse { Effect::None } else { Effect::Fault };
    }
    let weight = i64::from(if reverse { -weight } else { weight });
    let product = value.saturating_mul(weight);
    if product <= FAULT_AT {
        return Effect::Fault;
    }
    match product.min(WEIGHT_MAX) {
        0 => Effect::None,
        product => Effect::Weight(product as i32),
    }
}

/// `init_file`: the file is made, or its value set, before it is read for the first time.
pub(super) fn prepare(file: &TrackFile) {
    let Some(init) = file.init_file else { return };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    if init.overwrite {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    if let Ok(mut opened) = options.open(&file.path) {
        // What cannot be written counts as 0, which is logged where it matters: the effect.
        let _ = std::io::Write::write_all(&mut opened, format!("{}\n", init.value).as_bytes());
    }
}

/// Reads the files now and whenever something happens to them.
pub(super) async fn watch_forever(files: Vec<(TrackFile, Followers)>, stimuli: Sender<Stimulus>) {
    let mut states: Vec<Option<FileState>> = vec![None; files.len()];
    let watch = match watch_directories(files.iter().map(|(file, _)| Path::new(&file.path))) {
        Ok(watch) => watch,
        Err(error) => {
            let line = format!("Cannot watch track files: {error}");
            let _ = stimuli.send(Stimulus::Log(line)).await;
            return;
        }
    };
    loop {
        for ((file, followers), state) in files.iter().zip(&mut states) {
            let now = FileState::read(&file.path);
            let before = state.replace(now);
            if before != Some(now) && !tell(file, followers, before, now, &stimuli).await {
                return;
            }
        }
        // What happened does not matter: all files are read again, there are few of them.
        if !drain(&watch).await {
            return;
        }
    }
}

/// Waits until something happened; `false` when that cannot be seen any more.
pub(super) async fn drain(watch: &Watched) -> bool {
    let mut events = [0; EVENTS_BYTES];
    watch.read_with(|fd| Ok(nix::unistd::read(fd, &mut events)?)).await.is_ok()
}

/// Watches each file's directory: an editor replaces the file, and a watch on the file itself would be lost.
pub(super) fn watch_directories<'p>(files: impl Iterator<Item = &'p Path>) -> std::io::Result<Watched> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let flags = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE;
    for file in files {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        inotify.add_watch(dir.unwrap_or(Path::new(".")), flags)?;
    }
    Watched::new(OwnedFd::from(inotify))
}

/// Log lines and effects of a new value; `false` when the actor is gone.
async fn tell(
    file: &TrackFile,
    followers: &Followers,
    before: Option<FileState>,
    now: FileState,
    stimuli: &Sender<Stimulus>,
) -> bool {
    let fault = |state: FileState, follower: &Follower| {
        file_effect(state.value, follower.weight, follower.reverse) == Effect::Fault
    };
    let lines = followers.0.iter().filter_map(|follower| {
        let what = match (before.is_some_and(|before| fault(before, follower)), fault(now, follower)) {
            (false, true) => "now FAULT state",
            (true, false) => "leaving FAULT state",
            _ => return None,
        };
        Some(Stimulus::Log(format!("({}): tracked file {} {what}", follower.instance, file.name)))
    });
    let condition = Stimulus::Condition {
        tracker: Tracker::File(file.name.clone()),
        condition: Condition::Value(now.value),
    };
    for stimulus in lines.chain(now.stimuli(&file.name, followers)).chain([condition]) {
        if stimuli.send(stimulus).await.is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_as_strtol_does() {
        for (text, value) in [
            ("3\n", 3),
            (" -200x", -200),
            ("junk", 0),
            ("", 0),
            ("+7", 7),
            ("99999999999999999999", i64::from(i32::MAX)),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[test]
    fn the_product_decides() {
        assert_eq!(file_effect(3, 2, false), Effect::Weight(6));
        assert_eq!(file_effect(3, 2, true), Effect::Weight(-6));
        assert_eq!(file_effect(-200, 2, false), Effect::Fault);
        assert_eq!(file_effect(200, 2, false), Effect::Weight(253));
        assert_eq!(file_effect(0, 2, false), Effect::None);
        assert_eq!(file_effect(1, 0, false), Effect::Fault);
        assert_eq!(file_effect(0, 0, false), Effect::None);
        assert_eq!(file_effect(0, 0, true), Effect::Fault);
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_and_removed_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weight");
        let file = TrackFile {
            name: "tf".into(),
            path: path.display().to_string(),
            weight: 2,
            weight_reverse: false,
            init_file: Some(crate::model::InitFile { value: 3, overwrite: false }),
        };
        prepare(&file);
        let follower = Follower { instance: "VI_1".into(), weight: 2, reverse: false };
        let (sender, mut stimuli) = tokio::sync::mpsc::channel(64);
        let task = tokio::spawn(watch_forever(vec![(file, Followers(vec![follower]))], sender));
        // A write is seen as truncation and content; what counts is where it ends.
        let mut until = async |wanted: Effect| loop {
            if let Stimulus::Track { effect, .. } = stimuli.recv().await.unwrap()
                && effect == wanted
            {
                break;
            }
        };
        until(Effect::Weight(6)).await;
        std::fs::write(&path, "5").unwrap();
        until(Effect::Weight(10)).await;
        let other = dir.path().join("other");
        std::fs::write(&other, "-200\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        until(Effect::Fault).await;
        std::fs::remove_file(&path).unwrap();
        until(Effect::None).await;
        task.abort();
    }
}
