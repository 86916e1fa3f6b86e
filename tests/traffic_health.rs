//! Health seen from traffic: `observe` beside the genuine haproxy; outlier ejection, peak-ewma and retry budgets, which are
//! proxyd's own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is all test")]
#![allow(clippy::print_stdout, reason = "the detection time is a figure to read")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::environment::{built, installed, skip};
use testkit::log_catcher::{LogCatcher, message};
use testkit::{port, raw, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// An application that answers every request, well or not, after a pause.
#[derive(Clone)]
struct Application {
    address: SocketAddr,
    sick: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Application {
    fn start(pause: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sick, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_sick, counted) = (Arc::clone(&sick), Arc::clone(&requests));
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (is_sick, counted) = (Arc::clone(&is_sick), Arc::clone(&counted));
                std::thread::spawn(move || {
                    // A check only connects.
                    if stream.read(&mut [0; 2048]).unwrap_or(0) == 0 {
                        return;
                    }
                    counted.fetch_add(1, Relaxed);
                    std::thread::park_timeout(pause);
                    let status = if is_sick.load(Relaxed) { "500 Sick" } else { "200 OK" };
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        Application { address, sick, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

/// A proxy with one backend of these lines.
fn proxy(program: &Path, log: Option<&LogCatcher>, backend: &str) -> (Daemon, SocketAddr) {
    let address = port::free_tcp().unwrap();
    let log = log.map(|log| format!(" log {} local0\n", log.address().unwrap())).unwrap_or_default();
    let text = format!(
        "global\n{log} stats socket {{dir}}/admin.sock\ndefaults\n mode http\n log global\n timeout connect 2s\n \
         timeout client 5s\n timeout server 5s\nfrontend fe\n bind {address}\n default_backend be\nbackend be\n{backend}"
    );
    let mut daemon = Daemon::proxy(program, &text).unwrap();
    daemon.await_listening(address).unwrap();
    (daemon, address)
}

fn status(address: SocketAddr) -> u16 {
    let answer =
        raw::exchange(address, &[b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], LIMIT).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The backend's servers and itself in `show stat`, without the header.
fn show_stat(daemon: &Daemon) -> Option<String> {
    let mut stream = std::os::unix::net::UnixStream::connect(daemon.path("admin.sock")).ok()?;
    stream.write_all(b"show stat be 6 -1\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.lines().skip(1).collect::<Vec<_>>().join("\n"))
}

/// The line without what differs from run to run.
fn down_line(log: &LogCatcher) -> String {
    let line = log.find(LIMIT, |line| line.contains("is DOWN")).unwrap().unwrap();
    message(&line).to_owned()
}

#[test]
fn observe_layer7_marks_a_server_down_as_haproxy_does() {
    let Some(ours) = built("proxyd") else {
        return skip("observe_layer7_marks_a_server_down_as_haproxy_does", "proxyd is not built");
    };
    let mut lines = Vec::new();
    for program in [Some(ours), installed("haproxy")].into_iter().flatten() {
        let (log, application) = (LogCatcher::new().unwrap(), Application::start(Duration::ZERO));
        let backend = format!(
            " server s1 {} check inter 1h observe layer7 error-limit 3 on-error mark-down\n",
            application.address
        );
        let (_daemon, address) = proxy(&program, Some(&log), &backend);
        application.sick.store(true, Relaxed);
        assert_eq!([status(address), status(address)], [500, 500]);
        // A good answer begins the count anew.
        application.sick.store(false, Relaxed);
        assert_eq!(status(address), 200);
        application.sick.store(true, Relaxed);
        assert_eq!([status(address), status(address), status(address)], [500; 3]);
        lines.push(down_line(&log));
        assert_eq!(status(address), 503);
    }
    assert!(
        lines[0].contains("Detected 3 consecutive errors, last one was: Wrong http response"),
        "{lines:?}"
    );
    if let [ours, genuine] = &lines[..] {
        // The request that saw the last error may or may not have left when the line is written.
        let but_sessions = |line: &str| line.replace(" 1 sessions active", " 0 sessions active");
        assert_eq!(but_sessions(ours), but_sessions(genuine));
    }
}

#[test]
fn observe_layer4_counts_failed_connections_as_haproxy_does() {
    let Some(ours) = built("proxyd") else {
        return skip("observe_layer4_counts_failed_connections_as_haproxy_does", "proxyd is not built");
    };
    let mut lines = Vec::new();
    for program in [Some(ours), installed("haproxy")].into_iter().flatten() {
        let (log, checked) = (LogCatcher::new().unwrap(), Application::start(Duration::ZERO));
        let closed = port::free_tcp().unwrap();
        // The check goes elsewhere and is content.
        let backend = format!(
            " retries 0\n server s1 {closed} check inter 1h port {} observe layer4 error-limit 2 on-error mark-down\n",
            checked.address.port()
        );
        let (_daemon, address) = proxy(&program, Some(&log), &backend);
        assert_eq!([status(address), status(address)], [503, 503]);
        lines.push(down_line(&log));
    }
    assert!(lines[0].contains("L4 unsuccessful connection"), "{lines:?}");
    if let [ours, genuine] = &lines[..] {
        assert_eq!(ours, genuine);
    }
}

#[test]
fn outlier_ejection_leaves_a_failing_server_out_for_its_time() {
    let Some(ours) = built("proxyd") else {
        return skip("outlier_ejection_leaves_a_failing_server_out_for_its_time", "proxyd is not built");
    };
    let applications: Vec<_> = (0..3).map(|_| Application::start(Duration::ZERO)).collect();
    let mut backend = " option outlier-ejection errors 3 time 500ms\n".to_owned();
    for (number, application) in applications.iter().enumerate() {
        backend += &format!(" server s{number} {}\n", application.address);
    }
    let log = LogCatcher::new().unwrap();
    let (_daemon, address) = proxy(&ours, Some(&log), &backend);
    applications[1].sick.store(true, Relaxed);
    let failed = (0..30).filter(|_| status(address) == 500).count();
    // Three of its turns, and what was on its way when the third came back.
    assert!((3..=4).contains(&failed), "{failed} requests failed");
    log.find(LIMIT, |line| line.contains("Server be/s1 is ejected for 0.5s")).unwrap().unwrap();
    applications[1].sick.store(false, Relaxed);
    log.find(LIMIT, |line| line.contains("Server be/s1 is in use again")).unwrap().unwrap();
    let before = applications[1].requests();
    (0..6).for_each(|_| assert_eq!(status(address), 200));
    assert!(applications[1].requests() > before);
}

#[test]
fn in_a_panic_no_server_is_left_out() {
    let Some(ours) = built("proxyd") else {
        return skip("in_a_panic_no_server_is_left_out", "proxyd is not built");
    };
    let application = Application::start(Duration::ZERO);
    application.sick.store(true, Relaxed);
    let backend = format!(" option outlier-ejection errors 2 time 1h\n server s1 {}\n", application.address);
    let (_daemon, address) = proxy(&ours, None, &backend);
    (0..10).for_each(|_| assert_eq!(status(address), 500));
    application.sick.store(false, Relaxed);
    assert_eq!(status(address), 200);
}

#[test]
fn peak_ewma_prefers_the_server_that_answers_sooner() {
    let Some(ours) = built("proxyd") else {
        return skip("peak_ewma_prefers_the_server_that_answers_sooner", "proxyd is not built");
    };
    let (fast, slow) = (Application::start(Duration::ZERO), Application::start(Duration::from_millis(60)));
    let backend =
        format!(" balance peak-ewma\n server fast {}\n server slow {}\n", fast.address, slow.address);
    let (_daemon, address) = proxy(&ours, None, &backend);
    (0..60).for_each(|_| assert_eq!(status(address), 200));
    // Two draws of two servers: the slow one only where both draws fall on it, a quarter.
    assert!(
        slow.requests() < 30 && fast.requests() > 30,
        "fast {}, slow {}",
        fast.requests(),
        slow.requests()
    );
}

#[test]
fn a_retry_budget_bounds_retries() {
    let Some(ours) = built("proxyd") else {
        return skip("a_retry_budget_bounds_retries", "proxyd is not built");
    };
    let closed = port::free_tcp().unwrap();
    let retries = |budget: &str| {
        let backend = format!("{budget} retries 3\n server s1 {closed}\n");
        let (daemon, address) = proxy(&ours, None, &backend);
        // Each retry pauses for a second, so they are made at the same time.
        let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(move || status(address))).collect();
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), 503));
        wait::until(LIMIT, || show_stat(&daemon)?.split(',').nth(15)?.parse::<usize>().ok()).unwrap()
    };
    assert_eq!(retries(" retry-budget 0 min 0\n"), 0);
    assert_eq!(retries(" retry-budget 50 min 0\n"), 4);
}

/// Theory: the first check after the death fails within `inter`, the last of `fall` an interval later each.
#[test]
fn a_dead_server_is_found_within_fall_times_inter() {
    let Some(ours) = built("proxyd") else {
        return skip("a_dead_server_is_found_within_fall_times_inter", "proxyd is not built");
    };
    const FALL: u32 = 3;
    const INTER: Duration = Duration::from_millis(200);
    for (name, program) in [("proxyd", Some(ours)), ("haproxy", installed("haproxy"))] {
        let Some(program) = program else { continue };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let log = LogCatcher::new().unwrap();
        let backend =
            format!(" server s1 {} check inter 200ms fall {FALL}\n", listener.local_addr().unwrap());
        let (daemon, address) = proxy(&program, Some(&log), &backend);
        // A check has been made and was good; the genuine program resets it before anybody could accept it.
        wait::until(LIMIT, || show_stat(&daemon)?.contains("L4OK").then_some(())).unwrap();
        drop(listener);
        let died = std::time::Instant::now();
        down_line(&log);
        let took = died.elapsed();
        println!(
            "a dead server, {name}: DOWN after {took:?}, theory {:?} to {:?}",
            INTER * (FALL - 1),
            INTER * FALL
        );
        assert!(took >= INTER * (FALL - 1) - INTER / 2, "{name}: {took:?}");
        assert!(took <= INTER * FALL + Duration::from_millis(500), "{name}: {took:?}");
        assert_eq!(status(address), 503);
    }
}
