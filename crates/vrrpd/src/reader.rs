//! The process that reads the configuration, so that neither the supervisor nor the VRRP thread does: a file that never
//! answers, a huge one or one that makes the reader die costs no advert, and the memory that reading takes goes back.
//!
//! It is this program with [`ARGUMENT`] and a [`Request`] as words, started for one reading. It writes a [`Verdict`] on one
//! line to standard output, and behind it the model, which is kept as it is and understood by the worker alone.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::fd::AsFd,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use hacore::{
    diag::{SourceMap, render::render},
    sys::set_nice,
    time::wall_us,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        memfd::{MFdFlags, memfd_create},
        prctl::set_pdeathsig,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{self, CODE_INCLUDE, KeepalivedStyle, LoadOptions},
    host,
    model::Config,
    status,
};

/// The first word of the command line that makes this program a reader.
pub const ARGUMENT: &str = "--read-configuration";
/// This program, also when its file was replaced.
const PROGRAM: &str = "/proc/self/exe";
/// A reading that takes longer has failed: an included file may be a pipe that nobody writes to.
pub const TIME_MAX: Duration = Duration::from_secs(60);
/// Address space of the reader, bytes.
const MEMORY_MAX: u64 = 4 << 30;
/// Verdicts are read up to here; bytes.
const VERDICT_LEN_MAX: u64 = 16 << 20;
/// Messages that are passed on; what is behind is counted only.
const MESSAGES_MAX: usize = 10_000;
/// A reading while the daemon runs is less urgent than the daemon.
const NICE_BESIDE_DAEMON: i32 = 10;

/// What to read and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `-f`.
    pub file: PathBuf,
    /// `-i`.
    pub config_id: Option<String>,
    /// `-e`: missing include files are an error.
    pub all_config: bool,
    /// `-s`.
    pub namespace: Option<String>,
    /// The daemon does not run yet: its namespace is entered, and the words of `-d` are wanted.
    pub is_start: bool,
    /// `-d`.
    pub dump: bool,
}

/// What there is to say about the configuration, and what the supervisor has to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The model is there.
    pub is_usable: bool,
    /// Diagnostics and the help that belongs to each.
    pub messages: Vec<(String, Vec<String>)>,
    /// The lines of `-d`.
    pub dump: Vec<String>,
    /// Where the daemon is to live.
    pub namespace: Option<String>,
    /// `instance`.
    pub instance: Option<String>,
    /// `use_pid_dir`.
    pub use_pid_dir: bool,
    /// `umask`.
    pub umask: Option<u32>,
    /// `process_name`.
    pub process_name: Option<String>,
}

