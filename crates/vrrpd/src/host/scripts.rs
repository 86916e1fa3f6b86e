//! `startup_script` and `shutdown_script`: run once, before the first instance and after the last.

use std::time::Duration;

use hacore::process::script::{Outcome, ScriptCommand, run};

use crate::model::{CommandLine, GlobalDefs};

/// Runs `startup_script`, if there is one, to its end or its time-out. Returns a line for the log when it failed.
pub async fn startup(global: &GlobalDefs) -> Option<String> {
    run_once("startup_script", global.startup_script.as_ref()?, global.startup_script_timeout_us).await
}

/// Runs `shutdown_script` like [`startup`].
pub async fn shutdown(global: &GlobalDefs) -> Option<String> {
    run_once("shutdown_script", global.shutdown_script.as_ref()?, global.shutdown_script_timeout_us).await
}

async fn run_once(keyword: &str, command: &CommandLine, timeout_us: u64) -> Option<String> {
    let script = ScriptCommand {
        timeout: Some(Duration::from_micros(timeout_us)),
        ..crate::notify::script(command, Vec::new())
    };
    let failed = match run(&script).await.outcome {
        Outcome::Exited(0) => return None,
        Outcome::Exited(status) => format!("exited with status {status}"),
        Outcome::Signaled(signal) => format!("was ended by signal {signal}"),
        Outcome::TimedOut => format!("did not end within {} s", timeout_us / 1_000_000),
        Outcome::NotStarted(_, reason) => format!("cannot be run: {reason}"),
    };
    Some(format!("{keyword} '{}' {failed}", command.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunAs;

    fn shell(script: &str) -> CommandLine {
        let run_as = RunAs { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        CommandLine::new(vec!["/bin/sh".into(), "-c".into(), script.into()], run_as)
    }

    #[tokio::test]
    async fn a_script_is_waited_for_and_its_failure_told() {
        let mut global = GlobalDefs { startup_script: Some(shell("exit 0")), ..GlobalDefs::default() };
        assert_eq!(startup(&global).await, None);
        global.startup_script = Some(shell("exit 3"));
        assert!(startup(&global).await.is_some_and(|line| line.ends_with("exited with status 3")));
        global.shutdown_script = Some(shell("sleep 60"));
        global.shutdown_script_timeout_us = 50_000;
        assert!(shutdown(&global).await.is_some_and(|line| line.contains("did not end within")));
    }
}
