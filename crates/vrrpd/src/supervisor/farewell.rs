//! The end without a worker: priority 0 for every master, a wait until its new master speaks, then everything of ours off
//! the machine, with plain system calls and nothing of what made the worker die.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, AsRawFd},
};

use hacore::time::{monotonic_us, wall_us};
use netlink_packet_route::RouteNetlinkMessage;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{SockaddrStorage, recvfrom},
};
use socket2::Socket;

use crate::host::{firewall, sysctl};
use crate::logging::Log;
use crate::model::AddressSpec;
use crate::net::{Channel, Transmitter, socket, transmit::Envelope};
use crate::netlink::{address, macvlan, plain};
use crate::packet::{PRIORITY_STOP, receive};

use super::record::{HostRecord, Record};

/// The new master's addresses are there a moment after its first advert, microseconds.
const OVERLAP_US: u64 = 5_000;
/// The worker may have used numbers a little ahead of the clock since it wrote its record.
const SEQUENCE_MARGIN_US: u64 = 1_000_000;
/// How often a wish for the end at once is looked for, milliseconds.
const ASKED_EVERY_MS: u64 = 50;
/// Largest packet that is read; the head of an advert is enough.
const READ_LEN: usize = 512;

/// Gives up every instance that still holds its addresses: says so, keeps them until the new master was heard (at most the
/// time in which there must be one), and removes them with their routes and rules. Then goes what was changed on the
/// machine: static addresses, packet filter, vmacs, switches. `asked_to_end` cuts the wait short.
pub fn say(records: &[Record], host: &HostRecord, log: &Log, asked_to_end: impl FnMut() -> bool) {
    let holders: Vec<&Record> = records.iter().filter(|record| record.legacy.holds_addresses).collect();
    let mut ears = Ears::open(&holders, log);
    for record in &holders {
        log.warning(&format!(
            "({}) nobody is left to hold the addresses: sent 0 priority, removing VIPs.",
            record.name
        ));
        send_adverts(record, log);
    }
    let now_us = monotonic_us();
    let pending = holders.iter().map(|record| Pending::new(record, now_us)).collect();
    release(pending, &mut ears, log, asked_to_end);
    for path in &host.paths {
        complain(log, "static", plain::remove(path));
    }
    for (ifindex, spec) in &host.addresses {
        complain(log, "static", remove_address(*ifindex, spec));
    }
    leave_host(host, log);
}

fn leave_host(host: &HostRecord, log: &Log) {
    if let Some(Err(error)) = host.firewall_table.as_deref().map(firewall::remove_table) {
        log.warning(&error.to_string());
    }
    for index in &host.vmacs {
        let request = plain::request(RouteNetlinkMessage::DelLink(macvlan::removal(*index)));
        complain(log, "vmac", plain::remove(&request));
    }
    sysctl::put_back(host.sysctls.clone());
}

fn complain(log: &Log, name: &str, done: std::io::Result<()>) {
    if let Err(error) = done {
        log.warning(&format!("({name}) cannot be removed: {error}"));
    }
}

/// An instance whose addresses are still there.
struct Pending<'a> {
    record: &'a Record,
    /// When they go, monotonic microseconds.
    until_us: u64,
}

impl<'a> Pending<'a> {
    fn new(record: &'a Record, now_us: u64) -> Self {
        // Without an advert nobody knows that we leave, and nobody will answer.
        let wait_us = if record.farewell.adverts.is_empty() { 0 } else { record.farewell.master_down_us };
        Pending { record, until_us: now_us + wait_us }
    }

    /// Whether an advert of this router id from `source` on `channel` is that of the new master.
    fn is_succeeded_by(&self, channel: &Channel, source: IpAddr, vrid: u8, priority: u8) -> bool {
        let own = self.record.farewell.adverts.first().map(|(envelope, _)| envelope.source);
        self.record.farewell.channel.as_ref() == Some(channel)
            && self.record.identity.vrid == vrid
            && priority != PRIORITY_STOP
            && own != Some(source)
    }

    fn finish(&self, log: &Log) {
        let Record { name, farewell, .. } = self.record;
        for path in &farewell.paths {
            complain(log, name, plain::remove(path));
        }
        for (ifindex, spec) in &farewell.addresses {
            complain(log, name, remove_address(*ifindex, spec));
        }
    }
}

