//! The daemon's command line, which is HAProxy's (management manual, section 3 "Starting HAProxy").
//!
//! Hand-parsed: single dashes, options glued to letters, lists of process ids.

use std::path::PathBuf;

use crate::diagnose::Format;

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `-f` and what follows `--`, in order.
    pub files: Vec<String>,
    /// `-c`.
    pub check: bool,
    /// `-cc`.
    pub check_condition: Option<String>,
    /// `-v` (1), `-vv` (2), `-vq` (0).
    pub version: Option<Version>,
    /// `-q`.
    pub quiet: bool,
    /// `-V`.
    pub verbose: bool,
    /// `-d`: debug mode, foreground.
    pub debug: bool,
    /// `-db`: foreground.
    pub foreground: bool,
    /// `-D`.
    pub daemon: bool,
    /// `-W` or `-Ws`.
    pub master_worker: bool,
    /// `-Ws`.
    pub notify_systemd: bool,
    /// `-C`.
    pub directory: Option<PathBuf>,
    /// `-p`.
    pub pidfile: Option<PathBuf>,
    /// `-n`.
    pub maxconn: Option<u32>,
    /// `-N`.
    pub proxy_maxconn: Option<u32>,
    /// `-m`, megabytes.
    pub memory_max_mb: Option<u64>,
    /// `-L`.
    pub local_peer: Option<String>,
    /// `-S`.
    pub master_sockets: Vec<String>,
    /// `-x`.
    pub transfer_socket: Option<String>,
    /// `-sf`: these end softly.
    pub finish_pids: Vec<i32>,
    /// `-st`: these end at once.
    pub terminate_pids: Vec<i32>,
    /// `-dD`.
    pub diagnostic_mode: bool,
    /// `-dW`.
    pub zero_warning: bool,
    /// `-dr`.
    pub ignore_unresolved: bool,
    /// `-dS`.
    pub no_splice: bool,
    /// `-dR`.
    pub no_reuse_port: bool,
    /// `-dV`.
    pub no_tls_verify: bool,
    /// `-dK…`: the classes, empty for help.
    pub dump_keywords: Option<Vec<String>>,
    /// `-dL`.
    pub dump_libraries: bool,
    /// `--diagnostics=full|plain`; `None` decides by the terminal.
    pub full_diagnostics: Option<bool>,
    /// `--dump-config=json`.
    pub dump_config: bool,
    /// `--support-table`.
    pub support_table: bool,
    /// `--format text|json|sarif`: the form of a check's findings; the latter two check as `-c` does.
    pub format: Format,
    /// `--upgrade FILE`: rewrite old words; with `-w` in place.
    pub upgrade: Option<Upgrade>,
    /// `--explain FILE:LINE`.
    pub explain: Option<String>,
}

/// What `--upgrade` reads and where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub file: PathBuf,
    /// `-w`: the file itself, keeping the old one beside it.
    pub in_place: bool,
}

/// Which form of the version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `-vq`: the bare version.
    Bare,
    /// `-v`.
    Short,
    /// `-vv`.
    Long,
}

/// Why the command line is wrong; all of these show the usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("")]
    Usage,
    #[error("missing argument of '{0}'")]
    MissingArgument(String),
    #[error("'{0}' expects a number, got '{1}'")]
    NotANumber(String, String),
}

struct Arguments<'a> {
    rest: &'a [String],
}

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn value(&mut self, flag: &str) -> Result<&'a str, UsageError> {
        self.next().ok_or_else(|| UsageError::MissingArgument(flag.to_owned()))
    }

    fn number<T: std::str::FromStr>(&mut self, flag: &str) -> Result<T, UsageError> {
        let value = self.value(flag)?;
        value.parse().map_err(|_| UsageError::NotANumber(flag.to_owned(), value.to_owned()))
    }

    /// Process ids up to the next option.
    fn pids(&mut self, into: &mut Vec<i32>) {
        while let Some(pid) = self.rest.first().and_then(|word| word.parse().ok()).filter(|pid| *pid > 0) {
            into.push(pid);
            self.next();
        }
    }
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: &[String]) -> Result<Options, UsageError> {
    let mut options = Options::default();
    let mut arguments = Arguments { rest: arguments };
    while let Some(flag) = arguments.next() {
        match flag {
            "--" => {
                options.files.extend(arguments.rest.iter().cloned());
                arguments.rest = &[];
            }
            _ if flag.starts_with("--") => long(&mut options, flag, &mut arguments)?,
            _ if flag.starts_with("-d") && flag.len() > 2 => debug(&mut options, flag),
            _ => short(&mut options, flag, &mut arguments)?,
        }
    }
    Ok(options)
}

