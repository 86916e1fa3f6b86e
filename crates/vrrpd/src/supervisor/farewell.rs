//! The end without a worker: priority 0 for every master, then its addresses off the interfaces, with plain system calls
//! and nothing of what made the worker die.

use std::io;

use hacore::time::wall_us;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::logging::Log;
use crate::model::AddressSpec;
use crate::net::{Transmitter, transmit::Envelope};
use crate::netlink::address::removal;

use super::record::Record;

/// Gives up every instance that still holds its addresses.
pub fn say(records: &[Record], log: &Log) {
    for record in records.iter().filter(|record| record.legacy.holds_addresses) {
        log.warning(&format!(
            "({}) nobody is left to hold the addresses: sent 0 priority, removing VIPs.",
            record.name
        ));
        send_adverts(record, log);
    }
    for record in records.iter().filter(|record| record.legacy.holds_addresses) {
        for (ifindex, spec) in &record.farewell.addresses {
            if let Err(error) = remove(*ifindex, spec) {
                log.warning(&format!("({}) cannot remove {}: {error}", record.name, spec.address));
            }
        }
    }
}

fn send_adverts(record: &Record, log: &Log) {
    let Some(channel) = &record.farewell.channel else { return };
    let transmitter = match Transmitter::open(channel) {
        Ok(transmitter) => transmitter,
        Err(error) => return log.warning(&format!("({}) {error}", record.name)),
    };
    for (envelope, message) in &record.farewell.adverts {
        let envelope =
            Envelope { ah: envelope.ah.map(|seal| seal.renewed(farewell_sequence())), ..*envelope };
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

/// Removes one address; one that is not there is fine. The kernel carries a request out before the call returns.
fn remove(ifindex: u32, spec: &AddressSpec) -> io::Result<()> {
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::DelAddress(removal(ifindex, spec)));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    // Without a wish for an acknowledgement only a refusal is answered, and it is there already.
    let answer = match socket.recv_from_full() {
        Ok((answer, _)) => answer,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map(|message| message.payload) {
        Ok(NetlinkPayload::Error(error)) => match error.raw_code().abs() {
            0 | nix::libc::EADDRNOTAVAIL | nix::libc::ENODEV => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        },
        _ => Ok(()),
    }
}