/// A finished reading.
#[derive(Debug)]
pub struct Reading {
    /// What was said.
    pub verdict: Verdict,
    /// The model as text; empty when there is none.
    pub model: Vec<u8>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the configuration: {0}")]
    System(#[from] io::Error),
    #[error("reading the configuration has not ended after {} s - is an included file a pipe?", TIME_MAX.as_secs())]
    TimedOut,
    #[error("reading the configuration ended with {0}")]
    Died(ExitStatus),
    #[error("the reader of the configuration is not understood: {0}")]
    Garbled(#[from] serde_json::Error),
}

/// The reader's life; its exit status.
pub fn main(request: Option<&str>) -> u8 {
    // A reader whose daemon is gone reads for nobody. Limits that cannot be set are missed only where they would count.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let _ = setrlimit(Resource::RLIMIT_AS, MEMORY_MAX, MEMORY_MAX);
    let _ = setrlimit(Resource::RLIMIT_CPU, TIME_MAX.as_secs(), TIME_MAX.as_secs());
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let Some(request) = request.and_then(|text| serde_json::from_str::<Request>(text).ok()) else {
        return 1;
    };
    if !request.is_start {
        let _ = set_nice(NICE_BESIDE_DAEMON);
    }
    let (verdict, config) = read(&request);
    match write(&verdict, config.as_ref()) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn write(verdict: &Verdict, config: Option<&Config>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut out, verdict)?;
    out.write_all(b"\n")?;
    if let Some(config) = config {
        serde_json::to_writer(&mut out, config)?;
    }
    out.flush()
}

fn read(request: &Request) -> (Verdict, Option<Config>) {
    let files = std::slice::from_ref(&request.file);
    let options = LoadOptions { config_id: request.config_id.clone(), random_seed: wall_us() };
    let mut verdict = Verdict { namespace: request.namespace.clone(), ..Verdict::default() };
    if request.is_start {
        verdict.namespace = verdict.namespace.or_else(|| config::net_namespace(files, &options));
        // Words of the file mean the interfaces in there.
        if let Some(Err(error)) = verdict.namespace.as_deref().map(host::namespace::enter) {
            verdict.messages.push((error.to_string(), Vec::new()));
            return (verdict, None);
        }
    }
    let (config, diagnostics, sources) = config::load(files, &options);
    for diagnostic in diagnostics.iter().take(MESSAGES_MAX) {
        let text = render(&KeepalivedStyle, diagnostic, &sources, false);
        verdict.messages.push((text.trim_end().to_owned(), diagnostic.help.clone()));
    }
    let more = diagnostics.iter().count().saturating_sub(MESSAGES_MAX);
    if more > 0 {
        verdict.messages.push((format!("{more} more"), Vec::new()));
    }
    let missing = diagnostics.iter().any(|diagnostic| diagnostic.code == Some(CODE_INCLUDE));
    let config = config.filter(|_| !(request.all_config && missing));
    if let Some(config) = &config {
        verdict.is_usable = true;
        verdict.instance.clone_from(&config.global.instance_name);
        verdict.use_pid_dir = config.global.use_pid_dir;
        verdict.umask = config.global.umask;
        verdict.process_name.clone_from(&config.global.process_name);
        if let Some(directory) = &config.global.reload.config_save_dir
            && let Err(error) = save_sources(directory, &sources)
        {
            verdict.messages.push((format!("config_save_dir {directory}: {error}"), Vec::new()));
        }
        if request.dump {
            verdict.dump = status::configuration_text(config).lines().map(str::to_owned).collect();
        }
    }
    (verdict, config)
}

/// `config_save_dir`: what was read, under the names that keepalived gives its copies.
fn save_sources(directory: &str, sources: &SourceMap) -> io::Result<()> {
    let mut text = Vec::new();
    for file in sources.files() {
        text.extend_from_slice(format!("# {}\n", file.name).as_bytes());
        text.extend_from_slice(&file.text);
        text.push(b'\n');
    }
    status::save(directory, "keepalived.conf", "", &text)
}

fn words(request: &Request) -> io::Result<[String; 2]> {
    Ok([ARGUMENT.to_owned(), serde_json::to_string(request)?])
}

fn answer_file() -> io::Result<File> {
    Ok(File::from(memfd_create(c"configuration", MFdFlags::MFD_CLOEXEC)?))
}

/// Reads before the daemon runs, and waits for it.
///
/// # Errors
/// [`ReadError`] when there is no verdict; what is wrong with the file is in the verdict.
pub fn read_and_wait(request: &Request) -> Result<Reading, ReadError> {
    let answer = answer_file()?;
    let mut child = Command::new(PROGRAM)
        .args(words(request)?)
        .stdin(Stdio::null())
        .stdout(answer.try_clone()?)
        // Nobody writes there: it is closed when the reader ends.
        .stderr(Stdio::piped())
        .spawn()?;
    let ended = child.stderr.take().is_none_or(|end| is_over(&end));
    if !ended {
        child.kill()?;
    }
    let status = child.wait()?;
    match (ended, status.success()) {
        (false, _) => Err(ReadError::TimedOut),
        (true, false) => Err(ReadError::Died(status)),
        (true, true) => take_apart(&answer),
    }
}

/// Waits until the other end of a pipe is closed.
fn is_over(end: &impl AsFd) -> bool {
    let time = PollTimeout::try_from(TIME_MAX).unwrap_or(PollTimeout::MAX);
    matches!(poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLIN)], time), Ok(1..))
}

