//! What a configuration asks of the host beside adverts and addresses, in namespaces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::environment;
use testkit::vrrp::{Host, INTERFACE, Segment, assert_line, assert_until, program};

const VIP: &str = "10.99.0.100";

/// An instance that is master after a few tenths of a second.
fn instance(extra: &str) -> String {
    with_addresses(extra, &format!("{VIP}/24"))
}

fn with_addresses(extra: &str, addresses: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{
    interface {INTERFACE}
    virtual_router_id 51
    version 3
    priority 150
    advert_int 0.1
    {extra}
    virtual_ipaddress {{
        {addresses}
    }}
}}
"
    )
}

/// Output of a command on a host.
fn output(segment: &Segment, host: Host, words: &str) -> String {
    let node = segment.node(host);
    let output = Command::new("ip")
        .args(["netns", "exec", &node])
        .args(words.split_whitespace())
        .output()
        .expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn answers_ping(segment: &Segment, address: &str) -> bool {
    output(segment, Host::Two, &format!("ping -n -c 1 -W 1 {address}")).contains("1 received")
}

#[test]
fn vrrp_strict_makes_the_addresses_deaf_until_the_end() {
    let test = "vrrp_strict_makes_the_addresses_deaf";
    let Some(program) = program(test) else { return };
    if environment::installed("nft").is_none() || environment::installed("ping").is_none() {
        return environment::skip(test, "needs nft and ping");
    }
    let segment = Segment::new().unwrap();
    let strict = format!("global_defs {{\n    vrrp_strict\n}}\n{}", instance(""));
    let mut daemon = segment.start(Host::One, &program, &strict).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    assert_until(&daemon, "reachable", || answers_ping(&segment, "10.99.0.1"));
    assert!(!answers_ping(&segment, VIP), "no_accept does not drop");
    assert!(output(&segment, Host::One, "nft list table ip keepalived").contains("ip daddr @vips drop"));
    // A reload that allows it opens the address without a change of state.
    std::fs::write(daemon.path("keepalived.conf"), instance("")).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert_line(&daemon, "Reload complete");
    assert_until(&daemon, "open again", || answers_ping(&segment, VIP));
    std::fs::write(daemon.path("keepalived.conf"), instance("no_accept")).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert_until(&daemon, "deaf again", || !answers_ping(&segment, VIP));
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some_and(|status| status.success()), "{}", daemon.output());
    assert_eq!(output(&segment, Host::One, "nft list ruleset"), "");
    assert_eq!(daemon.output().matches("Entering MASTER STATE").count(), 1);
}

#[test]
fn startup_and_shutdown_scripts_run_once_around_everything() {
    let Some(program) = program("startup_and_shutdown_scripts_run_once") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let script = folder.path().join("note.sh");
    std::fs::write(&script, format!("#!/bin/sh\necho \"$*\" >> {dir}/notes\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "global_defs {{
    startup_script \"{dir}/note.sh up\" root
    shutdown_script \"{dir}/note.sh down\" root
}}
{}",
        instance(&format!("notify_master \"{dir}/note.sh master\" root"))
    );
    let mut daemon = segment.start(Host::One, &program, &text).unwrap();
    let notes = || std::fs::read_to_string(folder.path().join("notes")).unwrap_or_default();
    assert_until(&daemon, "told of the master", || notes() == "up\nmaster\n");
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some(), "{}", daemon.output());
    assert_eq!(notes(), "up\nmaster\ndown\n");
}

#[test]
fn scheduling_keywords_take_effect() {
    let Some(program) = program("scheduling_keywords_take_effect") else { return };
    let segment = Segment::new().unwrap();
    let text = format!(
        "global_defs {{\n    vrrp_no_swap\n    vrrp_rt_priority 20\n    vrrp_cpu_affinity 0\n}}\n{}",
        instance("")
    );
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let pid = std::fs::read_to_string(daemon.path("vrrp.pid")).unwrap();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", pid.trim())).unwrap();
    let status = read("status");
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert_eq!(line("Cpus_allowed_list:").split_whitespace().last(), Some("0"));
    assert!(!line("VmLck:").contains(" 0 kB"), "{}", line("VmLck:"));
    // Field 41 is the policy: SCHED_RR, with or without the flag that children do not inherit it.
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(fields[37], "20", "rt_priority in {stat}");
    assert_eq!(fields[38].parse::<u32>().unwrap() & 0xff, 2, "policy in {stat}");
}

