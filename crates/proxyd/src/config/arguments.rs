//! Arguments that many keywords share: times, sizes, files, addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use hacore::addr::{self, Family, Host, Place, Port, Transport};
use hacore::diag::{Diagnostic, Word};
use hacore::units::{self, TimeUnit, UnitError};

use super::keyword::Line;
use super::loader::Loader;
use crate::model::Address;

impl Line<'_> {
    /// The next word as a time; a bare number counts in `unit`.
    pub fn duration(&mut self, unit: TimeUnit) -> Result<Duration, Diagnostic> {
        let word = self.required(&format!("a time in {} as argument.", unit_name(unit)))?;
        self.duration_of(word, unit)
    }

    /// `word` as a time.
    pub fn duration_of(&self, word: &Word, unit: TimeUnit) -> Result<Duration, Diagnostic> {
        let (name, text) = (self.name, word.as_str());
        units::parse_duration(text, unit).map_err(|error| {
            let message = match error {
                UnitError::Unexpected(c) => format!("unexpected character '{c}' in '{name}'"),
                UnitError::Overflow => format!(
                    "timer overflow in argument '{text}' to '{name}' (maximum value is 2147483647 ms or ~24.8 days)."
                ),
                UnitError::Underflow => {
                    format!("timer underflow in argument '{text}' to '{name}' (minimum non-null value is 1 ms).")
                }
                UnitError::Empty => format!("'{name}' expects a time as argument."),
            };
            self.alert_at(word, message).help("times are written as 500ms, 5s, 2m, 1h, 1d; a bare number has the keyword's own unit")
        })
    }

    /// The next word as a number of bytes with an optional `k`, `m` or `g`.
    pub fn size(&mut self, max: u64) -> Result<u64, Diagnostic> {
        let word = self.required("a size as argument.")?;
        let value = units::parse_size(word.as_str()).map_err(|error| {
            self.alert_at(word, format!("'{}' : {error} in '{}'.", self.name, word.as_str()))
        })?;
        if value > max {
            return Err(self
                .alert_at(word, format!("'{}' expects a value of at most {max}, got {value}.", self.name)));
        }
        Ok(value)
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Microseconds => "microseconds",
        TimeUnit::Milliseconds => "milliseconds",
        TimeUnit::Seconds => "seconds",
        TimeUnit::Minutes => "minutes",
        TimeUnit::Hours => "hours",
        TimeUnit::Days => "days",
    }
}

/// Expands a `$VAR` or `${VAR}` at the beginning or within an address, which HAProxy does there even without quotes.
pub fn expand_variables(loader: &Loader, text: &str) -> String {
    if !text.contains('$') {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        let braced = after.starts_with('{');
        let name_start = usize::from(braced);
        let name: String =
            after.chars().skip(name_start).take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let mut used = name_start + name.len();
        if braced && after.get(used..).is_some_and(|tail| tail.starts_with('}')) {
            used += 1;
        }
        out.push_str(loader.environment.variable(&name).unwrap_or_default());
        rest = after.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// What an address is for; it decides what its port may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A port or a range of ports is mandatory.
    Listen,
    /// The port is optional and may be relative.
    Connect,
    /// Datagrams to a log server, port 514 by default.
    Log,
}

/// Why an address cannot be used, in HAProxy's words.
pub type AddressProblem = String;

/// One address with everything that was written about its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: Address,
    /// First and last port; equal for a single one; `None` when absent or relative.
    pub ports: Option<(u16, u16)>,
    pub offset: Option<i32>,
    pub transport: Transport,
    pub family: Family,
}

/// Understands `text` for `purpose`. Host names stay names.
pub fn endpoint(loader: &Loader, text: &str, purpose: Purpose) -> Result<Endpoint, AddressProblem> {
    let text = expand_variables(loader, text);
    let parsed = addr::parse_address(&text).map_err(|error| error.to_string())?;
    let transport = parsed.transport;
    let simple = |address| Endpoint { address, ports: None, offset: None, transport, family: Family::Any };
    let (host, port, family) = match parsed.place {
        Place::Unix(path) => return Ok(simple(Address::Unix(path.into()))),
        Place::Abstract { name, .. } => return Ok(simple(Address::Abstract(name))),
        Place::Fd(fd) => return Ok(simple(Address::Fd(fd))),
        Place::SocketPair(fd) => return Ok(simple(Address::SocketPair(fd))),
        Place::ReverseHttp(_) => {
            return Err("it needs reverse HTTP, which this version does not have yet".into());
        }
        Place::Inet { host, port, family } => (host, port, family),
    };
    let (ports, offset) = match port {
        Port::Absent => (None, None),
        Port::Range(first, last) => (Some((first, last)), None),
        Port::Offset(offset) => (None, Some(offset)),
    };
    match purpose {
        Purpose::Listen if offset.is_some() => {
            return Err(format!("port offsets are not permitted here in '{text}'"));
        }
        Purpose::Listen if ports.is_none() => return Err(format!("missing port specification in '{text}'")),
        Purpose::Log if offset.is_some() => return Err(format!("port offset is not permitted in '{text}'")),
        Purpose::Log if ports.is_some_and(|(a, b)| a != b) => {
            return Err(format!("port range is not permitted in '{text}'"));
        }
        _ => {}
    }
    let number = ports.map_or(if purpose == Purpose::Log { 514 } else { 0 }, |(first, _)| first);
    let any: IpAddr = match family {
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    let address = match host {
        Host::Empty | Host::Star => Address::Inet(SocketAddr::new(any, number)),
        Host::Ip(ip) => {
            if (family == Family::V4 && ip.is_ipv6()) || (family == Family::V6 && ip.is_ipv4()) {
                return Err(format!("invalid address: '{ip}' in '{text}'"));
            }
            Address::Inet(SocketAddr::new(ip, number))
        }
        Host::Name(host) => Address::Name { host, port: number },
    };
    Ok(Endpoint { address, ports, offset, transport, family })
}

/// Asks the system's resolver, as HAProxy does at start. `None` when there is no address of that family.
pub fn resolve(host: &str, port: u16, family: Family) -> Option<SocketAddr> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().ok()?.collect();
    match family {
        Family::V4 => found.into_iter().find(SocketAddr::is_ipv4),
        Family::V6 => found.into_iter().find(SocketAddr::is_ipv6),
        // HAProxy prefers IPv4 unless told otherwise.
        Family::Any => found.iter().find(|a| a.is_ipv4()).or(found.first()).copied(),
    }
}
