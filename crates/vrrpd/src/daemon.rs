//! From options to a running daemon and its exit status (those of keepalived).

use std::{
    cell::RefCell,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
};

use hacore::process::{
    daemonize::daemonize,
    pidfile::{self, Exclusive, PidFile, PidFileError},
    rlimit,
};
use hacore::{
    diag::{Diagnostics, SourceMap, render::render},
    sys::close_on_exec_from,
    time::wall_us,
};
use nix::sys::stat::{Mode, umask};

use crate::{
    cli::{Options, PID_FILE},
    config::{self, KeepalivedStyle, LoadOptions},
    host,
    logging::{Log, LogSettings, SYSLOG_IDENT, SYSLOG_IDENT_SUPERVISOR, quoted_command_line},
    model::{Config, ReloadSettings},
    netlink::Monitor,
    reader::{self, Reading, Request, Verdict},
    runtime::{Actor, Inheritance, StartError, actor, build, signals::Signals},
    supervisor::{self, Board, Start},
    version,
};

/// Where pid files are with `use_pid_dir`, `instance` or `net_namespace`.
const PID_FOLDER: &str = "/run/keepalived";

/// Stack of the threads that write dumps and understand configurations, bytes: locked memory counts all of it.
const HELPER_STACK_BYTES: usize = 1 << 20;
/// So many of them at most.
const HELPERS_MAX: usize = 8;

/// Exit status: graceful end.
pub const EXIT_OK: u8 = 0;
/// Exit status: something of the system failed.
pub const EXIT_FATAL: u8 = 1;
/// Exit status: the configuration cannot be run.
pub const EXIT_CONFIG: u8 = 2;
/// Exit status: a capability is missing.
pub const EXIT_PERMISSION: u8 = 4;
/// Exit status: there is no configuration file.
pub const EXIT_NO_FILE: u8 = 6;

/// Runs until a signal ends it.
pub fn run(options: Options) -> ExitCode {
    let log = open_log(&options, SYSLOG_IDENT_SUPERVISOR);
    log.info(&format!("Starting {}", version::title()));
    log.detail(&format!("Command line: {}", quoted_command_line(std::env::args_os())));
    for notice in &options.notices {
        log.warning(notice);
    }
    let code = start(options, &log);
    log.info(&format!("Stopped {}", version::title()));
    ExitCode::from(code)
}

/// What keeps the traces of several daemons on one machine apart: the names of the instance and the namespace, each behind
/// an underscore.
fn identity(verdict: &Verdict) -> String {
    [&verdict.instance, &verdict.namespace].into_iter().flatten().map(|name| format!("_{name}")).collect()
}

/// Where the pid file is: that of the command line, else one that daemons of other instances and namespaces do not have.
fn pid_path(options: &Options, verdict: &Verdict) -> PathBuf {
    let default = Path::new(PID_FILE);
    let shared = options.identity.is_empty() && !verdict.use_pid_dir;
    if options.pid_file != default || shared {
        return options.pid_file.clone();
    }
    let folder = Path::new(PID_FOLDER);
    // If it cannot be made, neither can the file, which is said.
    let _ = std::fs::create_dir_all(folder);
    folder.join(format!("keepalived{}.pid", options.identity))
}

fn open_log(options: &Options, ident: &str) -> Log {
    Log::open(&LogSettings {
        ident: format!("{ident}{}", options.identity),
        console: options.log_console,
        detail: options.log_detail,
        facility: (!options.no_syslog).then_some(options.facility),
    })
}