#[test]
fn promote_secondaries_is_set_and_put_back() {
    let Some(program) = program("promote_secondaries_is_set") else { return };
    let segment = Segment::new().unwrap();
    let path = format!("sysctl -n net.ipv4.conf.{INTERFACE}.promote_secondaries");
    let value = || output(&segment, Host::One, &path).trim().to_owned();
    output(&segment, Host::One, &format!("sysctl -qw net.ipv4.conf.{INTERFACE}.promote_secondaries=0"));
    let mut daemon = segment.start(Host::One, &program, &instance("promote_secondaries")).unwrap();
    assert_line(&daemon, "Startup complete");
    assert_eq!(value(), "1");
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some(), "{}", daemon.output());
    assert_eq!(value(), "0");
}

#[test]
fn track_src_ip_is_a_fault_until_the_address_comes() {
    let Some(program) = program("track_src_ip_is_a_fault") else { return };
    let segment = Segment::new().unwrap();
    let text = instance("mcast_src_ip 10.99.0.9\n    track_src_ip");
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert_line(&daemon, "(VI_1) entering FAULT state");
    segment.ip(Host::One, &format!("addr add 10.99.0.9/24 dev {INTERFACE}")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    segment.ip(Host::One, &format!("addr del 10.99.0.9/24 dev {INTERFACE}")).unwrap();
    assert_line(&daemon, "(VI_1) Entering FAULT STATE");
    assert_until(&daemon, "without address", || segment.owners(VIP).is_empty());
}

#[test]
fn a_peer_beyond_its_max_ttl_is_not_heard() {
    let Some(program) = program("a_peer_beyond_its_max_ttl") else { return };
    let segment = Segment::new().unwrap();
    let unicast = |host: Host, peer: Host, extra: &str| {
        instance(&format!(
            "unicast_src_ip {}\n    unicast_peer {{\n        {} {extra}\n    }}",
            host.address(),
            peer.address()
        ))
    };
    let far =
        unicast(Host::One, Host::Two, "").replace("unicast_src_ip", "unicast_ttl 64\n    unicast_src_ip");
    let one = segment.start(Host::One, &program, &far).unwrap();
    // Else the other may be master first, and be heard.
    assert_line(&one, "(VI_1) Entering MASTER STATE");
    let two = segment.start(Host::Two, &program, &unicast(Host::Two, Host::One, "min_ttl 255")).unwrap();
    assert_line(&two, "(VI_1) invalid TTL/HL. Received 64 and expect 255 to 255");
    assert_line(&two, "(VI_1) Entering MASTER STATE");
    drop(one);
}

#[test]
fn routes_and_rules_are_those_that_keepalived_sets() {
    let test = "routes_and_rules_are_those_that_keepalived_sets";
    let (Some(ours), Some(theirs)) = (program(test), environment::installed("keepalived")) else { return };
    let paths = format!(
        "virtual_routes {{
        192.0.2.0/24 via 10.99.0.254 dev {INTERFACE} src {VIP}
        198.51.100.0/24 dev {INTERFACE} scope link metric 50 mtu 1400 advmss lock 1200
        blackhole 203.0.113.0/24
        default via 10.99.0.253 table 100 metric 7
        192.0.2.128/25 table 100 nexthop via 10.99.0.2 weight 3 nexthop via 10.99.0.3 dev {INTERFACE}
        2001:db8:1::/48 dev {INTERFACE} pref high
    }}
    virtual_rules {{
        from 10.1.0.0/16 table 100 priority 400
        to 10.2.0.0/16 iif {INTERFACE} lookup 100 preference 401 fwmark 0x10/0xff
        from 2001:db8:2::/48 blackhole priority 402
        from 10.3.0.0/16 dport 80-90 ipproto tcp table main priority 403
    }}"
    );
    let text = format!(
        "static_routes {{
    192.0.2.64/26 dev {INTERFACE}
}}
static_rules {{
    from 10.9.0.0/16 table 100 priority 390
}}
{}",
        instance(&paths)
    );
    let shown = |segment: &Segment| {
        ["-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule"]
            .map(|words| segment.ip(Host::One, words).unwrap())
            .concat()
            .lines()
            // The kernel's own: link local, multicast, the addresses themselves.
            .filter(|line| !line.contains("fe80") && !line.contains("ff00") && !line.contains("table local"))
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let run = |program: &PathBuf| {
        let segment = Segment::new().unwrap();
        let before = shown(&segment);
        let mut daemon = segment.start(Host::One, program, &text).unwrap();
        assert_until(&daemon, "with the last rule", || {
            shown(&segment).iter().any(|line| line.contains("403:"))
        });
        let during = shown(&segment);
        daemon.signal(Signal::SIGTERM).unwrap();
        assert!(daemon.await_end().is_some(), "{}", daemon.output());
        (before, during, shown(&segment), daemon.output())
    };
    let (before, during, after, output) = run(&ours);
    let (_, expected, _, _) = run(&theirs);
    assert_eq!(during, expected, "{output}");
    assert_eq!(after, before, "something was left behind:\n{output}");
}

