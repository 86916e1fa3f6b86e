//! `proxyd`: reads haproxy.cfg and does what HAProxy does.

use std::process::ExitCode;

use proxyd::runtime::launch::{LaunchOptions, launch};
use proxyd::runtime::master;
use proxyd::startup::{self, Outcome};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "proxyd".to_owned());
    let arguments: Vec<String> = arguments.collect();
    match startup::begin(&program, &arguments) {
        Outcome::Done(code) => code,
        Outcome::Run { config, options, startup_logs }
            if config.global.master_worker && !master::is_worker() =>
        {
            master::run(*config, *options, &program, startup_logs)
        }
        Outcome::Run { config, options, startup_logs } => {
            let launch_options = LaunchOptions {
                tag: program.rsplit('/').next().unwrap_or("proxyd").to_owned(),
                quiet: options.quiet,
                // A worker that follows another one has nobody else to end: those numbers may be others' now.
                finish_pids: if master::is_successor() { Vec::new() } else { options.finish_pids.clone() },
                terminate_pids: if master::is_successor() {
                    Vec::new()
                } else {
                    options.terminate_pids.clone()
                },
                command_line: *options,
                startup_logs,
            };
            launch(*config, &launch_options)
        }
    }
}