fn release(
    mut pending: Vec<Pending<'_>>,
    ears: &mut Ears,
    log: &Log,
    mut asked_to_end: impl FnMut() -> bool,
) {
    while !pending.is_empty() {
        let now_us = monotonic_us();
        let at_once = asked_to_end();
        pending.retain(|instance| {
            let over = at_once || instance.until_us <= now_us;
            if over {
                instance.finish(log);
            }
            !over
        });
        let Some(next_us) = pending.iter().map(|instance| instance.until_us).min() else { return };
        let wait_ms = next_us.saturating_sub(now_us).div_ceil(1000).min(ASKED_EVERY_MS);
        for (channel, source, vrid, priority) in ears.listen(wait_ms as u16) {
            let heard_us = monotonic_us();
            for instance in &mut pending {
                if instance.is_succeeded_by(&channel, source, vrid, priority) {
                    instance.until_us = instance.until_us.min(heard_us + OVERLAP_US);
                }
            }
        }
    }
}

/// What was heard: where, from whom, which virtual router, with which priority.
type Heard = (Channel, IpAddr, u8, u8);

/// Receiving sockets, one a channel.
struct Ears {
    sockets: Vec<(Channel, Socket)>,
}

impl Ears {
    fn open(holders: &[&Record], log: &Log) -> Self {
        let mut sockets: Vec<(Channel, Socket)> = Vec::new();
        for channel in holders.iter().filter_map(|record| record.farewell.channel.as_ref()) {
            if sockets.iter().any(|(known, _)| known == channel) {
                continue;
            }
            match socket::receiving(channel, None) {
                Ok(socket) => sockets.push((channel.clone(), socket)),
                // Then the whole time is waited.
                Err(error) => log.warning(&error.to_string()),
            }
        }
        Ears { sockets }
    }

    /// Adverts that arrive within the time; unchecked, because all that a forged one wins is an earlier end.
    fn listen(&mut self, wait_ms: u16) -> Vec<Heard> {
        let mut waiting: Vec<PollFd<'_>> =
            self.sockets.iter().map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        if !matches!(poll(&mut waiting, PollTimeout::from(wait_ms)), Ok(1..)) {
            return Vec::new();
        }
        self.sockets.iter().filter_map(|(channel, socket)| read(channel, socket)).collect()
    }
}

/// One advert, if there is one.
fn read(channel: &Channel, socket: &Socket) -> Option<Heard> {
    let mut buffer = [0; READ_LEN];
    let (len, from) = loop {
        // A longer packet is cut, and its head is all we want.
        match recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
            Err(Errno::EINTR) => {}
            Err(_) => return None,
            Ok(received) => break received,
        }
    };
    let bytes = buffer.get(..len)?;
    let source = match channel.address {
        IpAddr::V4(_) => IpAddr::from(<[u8; 4]>::try_from(bytes.get(12..16)?).map(Ipv4Addr::from).ok()?),
        IpAddr::V6(_) => IpAddr::V6(from?.as_sockaddr_in6()?.ip()),
    };
    let (vrid, priority) = receive::peek_election(bytes, source)?;
    Some((channel.clone(), source, vrid, priority))
}

fn send_adverts(record: &Record, log: &Log) {
    let Some(channel) = &record.farewell.channel else { return };
    let transmitter = match Transmitter::open(channel) {
        Ok(transmitter) => transmitter,
        Err(error) => return log.warning(&format!("({}) {error}", record.name)),
    };
    for (envelope, message) in &record.farewell.adverts {
        let envelope = Envelope {
            ah: envelope.ah.map(|seal| seal.renewed(farewell_sequence())),
            signer: envelope.signer.map(|signer| signer.renewed(wall_us() + SEQUENCE_MARGIN_US)),
            ..*envelope
        };
        if let Err(error) = transmitter.send(envelope, message) {
            log.warning(&format!("({}) send advert error ({error})", record.name));
        }
    }
}

/// Above any sequence number that the worker may have used since it wrote its record: those follow the clock.
fn farewell_sequence() -> u32 {
    const MARGIN_S: u64 = 60;
    u32::try_from(wall_us() / 1_000_000 + MARGIN_S).unwrap_or(u32::MAX)
}

fn remove_address(ifindex: u32, spec: &AddressSpec) -> std::io::Result<()> {
    plain::remove(&plain::request(RouteNetlinkMessage::DelAddress(address::removal(ifindex, spec))))
}
