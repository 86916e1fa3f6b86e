//! How a request's server is reached: which address, from where, through what, beginning with what.
//!
//! What is decided here is also what an idle connection must have in common with a request that it may serve
//! (configuration manual, "http-reuse"); it is compared as one number, 0 where nothing depends on the request.

use std::net::{IpAddr, SocketAddr};

use hacore::hash::xxh64;

use super::greeting;
use super::session::Session;
use super::state::Stream;
use crate::expr::SampleType;
use crate::model::{Address, SourceAddress, UseSource};
use crate::proxy::{Backend, Server};
use crate::runtime::Core;

/// The way to the server for one request.
#[derive(Debug)]
pub(super) struct Route {
    pub destination: Address,
    /// `usesrc`: the address that the server sees, whoever has it.
    pub presented: Option<SocketAddr>,
    /// The PROXY header.
    pub greeting: Vec<u8>,
    /// See [`Stream::identity`].
    pub identity: u64,
}

/// What differs between two connections to one server.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
enum Property {
    Name = 1,
    Destination,
    Source,
    Greeting,
    Marks,
    Tls,
}

/// The properties seen so far as one number; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
struct Identity(u64);

impl Identity {
    fn add(&mut self, property: Property, bytes: &[u8]) {
        self.0 = xxh64(bytes, self.0.wrapping_mul(31).wrapping_add(property as u64)).max(1);
    }

    fn add_address(&mut self, property: Property, address: SocketAddr) {
        match address.ip() {
            IpAddr::V4(ip) => self.add(property, &ip.octets()),
            IpAddr::V6(ip) => self.add(property, &ip.octets()),
        }
        self.add(property, &address.port().to_be_bytes());
    }
}

/// `source` of the server, or else of its backend.
pub(super) fn source<'m>(backend: &'m Backend, server: &'m Server) -> Option<&'m SourceAddress> {
    server.model.source.as_ref().or(backend.model.source.as_ref())
}

impl Stream {
    /// All of it, for a new connection.
    pub(super) fn route(&self, session: &Session, core: &Core, backend: &Backend, server: &Server) -> Route {
        let destination = destination(session, backend, server);
        let presented = self.presented(session, source(backend, server));
        let greeting = greeting::of_server(self, session, core, server);
        let identity = self.identity_of(session, core, server, destination.1, presented, &greeting);
        Route { destination: destination.0, presented, greeting, identity }
    }

    /// What an idle connection must be known by to serve this request.
    pub(super) fn identity(&self, session: &Session, core: &Core, backend: &Backend, server: &Server) -> u64 {
        let model = &server.model;
        let fixed = model.send_proxy.is_none()
            && model.tls_name.0.is_none()
            && model.pool_conn_name.0.is_none()
            && !depends_on_client(backend, server)
            && source(backend, server).is_none_or(|source| source.use_source.is_none());
        if fixed {
            return self.identity_of(session, core, server, None, None, &[]);
        }
        let (_, destination) = destination(session, backend, server);
        let presented = self.presented(session, source(backend, server));
        let greeting = greeting::of_server(self, session, core, server);
        self.identity_of(session, core, server, destination, presented, &greeting)
    }

    fn identity_of(
        &self,
        session: &Session,
        core: &Core,
        server: &Server,
        destination: Option<SocketAddr>,
        presented: Option<SocketAddr>,
        greeting: &[u8],
    ) -> u64 {
        let mut identity = Identity::default();
        if let Some(name) = self.connection_name(session, core, server) {
            identity.add(Property::Name, &name);
        }
        if let Some(address) = destination {
            identity.add_address(Property::Destination, address);
        }
        if let Some(address) = presented {
            identity.add_address(Property::Source, address);
        }
        if !greeting.is_empty() {
            identity.add(Property::Greeting, greeting);
        }
        let (mark, tos) = (self.effects.server_mark, self.effects.server_tos);
        if mark.is_some() || tos.is_some() {
            identity.add(Property::Marks, &mark.unwrap_or(0).to_be_bytes());
            identity.add(Property::Marks, &[tos.unwrap_or(0)]);
        }
        // What was opened before `set server … ssl` is of no use after it.
        if server.uses_tls() != server.model.tls {
            identity.add(Property::Tls, &[u8::from(server.uses_tls())]);
        }
        identity.0
    }

    /// `pool-conn-name`, or else the name that a TLS server is asked for.
    fn connection_name(&self, session: &Session, core: &Core, server: &Server) -> Option<Vec<u8>> {
        let Some(source) = server.model.pool_conn_name.0.as_ref() else {
            return self.server_name(session, core, server).map(String::into_bytes);
        };
        let name = source.0.eval_as(&self.context(session, core), SampleType::Str)?.into_text()?;
        Some(name.to_vec())
    }

    /// `usesrc`: nothing when the client or the header has no address of the kind.
    fn presented(&self, session: &Session, source: Option<&SourceAddress>) -> Option<SocketAddr> {
        match source?.use_source.as_ref()? {
            UseSource::Address(address) => Some(*address),
            UseSource::Client => {
                Some(SocketAddr::new(session.info.source.ip()?, session.info.source.port()?))
            }
            UseSource::ClientIp => Some(SocketAddr::new(session.info.source.ip()?, 0)),
            UseSource::Header { name, occurrence } => {
                let value = self.request.headers.nth_value(name.as_bytes(), *occurrence)?;
                let text = std::str::from_utf8(value).ok()?;
                // As in X-Forwarded-For, a port may follow.
                let ip = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()))?;
                Some(SocketAddr::new(ip, 0))
            }
        }
    }
}

/// Whether different clients reach it at different addresses.
fn depends_on_client(backend: &Backend, server: &Server) -> bool {
    server.model.port_from_client
        || backend.model.options.transparent
        || matches!(server.model.address, Address::Inet(address) if address.ip().is_unspecified())
}

/// The server's address, with the client's port or address where the configuration says so; and the part of it that
/// depends on the client.
fn destination(session: &Session, backend: &Backend, server: &Server) -> (Address, Option<SocketAddr>) {
    let address = server.address();
    let Address::Inet(mut address) = address else { return (address, None) };
    if !depends_on_client(backend, server) {
        return (Address::Inet(address), None);
    }
    let client = &session.info.destination;
    if let (true, Some(port)) = (server.model.port_from_client, client.port()) {
        let offset = server.model.port_offset.unwrap_or(0);
        address.set_port(u16::try_from(i32::from(port) + offset).unwrap_or(port));
    }
    // "0.0.0.0": where the client wanted to go (configuration manual, "server").
    if let (true, Some(ip)) = (address.ip().is_unspecified(), client.ip()) {
        address.set_ip(ip);
        if address.port() == 0 {
            address.set_port(client.port().unwrap_or(0));
        }
    }
    (Address::Inet(address), Some(address))
}