fn start(options: Options, log: &Log) -> u8 {
    // What our own parent left open is nothing for scripts. Old kernels cannot, and are no worse off than before.
    let _ = close_on_exec_from(3);
    if !options.config_file.exists() {
        log.warning(&format!("Config files missing '{}'.", options.config_file.display()));
        return EXIT_NO_FILE;
    }
    // Written by the reader, understood by the worker: this process keeps nothing of the configuration.
    let (board, verdict) = match read_first(&options, log) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let options = Options { identity: identity(&verdict), ..options };
    if let Some(mask) = options.umask.or(verdict.umask) {
        umask(Mode::from_bits_truncate(mask));
    }
    if options.core_dump {
        // A core file is a convenience.
        let _ = rlimit::allow_core_files();
    }
    if let Some(pattern) = &options.core_pattern
        && let Err(error) = std::fs::write("/proc/sys/kernel/core_pattern", pattern)
    {
        log.warning(&format!("cannot set core_pattern: {error}"));
    }
    let readiness = if options.foreground {
        None
    } else {
        match daemonize() {
            Ok(readiness) => Some(readiness),
            Err(error) => {
                log.warning(&format!("cannot become a daemon: {error}"));
                return EXIT_FATAL;
            }
        }
    };
    // Syslog shall see the daemon's own process id.
    let log = &open_log(&options, SYSLOG_IDENT_SUPERVISOR);
    let path = pid_path(&options, &verdict);
    let process_name = verdict.process_name;
    let pid_file = match pid_file(&path, log) {
        Ok(file) => file,
        Err(code) => return code,
    };
    host::scheduling::set_title(process_name.as_deref());
    let respawn = !options.dont_respawn;
    let code = supervisor::run(readiness, respawn, board, log, |start| work(&options, start));
    pid_file.remove();
    code.unwrap_or_else(|error| {
        log.warning(&format!("cannot start: {error}"));
        EXIT_FATAL
    })
}

fn request(options: &Options) -> Request {
    Request {
        file: options.config_file.clone(),
        config_id: options.config_id.clone(),
        all_config: options.all_config,
        namespace: options.namespace.clone(),
        ..Request::default()
    }
}

/// Has the configuration read before anything else, and moves to the network namespace that it asks for.
fn read_first(options: &Options, log: &Log) -> Result<(Board, Verdict), u8> {
    let say = |error: &dyn std::fmt::Display| log.warning(&error.to_string());
    log.info(&format!("Configuration file {}", options.config_file.display()));
    let request = Request { is_start: true, dump: options.dump_config, ..request(options) };
    let Reading { verdict, model } = reader::read_and_wait(&request).map_err(|error| {
        say(&error);
        EXIT_CONFIG
    })?;
    report(&verdict, log);
    if !verdict.is_usable {
        return Err(EXIT_CONFIG);
    }
    if let Some(Err(error)) = verdict.namespace.as_deref().map(host::namespace::enter) {
        say(&error);
        return Err(EXIT_CONFIG);
    }
    verdict.dump.iter().for_each(|line| log.info(line));
    let kept = Board::new().and_then(|board| board.write_configuration(&model).map(|()| board));
    let board = kept.map_err(|error| {
        say(&error);
        EXIT_FATAL
    })?;
    Ok((board, verdict))
}

/// What is wrong with the configuration goes to the log.
fn report(verdict: &Verdict, log: &Log) {
    for (text, help) in &verdict.messages {
        log.warning(text);
        for help in help {
            log.detail(&format!("  {help}"));
        }
    }
}

/// Takes the pid file. One that is held although its process is dead belongs to a worker that is leaving: it hands its
/// addresses over, which takes a master down time at most.
fn pid_file(path: &Path, log: &Log) -> Result<PidFile, u8> {
    let mut file = PidFile::create(path, Exclusive::Yes);
    if matches!(file, Err(PidFileError::Held { .. })) && pidfile::running(path).is_none() {
        log.info("waiting for a worker that lost its supervisor and is leaving");
        pidfile::wait_until_free(path);
        file = PidFile::create(path, Exclusive::Yes);
    }
    file.map_err(|error| match error {
        PidFileError::Held { .. } => {
            log.info("daemon is already running");
            EXIT_OK
        }
        PidFileError::Create { .. } => {
            log.warning(&error.to_string());
            EXIT_FATAL
        }
    })
}

