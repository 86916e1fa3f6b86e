//! `option external-check`: a program of the operator's, told about the server by arguments and environment.
//!
//! Running it (process group, time-out, bounded output) is [`crate::process::script`]'s business.

use std::time::Duration;

use crate::health::{CheckResult, CheckStatus};
use crate::process::script::{self, Outcome, ScriptCommand};

/// What stands for a proxy address or port that there is not.
const NOT_USED: &str = "NOT_USED";
/// The exit code HAProxy shows for a command that could not be executed.
const CODE_NOT_EXECUTED: u32 = 255;
/// The same for one that was killed: -1.
const CODE_KILLED: u32 = u32::MAX;

/// `external-check command` with what it is told (manual, "external-check command").
#[derive(Clone, Debug, Default)]
pub struct ExternalCheck {
    /// The program.
    pub command: String,
    /// `external-check path`: its `PATH`.
    pub path: Option<String>,
    /// The proxy's first bind address; none in a backend.
    pub proxy_address: Option<String>,
    /// The proxy's first bind port; none in a backend or for a Unix socket.
    pub proxy_port: Option<u16>,
    /// The proxy's numeric id.
    pub proxy_id: u32,
    /// The proxy's name.
    pub proxy_name: String,
    /// The server's address.
    pub server_address: String,
    /// The server's port; none for a Unix socket.
    pub server_port: Option<u16>,
    /// The server's numeric id.
    pub server_id: u32,
    /// The server's name.
    pub server_name: String,
    /// The server's `maxconn`, 0 without one.
    pub server_maxconn: u32,
    /// Connections on the server now.
    pub server_connections: u32,
    /// Whether the server speaks TLS.
    pub server_ssl: bool,
    /// What the server speaks: `h1`, `h2`, `tcp`, …
    pub server_protocol: &'static str,
}

impl ExternalCheck {
    fn arguments(&self) -> [String; 4] {
        let port = |port: Option<u16>| port.map_or_else(|| NOT_USED.to_owned(), |port| port.to_string());
        let proxy_address = self.proxy_address.clone().unwrap_or_else(|| NOT_USED.to_owned());
        [proxy_address, port(self.proxy_port), self.server_address.clone(), port(self.server_port)]
    }

    fn variables(&self) -> Vec<(String, String)> {
        let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
        let mut variables: Vec<(String, String)> = [
            ("PROXY_ADDR", self.proxy_address.clone().unwrap_or_default()),
            ("PROXY_ID", self.proxy_id.to_string()),
            ("PROXY_NAME", self.proxy_name.clone()),
            ("PROXY_PORT", port(self.proxy_port)),
            ("SERVER_ADDR", self.server_address.clone()),
            ("SERVER_CURCONN", self.server_connections.to_string()),
            ("SERVER_ID", self.server_id.to_string()),
            ("SERVER_MAXCONN", self.server_maxconn.to_string()),
            ("SERVER_NAME", self.server_name.clone()),
            ("SERVER_PORT", port(self.server_port)),
            ("SERVER_SSL", u8::from(self.server_ssl).to_string()),
            ("SERVER_PROTO", self.server_protocol.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (format!("HAPROXY_{name}"), value))
        .collect();
        variables.extend(self.path.iter().map(|path| ("PATH".to_owned(), path.clone())));
        variables
    }
}

/// One external check; it passes when the program ends with 0 within the time.
pub async fn external(check: &ExternalCheck, timeout: Duration) -> CheckResult {
    let mut command = ScriptCommand::new(check.command.clone(), check.arguments());
    command.variables = check.variables();
    command.timeout = Some(timeout);
    let report = script::run(&command).await;
    let (status, code) = match report.outcome {
        Outcome::Exited(0) => (CheckStatus::ProcessOk, 0),
        Outcome::Exited(code) => (CheckStatus::ProcessError, code.cast_unsigned()),
        Outcome::Signaled(_) => (CheckStatus::ProcessError, CODE_KILLED),
        // How long it took to end an overdue program is not the check's duration.
        Outcome::TimedOut => return CheckResult::new(CheckStatus::ProcessTimeout, timeout).with_code(0),
        Outcome::NotStarted(_, reason) => {
            let result = CheckResult::new(CheckStatus::ProcessError, report.took);
            return result.with_code(CODE_NOT_EXECUTED).with_description(reason);
        }
    };
    CheckResult::new(status, report.took).with_code(code)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A check whose command is this shell script.
    fn check(folder: &tempfile::TempDir, script: &str) -> ExternalCheck {
        let path = folder.path().join("check");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        ExternalCheck {
            command: path.display().to_string(),
            path: Some("/usr/bin:/bin".to_owned()),
            proxy_id: 2,
            proxy_name: "be".to_owned(),
            server_address: "127.0.0.1".to_owned(),
            server_port: Some(8123),
            server_id: 1,
            server_name: "s1".to_owned(),
            server_maxconn: 30,
            server_protocol: "h1",
            ..ExternalCheck::default()
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    /// Statuses and codes recorded from HAProxy 2.6 with the same scripts.
    #[tokio::test]
    async fn exit_codes_are_judged_as_by_haproxy() {
        for (script, status, code) in [
            ("exit 0", CheckStatus::ProcessOk, Some(0)),
            ("echo bad; exit 3", CheckStatus::ProcessError, Some(3)),
            ("kill -9 $$", CheckStatus::ProcessError, Some(u32::MAX)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let result = external(&check(&folder, script), LONG).await;
            assert_eq!((result.status, result.shown_code()), (status, code), "{script}");
        }
        let missing = ExternalCheck { command: "/nonexistent/check".to_owned(), ..ExternalCheck::default() };
        let result = external(&missing, LONG).await;
        assert_eq!((result.status, result.shown_code()), (CheckStatus::ProcessError, Some(255)));
    }

    #[tokio::test]
    async fn a_program_that_hangs_and_forks_is_ended_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let timeout = Duration::from_millis(100);
        let result = external(&check(&folder, "sleep 600 & sleep 600"), timeout).await;
        assert_eq!(
            (result.status.word(), result.shown_code(), result.duration),
            ("PROCTOUT", Some(0), timeout)
        );
    }

    #[tokio::test]
    async fn the_command_is_told_about_proxy_and_server() {
        let folder = tempfile::tempdir().unwrap();
        let script = "[ \"$*\" = 'NOT_USED NOT_USED 127.0.0.1 8123' ] && \
                      [ \"$HAPROXY_SERVER_NAME$HAPROXY_SERVER_PORT$HAPROXY_SERVER_PROTO$HAPROXY_SERVER_SSL\" = s18123h10 ] && \
                      [ \"$HAPROXY_PROXY_NAME$HAPROXY_PROXY_ID$HAPROXY_SERVER_MAXCONN$PATH\" = be230/usr/bin:/bin ]";
        assert_eq!(external(&check(&folder, script), LONG).await.status, CheckStatus::ProcessOk);
    }
}
