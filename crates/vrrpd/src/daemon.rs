//! From options to a running daemon and its exit status (those of keepalived).

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
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
    config::{self, CODE_INCLUDE, KeepalivedStyle, LoadOptions, Verdict},
    host::{self, namespace::NamespaceError},
    logging::{Log, LogSettings, SYSLOG_IDENT, SYSLOG_IDENT_SUPERVISOR, quoted_command_line},
    model::{Config, ReloadSettings},
    netlink::Monitor,
    runtime::{Actor, Inheritance, StartError, actor, build, signals::Signals},
    status,
    supervisor::{self, Start},
    version,
};

/// Where pid files are with `use_pid_dir`, `instance` or `net_namespace`.
const PID_FOLDER: &str = "/run/keepalived";

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

/// Moves to the namespace that the command line, else the file, asks for.
fn enter_namespace(options: &Options) -> Result<Option<String>, NamespaceError> {
    let written =
        || config::net_namespace(std::slice::from_ref(&options.config_file), &load_options(options));
    let namespace = options.namespace.clone().or_else(written);
    if let Some(name) = &namespace {
        host::namespace::enter(name)?;
    }
    Ok(namespace)
}

/// What keeps the traces of several daemons on one machine apart: the names of the instance and the namespace, each behind
/// an underscore.
fn identity(config: &Config, namespace: Option<&str>) -> String {
    let names = [config.global.instance_name.as_deref(), namespace];
    names.into_iter().flatten().map(|name| format!("_{name}")).collect()
}

/// Where the pid file is: that of the command line, else one that daemons of other instances and namespaces do not have.
fn pid_path(options: &Options, config: &Config) -> PathBuf {
    let default = Path::new(PID_FILE);
    let shared = options.identity.is_empty() && !config.global.use_pid_dir;
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
    let namespace = match enter_namespace(&options) {
        Ok(namespace) => namespace,
        Err(error) => {
            log.warning(&error.to_string());
            return EXIT_CONFIG;
        }
    };
    let Ok(actor::Reading { config, .. }) = load(&options, log) else { return EXIT_CONFIG };
    let options = Options { identity: identity(&config, namespace.as_deref()), ..options };
    if options.dump_config {
        for line in status::configuration_text(&config).lines() {
            log.info(line);
        }
    }
    if let Some(mask) = options.umask.or(config.global.umask) {
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
    let path = pid_path(&options, &config);
    let pid_file = match pid_file(&path, log) {
        Ok(file) => file,
        Err(code) => return code,
    };
    host::scheduling::set_title(config.global.process_name.as_deref());
    let respawn = !options.dont_respawn;
    let code = supervisor::run(readiness, respawn, log, |start| work(&options, &config, start));
    pid_file.remove();
    code.unwrap_or_else(|error| {
        log.warning(&format!("cannot start: {error}"));
        EXIT_FATAL
    })
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
fn work(options: &Options, config: &Config, start: Start) -> u8 {
    let log = open_log(options, SYSLOG_IDENT);
    let pid_file = match options.vrrp_pid_file.as_deref().map(|path| PidFile::create(path, Exclusive::Yes)) {
        None => None,
        Some(Ok(file)) => Some(file),
        Some(Err(error)) => {
            log.warning(&error.to_string());
            return EXIT_FATAL;
        }
    };
    let code = serve(options, config_for(options, config, &start, &log), &log, start);
    if let Some(file) = pid_file {
        file.remove();
    }
    code
}

/// The configuration that the former worker had: that of the start, unless a reload has been accepted since.
fn config_for(options: &Options, config: &Config, start: &Start, log: &Log) -> Config {
    if start.predecessors == 0 || !start.board.was_reloaded() {
        return config.clone();
    }
    load(options, log).map(|reading| reading.config).unwrap_or_else(|_| {
        log.warning("the configuration cannot be read again: going on with that of the start");
        config.clone()
    })
}

fn serve(options: &Options, config: Config, log: &Log, start: Start) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
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
fn rereader(options: Options, mut settings: ReloadSettings) -> actor::Reread {
    Box::new(move |log| {
        let marker = settings.file.as_ref().map(|path| reload_file(path.as_deref(), &options));
        if let Some(Err(error)) = marker.as_ref().map(std::fs::File::create) {
            log.warning(&format!("Failed to create reload file: {error}"));
        }
        let reading = load(&options, log);
        if let Some(marker) = marker {
            // Whoever waits for that may have removed it.
            let _ = std::fs::remove_file(marker);
        }
        if let Some(Some(path)) = &settings.check_config {
            let messages = reading.as_ref().map_or_else(|messages| messages, |reading| &reading.messages);
            let text: String = messages.iter().map(|line| format!("{line}\n")).collect();
            if let Err(error) = std::fs::write(path, text) {
                log.warning(&format!("cannot write {path}: {error}"));
            }
        }
        if let Ok(reading) = &reading {
            settings.clone_from(&reading.config.global.reload);
        }
        reading
    })
}

/// Where the marker is: as written, else with the pid files.
fn reload_file(written: Option<&str>, options: &Options) -> PathBuf {
    let default = || {
        let folder = if options.identity.is_empty() { "/run" } else { PID_FOLDER };
        Path::new(folder).join(format!("keepalived{}.reload", options.identity))
    };
    written.map_or_else(default, PathBuf::from)
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

/// Reads the configuration; what is wrong with it goes to the log.
fn load(options: &Options, log: &Log) -> Result<actor::Reading, Vec<String>> {
    log.info(&format!("Configuration file {}", options.config_file.display()));
    let (config, diagnostics, sources) = read(options);
    let mut messages = Vec::new();
    for diagnostic in &diagnostics {
        let text = render(&KeepalivedStyle, diagnostic, &sources, false);
        log.warning(text.trim_end());
        messages.push(text.trim_end().to_owned());
        for help in &diagnostic.help {
            log.detail(&format!("  {help}"));
        }
    }
    let missing = diagnostics.iter().any(|diagnostic| diagnostic.code == Some(CODE_INCLUDE));
    match config.filter(|_| !(options.all_config && missing)) {
        Some(config) => {
            if let Some(directory) = &config.global.reload.config_save_dir
                && let Err(error) = save_sources(directory, &sources)
            {
                log.warning(&format!("config_save_dir {directory}: {error}"));
            }
            Ok(actor::Reading { config, messages })
        }
        None => Err(messages),
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
    if let Err(error) = enter_namespace(options) {
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
    let verdict = Verdict::of(&diagnostics);
    let code =
        if options.keepalived_exit_codes { verdict.keepalived_exit_code() } else { verdict.exit_code() };
    match written {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(EXIT_FATAL)),
        Err(_) => ExitCode::from(EXIT_FATAL),
    }
}
