//! Receiving an advert: the checks in keepalived's order.
//!
//! A refused packet is data: [`DecodeError`] says which check failed, in keepalived's words, and the
//! caller decides what to log and count. State (FAULT, start-up delay) is none of this module's
//! business; neither is the address list, whose mismatch is reported and accepted.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::UnicastPeer;

use super::{
    AUTH_DATA_LEN, Advertisement, Authentication, Family, HEADER_LEN, IPPROTO_AH, TYPE_ADVERTISEMENT,
    VRRP_TTL, Version, ah,
    checksum::{Checksum, pseudo_header},
    ipv4, read_addresses,
    refusal::{AddressMismatch, DecodeError},
    trailer::{Guard, TRAILER_LEN},
    v3::{self, ChecksumCover},
};

/// Smallest Ethernet payload: shorter packets arrive with padding behind them.
const ETHERNET_PAYLOAD_MIN: usize = 46;
/// Largest advert: 255 IPv6 addresses and the header.
pub const ADVERT_LEN_MAX: usize = HEADER_LEN + 255 * 16 + TRAILER_LEN;

/// One datagram as the raw socket gave it.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// IPv4: the packet with its header. IPv6: the payload.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub source: IpAddr,
    /// IPv6 only: where it was sent to (the IPv4 header says it itself).
    pub destination: Option<IpAddr>,
    /// IPv6 only: hop limit from ancillary data.
    pub hop_limit: Option<u8>,
}

/// What an instance expects of the adverts it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Configured version; there is no automatic choice.
    pub version: Version,
    /// Family of carrier and addresses.
    pub family: Family,
    /// Virtual router id.
    pub vrid: u8,
    /// Configured authentication, version 2 only.
    pub auth: Authentication,
    /// With [`Authentication::Header`]: the last sequence number sent or accepted. Only a larger one is taken.
    pub sequence: u32,
    /// Own advert interval in microseconds.
    pub interval_us: u64,
    /// What the version 3 IPv4 checksum covers; `Message` also means that any is taken (keepalived's behaviour).
    pub checksum: ChecksumCover,
    /// Version 3, unicast over IPv4: whether and how the checksum of keepalived up to 1.3.6 is taken, whose pseudo header
    /// has [`OldChecksum::group`] for destination. `None` takes today's form only.
    pub old_checksum: Option<OldChecksum>,
    /// Whether the instance speaks to listed peers instead of the group.
    pub unicast: bool,
    /// The advertised addresses, in configuration order.
    pub addresses: Vec<IpAddr>,
    /// `check_unicast_src`: only these senders are heard, within their TTL limits; empty means anybody.
    pub peers: Vec<UnicastPeer>,
    /// `auth_hmac`: which trailers are accepted.
    pub hmac: Option<Guard>,
}

/// `old_unicast_checksum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldChecksum {
    /// The multicast group that stands in the pseudo header.
    pub group: Ipv4Addr,
    /// It is in use, for what we send too; else it is only recognised.
    pub in_use: bool,
}

/// An advert that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub advert: Advertisement,
    /// Who sent it.
    pub source: IpAddr,
    /// How its address list differs from ours; logged, and the advert is accepted (keepalived 2.4).
    pub mismatch: Option<AddressMismatch>,
    /// The sequence number of its `auth_hmac` trailer, if it has one.
    pub hmac_sequence: Option<u64>,
    /// Its checksum is that of keepalived up to 1.3.6, which was not in use so far.
    pub old_checksum_found: bool,
}

/// Carrier facts and message of a datagram.
struct Carried<'a> {
    message: &'a [u8],
    header_len: usize,
    destination: Option<IpAddr>,
    hop_limit: Option<u8>,
    total_len: Option<usize>,
    ah: Option<ah::Header>,
}

