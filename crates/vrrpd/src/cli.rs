//! keepalived's command line (keepalived(8)), parsed by hand: its short options bundle, some values are
//! optional, and some options of other subsystems must be taken without doing anything here.

use std::{ffi::OsString, path::PathBuf};

use hacore::logging::syslog::Facility;
use thiserror::Error;

use crate::{
    admin::{self, client},
    config,
    model::AdminPath,
    runtime::signals,
    version,
};

/// Default configuration file (keepalived(8), `-f`).
pub const CONFIG_FILE: &str = "/etc/keepalived/keepalived.conf";
/// Default pid file of the daemon (keepalived(8), `-p`).
pub const PID_FILE: &str = "/run/keepalived.pid";
/// `-M` without a value (keepalived(8)).
const CORE_PATTERN: &str = "core";

/// The command line is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CliError {
    /// Nobody knows this option.
    #[error("Unknown option {0}")]
    Unknown(String),
    /// An option lacks its value.
    #[error("option '{0}' requires an argument")]
    MissingValue(String),
    /// A value makes no sense.
    #[error("Invalid {what} '{value}'")]
    Invalid {
        /// Which option's.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// Words that are no option.
    #[error("Unexpected argument(s): {0}")]
    Extra(String),
    /// Words after `ctl`.
    #[error("{0}")]
    Ctl(String),
    /// Known to keepalived, not carried out here.
    #[error("option {0} is not supported: {1}")]
    Unsupported(&'static str, &'static str),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Print this and exit with 0.
    Print(String),
    /// `-t`: check the file; write to this file rather than to standard error.
    Test(Options, Option<PathBuf>),
    /// `ctl`: ask a running daemon.
    Ctl(client::Request),
    /// Run the daemon.
    Run(Options),
}

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-f`.
    pub config_file: PathBuf,
    /// `-n`.
    pub foreground: bool,
    /// `-l`.
    pub log_console: bool,
    /// `-D`.
    pub log_detail: bool,
    /// `-S`.
    pub facility: Facility,
    /// `-G`.
    pub no_syslog: bool,
    /// `-d`.
    pub dump_config: bool,
    /// `-p`.
    pub pid_file: PathBuf,
    /// `-r`: written, too, for tools that look for the VRRP process.
    pub vrrp_pid_file: Option<PathBuf>,
    /// `-s`.
    pub namespace: Option<String>,
    /// `-R`.
    pub dont_respawn: bool,
    /// `-V`.
    pub leave_addresses: bool,
    /// `-e`: missing include files are an error.
    pub all_config: bool,
    /// `-i`.
    pub config_id: Option<String>,
    /// `-u`.
    pub umask: Option<u32>,
    /// `-a`.
    pub address_monitoring: bool,
    /// `-m`.
    pub core_dump: bool,
    /// `-M`: what core files are called from now on, on the whole machine.
    pub core_pattern: Option<String>,
    /// `--keepalived-exit-codes`.
    pub keepalived_exit_codes: bool,
    /// `--admin-socket`, `--metrics`.
    pub admin: admin::Overrides,
    /// Behind the names of log and pid file: `_INSTANCE_NAMESPACE`; known when the file has been read.
    pub identity: String,
    /// Words for the log about options that have no effect here.
    pub notices: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            config_file: CONFIG_FILE.into(),
            foreground: false,
            log_console: false,
            log_detail: false,
            facility: Facility::DAEMON,
            no_syslog: false,
            dump_config: false,
            pid_file: PID_FILE.into(),
            vrrp_pid_file: None,
            namespace: None,
            identity: String::new(),
            dont_respawn: false,
            leave_addresses: false,
            all_config: false,
            config_id: None,
            umask: None,
            address_monitoring: false,
            core_dump: false,
            core_pattern: None,
            keepalived_exit_codes: false,
            admin: admin::Overrides::default(),
            notices: Vec::new(),
        }
    }
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Required,
    /// Only as `--name=value` or `-xvalue`.
    Optional,
}

/// One option: short letter, long name, value, help.
struct OptionSpec {
    short: Option<char>,
    long: &'static str,
    value: Value,
    help: &'static str,
}

const fn option(short: Option<char>, long: &'static str, value: Value, help: &'static str) -> OptionSpec {
    OptionSpec { short, long, value, help }
}

use Value::{None as NoValue, Optional, Required};

const OPTIONS: &[OptionSpec] = &[
    option(Some('f'), "use-file", Required, "Use the specified configuration file"),
    option(Some('P'), "vrrp", NoValue, "Only run with VRRP subsystem (always so here)"),
    option(Some('C'), "check", NoValue, "Only run with health-checker subsystem (refused)"),
    option(Some('B'), "no_bfd", NoValue, "Don't run the BFD subsystem (always so here)"),
    option(None, "all", NoValue, "Run all subsystems there are"),
    option(Some('l'), "log-console", NoValue, "Log messages to local console"),
    option(Some('D'), "log-detail", NoValue, "Detailed log messages"),
    option(Some('S'), "log-facility", Required, "0-7, local{0-7}, user, daemon: set syslog facility"),
    option(Some('G'), "no-syslog", NoValue, "Don't log via syslog"),
    option(Some('u'), "umask", Required, "umask for file creation"),
    option(Some('X'), "release-vips", NoValue, "Drop VIP on transition from signal"),
    option(Some('V'), "dont-release-vrrp", NoValue, "Don't remove VRRP VIPs and VROUTEs on daemon stop"),
    option(Some('I'), "dont-release-ipvs", NoValue, "Don't remove IPVS topology on daemon stop"),
    option(Some('R'), "dont-respawn", NoValue, "Don't respawn child processes"),
    option(Some('n'), "dont-fork", NoValue, "Don't fork the daemon process"),
    option(Some('d'), "dump-conf", NoValue, "Dump the configuration data"),
    option(Some('p'), "pid", Required, "Use specified pidfile for parent process"),
    option(Some('r'), "vrrp_pid", Required, "Use specified pidfile for VRRP child process"),
    option(Some('c'), "checkers_pid", Required, "Use specified pidfile for checkers child process"),
    option(Some('b'), "bfd_pid", Required, "Use specified pidfile for BFD child process"),
    option(Some('T'), "genhash", NoValue, "Enter into genhash utility mode (refused)"),
    option(Some('a'), "address-monitoring", NoValue, "Report all address additions/deletions"),
    option(Some('x'), "snmp", NoValue, "Enable SNMP subsystem (refused)"),
    option(Some('A'), "snmp-agent-socket", Required, "Use the specified socket for master agent (refused)"),
    option(Some('s'), "namespace", Required, "Run in network namespace NAME"),
    option(Some('m'), "core-dump", NoValue, "Produce core dump if terminate abnormally"),
    option(
        Some('M'),
        "core-dump-pattern",
        Optional,
        "Also set /proc/sys/kernel/core_pattern to VALUE (core)",
    ),
    option(Some('e'), "all-config", NoValue, "Error if any configuration file missing"),
    option(Some('i'), "config-id", Required, "Skip any configuration lines beginning '@' that don't match"),
    option(None, "signum", Required, "Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON"),
    option(
        Some('t'),
        "config-test",
        Optional,
        "Check the configuration for obvious errors, output to FILE or stderr",
    ),
    option(None, "ignore-sigint", NoValue, "Ignore SIGINT (refused)"),
    option(None, "admin-socket", Required, "Unix socket of 'vrrpd ctl', or off (not known to keepalived)"),
    option(
        None,
        "metrics",
        Required,
        "ADDRESS:PORT where Prometheus fetches /metrics (not known to keepalived)",
    ),
    option(None, "keepalived-exit-codes", NoValue, "With -t: exit with keepalived's codes"),
    option(None, "support-table", NoValue, "Print which keywords are supported, as Markdown"),
    option(Some('v'), "version", NoValue, "Display the version number"),
    option(Some('h'), "help", NoValue, "Display this help message"),
];

/// Reads the command line, without the program's name.
///
/// # Errors
/// [`CliError`]; the caller prints it and the hint to `--help` and exits with 1.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
    let words = arguments.map(|word| word.to_string_lossy().into_owned());
    let mut words = words.peekable();
    if words.next_if(|word| word == "ctl").is_some() {
        return match client::parse(words).map_err(CliError::Ctl)? {
            client::Ctl::Help => Ok(Command::Print(client::usage())),
            client::Ctl::Ask(request) => Ok(Command::Ctl(request)),
        };
    }
    let mut state = Parsed::default();
    let mut extra = Vec::new();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let spec = find_long(name).ok_or_else(|| CliError::Unknown(word.clone()))?;
            let value = take_value(spec, inline, &mut words)?;
            state.apply(spec, value)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            state.apply_bundle(letters, &mut words)?;
        } else {
            extra.push(word);
        }
    }
    if !extra.is_empty() {
        return Err(CliError::Extra(extra.join(" ")));
    }
    Ok(state.finish())
}

/// A long option by its name or an unambiguous beginning, as getopt_long(3) takes them.
fn find_long(name: &str) -> Option<&'static OptionSpec> {
    if let Some(exact) = OPTIONS.iter().find(|spec| spec.long == name) {
        return Some(exact);
    }
    let mut starting = OPTIONS.iter().filter(|spec| !name.is_empty() && spec.long.starts_with(name));
    match (starting.next(), starting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn take_value(
    spec: &OptionSpec,
    inline: Option<String>,
    words: &mut impl Iterator<Item = String>,
) -> Result<Option<String>, CliError> {
    let missing = || CliError::MissingValue(spec.long.to_owned());
    match spec.value {
        Value::None if inline.is_some() => {
            Err(CliError::Unknown(format!("--{}={}", spec.long, inline.unwrap_or_default())))
        }
        Value::None => Ok(None),
        Value::Optional => Ok(inline),
        Value::Required => inline.or_else(|| words.next()).map(Some).ok_or_else(missing),
    }
}

#[derive(Default)]
struct Parsed {
    options: Options,
    print: Option<String>,
    test: Option<Option<PathBuf>>,
}

impl Parsed {
    fn apply_bundle(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), CliError> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let spec = OPTIONS
                .iter()
                .find(|spec| spec.short == Some(letter))
                .ok_or_else(|| CliError::Unknown(format!("-{letter}")))?;
            let inline = match spec.value {
                Value::None => None,
                Value::Required | Value::Optional => {
                    let inline = rest.as_str().to_owned();
                    rest = "".chars();
                    (!inline.is_empty()).then_some(inline)
                }
            };
            let value = take_value(spec, inline, words)?;
            self.apply(spec, value)?;
        }
        Ok(())
    }

    fn apply(&mut self, spec: &OptionSpec, value: Option<String>) -> Result<(), CliError> {
        let options = &mut self.options;
        let text = value.clone().unwrap_or_default();
        match spec.long {
            "use-file" => options.config_file = text.into(),
            "log-console" => options.log_console = true,
            "log-detail" => options.log_detail = true,
            "log-facility" => options.facility = facility(&text)?,
            "no-syslog" => options.no_syslog = true,
            "umask" => options.umask = Some(umask(&text)?),
            "dont-release-vrrp" => options.leave_addresses = true,
            "dont-fork" => options.foreground = true,
            "dump-conf" => options.dump_config = true,
            "pid" => options.pid_file = text.into(),
            "vrrp_pid" => options.vrrp_pid_file = Some(text.into()),
            "address-monitoring" => options.address_monitoring = true,
            "core-dump" => options.core_dump = true,
            "all-config" => options.all_config = true,
            "config-id" => options.config_id = Some(text),
            "keepalived-exit-codes" => options.keepalived_exit_codes = true,
            "admin-socket" if text == "off" => options.admin.socket = Some(AdminPath::Off),
            "admin-socket" => options.admin.socket = Some(AdminPath::At(text)),
            "metrics" if text == "off" => options.admin.metrics = Some(None),
            "metrics" => {
                let address = text
                    .parse()
                    .map_err(|_| CliError::Invalid { what: "address for --metrics", value: text })?;
                options.admin.metrics = Some(Some(address));
            }
            "config-test" => self.test = Some(value.map(PathBuf::from)),
            "version" => self.print = Some(version::title()),
            "help" => self.print = Some(help()),
            "support-table" => self.print = Some(config::support::table()),
            "signum" => {
                let number = signals::number(&text)
                    .ok_or(CliError::Invalid { what: "signal function", value: text })?;
                self.print = Some(number.to_string());
            }
            // No IPVS, BFD or SNMP: nothing to switch off.
            "vrrp" | "no_bfd" | "all" | "release-vips" | "dont-release-ipvs" => {}
            "dont-respawn" => options.dont_respawn = true,
            "checkers_pid" | "bfd_pid" => {
                options.notices.push(format!("--{} has no effect: there is no such process", spec.long));
            }
            "check" => return Err(unsupported("--check", "there are no health checkers here")),
            "genhash" => return Err(unsupported("--genhash", "there are no health checkers here")),
            "snmp" => return Err(unsupported("--snmp", "there is no SNMP agent here")),
            "snmp-agent-socket" => {
                return Err(unsupported("--snmp-agent-socket", "there is no SNMP agent here"));
            }
            "namespace" => options.namespace = Some(text),
            "core-dump-pattern" => {
                options.core_dump = true;
                options.core_pattern = Some(value.unwrap_or_else(|| CORE_PATTERN.to_owned()));
            }
            "ignore-sigint" => {
                return Err(unsupported("--ignore-sigint", "start it with setsid or a service manager"));
            }
            other => return Err(CliError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    fn finish(self) -> Command {
        match (self.print, self.test) {
            (Some(text), _) => Command::Print(text),
            (None, Some(file)) => Command::Test(self.options, file),
            (None, None) => Command::Run(self.options),
        }
    }
}

fn unsupported(option: &'static str, why: &'static str) -> CliError {
    CliError::Unsupported(option, why)
}

fn facility(text: &str) -> Result<Facility, CliError> {
    let by_number = text.parse::<u8>().ok().filter(|number| *number <= 7).map(|n| format!("local{n}"));
    let name = by_number.as_deref().unwrap_or(text);
    let allowed = name == "user" || name == "daemon" || name.starts_with("local");
    Facility::from_name(name)
        .filter(|_| allowed)
        .ok_or_else(|| CliError::Invalid { what: "log facility", value: text.to_owned() })
}

/// A number as C writes them: 0x…, 0…, decimal.
fn umask(text: &str) -> Result<u32, CliError> {
    let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8),
        _ => text.parse(),
    };
    number
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| CliError::Invalid { what: "umask", value: text.to_owned() })
}

/// The text of `--help`.
fn help() -> String {
    let mut out = String::from(
        "Usage: vrrpd [OPTION...]\n       vrrpd ctl COMMAND      ask the running daemon; 'vrrpd ctl help' lists the commands\n",
    );
    for spec in OPTIONS {
        let short = spec.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match spec.value {
            Value::None => "",
            Value::Required => "=VALUE",
            Value::Optional => "[=VALUE]",
        };
        let names = format!("--{}{value}", spec.long);
        out.push_str(&format!("  {short}{names:<28} {}\n", spec.help));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Command, CliError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Options {
        match parse_words(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn short_options_bundle_and_take_values_with_and_without_a_space() {
        let options = run("-nlD -f a.conf -p/run/x.pid");
        assert!(options.foreground && options.log_console && options.log_detail);
        assert_eq!(options.config_file, PathBuf::from("a.conf"));
        assert_eq!(options.pid_file, PathBuf::from("/run/x.pid"));
    }

    #[test]
    fn long_options_take_values_and_may_be_cut_where_unambiguous() {
        let options = run("--use-file=b.conf --dont-fork --log-d");
        assert_eq!(options.config_file, PathBuf::from("b.conf"));
        assert!(options.foreground && options.log_detail);
        assert_eq!(parse_words("--log"), Err(CliError::Unknown("--log".into())));
    }

    #[test]
    fn config_test_takes_its_file_only_attached() {
        let expected = Some(PathBuf::from("out"));
        assert!(matches!(parse_words("-tout"), Ok(Command::Test(_, file)) if file == expected));
        assert!(matches!(parse_words("-t -f x"), Ok(Command::Test(_, None))));
    }

    #[test]
    fn signum_prints_keepaliveds_numbers() {
        for (function, number) in
            [("STOP", "15"), ("RELOAD", "1"), ("DATA", "10"), ("STATS", "12"), ("JSON", "36")]
        {
            let line = format!("--signum={function}");
            assert_eq!(parse_words(&line), Ok(Command::Print(number.into())));
        }
        assert!(parse_words("--signum=NONE").is_err());
    }

    #[test]
    fn unknown_options_and_stray_words_are_errors() {
        assert_eq!(parse_words("--bogus"), Err(CliError::Unknown("--bogus".into())));
        assert_eq!(parse_words("-n -q"), Err(CliError::Unknown("-q".into())));
        assert_eq!(parse_words("-n start"), Err(CliError::Extra("start".into())));
        assert_eq!(parse_words("-f"), Err(CliError::MissingValue("use-file".into())));
    }

    #[test]
    fn facilities_by_number_and_name() {
        assert_eq!(run("-S 3").facility, Facility::from_name("local3").unwrap());
        assert_eq!(run("-S daemon").facility, Facility::DAEMON);
        assert!(parse_words("-S mail").is_err());
    }

    #[test]
    fn every_keepalived_option_is_known() {
        let letters = "fPCBlDSGuXVIRndprcbTaxAsmMeitvh";
        for letter in letters.chars() {
            assert!(OPTIONS.iter().any(|spec| spec.short == Some(letter)), "-{letter}");
        }
    }
}
