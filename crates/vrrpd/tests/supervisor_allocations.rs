//! The supervisor takes no memory after its start: five workers die, every kind of farewell is said, and the allocator
//! counts the same whether there was one instance or forty. A program of its own, because only a process with one thread
//! may fork.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::process::Command;

use hacore::sys::CountingAllocator;
use netlink_packet_route::RouteNetlinkMessage;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, raise};
use vrrpd::logging::{Log, LogSettings};
use vrrpd::model::AddressSpec;
use vrrpd::net::{Channel, transmit::Envelope};
use vrrpd::netlink::{address, plain};
use vrrpd::packet::{ah, trailer};
use vrrpd::runtime::instance::Identity;
use vrrpd::supervisor::{self, Board, EXIT_WORKER_LOST, HostRecord, Record, Will};
use vrrpd::vrrp::{Legacy, State};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// What the start may take: signal numbers and the reserve of the farewell.
const AT_START_MAX: u64 = 10;
const SWITCH: &str = "/proc/sys/net/ipv4/conf/lo/arp_ignore";

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn record(vrid: u8) -> Record {
    Record {
        name: format!("VI_{vrid}"),
        identity: Identity {
            vrid,
            family: vrrpd::model::Family::V4,
            interface: Some("lo".to_owned()),
            vmac: None,
        },
        legacy: Legacy {
            steering: Default::default(),
            state: State::Master,
            since_us: 0,
            master_interval_us: 10_000,
            holds_addresses: true,
            release_us: None,
            effects: Vec::new(),
        },
    }
}

/// The will of a master: an advert of one of the three kinds, an address, and something that is not there any more.
fn will(vrid: u8) -> Will {
    let mut will = Will::of_holder(&format!("VI_{vrid}"), vrid, 30_000);
    let group = if vrid % 3 == 2 { "ff02::12" } else { "224.0.0.18" };
    let channel =
        Channel { ifindex: 1, interface: "lo".to_owned(), address: group.parse().unwrap(), protocol: 112 };
    will.place(&channel);
    let source = if vrid % 3 == 2 { "::1" } else { "10.99.0.1" };
    let envelope = Envelope {
        source: source.parse().unwrap(),
        destination: channel.address,
        ttl: 255,
        id: 1,
        ah: (vrid % 3 == 1).then_some(ah::Seal { secret: *b"secret12", sequence: 1 }),
        signer: (vrid % 3 == 2).then(|| trailer::Signer {
            key_id: 1,
            secret: trailer::Secret::new(&[7; 32]),
            sequence: 1,
        }),
    };
    will.advert(&envelope, &[0x31, vrid, 0, 1, 0, 1, 0, 0, 10, 99, 1, vrid]);
    for last in [vrid, 255] {
        let spec = AddressSpec::new(format!("10.99.1.{last}").parse().unwrap(), 32);
        will.route_removal(&plain::request(RouteNetlinkMessage::DelAddress(address::removal(1, &spec))));
    }
    will
}

fn holders(count: u8) -> Board {
    let board = Board::new().unwrap();
    for vrid in 1..=count {
        ip(&format!("addr add 10.99.1.{vrid}/32 dev lo"));
        board.write(usize::from(vrid) - 1, &record(vrid), &will(vrid)).unwrap();
    }
    board.set_count(usize::from(count)).unwrap();
    let mut host = Will::default();
    for family in [nix::libc::NFPROTO_IPV4, nix::libc::NFPROTO_IPV6] {
        host.filter_removal(&plain::table_removal(family as u8, "keepalived"));
    }
    host.switch(SWITCH.as_bytes(), b"0");
    board.write_host(&HostRecord::default(), &host).unwrap();
    board
}

/// Runs a supervisor whose workers die at once; what it took, and what is left of the addresses.
fn run(count: u8, log: &Log) -> u64 {
    let board = holders(count);
    std::fs::write(SWITCH, "1").unwrap();
    let has_nft =
        Command::new("nft").args(["add", "table", "ip", "keepalived"]).status().is_ok_and(|s| s.success());
    let before = ALLOCATOR.allocations();
    let code = supervisor::run(None, true, board, log, |_| {
        raise(Signal::SIGKILL).unwrap();
        0
    });
    let taken = ALLOCATOR.allocations() - before;
    assert_eq!(code.unwrap(), EXIT_WORKER_LOST);
    assert!(!ip("addr show dev lo").contains("10.99.1."), "{}", ip("addr show dev lo"));
    assert_eq!(std::fs::read_to_string(SWITCH).unwrap().trim(), "0");
    if has_nft {
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&tables.stdout), "");
    }
    taken
}

fn main() {
    if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        println!("skipped: supervisor_allocations needs root and network namespaces");
        return;
    }
    ip("link set lo up");
    ip("addr add 10.99.0.1/24 dev lo");
    let log =
        Log::open(&LogSettings { ident: "test".to_owned(), console: true, detail: false, facility: None });
    // The first line of a log takes memory: the C library reads the time zone.
    log.say(format_args!("begins"));
    let (few, many) = (run(1, &log), run(40, &log));
    assert!(few <= AT_START_MAX, "{few} allocations");
    assert_eq!(few, many, "instances must not cost memory");
    println!("{few} allocations at the start, none afterwards, with 1 and with 40 instances");
}