fn open<'a>(datagram: &Datagram<'a>) -> Option<Carried<'a>> {
    match datagram.source {
        IpAddr::V4(_) => {
            let (header, payload) = ipv4::split(datagram.bytes)?;
            let (ah, message) = match header.protocol {
                IPPROTO_AH => ah::split(payload).map(|(ah, message)| (Some(ah), message))?,
                _ => (None, payload),
            };
            Some(Carried {
                message,
                header_len: datagram.bytes.len() - message.len(),
                destination: Some(IpAddr::V4(header.destination)),
                hop_limit: Some(header.ttl),
                total_len: Some(usize::from(header.total_len)),
                ah,
            })
        }
        IpAddr::V6(_) => Some(Carried {
            message: datagram.bytes,
            header_len: 0,
            destination: datagram.destination,
            hop_limit: datagram.hop_limit,
            total_len: None,
            ah: None,
        }),
    }
}

/// The virtual router id of a datagram, by which its instance is found.
///
/// # Errors
/// [`DecodeError::Truncated`] when there is no whole VRRP header.
pub fn peek_vrid(datagram: &Datagram<'_>) -> Result<u8, DecodeError> {
    open(datagram)
        .filter(|carried| carried.message.len() >= HEADER_LEN)
        .and_then(|carried| carried.message.get(1).copied())
        .ok_or(DecodeError::Truncated { family: Family::of(datagram.source), len: datagram.bytes.len() })
}

/// Virtual router id and priority that a packet claims, unchecked.
pub fn peek_election(bytes: &[u8], source: IpAddr) -> Option<(u8, u8)> {
    let carried = open(&Datagram { bytes, source, destination: None, hop_limit: None })?;
    match *carried.message {
        [_, vrid, priority, ..] if carried.message.len() >= HEADER_LEN => Some((vrid, priority)),
        _ => None,
    }
}

/// The sequence number of a datagram's authentication header, if it has one.
pub fn peek_sequence(datagram: &Datagram<'_>) -> Option<u32> {
    open(datagram)?.ah.map(|ah| ah.sequence)
}

/// Runs every check on a datagram whose VRID is the instance's.
///
/// # Errors
/// The first check that failed, in keepalived's order.
pub fn decode(datagram: &Datagram<'_>, expect: &Expectation) -> Result<Received, DecodeError> {
    let truncated =
        || DecodeError::Truncated { family: Family::of(datagram.source), len: datagram.bytes.len() };
    let carried = open(datagram).ok_or_else(truncated)?;
    let [first, vrid, priority, count, byte4, byte5, ..] = *carried.message else {
        return Err(truncated());
    };
    if carried.message.len() < HEADER_LEN {
        return Err(truncated());
    }
    if expect.family == Family::V6 {
        check_cast(&carried, expect, datagram.source)?;
    }
    let (message, signed) = exact_length(&carried, expect, usize::from(count))?;
    check_header(&carried, datagram, expect, message)?;
    if !expect.unicast
        && let Some(ttl) = carried.hop_limit
        && ttl != VRRP_TTL
    {
        return Err(DecodeError::Ttl(ttl));
    }
    if first >> 4 != expect.version.number() {
        return Err(DecodeError::Version { received: first >> 4, expected: expect.version.number() });
    }
    let hmac_sequence = check_trailer(expect, datagram.source, signed)?;
    if expect.version == Version::V2 {
        check_auth(expect, byte4, message)?;
        check_interval_v2(expect, byte5)?;
    }
    if first & 0x0f != TYPE_ADVERTISEMENT {
        return Err(DecodeError::Type(first & 0x0f));
    }
    check_total_length(&carried, datagram.bytes.len())?;
    let interval_us = match expect.version {
        Version::V2 => expect.interval_us,
        Version::V3 => {
            let field = u64::from(u16::from_be_bytes([byte4, byte5]) & 0x0fff);
            field * v3::INTERVAL_UNIT_US
        }
    };
    let old_checksum_found = match signed {
        // The kernel of an IPv6 sender sums up all that it sends.
        Some(signed) if expect.family == Family::V6 => {
            check_checksum(&carried, expect, datagram.source, signed)?
        }
        _ => check_checksum(&carried, expect, datagram.source, message)?,
    };
    if interval_us == 0 {
        return Err(DecodeError::IntervalZero);
    }
    if expect.family == Family::V4 {
        check_cast(&carried, expect, datagram.source)?;
    }
    let list_len = usize::from(count) * expect.family.address_len();
    let list = message.get(HEADER_LEN..HEADER_LEN + list_len).unwrap_or_default();
    let addresses = read_addresses(expect.family, list);
    check_peer(&carried, expect, datagram.source)?;
    let mismatch = address_mismatch(vrid, &addresses, &expect.addresses);
    let advert = Advertisement { version: expect.version, vrid, priority, interval_us, addresses };
    Ok(Received { advert, source: datagram.source, mismatch, hmac_sequence, old_checksum_found })
}

