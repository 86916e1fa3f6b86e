//! Two hosts on a bridge, each in a network namespace of its own, on which VRRP daemons run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::{environment, wait};

/// The interface of each host.
pub const INTERFACE: &str = "v0";
/// An election at one second takes at most 3.6 s; a busy machine gets twice the kit's usual patience.
pub const LIMIT: Duration = Duration::from_secs(40);

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A bridge with two hosts; everything is gone when dropped.
#[derive(Debug)]
pub struct Segment {
    name: String,
}

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    One = 1,
    Two = 2,
}

impl Host {
    /// Both.
    pub const BOTH: [Host; 2] = [Host::One, Host::Two];

    /// Its own address.
    pub fn address(self) -> String {
        format!("10.99.0.{}", self as u8)
    }
}

/// Why these tests cannot run here, if so.
pub fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() || !environment::has_namespaces() {
        return Some("needs root and network namespaces");
    }
    if environment::installed("ip").is_none() {
        return Some("needs iproute2");
    }
    environment::installed("keepalived").is_none().then_some("needs keepalived")
}

fn ip(words: &str) -> io::Result<String> {
    let output = Command::new("ip").args(words.split_whitespace()).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {words}: {}", said.trim())))
}

impl Segment {
    /// Builds it.
    pub fn new() -> io::Result<Self> {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let segment = Segment { name: format!("vt{}-{number}", std::process::id()) };
        let switch = segment.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for host in Host::BOTH {
            let (node, port) = (segment.node(host), segment.port(host));
            ip(&format!("netns add {node}"))?;
            // No duplicate address detection: adverts over IPv6 need a source at once.
            let _ = Command::new("ip")
                .args(["netns", "exec", &node, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
                .status();
            ip(&format!("-n {node} link add {INTERFACE} type veth peer name {port}"))?;
            ip(&format!("-n {node} link set {port} netns {switch}"))?;
            ip(&format!("-n {node} addr add {}/24 dev {INTERFACE}", host.address()))?;
            ip(&format!("-n {node} link set {INTERFACE} up"))?;
            ip(&format!("-n {node} link set lo up"))?;
            ip(&format!("-n {switch} link set {port} master br0"))?;
            ip(&format!("-n {switch} link set {port} up"))?;
        }
        Ok(segment)
    }

    /// The namespace of the bridge.
    pub fn switch(&self) -> String {
        format!("{}s", self.name)
    }

    /// The namespace of a host.
    pub fn node(&self, host: Host) -> String {
        format!("{}n{}", self.name, host as u8)
    }

    fn port(&self, host: Host) -> String {
        format!("p{}", host as u8)
    }

    /// Runs `ip` on a host.
    pub fn ip(&self, host: Host, words: &str) -> io::Result<String> {
        ip(&format!("-n {} {words}", self.node(host)))
    }

    /// Runs `ip` where the bridge is.
    pub fn switch_ip(&self, words: &str) -> io::Result<String> {
        ip(&format!("-n {} {words}", self.switch()))
    }

    /// Takes a host off the bridge, without its noticing.
    pub fn cut(&self, host: Host) -> io::Result<()> {
        ip(&format!("-n {} link set {} nomaster", self.switch(), self.port(host))).map(drop)
    }

    /// Puts it back.
    pub fn heal(&self, host: Host) -> io::Result<()> {
        ip(&format!("-n {} link set {} master br0", self.switch(), self.port(host))).map(drop)
    }

    /// Starts a keepalived-compatible program on a host, in the foreground and talkative.
    pub fn start(&self, host: Host, program: &Path, configuration: &str) -> io::Result<Daemon> {
        let node = self.node(host);
        let program = program.display().to_string();
        let arguments = [
            "netns",
            "exec",
            &node,
            &program,
            "-f",
            "{dir}/keepalived.conf",
            "-n",
            "-l",
            "-D",
            "-P",
            "-p",
            "{dir}/pid",
            "-r",
            "{dir}/vrrp.pid",
        ];
        Daemon::start(Path::new("ip"), &arguments, &[("keepalived.conf", configuration)])
    }

    /// Captures the first advert that arrives at a host, from its IP header on, as hexadecimal text.
    pub fn capture_advert(&self, host: Host) -> io::Result<Daemon> {
        let node = self.node(host);
        let filter = "ip proto 112";
        let arguments = ["netns", "exec", &node, "tcpdump", "-i", INTERFACE, "-c", "1", "-nxq", filter];
        Daemon::start(Path::new("ip"), &arguments, &[])
    }

    /// Captures everything of VRRP that passes a host, until dropped; see [`Capture::complaints`].
    pub fn capture(&self, host: Host) -> io::Result<Capture> {
        let node = self.node(host);
        let filter = "ip proto 112 or ip proto 51 or ip6 proto 112";
        let arguments = [
            "netns",
            "exec",
            &node,
            "tcpdump",
            "-i",
            INTERFACE,
            "--immediate-mode",
            "-U",
            "-nqw",
            "{dir}/packets",
            filter,
        ];
        let tcpdump = Daemon::start(Path::new("ip"), &arguments, &[])?;
        if !await_line(&tcpdump, "listening on") {
            return Err(io::Error::other(tcpdump.output()));
        }
        Ok(Capture { tcpdump })
    }

    /// Writes down every address that comes to or leaves a host, one a line.
    pub fn monitor_addresses(&self, host: Host) -> io::Result<Daemon> {
        let node = self.node(host);
        Daemon::start(Path::new("ip"), &["-n", &node, "-o", "-t", "monitor", "address"], &[])
    }

    /// Whether a host has the address.
    pub fn has(&self, host: Host, address: &str) -> bool {
        let shown = self.ip(host, "-o addr show").unwrap_or_default();
        shown.split_whitespace().any(|word| word.split('/').next() == Some(address))
    }

    /// Which hosts have the address.
    pub fn owners(&self, address: &str) -> Vec<Host> {
        Host::BOTH.into_iter().filter(|host| self.has(*host, address)).collect()
    }

    /// Waits until exactly this host has the address.
    pub fn await_owner(&self, address: &str, host: Host) -> bool {
        wait::until(LIMIT, || (self.owners(address) == [host]).then_some(())).is_some()
    }
}

/// Packets that are being captured.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Daemon,
}

impl Capture {
    /// Ends it, and answers with the number of packets and what tshark calls malformed or wrong in them.
    pub fn complaints(mut self) -> io::Result<(usize, Vec<String>)> {
        self.tcpdump.signal(nix::sys::signal::Signal::SIGINT)?;
        let _ = self.tcpdump.await_end();
        let tshark = |filter: &str| -> io::Result<Vec<String>> {
            let output = Command::new("tshark")
                .arg("-r")
                .arg(self.tcpdump.path("packets"))
                .args(["-Y", filter])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()?;
            Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        };
        let wrong = "_ws.malformed or vrrp.checksum.status == 0 or ip.checksum.status == 0";
        Ok((tshark("vrrp")?.len(), tshark(wrong)?))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for node in [self.switch(), self.node(Host::One), self.node(Host::Two)] {
            let _ = ip(&format!("netns del {node}"));
        }
    }
}

/// Waits until a daemon's output contains `text`.
pub fn await_line(daemon: &Daemon, text: &str) -> bool {
    wait::until(LIMIT, || daemon.output().contains(text).then_some(())).is_some()
}

/// Our program (`VRRPD`, else the built one), when a test with namespaces can run; else the reason is said.
pub fn program(test: &str) -> Option<PathBuf> {
    if let Some(reason) = missing() {
        environment::skip(test, reason);
        return None;
    }
    let ours = std::env::var_os("VRRPD").map(PathBuf::from).or_else(|| environment::built("vrrpd"));
    if ours.is_none() {
        environment::skip(test, "vrrpd is not built");
    }
    ours
}

/// Waits for a line, or fails with everything that the daemon has said.
#[track_caller]
pub fn assert_line(daemon: &Daemon, text: &str) {
    assert!(await_line(daemon, text), "no '{text}' in:\n{}", daemon.output());
}

/// The same for whatever else has to become true.
#[track_caller]
pub fn assert_until(daemon: &Daemon, what: &str, mut holds: impl FnMut() -> bool) {
    let held = wait::until(LIMIT, || holds().then_some(()));
    assert!(held.is_some(), "not {what}; the daemon says:\n{}", daemon.output());
}
