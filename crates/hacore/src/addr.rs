//! Addresses as `haproxy.cfg` writes them (configuration manual, section 11 "Address formats").
//!
//! Only the text is understood here: no name is resolved and no variable expanded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the bytes travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Nothing was said: the place where the address stands decides.
    #[default]
    Unspecified,
    Stream,
    Datagram,
    Quic,
}

/// The address family that a prefix demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    #[default]
    Any,
    V4,
    V6,
}

/// The part before the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Empty: `:80`, or nothing at all.
    Empty,
    /// `*`.
    Star,
    Ip(IpAddr),
    Name(String),
}

/// The part after the last colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Absent,
    /// `80`, or `80-90`.
    Range(u16, u16),
    /// `+80` or `-80`: relative to the port that the client came to.
    Offset(i32),
}

/// What kind of place the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Inet {
        host: Host,
        port: Port,
        family: Family,
    },
    Unix(String),
    /// `abns@`; with the flag `abnsz@`, whose name is not padded with zeros.
    Abstract {
        name: String,
        zero_terminated: bool,
    },
    Fd(i32),
    SocketPair(i32),
    /// `rhttp@NAME`.
    ReverseHttp(String),
}

/// An address and its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressText {
    pub place: Place,
    pub transport: Transport,
}

/// Why a text is not an address. The wording is HAProxy's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("invalid character '{character}' in port number '{port}' in '{text}'")]
    PortCharacter { character: char, port: String, text: String },
    #[error("port '{port}' out of range in '{text}'")]
    PortRange { port: String, text: String },
    #[error("invalid address: '{host}' in '{text}'")]
    Host { host: String, text: String },
    #[error("file descriptor '{0}' is not a number")]
    Descriptor(String),
    #[error("socket path is empty in '{0}'")]
    EmptyPath(String),
    #[error("socket path '{path}' too long (max {max})")]
    PathTooLong { path: String, max: usize },
}

/// The longest Unix socket path: `sun_path` less the terminator and the suffix that rebinding uses, as HAProxy has it.
pub const UNIX_PATH_MAX: usize = 97;

/// Understands one address. `default_port` stands in when none is written.
pub fn parse_address(text: &str) -> Result<AddressText, AddressError> {
    let mut rest = text;
    let mut transport = Transport::Unspecified;
    if let Some(after) = rest.strip_prefix("stream+") {
        (rest, transport) = (after, Transport::Stream);
    } else if let Some(after) = rest.strip_prefix("dgram+") {
        (rest, transport) = (after, Transport::Datagram);
    } else if let Some(after) = rest.strip_prefix("quic+") {
        (rest, transport) = (after, Transport::Quic);
    }
    let inet = |rest: &str, family, transport| {
        parse_inet(rest, text, family).map(|place| AddressText { place, transport })
    };
    let Some((prefix, after)) = rest.split_once('@') else {
        return if rest.starts_with('/') {
            Ok(AddressText { place: unix(rest, text)?, transport })
        } else {
            inet(rest, Family::Any, transport)
        };
    };
    let place = match prefix {
        "ip" => return inet(after, Family::Any, transport),
        "ipv4" => return inet(after, Family::V4, transport),
        "ipv6" => return inet(after, Family::V6, transport),
        "tcp" | "mptcp" => return inet(after, Family::Any, Transport::Stream),
        "tcp4" | "mptcp4" => return inet(after, Family::V4, Transport::Stream),
        "tcp6" | "mptcp6" => return inet(after, Family::V6, Transport::Stream),
        "udp" => return inet(after, Family::Any, Transport::Datagram),
        "udp4" => return inet(after, Family::V4, Transport::Datagram),
        "udp6" => return inet(after, Family::V6, Transport::Datagram),
        "quic" => return inet(after, Family::Any, Transport::Quic),
        "quic4" => return inet(after, Family::V4, Transport::Quic),
        "quic6" => return inet(after, Family::V6, Transport::Quic),
        "unix" => unix(after, text)?,
        "uxst" => return Ok(AddressText { place: unix(after, text)?, transport: Transport::Stream }),
        "uxdg" => return Ok(AddressText { place: unix(after, text)?, transport: Transport::Datagram }),
        "abns" => Place::Abstract { name: after.to_owned(), zero_terminated: false },
        "abnsz" => Place::Abstract { name: after.to_owned(), zero_terminated: true },
        "fd" => Place::Fd(descriptor(after)?),
        "sockpair" => Place::SocketPair(descriptor(after)?),
        "rhttp" => Place::ReverseHttp(after.to_owned()),
        _ => return inet(rest, Family::Any, transport),
    };
    Ok(AddressText { place, transport })
}

fn unix(path: &str, text: &str) -> Result<Place, AddressError> {
    if path.is_empty() {
        return Err(AddressError::EmptyPath(text.to_owned()));
    }
    if path.len() > UNIX_PATH_MAX {
        return Err(AddressError::PathTooLong { path: path.to_owned(), max: UNIX_PATH_MAX });
    }
    Ok(Place::Unix(path.to_owned()))
}

