//! Server-state files, version 1: what an earlier process knew of its servers (management manual, "show servers state").
//!
//! Which file belongs to a backend, and what its lines say. Writing them and going on from them is
//! `proxy::server_state`'s business.

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Global, Proxy};

/// The largest file that is read, bytes: a line is about a hundred, so that a million servers fit.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Fields of a line that must be there; later versions of the genuine program have more.
const FIELDS_MIN: usize = 20;

/// `srv_admin_state`: forced maintenance, maintenance by the configuration, forced drain.
pub const FORCED_MAINTENANCE: u32 = 1;
pub const CONFIGURED_MAINTENANCE: u32 = 4;
pub const FORCED_DRAIN: u32 = 8;
/// `srv_check_state`, `srv_agent_state`.
pub const CHECK_CONFIGURED: u32 = 2;
pub const CHECK_ENABLED: u32 = 4;

/// One server's line. Numbers are as written; who applies them says which are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateRecord {
    pub address: Option<IpAddr>,
    pub operation: String,
    pub admin: String,
    pub weight: String,
    pub initial_weight: String,
    pub unchanged_for: Duration,
    pub check_status: u32,
    pub check_counter: u32,
    pub check_state: u32,
    pub agent_state: u32,
    pub fqdn: Option<String>,
    pub port: u16,
    pub check_port: u16,
    pub check_address: Option<IpAddr>,
}

impl StateRecord {
    fn from_fields(fields: &[&str]) -> Option<((String, String), Self)> {
        let field = |at: usize| fields.get(at).copied().unwrap_or("-");
        let number = |at: usize| field(at).parse::<u32>().unwrap_or_default();
        if fields.len() < FIELDS_MIN {
            return None;
        }
        let record = Self {
            address: field(4).parse().ok(),
            operation: field(5).to_owned(),
            admin: field(6).to_owned(),
            weight: field(7).to_owned(),
            initial_weight: field(8).to_owned(),
            unchanged_for: Duration::from_secs(u64::from(number(9))),
            check_status: number(10),
            check_counter: number(12),
            check_state: number(13),
            agent_state: number(14),
            fqdn: Some(field(17)).filter(|name| *name != "-").map(str::to_owned),
            port: field(18).parse().unwrap_or_default(),
            check_port: field(21).parse().unwrap_or_default(),
            check_address: field(22).parse().ok(),
        };
        Some(((field(1).to_owned(), field(3).to_owned()), record))
    }
}

/// What one file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct States {
    records: HashMap<(String, String), StateRecord>,
    /// The first line that is not one.
    pub corrupted_line: Option<usize>,
}

impl States {
    /// Reads a file's text; `None` when it does not begin with the version. What follows a corrupted line is lost, as
    /// with HAProxy.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()?.trim() != "1" {
            return None;
        }
        let mut states = Self::default();
        for (index, line) in lines.enumerate() {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if fields.first().is_none_or(|first| first.starts_with('#')) {
                continue;
            }
            match StateRecord::from_fields(&fields) {
                Some((names, record)) => {
                    states.records.insert(names, record);
                }
                None => {
                    // Counted as HAProxy does, from the line behind the version.
                    states.corrupted_line = Some(index + 1);
                    break;
                }
            }
        }
        Some(states)
    }

    /// The line of a server.
    pub fn get(&self, backend: &str, server: &str) -> Option<&StateRecord> {
        self.records.get(&(backend.to_owned(), server.to_owned()))
    }
}

/// Why a backend's file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error(
        "backend '{0}' configured to load server state file from global section 'server-state-file' directive. \
         Unfortunately, 'server-state-file' is not set!"
    )]
    NotSet(String),
    #[error("config: Can't open global server state file '{path}': {reason}")]
    GlobalUnreadable { path: String, reason: String },
    #[error("Proxy '{proxy}': Can't open server state file '{path}': {reason}.")]
    LocalUnreadable { proxy: String, path: String, reason: String },
    #[error("config: Can't get version of the global server state file '{path}'.")]
    GlobalVersion { path: String },
    #[error("Proxy '{proxy}': Can't get version of the server state file '{path}'.")]
    LocalVersion { proxy: String, path: String },
}