fn short(options: &mut Options, flag: &str, arguments: &mut Arguments<'_>) -> Result<(), UsageError> {
    match flag {
        "-v" => options.version = Some(Version::Short),
        "-vv" => options.version = Some(Version::Long),
        "-vq" => options.version = Some(Version::Bare),
        "-c" => options.check = true,
        "-cc" => options.check_condition = Some(arguments.value(flag)?.to_owned()),
        "-d" => options.debug = true,
        "-D" => options.daemon = true,
        "-W" => options.master_worker = true,
        "-Ws" => {
            options.master_worker = true;
            options.notify_systemd = true;
        }
        "-q" => options.quiet = true,
        "-V" => options.verbose = true,
        "-f" => options.files.push(arguments.value(flag)?.to_owned()),
        "-p" => options.pidfile = Some(arguments.value(flag)?.into()),
        "-n" => options.maxconn = Some(arguments.number(flag)?),
        "-N" => options.proxy_maxconn = Some(arguments.number(flag)?),
        "-m" => options.memory_max_mb = Some(arguments.number(flag)?),
        "-C" => options.directory = Some(arguments.value(flag)?.into()),
        "-L" => options.local_peer = Some(arguments.value(flag)?.to_owned()),
        "-S" => options.master_sockets.push(arguments.value(flag)?.to_owned()),
        "-x" => options.transfer_socket = Some(arguments.value(flag)?.to_owned()),
        "-sf" => arguments.pids(&mut options.finish_pids),
        "-st" => arguments.pids(&mut options.terminate_pids),
        _ => return Err(UsageError::Usage),
    }
    Ok(())
}

/// `-d…`: `-db`, `-dD`, `-dK…`; those that switch off mechanisms that are not there change nothing.
fn debug(options: &mut Options, flag: &str) {
    let name = flag.get(2..).unwrap_or_default();
    match name {
        "b" => options.foreground = true,
        "D" => options.diagnostic_mode = true,
        "W" => options.zero_warning = true,
        "r" => options.ignore_unresolved = true,
        "S" => options.no_splice = true,
        "R" => options.no_reuse_port = true,
        "V" => options.no_tls_verify = true,
        "L" => options.dump_libraries = true,
        _ if name.starts_with('K') => {
            let classes = name.get(1..).unwrap_or_default();
            let classes = classes.split(',').filter(|class| !class.is_empty()).map(str::to_owned);
            options.dump_keywords = Some(classes.collect());
        }
        // -dM (memory poisoning), -de -dp -dk -dv (pollers), -dG (getaddrinfo), -dI, -dF, -dZ, -dt, -dC, -da, -dh …:
        // debugging aids of another implementation; accepted because scripts and tests pass them.
        _ => {}
    }
}

fn long(options: &mut Options, flag: &str, arguments: &mut Arguments<'_>) -> Result<(), UsageError> {
    let (name, glued) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
    let value = |arguments: &mut Arguments<'_>| match glued {
        Some(value) => Ok(value.to_owned()),
        None => arguments.value(name).map(str::to_owned),
    };
    match name {
        "--format" => {
            options.format = match value(arguments)?.as_str() {
                "text" => Format::Text,
                "json" => Format::Json,
                "sarif" => Format::Sarif,
                _ => return Err(UsageError::Usage),
            };
            options.check |= options.format != Format::Text;
            return Ok(());
        }
        "--upgrade" => {
            let in_place = glued.is_none() && arguments.rest.first().is_some_and(|word| word == "-w");
            if in_place {
                arguments.next();
            }
            options.upgrade = Some(Upgrade { file: value(arguments)?.into(), in_place });
            return Ok(());
        }
        "--explain" => {
            options.explain = Some(value(arguments)?);
            return Ok(());
        }
        _ => {}
    }
    match flag {
        "--diagnostics=full" => options.full_diagnostics = Some(true),
        "--diagnostics=plain" => options.full_diagnostics = Some(false),
        "--dump-config=json" => options.dump_config = true,
        "--support-table" => options.support_table = true,
        _ => return Err(UsageError::Usage),
    }
    Ok(())
}