/// `auth_hmac`: the trailer, if there must or may be one.
fn check_trailer(
    expect: &Expectation,
    source: IpAddr,
    signed: Option<&[u8]>,
) -> Result<Option<u64>, DecodeError> {
    match (&expect.hmac, signed) {
        (Some(guard), Some(signed)) => guard.check(source, signed).map(Some),
        (Some(guard), None) if guard.enforce => Err(DecodeError::HmacMissing(source)),
        _ => Ok(None),
    }
}

fn check_peer(carried: &Carried<'_>, expect: &Expectation, source: IpAddr) -> Result<(), DecodeError> {
    if !expect.unicast || expect.peers.is_empty() {
        return Ok(());
    }
    let Some(peer) = expect.peers.iter().find(|peer| peer.address == source) else {
        return Err(DecodeError::NotAPeer(source));
    };
    let (min, max) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(u8::MAX));
    match carried.hop_limit {
        Some(received) if !(min..=max).contains(&received) => {
            Err(DecodeError::TtlLimits { received, min, max })
        }
        _ => Ok(()),
    }
}

fn check_cast(carried: &Carried<'_>, expect: &Expectation, source: IpAddr) -> Result<(), DecodeError> {
    match carried.destination {
        Some(destination) if destination.is_multicast() == expect.unicast => {
            Err(DecodeError::Cast { expected_unicast: expect.unicast, source_address: source })
        }
        _ => Ok(()),
    }
}

/// The version that a message says it is.
fn message_version(message: &[u8]) -> u8 {
    message.first().map_or(0, |first| first >> 4)
}

/// A message, and the same with its `auth_hmac` trailer if it has one.
type Exact<'a> = (&'a [u8], Option<&'a [u8]>);

/// The message without Ethernet padding, when its length fits its address count.
fn exact_length<'a>(
    carried: &Carried<'a>,
    expect: &Expectation,
    count: usize,
) -> Result<Exact<'a>, DecodeError> {
    // By its own version, so that one of another is told as that (keepalived's behaviour).
    let version = message_version(carried.message);
    let trailer = match (version, expect.family) {
        (2, Family::V4) => AUTH_DATA_LEN,
        _ => 0,
    };
    let expected = HEADER_LEN + count * expect.family.address_len() + trailer;
    let message = carried.message;
    let len = carried.header_len + message.len();
    let whole = carried.header_len + expected;
    // VLAN tags eat into the padding four bytes at a time.
    let padded = len <= ETHERNET_PAYLOAD_MIN
        && (ETHERNET_PAYLOAD_MIN - len).is_multiple_of(4)
        && carried.total_len == Some(whole);
    match message.get(..expected) {
        None => Err(DecodeError::TooShort { len, expected: whole }),
        Some(exact) if len == whole || padded => Ok((exact, None)),
        Some(exact) if expect.hmac.is_some() && len == whole + TRAILER_LEN => Ok((exact, Some(message))),
        Some(_) => Err(DecodeError::TooLong { len, expected: whole }),
    }
}

