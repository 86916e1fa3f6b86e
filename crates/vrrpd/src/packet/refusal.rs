//! Why a packet is refused, and how an accepted one may still differ: data whose text is keepalived's, without the instance's
//! name.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

use super::{Family, TYPE_ADVERTISEMENT, VRRP_TTL};

/// A difference between a received and the configured address list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressMismatch {
    /// Another number of addresses.
    #[error("received an unexpected ip number count {received}, expected {expected}!")]
    Count {
        /// In the advert.
        received: usize,
        /// Configured.
        expected: usize,
    },
    /// The advert lacks one of ours.
    #[error("ip address associated with VRID {vrid} not present in MASTER advert: {address}")]
    Missing {
        /// Virtual router id.
        vrid: u8,
        /// The configured address it lacks.
        address: IpAddr,
    },
}

/// Why a packet was refused; the text is keepalived's, without the instance's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not even a header.
    #[error("{} VRRP packet too short - {len} bytes", family.name())]
    Truncated {
        /// Carrier family.
        family: Family,
        /// Bytes received, IPv4 header included.
        len: usize,
    },
    /// Sent to the group for a unicast instance, or the other way round.
    #[error("Expected {} advert but received {} from {source_address}", cast(*expected_unicast), cast(!*expected_unicast))]
    Cast {
        /// What the instance expects.
        expected_unicast: bool,
        /// Sender.
        source_address: IpAddr,
    },
    /// Shorter than its address count says. Lengths include the IPv4 header.
    #[error("vrrp packet too short, length {len} and expect {expected}")]
    TooShort {
        /// Bytes received.
        len: usize,
        /// Bytes demanded.
        expected: usize,
    },
    /// Longer than its address count says.
    #[error("vrrp packet too long, length {len} and expect {expected}")]
    TooLong {
        /// Bytes received.
        len: usize,
        /// Bytes demanded.
        expected: usize,
    },
    /// Crossed a router, or was never meant as VRRP (RFC 9568 §5.1.1.3).
    #[error("invalid TTL/HL. Received {0} and expect {VRRP_TTL}")]
    Ttl(u8),
    /// A unicast peer is farther away, or nearer, than its `min_ttl` and `max_ttl` allow.
    #[error("invalid TTL/HL. Received {received} and expect {min} to {max}")]
    TtlLimits {
        /// In the packet.
        received: u8,
        /// `min_ttl`.
        min: u8,
        /// `max_ttl`.
        max: u8,
    },
    /// Another protocol version.
    #[error("wrong version. Received {received} and expect {expected}")]
    Version {
        /// In the advert.
        received: u8,
        /// Configured.
        expected: u8,
    },
    /// An authentication type nobody defined.
    #[error("Invalid auth type: {0}")]
    AuthUnknown(u8),
    /// Another authentication type than ours.
    #[error("received a {received} auth, expecting {expected}!")]
    AuthType {
        /// In the advert.
        received: u8,
        /// Configured.
        expected: u8,
    },
    /// The password is not ours.
    #[error("received an invalid passwd!")]
    Password,
    /// The authentication header does not fit the packet and our secret.
    #[error("IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !")]
    HeaderValue,
    /// The authentication header was made for another sender.
    #[error("IPSEC-AH : invalid IPSEC SPI value. {spi} and expect {source_address}")]
    HeaderSpi {
        /// In the header.
        spi: Ipv4Addr,
        /// Sender of the packet.
        source_address: IpAddr,
    },
    /// An old packet, sent again.
    #[error("IPSEC-AH : sequence number {received} already processed. Packet dropped. Local({ours})")]
    HeaderSequence {
        /// In the header.
        received: u32,
        /// The last one accepted or sent.
        ours: u32,
    },
    /// `auth_hmac` with `mode enforce`: an advert without trailer.
    #[error("missing authentication trailer from {0}")]
    HmacMissing(IpAddr),
    /// A trailer made with a key that we do not have.
    #[error("unknown authentication key id {key_id} from {source_address}")]
    HmacKey {
        /// In the trailer.
        key_id: u8,
        /// Sender.
        source_address: IpAddr,
    },
    /// The trailer does not fit the advert, its sender and our key.
    #[error("invalid authentication HMAC from {0}")]
    HmacValue(IpAddr),
    /// An old advert, sent again.
    #[error("replayed authentication sequence from {0}")]
    HmacReplay(IpAddr),
    /// `anti_replay time`: too far from our clock.
    #[error("authentication time from {0} is outside the window - are the clocks right?")]
    HmacWindow(IpAddr),
    /// Version 2: the intervals differ, which RFC 3768 §7.1 makes a reason to drop.
    #[error("advertisement interval mismatch mine={ours_seconds} sec rcv'd={received_seconds} sec")]
    Interval {
        /// In the advert.
        received_seconds: u8,
        /// Configured.
        ours_seconds: u64,
    },
    /// Version 3: an interval of zero would make every backup take over at once.
    #[error("invalid advertisement interval 0")]
    IntervalZero,
    /// Not an advertisement.
    #[error("Invalid packet type. {0} and expect {TYPE_ADVERTISEMENT}")]
    Type(u8),
    /// The IPv4 header claims another length than arrived.
    #[error("ip_payload length mismatch, received {received} and header says {header}")]
    TotalLength {
        /// Bytes received.
        received: usize,
        /// What the header says.
        header: usize,
    },
    /// The checksum is wrong.
    #[error("Invalid VRRPv{0} checksum")]
    Checksum(u8),
    /// `check_unicast_src`: not a peer.
    #[error("unicast source address {0} not a unicast peer")]
    NotAPeer(IpAddr),
}

fn cast(unicast: bool) -> &'static str {
    if unicast { "unicast" } else { "multicast" }
}
