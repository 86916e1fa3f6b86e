//! A server's address, and `source`.

use hacore::addr::Transport;
use hacore::diag::{Diagnostic, Word};

use crate::config::arguments::{self, Endpoint, Purpose};
use crate::config::keyword::Line;
use crate::config::loader::Loader;
use crate::model::{Address, Server, SourceAddress};

/// Understands a server's address; names stay names until all files are read.
pub fn server_address(loader: &Loader, line: &Line<'_>, word: &Word) -> Result<Endpoint, Diagnostic> {
    let alert = |problem: String| line.alert_at(word, format!("'server' : {problem}"));
    let endpoint = arguments::endpoint(loader, word.as_str(), Purpose::Connect).map_err(alert)?;
    if endpoint.ports.is_some_and(|(first, last)| first != last) {
        return Err(alert(format!("port range is not permitted in '{}'", word.as_str())));
    }
    match endpoint.transport {
        Transport::Quic => Err(alert(format!(
            "'{}' is not supported yet: QUIC will come with a later release.",
            word.as_str()
        ))),
        Transport::Datagram => {
            Err(alert(format!("datagram-type address not acceptable in '{}'", word.as_str())))
        }
        _ => Ok(endpoint),
    }
}

/// Puts the address into a server.
pub fn apply(server: &mut Server, endpoint: Endpoint) {
    server.port_from_client =
        endpoint.ports.is_none() && matches!(endpoint.address, Address::Inet(_) | Address::Name { .. });
    server.port_offset = endpoint.offset;
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
    let mut source = SourceAddress { address, ports: endpoint.ports, interface: None };
    while let Some(word) = line.words.peek() {
        match word.as_str() {
            "interface" => {
                line.words.next();
                source.interface =
                    Some(line.required("an interface name after 'interface'.")?.as_str().to_owned());
            }
            "usesrc" => {
                return Err(line.alert_at(
                    word,
                    "'usesrc' is not supported yet: transparent proxying will come with a later release.",
                ));
            }
            _ => break,
        }
    }
    Ok(source)
}
