//! A server's address, and `source`.

use hacore::addr::Transport;
use hacore::diag::{Diagnostic, Word};

use crate::config::arguments::{self, Endpoint, Purpose};
use crate::config::keyword::Line;
use crate::config::loader::Loader;
use crate::model::{Address, Server, SourceAddress, UseSource};

/// The farthest from the last one that `hdr_ip` counts (configuration manual, "source").
const HEADER_OCCURRENCES_MAX: i32 = 10;

/// Understands a server's address; names stay names until all files are read.
pub fn server_address(loader: &Loader, line: &Line<'_>, word: &Word) -> Result<Endpoint, Diagnostic> {
    let alert = |problem: String| line.alert_at(word, format!("'server' : {problem}"));
    let endpoint = arguments::endpoint(loader, word.as_str(), Purpose::Connect).map_err(alert)?;
    if endpoint.ports.is_some_and(|(first, last)| first != last) {
        return Err(alert(format!("port range is not permitted in '{}'", word.as_str())));
    }
    match endpoint.transport {
        Transport::Quic => Err(Diagnostic::needs(word.as_str(), "QUIC").at(word.span)),
        Transport::Datagram if loader.is_log_backend() => Ok(endpoint),
        Transport::Datagram => {
            Err(alert(format!("datagram-type address not acceptable in '{}'", word.as_str())))
        }
        _ => Ok(endpoint),
    }
}

/// Puts the address into a server.
pub fn apply(server: &mut Server, endpoint: Endpoint) {
    // No port, or 0: the one that the client came to.
    server.port_from_client = matches!(endpoint.ports, None | Some((0, _)))
        && matches!(endpoint.address, Address::Inet(_) | Address::Name { .. });
    server.port_offset = endpoint.offset;
    server.is_datagram = endpoint.transport == Transport::Datagram;
    if let Address::Name { host, .. } = &endpoint.address {
        server.fqdn = Some(host.clone());
    }
    server.address = endpoint.address;
}

/// `source ADDR[:PORT[-PORT]] [interface NAME] [usesrc …]`.
pub fn source(loader: &mut Loader, line: &mut Line<'_>) -> Result<SourceAddress, Diagnostic> {
    let word = line.required(
        "<addr>[:<port>[-<port>]], and optionally 'usesrc' <addr>, and 'interface' <name> as argument.",
    )?;
    let alert = |problem: String| line.alert_at(word, format!("'source' : {problem}"));
    let endpoint = arguments::endpoint(loader, word.as_str(), Purpose::Connect).map_err(alert)?;
    let address = match endpoint.address {
        Address::Inet(address) => Some(address.ip()).filter(|ip| !ip.is_unspecified()),
        Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
            Some(address) => Some(address.ip()),
            None => return Err(alert(format!("could not resolve address '{host}'."))),
        },
        _ => return Err(alert(format!("'{}' is not an address to connect from.", word.as_str()))),
    };
    let mut source = SourceAddress { address, ports: endpoint.ports, interface: None, use_source: None };
    while let Some(word) = line.words.peek() {
        match word.as_str() {
            "interface" => {
                line.words.next();
                source.interface =
                    Some(line.required("an interface name after 'interface'.")?.as_str().to_owned());
            }
            "usesrc" => {
                line.words.next();
                source.use_source = Some(use_source(loader, line)?);
            }
            _ => break,
        }
    }
    Ok(source)
}

/// What follows `usesrc`.
fn use_source(loader: &Loader, line: &mut Line<'_>) -> Result<UseSource, Diagnostic> {
    let word = line.words.next().ok_or_else(|| {
        line.alert("'usesrc' expects <addr>[:<port>], 'client', 'clientip', or 'hdr_ip(name,#)' as argument.")
    })?;
    let text = word.as_str();
    if let Some(arguments) = text.strip_prefix("hdr_ip(").and_then(|rest| rest.strip_suffix(')')) {
        let (name, occurrence) = arguments.split_once(',').unwrap_or((arguments, "-1"));
        let occurrence: i32 = occurrence.trim().parse().unwrap_or(0);
        if name.is_empty() || occurrence == 0 || occurrence < -HEADER_OCCURRENCES_MAX {
            let message = format!(
                "usesrc hdr_ip(name,num) : '{text}' needs a name, and a number from -10 on other than 0."
            );
            return Err(line.alert_at(word, message));
        }
        return Ok(UseSource::Header { name: name.to_ascii_lowercase(), occurrence });
    }
    match text {
        "client" => return Ok(UseSource::Client),
        "clientip" => return Ok(UseSource::ClientIp),
        _ => {}
    }
    let alert = |problem: String| line.alert_at(word, format!("'usesrc {text}' : {problem}"));
    let endpoint = arguments::endpoint(loader, text, Purpose::Connect).map_err(alert)?;
    if endpoint.ports.is_some_and(|(first, last)| first != last) || endpoint.offset.is_some() {
        return Err(alert(format!("port range not permitted here in '{text}'")));
    }
    match endpoint.address {
        Address::Inet(address) => Ok(UseSource::Address(address)),
        Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
            Some(address) => Ok(UseSource::Address(address)),
            None => Err(alert(format!("invalid address: '{host}' in '{text}'"))),
        },
        _ => Err(alert(format!("'{text}' is not an address to connect from."))),
    }
}
