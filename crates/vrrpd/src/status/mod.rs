//! Files that the daemon writes on a signal: data, statistics, JSON (KEEPALIVED.md 4).

mod stats;

use std::{fs, io, path::Path};

use crate::model::Config;
use crate::vrrp::Router;

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

const DATA_FILE: &str = "/tmp/keepalived.data";
const STATS_FILE: &str = "/tmp/keepalived.stats";
const JSON_FILE: &str = "/tmp/keepalived.json";

/// Writes it, through a temporary file that is renamed, mode 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write(what: Dump, config: &Config, routers: &[Router]) -> io::Result<()> {
    let global = &config.global;
    let (path, text) = match what {
        Dump::Data => (global.state_dump_file.as_deref().unwrap_or(DATA_FILE), stats::data(config, routers)),
        Dump::Stats | Dump::ClearStats => {
            (global.stats_dump_file.as_deref().unwrap_or(STATS_FILE), stats::stats(routers))
        }
        Dump::Json => (global.json_dump_file.as_deref().unwrap_or(JSON_FILE), stats::json(config, routers)),
    };
    replace_file(Path::new(path), &text)
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