/// The text that is shown when the command line is wrong.
pub fn usage(program: &str) -> String {
    format!(
        "Usage : {program} [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]
        [ -p <pidfile> ] [ -m <max megs> ] [ -C <dir> ] [-- <cfgfile>*]
        -v displays version ; -vv shows known build options ; -vq shows the version only.
        -d enters debug mode ; -db only disables background mode.
        -dM[<byte>,help,...] is accepted and has no effect
        -V enters verbose mode (disables quiet mode)
        -D goes daemon ; -C changes to <dir> before loading files.
        -W master-worker mode (runs as one process for now).
        -Ws the same with systemd notify support.
        -q quiet mode : don't display messages
        -c check mode : only check config files and exit
        -cc check condition : evaluate a condition and exit
        -n sets the maximum total # of connections (uses ulimit -n)
        -m limits the usable amount of memory (in MB)
        -N sets the default, per-proxy maximum # of connections (0)
        -L set local peer name (default to hostname)
        -p writes pids of all children to this file
        -dS disables splice usage (broken on old kernels)
        -dR disables SO_REUSEPORT usage
        -dL dumps loaded object files after config checks
        -dK{{class[,...]}} dump registered keywords (use 'help' for list)
        -dr ignores server address resolution failures
        -dV disables SSL verify on servers side
        -dW fails if any warning is emitted
        -dD diagnostic mode : warn about suspicious configuration statements
        -sf/-st [pid ]* finishes/terminates old pids.
        -x <unix_socket> get listening sockets from a unix socket
        -S <bind>[,<bind options>...] new master CLI
        --diagnostics=full|plain shows the line and the fix below each message
        --dump-config=json prints the configuration as it was understood
        --format text|json|sarif checks and writes the findings in this form
        --upgrade [-w] <file> rewrites words of old versions, on standard output or in place
        --explain <file>:<line> says in words what a line does
        --support-table prints which keywords are supported, as Markdown
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        parse(&words).unwrap()
    }

    #[test]
    fn the_systemd_units_command_line_is_understood() {
        let o = options("-Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock");
        assert!(o.master_worker && o.notify_systemd);
        assert_eq!(o.files, ["/etc/haproxy/haproxy.cfg"]);
        assert_eq!(o.master_sockets, ["/run/haproxy-master.sock"]);
    }

    #[test]
    fn lists_of_process_ids_end_at_the_next_option() {
        let o = options("-sf 12 34 -st 56 -f a.cfg -- b.cfg c.cfg");
        assert_eq!((o.finish_pids, o.terminate_pids), (vec![12, 34], vec![56]));
        assert_eq!(o.files, ["a.cfg", "b.cfg", "c.cfg"]);
    }

    #[test]
    fn vtests_flags_are_accepted() {
        let o = options("-d -dM -dI -dW -f a.cfg -m 512 -L name");
        assert!(o.debug && o.zero_warning);
        assert_eq!(o.memory_max_mb, Some(512));
    }

    #[test]
    fn keyword_classes_are_cut_at_commas() {
        assert_eq!(options("-dKall").dump_keywords, Some(vec!["all".to_owned()]));
        assert_eq!(options("-dKcfg,smp").dump_keywords, Some(vec!["cfg".to_owned(), "smp".to_owned()]));
    }

    #[test]
    fn unknown_flags_show_the_usage() {
        assert_eq!(parse(&["-zz".to_owned()]), Err(UsageError::Usage));
        assert!(matches!(parse(&["-f".to_owned()]), Err(UsageError::MissingArgument(_))));
    }
}