fn descriptor(text: &str) -> Result<i32, AddressError> {
    text.parse().map_err(|_| AddressError::Descriptor(text.to_owned()))
}

fn parse_inet(rest: &str, text: &str, family: Family) -> Result<Place, AddressError> {
    let (host, port) = split_port(rest);
    let port = match port {
        None => Port::Absent,
        Some(port) => parse_port(port, text)?,
    };
    let host = parse_host(host, text)?;
    Ok(Place::Inet { host, port, family })
}

/// Cuts at the last colon, unless what follows belongs to an IPv6 address: `[::1]` and `::1` have no port there,
/// but `::1:80` has one, because HAProxy takes the last colon as the separator.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    if let Some(bracketed) = rest.strip_prefix('[') {
        return match bracketed.split_once(']') {
            Some((host, after)) => (host, after.strip_prefix(':')),
            None => (rest, None),
        };
    }
    match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    }
}

fn parse_port(port: &str, text: &str) -> Result<Port, AddressError> {
    if port.is_empty() {
        return Ok(Port::Absent);
    }
    if port.starts_with(['+', '-']) {
        let offset: i32 = port.parse().map_err(|_| port_error(port, text))?;
        return Ok(Port::Offset(offset));
    }
    let number = |port: &str| -> Result<u16, AddressError> {
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(port_error(port, text));
        }
        port.parse().map_err(|_| AddressError::PortRange { port: port.to_owned(), text: text.to_owned() })
    };
    match port.split_once('-') {
        None => number(port).map(|port| Port::Range(port, port)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(AddressError::PortRange { port: port.to_owned(), text: text.to_owned() });
            }
            Ok(Port::Range(first, last))
        }
    }
}

fn port_error(port: &str, text: &str) -> AddressError {
    let character = port.chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ');
    AddressError::PortCharacter { character, port: port.to_owned(), text: text.to_owned() }
}

fn parse_host(host: &str, text: &str) -> Result<Host, AddressError> {
    match host {
        "" => return Ok(Host::Empty),
        "*" => return Ok(Host::Star),
        _ => {}
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    if let Ok(ip) = host.parse::<Ipv6Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if named {
        Ok(Host::Name(host.to_owned()))
    } else {
        Err(AddressError::Host { host: host.to_owned(), text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(host: Host, port: Port) -> Place {
        Place::Inet { host, port, family: Family::Any }
    }

    #[test]
    fn every_form_of_the_manual_is_understood() {
        let place = |text| parse_address(text).map(|a| a.place);
        let v4 = |a, b, c, d| Host::Ip(Ipv4Addr::new(a, b, c, d).into());
        assert_eq!(place("1.2.3.4:80"), Ok(inet(v4(1, 2, 3, 4), Port::Range(80, 80))));
        assert_eq!(place(":80"), Ok(inet(Host::Empty, Port::Range(80, 80))));
        assert_eq!(place("*:80"), Ok(inet(Host::Star, Port::Range(80, 80))));
        assert_eq!(place("1.2.3.4"), Ok(inet(v4(1, 2, 3, 4), Port::Absent)));
        assert_eq!(place("[::1]:80"), Ok(inet(Host::Ip(Ipv6Addr::LOCALHOST.into()), Port::Range(80, 80))));
        assert_eq!(place("[::1]"), Ok(inet(Host::Ip(Ipv6Addr::LOCALHOST.into()), Port::Absent)));
        assert_eq!(place(":::80"), Ok(inet(Host::Ip(Ipv6Addr::UNSPECIFIED.into()), Port::Range(80, 80))));
        assert_eq!(place("app:+100"), Ok(inet(Host::Name("app".into()), Port::Offset(100))));
        assert_eq!(place("app:8000-8010"), Ok(inet(Host::Name("app".into()), Port::Range(8000, 8010))));
        assert_eq!(place("/run/x.sock"), Ok(Place::Unix("/run/x.sock".into())));
        assert_eq!(place("unix@run/x"), Ok(Place::Unix("run/x".into())));
        assert_eq!(place("abns@x"), Ok(Place::Abstract { name: "x".into(), zero_terminated: false }));
        assert_eq!(place("fd@7"), Ok(Place::Fd(7)));
        assert_eq!(place("sockpair@7"), Ok(Place::SocketPair(7)));
        assert_eq!(parse_address("stream+fd@7").unwrap().transport, Transport::Stream);
        assert_eq!(parse_address("quic4@:443").unwrap().transport, Transport::Quic);
    }

    #[test]
    fn wrong_ports_are_named() {
        assert!(matches!(parse_address("a:8x"), Err(AddressError::PortCharacter { character: 'x', .. })));
        assert!(matches!(parse_address("a:70000"), Err(AddressError::PortRange { .. })));
        assert!(matches!(parse_address("a:90-80"), Err(AddressError::PortRange { .. })));
        assert!(matches!(parse_address("fd@x"), Err(AddressError::Descriptor(_))));
        assert!(matches!(parse_address("a b:80"), Err(AddressError::Host { .. })));
    }
}