/// A worker's life; its supervisor starts the next one if it ends by accident.
fn work(options: &Options, start: Start) -> u8 {
    let log = open_log(options, SYSLOG_IDENT);
    let pid_file = match options.vrrp_pid_file.as_deref().map(|path| PidFile::create(path, Exclusive::Yes)) {
        None => None,
        Some(Ok(file)) => Some(file),
        Some(Err(error)) => {
            log.warning(&error.to_string());
            return EXIT_FATAL;
        }
    };
    let code = match configuration(&start.board) {
        Ok(config) => serve(options, config, &log, start),
        Err(error) => {
            log.warning(&format!("the configuration in force cannot be read: {error}"));
            EXIT_FATAL
        }
    };
    if let Some(file) = pid_file {
        file.remove();
    }
    code
}

/// The configuration in force: that of the start, or of the last reload that was accepted.
fn configuration(board: &Board) -> io::Result<Config> {
    Ok(reader::model(&board.read_configuration()?)?)
}

fn serve(options: &Options, config: Config, log: &Log, start: Start) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(HELPER_STACK_BYTES)
        .max_blocking_threads(HELPERS_MAX)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            log.warning(&format!("cannot start: {error}"));
            return EXIT_FATAL;
        }
    };
    let tasks = tokio::task::LocalSet::new();
    match tasks.block_on(&runtime, serve_async(options.clone(), config, log.clone(), start)) {
        Ok(()) => EXIT_OK,
        Err(error) => {
            log.warning(&error.to_string());
            exit_code(&error)
        }
    }
}

fn exit_code(error: &StartError) -> u8 {
    match error {
        StartError::NoInterface(_) | StartError::Unsupported(_) => EXIT_CONFIG,
        StartError::Socket(crate::net::SocketError::Permission)
        | StartError::Netlink(crate::netlink::NetlinkError::Permission) => EXIT_PERMISSION,
        StartError::Socket(_) | StartError::Netlink(_) | StartError::Firewall(_) | StartError::Io(_) => {
            EXIT_FATAL
        }
    }
}

async fn serve_async(options: Options, config: Config, log: Log, start: Start) -> Result<(), StartError> {
    let signals = Signals::catch()?;
    start.signals.release()?;
    // Subscribed before the first reading, so that no change falls between.
    let monitor = Monitor::open()?;
    host::scheduling::set_title(config.global.vrrp_process.name.as_deref());
    for failure in host::scheduling::apply(&config.global.vrrp_process) {
        log.warning(&failure);
    }
    let global = config.global.clone();
    let config_reload = global.reload.clone();
    if start.predecessors == 0
        && let Some(failure) = host::scripts::startup(&global).await
    {
        log.warning(&failure);
    }
    let inheritance = Inheritance { board: Some(start.board), records: start.records, host: start.host };
    let (mut actor, inbox) = Actor::new(config, log.clone(), inheritance).await?;
    actor.report_all_addresses(options.address_monitoring);
    actor.leave_addresses(options.leave_addresses);
    actor.start().await?;
    let readiness = start.readiness;
    let options = actor::Options {
        config_file: options.config_file.display().to_string(),
        admin: options.admin.clone(),
        reread: rereader(options.clone(), config_reload),
        on_ready: Box::new(move || {
            if let Some(readiness) = readiness {
                // The parent's exit status is all that depends on it.
                let _ = readiness.ready();
            }
        }),
        main_pid: start.main_pid.as_raw().unsigned_abs(),
    };
    let ended = Box::pin(actor.run(inbox, monitor, signals, options)).await;
    if let Some(failure) = host::scripts::shutdown(&global).await {
        log.warning(&failure);
    }
    ended.map(|_| ())
}

/// How a reload reads the configuration, with what the one in use says about that: `reload_file` is there meanwhile,
/// `reload_check_config` gets what was found.
fn rereader(options: Options, settings: ReloadSettings) -> actor::Reread {
    let settings = Rc::new(RefCell::new(settings));
    Box::new(move |log| Box::pin(reread(options.clone(), Rc::clone(&settings), log)))
}