/// A mail server on a host: takes everything and keeps the letters, headers and body, without their dates.
struct MailServer {
    letters: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl MailServer {
    const PORT: u16 = 2525;

    fn start(segment: &Segment, host: Host) -> Self {
        use std::net::TcpListener;
        let letters = std::sync::Arc::default();
        let kept = std::sync::Arc::clone(&letters);
        let namespace = std::fs::File::open(format!("/run/netns/{}", segment.node(host))).unwrap();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind(("127.0.0.1", Self::PORT)).unwrap();
            ready.send(()).unwrap();
            for stream in listener.incoming().flatten() {
                let kept: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::clone(&kept);
                std::thread::spawn(move || Self::converse(stream, &kept));
            }
        });
        is_ready.recv().unwrap();
        Self { letters }
    }

    fn converse(stream: std::net::TcpStream, letters: &std::sync::Mutex<Vec<String>>) -> Option<()> {
        use std::io::{BufRead, BufReader, Write};
        let mut writer = stream.try_clone().ok()?;
        writer.write_all(b"220 here\r\n").ok()?;
        let (mut letter, mut in_text) = (String::new(), false);
        for line in BufReader::new(stream).lines() {
            let line = line.ok()?;
            if !line.starts_with("Date: ") {
                letter.push_str(&line);
                letter.push('\n');
            }
            let answer = match (in_text, line.as_str()) {
                (true, ".") => "250 kept\r\n",
                (true, _) => continue,
                (false, "DATA") => "354 go\r\n",
                (false, "QUIT") => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            in_text = answer.starts_with("354");
            writer.write_all(answer.as_bytes()).ok()?;
        }
        letters.lock().ok()?.push(letter);
        Some(())
    }

    /// What has arrived, in order of the alphabet: keepalived sends letters beside each other.
    fn sorted(&self) -> Vec<String> {
        let mut letters = self.letters.lock().unwrap().clone();
        letters.sort();
        letters
    }
}

#[test]
fn smtp_alerts_are_word_for_word_keepaliveds() {
    let test = "smtp_alerts_are_word_for_word_keepaliveds";
    let (Some(ours), Some(theirs)) = (program(test), environment::installed("keepalived")) else { return };
    let text = format!(
        "global_defs {{
    router_id LB_ONE
    notification_email {{
        a@example.com
        b@example.com
    }}
    notification_email_from lb@example.com
    smtp_server 127.0.0.1 {}
    smtp_connect_timeout 10
    smtp_alert
}}
vrrp_sync_group SG {{
    group {{
        VI_1
    }}
}}
{}",
        MailServer::PORT,
        instance("")
    );
    let run = |program: &PathBuf| {
        let segment = Segment::new().unwrap();
        let server = MailServer::start(&segment, Host::One);
        let daemon = segment.start(Host::One, program, &text).unwrap();
        assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
        assert_until(&daemon, "told that it is master", || server.sorted().len() >= 4);
        segment.ip(Host::One, &format!("link set {INTERFACE} down")).unwrap();
        assert_until(&daemon, "told of the fault", || server.sorted().len() >= 6);
        assert_line(&daemon, "SMTP alert successfully sent.");
        server.sorted()
    };
    assert_eq!(run(&ours), run(&theirs));
}

#[test]
fn a_tracked_process_decides_whether_there_is_a_master() {
    let Some(program) = program("a_tracked_process_decides") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tracked = folder.path().join("vrrp-tracked");
    std::fs::copy("/bin/sleep", &tracked).unwrap();
    let text = format!(
        "vrrp_track_process tp {{
    process {} 600
    quorum 2
    terminate_delay 0.1
}}
{}",
        tracked.display(),
        instance("track_process {\n        tp\n    }")
    );
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert_line(&daemon, "(VI_1) entering FAULT state (tracked process tp quorum not achieved)");
    // In a namespace of its own it looks at all processes, and has done so once now.
    assert_line(&daemon, "looking at all processes every 500 ms");
    let start = || Daemon::start(&tracked, &["600"], &[]).unwrap();
    let (one, two) = (start(), start());
    assert_line(&daemon, "Quorum gained for tracked process tp");
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    drop(one);
    assert_line(&daemon, "Quorum lost for tracked process tp");
    assert_until(&daemon, "without address", || segment.owners(VIP).is_empty());
    drop(two);
}