/// The files that were read, each once.
#[derive(Debug, Default)]
pub struct StateFiles {
    files: HashMap<PathBuf, Result<Option<States>, String>>,
}

impl StateFiles {
    /// What there is about a backend's servers; `None` when it loads nothing.
    pub fn of(&mut self, global: &Global, proxy: &Proxy) -> Result<Option<&States>, StateError> {
        let is_global = match proxy.load_server_state {
            None => return Ok(None),
            Some(word) => word == "global",
        };
        let file = match (is_global, &global.server_state_file) {
            (true, None) => return Err(StateError::NotSet(proxy.name.clone())),
            (true, Some(file)) => file.clone(),
            (false, _) => PathBuf::from(proxy.server_state_file_name.as_ref().unwrap_or(&proxy.name)),
        };
        let path = match &global.server_state_base {
            Some(base) if file.is_relative() => base.join(file),
            _ => file,
        };
        let shown = path.display().to_string();
        match self.files.entry(path).or_insert_with_key(|path| read(path)) {
            Ok(Some(states)) => Ok(Some(states)),
            Ok(None) if is_global => Err(StateError::GlobalVersion { path: shown }),
            Ok(None) => Err(StateError::LocalVersion { proxy: proxy.name.clone(), path: shown }),
            Err(reason) if is_global => {
                Err(StateError::GlobalUnreadable { path: shown, reason: reason.clone() })
            }
            Err(reason) => Err(StateError::LocalUnreadable {
                proxy: proxy.name.clone(),
                path: shown,
                reason: reason.clone(),
            }),
        }
    }

    /// Files with a line that is none.
    pub fn corrupted(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.files.iter().filter_map(|(path, states)| {
            let line = states.as_ref().ok()?.as_ref()?.corrupted_line?;
            Some((path.as_path(), line))
        })
    }
}

fn read(path: &Path) -> Result<Option<States>, String> {
    let text = || -> std::io::Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    text().map(|text| States::parse(&text)).map_err(|error| match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual's example, with the fields that later versions added.
    const LINE: &str = "2 bk 1 s1 127.0.0.1 2 0 11 12 4 6 3 4 6 0 0 0 - 22 - 0 80 127.0.0.9 - 0";

    #[test]
    fn a_line_by_its_fields() {
        let states = States::parse(&format!("1\n# names\n\n{LINE}\n")).unwrap();
        let record = states.get("bk", "s1").unwrap();
        assert_eq!(record.address, "127.0.0.1".parse().ok());
        assert_eq!((record.operation.as_str(), record.admin.as_str()), ("2", "0"));
        assert_eq!((record.weight.as_str(), record.initial_weight.as_str()), ("11", "12"));
        assert_eq!((record.unchanged_for, record.check_counter), (Duration::from_secs(4), 4));
        assert_eq!((record.port, record.check_port), (22, 80));
        assert_eq!(record.fqdn, None);
        assert!(states.get("bk", "s2").is_none() && states.corrupted_line.is_none());
    }

    #[test]
    fn another_version_or_a_short_line() {
        assert_eq!(States::parse(""), None);
        assert_eq!(States::parse(&format!("2\n{LINE}")), None);
        let states = States::parse(&format!("1\n2 bk 1 s0 -\n{LINE}")).unwrap();
        assert_eq!((states.corrupted_line, states.get("bk", "s1")), (Some(1), None));
    }

    #[test]
    fn any_text_is_read_without_a_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "1\n(([-#a-z0-9./]{0,9} ?){0,26}\n){0,4}")| {
            let _ = States::parse(&text);
        });
    }
}
