//! Statistics of many servers over every protocol and the admin socket, and the statistics page beside the genuine one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::{environment, oracle, port, raw, wait};

const QUIET: Duration = Duration::from_secs(20);

fn exchange(address: SocketAddr, request: &str) -> String {
    String::from_utf8(raw::exchange(address, &[request.as_bytes()], QUIET).unwrap()).unwrap()
}

/// The body without its chunks' sizes.
fn unchunked(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

/// Names of rows of a table.
fn rows(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .filter(|line| line.contains(','))
        .map(|line| line.splitn(3, ',').take(2).collect())
        .collect()
}

#[test]
fn statistics_of_many_servers_come_whole_however_they_are_asked_for() {
    let address = port::free_tcp().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let mut text = format!(
        "global\n stats socket {} level admin\ndefaults\n mode http\n timeout client 20s\n timeout server 20s\n timeout connect \
         5s\nfrontend web\n bind {address}\n http-request use-service prometheus-exporter if {{ path /metrics }}\n stats \
         enable\n stats uri /stats\n",
        socket.display()
    );
    for backend in 0..4 {
        text.push_str(&format!("backend b{backend}\n"));
        (0..200).for_each(|server| text.push_str(&format!(" server s{server} 127.0.0.1:9\n")));
    }
    let mut daemon = Daemon::proxy(&environment::built("proxyd").unwrap(), &text).unwrap();
    daemon.await_listening(address).unwrap();

    let mut admin = wait::until(wait::LIMIT, || UnixStream::connect(&socket).ok()).unwrap();
    admin.write_all(b"show stat\n").unwrap();
    let mut said = String::new();
    admin.read_to_string(&mut said).unwrap();
    let wanted = rows(&said);
    assert_eq!(wanted.len(), 1 + 1 + 4 * 201);

    let old = exchange(address, "GET /stats;csv HTTP/1.0\r\n\r\n");
    assert!(!old.contains("transfer-encoding"), "{}", &old[..200]);
    assert_eq!(rows(&unchunked(&old)), wanted);
    // Two on one connection: the first one ends where it says.
    let two = exchange(
        address,
        "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\nGET /stats;csv HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    let at = two.rfind("HTTP/1.1 200 OK").unwrap();
    assert_eq!(rows(&unchunked(&two[at..])), wanted);
    let metrics = unchunked(&two[..at]);
    assert_eq!(metrics.matches("\nhaproxy_server_current_sessions{").count(), 800);
    assert_eq!(metrics.matches("# TYPE haproxy_server_current_sessions ").count(), 1);
    let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && !head.contains("content-length"), "{head}");
    // One that leaves in the middle costs nobody anything.
    let mut impatient = TcpStream::connect(address).unwrap();
    impatient.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    impatient.read_exact(&mut [0; 1000]).unwrap();
    drop(impatient);
    assert_eq!(rows(&unchunked(&exchange(address, "GET /stats;csv HTTP/1.0\r\n\r\n"))), wanted);
}

#[test]
fn the_page_and_its_form_answer_as_haproxys_do() {
    let Some(programs) = oracle::proxies("statistics page oracle") else { return };
    let [ours, theirs] = programs.map(|program| {
        let address = port::free_tcp().unwrap();
        let text = format!(
            "defaults\n mode http\n timeout client 20s\n timeout server 20s\n timeout connect 5s\nfrontend web\n bind \
             {address}\n stats enable\n stats uri /stats\n stats refresh 7s\n stats admin if {{ src 127.0.0.1 }}\nlisten other\n \
             bind {}\n stats scope .\nbackend app\n server s1 127.0.0.1:9\n server s2 127.0.0.1:9 disabled\n",
            port::free_tcp().unwrap()
        );
        let mut daemon = Daemon::proxy(&program, &text).unwrap();
        daemon.await_listening(address).unwrap();
        let mut said = Vec::new();
        for target in ["/stats", "/stats;norefresh", "/stats;csv", "/stats;csv;norefresh", "/stats;typed", "/stats;json;up", "/stats/;csv"] {
            let answer = exchange(address, &format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
            let head = answer.split_once("\r\n\r\n").unwrap().0;
            let kept = head.lines().filter(|line| !line.starts_with("content-security-policy") && !line.starts_with("connection"));
            let begins = unchunked(&answer).chars().take(if target.contains("csv") { 40 } else { 2 }).collect::<String>();
            said.push(format!("{target}: {} | {begins}", kept.collect::<Vec<_>>().join(" | ")));
        }
        for tail in ["", ";up;norefresh", ";norefresh"] {
            for form in [
                "s=s1&action=drain&b=app",
                "s=s1&action=ready&b=%23app",
                "s=s1&s=s9&action=ready&b=app",
                "s=s9&action=ready&b=app",
                "s=s1&action=bogus&b=app",
                "s=s1&action=ready&b=nobody",
                "action=ready&b=app",
                "s=s1&s=s2&action=ready&b=app",
                "",
            ] {
                let length = form.len();
                let answer = exchange(
                    address,
                    &format!(
                        "POST /stats{tail} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{form}"
                    ),
                );
                said.push(format!("{form} {tail}: {}", answer.replace("connection: close\r\n", "")));
            }
        }
        for tail in [";csv", ";csv;up", ";csv;no-maint"] {
            let answer = exchange(address, &format!("GET /stats{tail} HTTP/1.0\r\n\r\n"));
            let states = answer.lines().filter(|line| line.starts_with("app,"));
            said.extend(states.map(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                format!("{tail}: {} {} {}", fields[1], fields[17], fields[43])
            }));
        }
        said
    });
    assert_eq!(ours, theirs);
}
