//! What monitoring reads: the files written on a signal (keepalived(8), SIGNALS), and the answers of the admin socket.

mod json;
mod metrics;
mod overview;
mod stats;
mod view;

use std::{fs, io, path::Path};

use hacore::time::{monotonic_us, wall_us};

use crate::model::Config;
use crate::vrrp::Router;

pub use json::json_text;
pub use metrics::metrics;
pub use overview::{overview, summary};
pub use view::{Life, View};

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

const DATA_FILE: &str = "/tmp/keepalived.data";
const STATS_FILE: &str = "/tmp/keepalived.stats";
const JSON_FILE: &str = "/tmp/keepalived.json";

/// Writes it, through a temporary file that is renamed, mode 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write(what: Dump, config: &Config, routers: &[Router]) -> io::Result<()> {
    let (global, clocks) = (&config.global, Clocks::now());
    let (path, text) = match what {
        Dump::Data => {
            (global.state_dump_file.as_deref().unwrap_or(DATA_FILE), stats::data(config, routers, clocks))
        }
        Dump::Stats | Dump::ClearStats => {
            (global.stats_dump_file.as_deref().unwrap_or(STATS_FILE), stats::stats(routers))
        }
        Dump::Json => {
            (global.json_dump_file.as_deref().unwrap_or(JSON_FILE), stats::json(config, routers, clocks))
        }
    };
    replace_file(Path::new(path), &text)
}

/// The text of the data dump; routers that do not run yet are left out of it.
pub fn data_text(config: &Config, routers: &[Router]) -> String {
    stats::data(config, routers, Clocks::now())
}

/// The text of the statistics.
pub fn stats_text(routers: &[Router]) -> String {
    stats::stats(routers)
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