#[test]
fn a_route_that_somebody_removes_costs_the_master_state_unless_it_is_no_track() {
    let Some(program) = program("a_route_that_somebody_removes") else { return };
    let segment = Segment::new().unwrap();
    let text = instance(&format!(
        "virtual_routes {{
        192.0.2.0/24 via 10.99.0.2 dev {INTERFACE} no_track
        198.51.100.0/24 via 10.99.0.2 dev {INTERFACE}
    }}
    virtual_rules {{
        from 10.79.0.0/24 table 100 priority 900
    }}"
    ));
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    let entered = |state: &str| daemon.output().matches(&format!("Entering {state} STATE\n")).count();
    let shows = |what: &str, text: &str| segment.ip(Host::One, what).unwrap().contains(text);
    assert_until(&daemon, "master with its rule", || shows("rule", "900:"));
    segment.ip(Host::One, "route del 192.0.2.0/24").unwrap();
    segment.ip(Host::One, "route del 198.51.100.0/24").unwrap();
    assert_until(&daemon, "back in BACKUP", || entered("BACKUP") == 1);
    assert_until(&daemon, "master again", || entered("MASTER") == 2 && shows("rule", "900:"));
    segment.ip(Host::One, "rule del priority 900").unwrap();
    assert_until(&daemon, "back in BACKUP", || entered("BACKUP") == 2);
    assert_until(&daemon, "master again", || entered("MASTER") == 3 && shows("rule", "900:"));
    assert!(shows("route", "198.51.100.0/24"));
}

#[test]
fn a_link_that_comes_back_within_its_delay_has_not_changed() {
    let Some(program) = program("a_link_that_comes_back_within_its_delay") else { return };
    let segment = Segment::new().unwrap();
    let text = format!(
        "interface_up_down_delays {{\n    {INTERFACE} 10 0\n}}\n{}",
        instance("").replace("advert_int 0.1", "advert_int 1").replace("priority 150", "priority 254")
    );
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert_line(&daemon, "VI_1: interface v0 debounce timer(s) not less that 2 * advert_int - resetting");
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    segment.switch_ip("link set p1 down").unwrap();
    assert_line(&daemon, "v0: Adding change to down delay by 1996094");
    segment.switch_ip("link set p1 up").unwrap();
    segment.switch_ip("link set p1 down").unwrap();
    assert_line(&daemon, "Netlink reports v0 down");
    assert_eq!(daemon.output().matches("Entering FAULT STATE").count(), 1, "{}", daemon.output());
    segment.switch_ip("link set p1 up").unwrap();
    assert_line(&daemon, "Netlink reports v0 up");
}

#[test]
fn a_proxy_without_capacity_lowers_the_priority() {
    use std::io::{Read, Write};
    let Some(program) = program("a_proxy_without_capacity") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_up = std::sync::Arc::clone(&up);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let status = if is_up.load(std::sync::atomic::Ordering::Relaxed) { "UP" } else { "DOWN" };
            let mut line = [0; 10];
            let _ = stream.read_exact(&mut line);
            let _ = stream.write_all(
                format!("# pxname,svname,status,\nweb,a,UP,\nweb,b,{status},\nweb,BACKEND,UP,\n\n")
                    .as_bytes(),
            );
        }
    });
    let socket = path.display();
    let text =
        instance(&format!("track_proxy {{ socket {socket} backend web min_up 2 weight -60 interval 0.1 }}"));
    let one = segment.start(Host::One, &program, &text).unwrap();
    assert_line(&one, &format!("Proxy web@{socket}: 2 up, enough (min_up 2)"));
    assert!(segment.await_owner(VIP, Host::One), "{}", one.output());
    let two = instance("").replace("priority 150", "priority 100");
    let two = segment.start(Host::Two, &program, &two).unwrap();
    assert_line(&two, "Entering BACKUP STATE");
    up.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_line(&one, &format!("Proxy web@{socket}: 1 up, too few (min_up 2)"));
    assert_line(&one, "(VI_1) Changing effective priority from 150 to 90");
    assert!(segment.await_owner(VIP, Host::Two), "{}", two.output());
}
