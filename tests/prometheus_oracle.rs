//! The exporter beside the genuine one: every metric of HAProxy's is there under its name, type and labels.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::{environment, port, raw};

/// Starts the program with one configuration and gives what `/metrics` with these parameters answers.
struct Exporter {
    _daemon: Daemon,
    address: std::net::SocketAddr,
}

impl Exporter {
    fn start(program: &Path) -> Self {
        let (address, page, gone) =
            (port::free_tcp().unwrap(), port::free_tcp().unwrap(), port::free_tcp().unwrap());
        let text = format!(
            "global\n  description hello\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect \
             5s\nfrontend fe\n  bind {address}\n  option socket-stats\n  http-request use-service prometheus-exporter if {{ path \
             /metrics }}\n  default_backend be\nbackend be\n  description the one\n  server s1 {gone} check inter 50ms fall \
             1\n  server s2 {gone} disabled\nlisten page\n  bind {page}\n  stats enable\n"
        );
        let mut daemon = Daemon::proxy(program, &text).unwrap();
        daemon.await_listening(address).unwrap();
        Self { _daemon: daemon, address }
    }

    fn get(&self, parameters: &str) -> String {
        let request = format!("GET /metrics{parameters} HTTP/1.0\r\n\r\n");
        let answer = raw::exchange(self.address, &[request.as_bytes()], Duration::from_secs(10)).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

/// Each metric's type and label names.
fn metrics(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = rest.rsplit_once('}').unwrap().0;
            let labels = labels.split(',').map(|label| label.split('=').next().unwrap().to_owned());
            if let Some((_, known)) = found.get_mut(name) {
                known.extend(labels);
            }
        }
    }
    found
}

#[test]
fn every_metric_of_haproxy_is_exported_under_its_name_type_and_labels() {
    let Some(genuine) = environment::installed("haproxy") else {
        return environment::skip("prometheus oracle", "haproxy is not installed");
    };
    let ours = metrics(&Exporter::start(&environment::built("proxyd").unwrap()).get(""));
    let theirs = metrics(&Exporter::start(&genuine).get(""));
    assert!(theirs.len() > 150, "{}", theirs.len());
    for (name, (kind, labels)) in &theirs {
        if name.starts_with("haproxy_sticktable") {
            continue;
        }
        let Some((our_kind, our_labels)) = ours.get(name) else { panic!("{name} is missing") };
        assert_eq!((our_kind, our_labels), (kind, labels), "{name}");
    }
}

#[test]
fn parameters_choose_scopes_metrics_and_servers() {
    let exporter = Exporter::start(&environment::built("proxyd").unwrap());
    let servers = exporter.get("?scope=server&no-maint");
    assert!(servers.contains("haproxy_server_status{proxy=\"be\",server=\"s1\",state=\"UP\"}"), "{servers}");
    assert!(!servers.contains("s2") && !servers.contains("haproxy_backend"), "{servers}");
    assert!(exporter.get("?scope=bogus").starts_with("HTTP/1.1 400"));
    let described = exporter.get("?scope=backend&desc-labels&metrics=haproxy_backend_status");
    assert!(described.contains("{proxy=\"be\",desc=\"the one\",state=\"UP\"}"), "{described}");
    assert!(!described.contains("haproxy_backend_weight"), "{described}");
}

#[test]
fn promtool_finds_nothing_that_is_wrong_with_it() {
    let Some(promtool) = environment::installed("promtool") else {
        return environment::skip("promtool", "promtool is not installed");
    };
    let exporter = Exporter::start(&environment::built("proxyd").unwrap());
    // A request that fails, so that the backend has its histograms.
    let _ = raw::exchange(exporter.address, &[b"GET / HTTP/1.0\r\n\r\n"], Duration::from_secs(10)).unwrap();
    let text = exporter.get("?extra-counters&desc-labels");
    let mut check = Command::new(promtool);
    let check =
        check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = check.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    // These names are HAProxy's own.
    const OWN: [&str; 3] =
        ["haproxy_process_failed_resolutions ", "haproxy_frontend_h1_total_", "haproxy_frontend_h2_total_"];
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let wrong: Vec<&str> =
        said.lines().filter(|line| !OWN.iter().any(|name| line.starts_with(name))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_are_exported() {
    let dashboard = std::fs::read_to_string(environment::root().join("etc/grafana/proxyd.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| !panels.is_empty()));
    let mut expressions = Vec::new();
    collect_expressions(&dashboard, &mut expressions);
    assert!(expressions.len() > 10);
    let exported = metrics(&Exporter::start(&environment::built("proxyd").unwrap()).get(""));
    for expression in expressions {
        let names: Vec<&str> = expression
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("haproxy_"))
            .collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            // Histograms appear with the first request.
            if let Some(histogram) = name.strip_suffix("_bucket") {
                assert!(HISTOGRAMS.contains(&histogram), "{name}");
                continue;
            }
            let Some((_, labels)) = exported.get(name) else { panic!("{name} is not exported") };
            for label in ["state", "code"] {
                assert!(
                    !expression.contains(&format!("{label}=\"")) || labels.contains(label),
                    "{expression}"
                );
            }
            assert!(!expression.contains("proxy=") || labels.contains("proxy"), "{expression}: {labels:?}");
        }
    }
}

/// Of times, for backends and servers.
const HISTOGRAMS: [&str; 4] = [
    "haproxy_backend_response_time_seconds",
    "haproxy_backend_total_time_seconds",
    "haproxy_server_response_time_seconds",
    "haproxy_server_total_time_seconds",
];

/// Every `expr` in a JSON document.
fn collect_expressions(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            into.extend(fields.get("expr").and_then(serde_json::Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_expressions(value, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_expressions(item, into)),
        _ => {}
    }
}