/// The authentication header is there exactly when it is configured, right, and newer than the last one.
fn check_header(
    carried: &Carried<'_>,
    datagram: &Datagram<'_>,
    expect: &Expectation,
    message: &[u8],
) -> Result<(), DecodeError> {
    let (ah, secret) = match (carried.ah, expect.auth) {
        (Some(ah), Authentication::Header(secret)) => (ah, secret),
        (None, Authentication::None | Authentication::Password(_)) => return Ok(()),
        (received, expected) => {
            let received = if received.is_some() { 2 } else { 0 };
            return Err(DecodeError::AuthType { received, expected: expected.type_number() });
        }
    };
    if !ah::is_genuine(secret, datagram.bytes, message) {
        return Err(DecodeError::HeaderValue);
    }
    if IpAddr::V4(ah.spi) != datagram.source {
        return Err(DecodeError::HeaderSpi { spi: ah.spi, source_address: datagram.source });
    }
    if ah.sequence <= expect.sequence {
        return Err(DecodeError::HeaderSequence { received: ah.sequence, ours: expect.sequence });
    }
    Ok(())
}

fn check_auth(expect: &Expectation, received: u8, message: &[u8]) -> Result<(), DecodeError> {
    if expect.family == Family::V6 {
        return Ok(());
    }
    if received > 2 {
        return Err(DecodeError::AuthUnknown(received));
    }
    let expected = expect.auth.type_number();
    if received != expected {
        return Err(DecodeError::AuthType { received, expected });
    }
    let secret = message.last_chunk::<AUTH_DATA_LEN>().map_or(&[][..], |data| data);
    if expect.auth.accepts(secret) { Ok(()) } else { Err(DecodeError::Password) }
}

fn check_interval_v2(expect: &Expectation, received_seconds: u8) -> Result<(), DecodeError> {
    let ours_seconds = expect.interval_us / super::v2::INTERVAL_UNIT_US;
    if u64::from(received_seconds) == ours_seconds {
        Ok(())
    } else {
        Err(DecodeError::Interval { received_seconds, ours_seconds })
    }
}

fn check_total_length(carried: &Carried<'_>, received: usize) -> Result<(), DecodeError> {
    match carried.total_len {
        Some(header) if header == received => Ok(()),
        Some(header) if header < received && received <= ETHERNET_PAYLOAD_MIN => Ok(()),
        Some(header) => Err(DecodeError::TotalLength { received, header }),
        None => Ok(()),
    }
}

/// Answers whether the checksum is of the old kind, which was not in use.
fn check_checksum(
    carried: &Carried<'_>,
    expect: &Expectation,
    source: IpAddr,
    message: &[u8],
) -> Result<bool, DecodeError> {
    let start = match (expect.version, expect.family) {
        (Version::V2, Family::V4) => Checksum::default(),
        (Version::V3, Family::V4) if expect.checksum == ChecksumCover::Message => return Ok(false),
        _ => {
            let destination = carried.destination.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            pseudo_header(source, destination, message.len())
        }
    };
    let is_right = |start: Checksum| start.add(message).value() == 0;
    let old = || {
        let old = expect.old_checksum.filter(|_| expect.version == Version::V3)?;
        is_right(pseudo_header(source, IpAddr::V4(old.group), message.len())).then_some(old)
    };
    match expect.old_checksum {
        Some(OldChecksum { in_use: true, .. }) if old().is_some() => Ok(false),
        Some(OldChecksum { in_use: true, .. }) => Err(DecodeError::Checksum(expect.version.number())),
        _ if is_right(start) => Ok(false),
        _ if old().is_some() => Ok(true),
        _ => Err(DecodeError::Checksum(expect.version.number())),
    }
}

fn address_mismatch(vrid: u8, received: &[IpAddr], ours: &[IpAddr]) -> Option<AddressMismatch> {
    if received.len() != ours.len() {
        return Some(AddressMismatch::Count { received: received.len(), expected: ours.len() });
    }
    ours.iter()
        .find(|address| !received.contains(address))
        .map(|address| AddressMismatch::Missing { vrid, address: *address })
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