async fn reread(
    options: Options,
    settings: Rc<RefCell<ReloadSettings>>,
    log: Log,
) -> Result<actor::Reading, Vec<String>> {
    let ReloadSettings { file, check_config, .. } = settings.borrow().clone();
    let marker = file.map(|path| Marker(reload_file(path.as_deref(), &options)));
    if let Some(Err(error)) = marker.as_ref().map(|marker| std::fs::File::create(&marker.0)) {
        log.warning(&format!("Failed to create reload file: {error}"));
    }
    let reading = read_again(request(&options), &log).await;
    drop(marker);
    if let Some(Some(path)) = &check_config {
        let messages = reading.as_ref().map_or_else(|messages| messages, |reading| &reading.messages);
        let text: String = messages.iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = std::fs::write(path, text) {
            log.warning(&format!("cannot write {path}: {error}"));
        }
    }
    if let Ok(reading) = &reading {
        settings.borrow_mut().clone_from(&reading.config.global.reload);
    }
    reading
}

/// A file that is there while a configuration is read.
struct Marker(PathBuf);

impl Drop for Marker {
    fn drop(&mut self) {
        // Whoever waits for that may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where the marker is: as written, else with the pid files.
fn reload_file(written: Option<&str>, options: &Options) -> PathBuf {
    let default = || {
        let folder = if options.identity.is_empty() { "/run" } else { PID_FOLDER };
        Path::new(folder).join(format!("keepalived{}.reload", options.identity))
    };
    written.map_or_else(default, PathBuf::from)
}

/// Has the configuration read again, and turns its text into the model on another thread.
async fn read_again(request: Request, log: &Log) -> Result<actor::Reading, Vec<String>> {
    log.info(&format!("Configuration file {}", request.file.display()));
    let failed = |error: &dyn std::fmt::Display| {
        log.warning(&error.to_string());
        vec![error.to_string()]
    };
    let Reading { verdict, model: text } = reader::read_beside(&request).await.map_err(|e| failed(&e))?;
    report(&verdict, log);
    let messages: Vec<String> = verdict.messages.into_iter().map(|(text, _)| text).collect();
    if !verdict.is_usable {
        return Err(messages);
    }
    let understood = tokio::task::spawn_blocking(move || reader::model(&text).map(|config| (config, text)));
    match understood.await {
        Ok(Ok((config, text))) => Ok(actor::Reading { config, text, messages }),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

fn read(options: &Options) -> (Option<Config>, Diagnostics, SourceMap) {
    config::load(std::slice::from_ref(&options.config_file), &load_options(options))
}

fn load_options(options: &Options) -> LoadOptions {
    LoadOptions { config_id: options.config_id.clone(), random_seed: wall_us() }
}

/// `-t`: says what is wrong with the configuration, on standard error or in `file`, and answers with the
/// exit status.
pub fn test(options: &Options, file: Option<&Path>) -> ExitCode {
    let files = std::slice::from_ref(&options.config_file);
    let namespace =
        options.namespace.clone().or_else(|| config::net_namespace(files, &load_options(options)));
    if let Some(Err(error)) = namespace.as_deref().map(host::namespace::enter) {
        let _ = writeln!(io::stderr(), "{error}");
    }
    let (config, diagnostics, sources) = read(options);
    let verbose = file.is_none() && io::stderr().is_terminal();
    let mut text: String = diagnostics
        .iter()
        .map(|diagnostic| render(&KeepalivedStyle, diagnostic, &sources, verbose))
        .collect();
    for missing in config.iter().flat_map(build::unsupported) {
        text.push_str(&missing);
        text.push('\n');
    }
    let written = match file {
        Some(path) => std::fs::write(path, text),
        None => io::stderr().write_all(text.as_bytes()),
    };
    let verdict = config::Verdict::of(&diagnostics);
    let code =
        if options.keepalived_exit_codes { verdict.keepalived_exit_code() } else { verdict.exit_code() };
    match written {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(EXIT_FATAL)),
        Err(_) => ExitCode::from(EXIT_FATAL),
    }
}