/// Reads while the daemon runs. Dropping the future ends the reader. Needs a tokio runtime.
///
/// # Errors
/// [`ReadError`] when there is no verdict; what is wrong with the file is in the verdict.
pub async fn read_beside(request: &Request) -> Result<Reading, ReadError> {
    let answer = answer_file()?;
    let mut child = tokio::process::Command::new(PROGRAM)
        .args(words(request)?)
        .stdin(Stdio::null())
        .stdout(answer.try_clone()?)
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let status = tokio::time::timeout(TIME_MAX, child.wait()).await.map_err(|_| ReadError::TimedOut)??;
    if !status.success() {
        return Err(ReadError::Died(status));
    }
    take_apart(&answer)
}

fn take_apart(answer: &File) -> Result<Reading, ReadError> {
    let mut line = Vec::new();
    let at_start = At { file: answer, at: 0 };
    BufReader::new(at_start.take(VERDICT_LEN_MAX)).read_until(b'\n', &mut line)?;
    let verdict = serde_json::from_slice(&line)?;
    let mut model = Vec::new();
    At { file: answer, at: line.len() as u64 }.read_to_end(&mut model)?;
    Ok(Reading { verdict, model })
}

/// Reads a file whose position belongs to somebody else, too.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// The model in a reading's text.
///
/// # Errors
/// When it is none.
pub fn model(text: &[u8]) -> Result<Config, serde_json::Error> {
    serde_json::from_slice(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something of every part of the model.
    const SAMPLE: &str = r#"
global_defs {
    router_id R
    notification_email { root@localhost }
    notification_email_from vrrpd@localhost
    smtp_server 127.0.0.1
    vrrp_rt_priority 50
    vrrp_version 3
    script_user root
    dynamic_interfaces allow_if_changes
    vip_lease 9
    nftables
}
static_routes {
    192.0.2.0/24 via 127.0.0.2 dev lo mtu lock 1400 table 7
}
static_rules {
    from 192.0.2.0/24 table 7 priority 99
}
garp_group {
    garp_interval 0.5
    interfaces { lo }
}
vrrp_script check {
    script "/bin/true 'a b'"
    interval 2.5
    weight -7 reverse
}
vrrp_track_process web {
    process nginx
    weight 3
}
track_file load {
    file /tmp/load
    weight 2
}
vrrp_sync_group G {
    group { A B }
    notify_master /bin/true
}
vrrp_instance A {
    interface lo
    virtual_router_id 1
    priority 100
    advert_int 0.25
    unicast_src_ip 127.0.0.1
    unicast_peer { 127.0.0.2 min_ttl 3 }
    track_script { check }
    track_file { load weight 1 }
    track_process { web }
    track_proxy { socket /run/p.sock backend b min_up 2 weight -3 }
    preempt_delay 3
    virtual_ipaddress {
        127.1.0.1/24 dev lo label lo:1 scope link
    }
    virtual_ipaddress_excluded { 127.1.0.2 }
    virtual_routes {
        blackhole 198.51.100.0/24
        203.0.113.0/24 nexthop via 127.0.0.3 dev lo weight 2 nexthop via 127.0.0.4 dev lo weight 3
    }
    virtual_rules { to 198.51.100.0/24 blackhole }
}
vrrp_instance B {
    interface lo
    virtual_router_id 2
    priority 100
    version 2
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress { 127.1.0.9 }
}
"#;

    fn request(text: &str) -> (tempfile::TempDir, Request) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keepalived.conf");
        std::fs::write(&file, text).unwrap();
        (folder, Request { file, dump: true, ..Request::default() })
    }

    #[test]
    fn the_model_is_the_same_behind_the_text() {
        let (_folder, request) = request(SAMPLE);
        let (verdict, config) = read(&request);
        let config = config.unwrap_or_else(|| panic!("{verdict:?}"));
        let text = serde_json::to_vec(&config).unwrap();
        assert_eq!(model(&text).unwrap(), config);
        assert!(verdict.is_usable && !verdict.dump.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_without_a_model() {
        let (_folder, request) = request("vrrp_instance A {\n interface lo\n}\n");
        let (verdict, config) = read(&request);
        assert!(config.is_none() && !verdict.is_usable && !verdict.messages.is_empty(), "{verdict:?}");
    }
}
