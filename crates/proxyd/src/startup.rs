//! From the command line to a verdict or a loaded configuration.
//!
//! What comes after the verdict (binding, privileges, threads) is the runtime's.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use hacore::diag::Diagnostic;

use crate::cli::{self, Options, UsageError, Version};
use crate::config::condition::{self, Facts};
use crate::config::{self, Environment, LoadOptions, Loaded, dump};
use crate::diagnose::{Detail, Format, Reporter, Verdict};
use crate::model::Config;
use crate::proxy::diff::Plan;
use crate::runtime::master;
use crate::runtime::reload::Fresh;
use crate::{tools, version};

/// What the command line and the files led to.
pub enum Outcome {
    /// Everything is said; the process ends with this code.
    Done(ExitCode),
    /// Start with this.
    Run { config: Box<Config>, options: Box<Options>, startup_logs: String },
}

/// A text on standard output; a closed pipe is not our problem.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Reads the arguments after the program's name and does everything up to the start.
pub fn begin(program: &str, arguments: &[String]) -> Outcome {
    if let Some(("plan", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return Outcome::Done(plan(rest));
    }
    let options = match cli::parse(arguments) {
        Ok(options) => options,
        Err(error) => return Outcome::Done(wrong_usage(program, &error)),
    };
    if let Some(version) = options.version {
        print(&match version {
            Version::Bare => format!("{}\n", version::full()),
            Version::Short => version::short(),
            Version::Long => version::long(),
        });
        return Outcome::Done(ExitCode::SUCCESS);
    }
    let full = options.full_diagnostics.unwrap_or_else(|| std::io::stderr().is_terminal());
    let detail = if full { Detail::Full } else { Detail::Plain };
    // What is wrong with the files was said by the master.
    let quiet = options.quiet && !options.verbose || master::is_worker();
    let mut reporter = Reporter::new(detail, options.format, quiet);
    if let Some(text) = &options.check_condition {
        return Outcome::Done(check_condition(text, &mut reporter));
    }
    if options.support_table {
        print(&config::support::table());
        return Outcome::Done(ExitCode::SUCCESS);
    }
    if let Some(wanted) = &options.explain {
        return Outcome::Done(tools::explain(wanted, &mut reporter));
    }
    if let Some(wanted) = &options.upgrade {
        return Outcome::Done(tools::upgrade(wanted, &mut reporter));
    }
    if options.files.is_empty() {
        return Outcome::Done(wrong_usage(program, &UsageError::Usage));
    }
    if let Some(directory) = &options.directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        let error = config::describe(&error);
        reporter.say(&Diagnostic::alert(format!(
            "Could not change to directory {} : {error}",
            directory.display()
        )));
        return Outcome::Done(ExitCode::FAILURE);
    }
    load(options, &mut reporter).unwrap_or_else(|verdict| {
        if let Some(document) = reporter.document(verdict) {
            print(&document);
        }
        Outcome::Done(ExitCode::from(verdict.exit_status()))
    })
}

/// Reads the files; the error is the verdict on them when there is nothing to start.
fn load(options: Options, reporter: &mut Reporter) -> Result<Outcome, Verdict> {
    let environment = Environment::of_process();
    let loaded = config::load(&options.files, load_options(&options), environment);
    reporter.report_all(&loaded.diagnostics, &loaded.sources);
    if let Some(classes) = &options.dump_keywords {
        print(&dump::classes(classes));
    }
    let Loaded { config, failed_files, zero_warning, .. } = loaded;
    let Some(mut config) = config else {
        for file in &failed_files {
            reporter.conclude(format!("Error(s) found in configuration file : {file}"));
        }
        if !loaded.unreadable {
            reporter.conclude("Fatal errors found in configuration.");
        }
        return Err(Verdict::Invalid);
    };
    if reporter.warnings > 0 && zero_warning {
        reporter.conclude("Some warnings were found and 'zero-warning' is set. Aborting.");
        return Err(Verdict::Invalid);
    }
    if options.dump_config {
        let text = serde_json::to_string_pretty(&config).unwrap_or_else(|error| error.to_string());
        print(&text);
        print("\n");
        return Ok(Outcome::Done(ExitCode::SUCCESS));
    }
    // Nothing but the document belongs on standard output.
    let quiet = (options.quiet && !options.verbose) || options.format != Format::Text;
    let listens = !config.global.stats_sockets.is_empty()
        || config.log_forwards.iter().any(|f| !f.binds.is_empty() || !f.datagram_binds.is_empty())
        || config.proxies.iter().any(|proxy| !proxy.disabled && !proxy.binds.is_empty());
    if options.check {
        // An admin socket is a listener too.
        if !listens && config.global.stats_sockets.is_empty() {
            if !quiet {
                print("Configuration file has no error but will not start (no listener) => exit(2).\n");
            }
            return Err(Verdict::NoListener);
        }
        if !quiet {
            if reporter.warnings > 0 {
                print("Warnings were found.\n");
            }
            print("Configuration file is valid\n");
        }
        return Err(Verdict::Valid);
    }
    if !listens && !options.master_worker && config.global.stats_sockets.is_empty() {
        reporter.say(&Diagnostic::alert(
            "[haproxy.main()] No enabled listener found (check for 'bind' directives) ! Exiting.",
        ));
        return Ok(Outcome::Done(ExitCode::FAILURE));
    }
    name_what_has_no_effect(&options, reporter);
    apply(&options, &mut config);
    let startup_logs = std::mem::take(&mut reporter.said);
    Ok(Outcome::Run { config: Box::new(config), options: Box::new(options), startup_logs })
}

