//! What monitoring reads: the files written on a signal (keepalived(8), SIGNALS), and the answers of the admin socket.

mod data;
mod json;
mod metrics;
mod overview;
mod stats;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use hacore::time::{monotonic_us, wall_us};

use crate::model::Config;
use crate::netlink::Interfaces;
use crate::vrrp::Router;

pub use data::{address_text, route_text, rule_text};
pub use json::json_text;
pub use metrics::metrics;
pub use overview::{overview, summary};
pub use view::{Life, Snapshot, SocketPair, View};

/// Both clocks at one moment, to show monotonic times as dates.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    monotonic_us: u64,
    wall_us: u64,
}

impl Clocks {
    /// Reads them.
    pub fn now() -> Self {
        Clocks { monotonic_us: monotonic_us(), wall_us: wall_us() }
    }

    /// How long ago a monotonic moment was.
    fn since_us(self, at_us: u64) -> u64 {
        self.monotonic_us.saturating_sub(at_us)
    }

    /// A monotonic moment to come in seconds since the epoch.
    fn wall_seconds_ahead(self, at_us: u64) -> f64 {
        (self.wall_us + at_us.saturating_sub(self.monotonic_us)) as f64 / 1e6
    }

    /// A monotonic moment in seconds since the epoch.
    fn wall_seconds(self, at_us: u64) -> f64 {
        let ago_us = self.monotonic_us.saturating_sub(at_us);
        self.wall_us.saturating_sub(ago_us) as f64 / 1e6
    }
}

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// SIGUSR1.
    Data,
    /// SIGUSR2.
    Stats,
    /// STATS_CLEAR.
    ClearStats,
    /// JSON.
    Json,
}

/// Copies that one process keeps in a `config_save_dir` at most.
const COPIES_MAX: usize = 10_000;

const DATA_FILE: &str = "/tmp/keepalived.data";
const STATS_FILE: &str = "/tmp/keepalived.stats";
const JSON_FILE: &str = "/tmp/keepalived.json";

/// Writes it, through a temporary file that is renamed, mode 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write(what: Dump, view: &View<'_>) -> io::Result<()> {
    let global = &view.config.global;
    let (configured, default, text) = match what {
        Dump::Data => (&global.state_dump_file, DATA_FILE, data::data(view)),
        Dump::Stats | Dump::ClearStats => (&global.stats_dump_file, STATS_FILE, stats::stats(view.routers)),
        Dump::Json => (&global.json_dump_file, JSON_FILE, stats::json(view)),
    };
    let path = configured.as_deref().unwrap_or(default);
    let names = [&global.instance_name, &global.net_namespace].map(|name| name.as_deref());
    let names = names.map(|name| name.filter(|_| global.data_use_instance));
    replace_file(&dump_path(Path::new(path), default, names), &text)
}

/// Where a dump goes: into a folder under its usual name, and with instance and namespace in the name
/// (`data_use_instance`).
fn dump_path(path: &Path, default: &str, names: [Option<&str>; 2]) -> PathBuf {
    let usual = Path::new(default).file_name().unwrap_or_default();
    let path = if path.is_dir() { path.join(usual) } else { path.to_owned() };
    let added: String = names.into_iter().flatten().map(|name| format!("_{name}")).collect();
    if added.is_empty() {
        return path;
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(added);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The text of the data dump; routers that do not run yet are left out of it.
pub fn data_text(view: &View<'_>) -> String {
    data::data(view)
}

/// The same before anything runs (`-d`).
pub fn configuration_text(config: &Config) -> String {
    let (conditions, life) = (BTreeMap::new(), Life::default());
    let (routers, groups, sockets, interfaces) = (&[], &[], &[], Interfaces::default());
    let (conditions, life, interfaces) = (&conditions, &life, &interfaces);
    let view = View { config, routers, groups, conditions, life, interfaces, sockets, clocks: Clocks::now() };
    data::data(&view)
}

/// The text of the statistics.
pub fn stats_text(routers: &[Router]) -> String {
    stats::stats(routers)
}

/// Keeps a copy in a `config_save_dir`, which is made if need be: `NAME.PID.NUMBER`, and `suffix`.
///
/// # Errors
/// When it cannot be written.
pub fn save(directory: &str, name: &str, suffix: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let pid = std::process::id();
    for number in 0..COPIES_MAX {
        let path = Path::new(directory).join(format!("{name}.{pid}.{number}{suffix}"));
        match fs::File::options().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => return io::Write::write_all(&mut file, bytes),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many copies"))
}

fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    // A link somebody planted in a world-writable directory must not be followed.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    fs::rename(&temporary, path)
}