/// Reads the files of a running daemon again; the text says why they are no good.
pub fn read_again(options: &Options) -> Result<Fresh, String> {
    let mut reporter = Reporter::new(Detail::Plain, Format::Text, true);
    let loaded = config::load(&options.files, load_options(options), Environment::of_process());
    reporter.report_all(&loaded.diagnostics, &loaded.sources);
    let Some(mut config) = loaded.config else {
        for file in &loaded.failed_files {
            reporter.say(&Diagnostic::alert(format!("Error(s) found in configuration file : {file}")));
        }
        reporter.say(&Diagnostic::alert("Fatal errors found in configuration."));
        return Err(reporter.said);
    };
    if reporter.warnings > 0 && loaded.zero_warning {
        let message = "Some warnings were found and 'zero-warning' is set. Aborting.";
        reporter.say(&Diagnostic::alert(message));
        return Err(reporter.said);
    }
    apply(options, &mut config);
    Ok(Fresh { config, messages: reporter.said })
}

fn load_options(options: &Options) -> LoadOptions {
    LoadOptions {
        diagnostic_mode: options.diagnostic_mode,
        ignore_unresolved: options.ignore_unresolved,
        master_worker: options.master_worker,
        local_peer: options.local_peer.clone(),
        zero_warning: options.zero_warning,
        lints: options.check && !options.quiet,
        running: None,
    }
}

/// `proxyd plan [-f PRESENT] NEW`: what a reload from the one to the other would touch; 0, or 1 if one of them is no good.
fn plan(arguments: &[String]) -> ExitCode {
    let mut present = "/etc/haproxy/haproxy.cfg".to_owned();
    let mut new = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-f" => present = arguments.next().cloned().unwrap_or_default(),
            other => new.push(other.to_owned()),
        }
    }
    if new.is_empty() {
        let _ = std::io::stderr().write_all(b"usage: proxyd plan [-f PRESENT.cfg] NEW.cfg...\n");
        return ExitCode::FAILURE;
    }
    let read = |files: Vec<String>| read_again(&Options { files, ..Options::default() });
    match (read(vec![present]), read(new)) {
        (Ok(present), Ok(new)) => {
            print(&Plan::between(&present.config, &new.config).to_string());
            ExitCode::SUCCESS
        }
        (present, new) => {
            for text in [present.err(), new.err()].into_iter().flatten() {
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            ExitCode::FAILURE
        }
    }
}

/// Options that scripts and units pass and that nothing carries out yet.
fn name_what_has_no_effect(options: &Options, reporter: &mut Reporter) {
    let given = [
        (
            !options.master_sockets.is_empty() && !options.master_worker,
            "-S: there is no master process without -W, and so no master CLI.",
        ),
        (options.memory_max_mb.is_some(), "-m: the memory limit is not enforced yet."),
    ];
    for (_, text) in given.iter().filter(|(given, _)| *given) {
        reporter.say(&Diagnostic::warning(*text));
    }
}

/// What the command line says wins over the file.
fn apply(options: &Options, config: &mut Config) {
    let global = &mut config.global;
    if options.maxconn.is_some() {
        global.maxconn = options.maxconn;
    }
    if options.pidfile.is_some() {
        global.pidfile = options.pidfile.clone();
    }
    global.master_worker |= options.master_worker;
    global.daemon = (global.daemon || options.daemon) && !options.foreground && !options.debug;
    if master::is_worker() {
        // Its master is in the background, and keeps the file.
        global.daemon = false;
        global.pidfile = None;
    }
    global.no_splice |= options.no_splice;
    global.no_reuse_port |= options.no_reuse_port;
    if let Some(maxconn) = options.proxy_maxconn {
        for proxy in config.proxies.iter_mut().filter(|proxy| proxy.kind.is_frontend()) {
            proxy.maxconn.get_or_insert(maxconn);
        }
    }
}

fn wrong_usage(program: &str, error: &UsageError) -> ExitCode {
    print(&version::short());
    let mut text = cli::usage(program);
    let reason = error.to_string();
    if !reason.is_empty() {
        text.push_str(&format!("\n{program}: {reason}\n"));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// `-cc`: 0 true, 1 false, 2 wrong.
fn check_condition(text: &str, reporter: &mut Reporter) -> ExitCode {
    let environment = Environment::of_process();
    let variable = |name: &str| environment.variable(name).map(str::to_owned);
    let facts = Facts { variable: &variable, enabled: &config::option_enabled };
    match condition::evaluate(text, &facts) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            reporter.say(&Diagnostic::alert(format!("Failed to evaluate condition: {}", error.message)));
            ExitCode::from(2)
        }
    }
}
