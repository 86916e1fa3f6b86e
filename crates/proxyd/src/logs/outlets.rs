//! The open destinations of a configuration, one for each distinct target, shared by all threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hacore::logging::{Sink, SinkError, SinkTarget};

use super::backend::LogBackend;
use super::ring::Ring;
use crate::model::{self, Address, LogTarget, LogTransport};
use crate::proxy::{Backend, Snapshot};

/// A ring as it was asked for, and the ring.
#[derive(Debug)]
struct OpenRing {
    model: model::Ring,
    ring: Arc<Ring>,
    sink: Arc<Sink>,
    /// The configuration in force has it.
    is_used: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outlets {
    open: Vec<(LogTransport, Arc<Sink>)>,
    rings: Vec<OpenRing>,
    /// `ring` sections.
    declared: BTreeMap<String, model::Ring>,
    /// By proxy and place of the target: the lines that `sample` has counted.
    line_counts: BTreeMap<(String, usize), Arc<AtomicU64>>,
}

impl Outlets {
    /// The destinations of a configuration.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut outlets = Self::default();
        outlets.begin(snapshot);
        outlets
    }

    /// Another configuration comes: what both have goes on.
    pub fn begin(&mut self, snapshot: &Snapshot) {
        self.rings.retain(|ring| ring.is_used);
        self.rings.iter_mut().for_each(|ring| ring.is_used = false);
        self.open.retain(|(_, sink)| Arc::strong_count(sink) > 1);
        self.declared.clone_from(&snapshot.rings);
        for ring in snapshot.rings.values() {
            self.ring(ring);
        }
    }

    /// Opens a target. None: there is nothing to send to, such as a ring outside of the serving process.
    pub fn open(
        &mut self,
        target: &LogTarget,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<Arc<Sink>>, SinkError> {
        Ok(match &target.transport {
            LogTransport::Ring(name) => self.declared.get(name).cloned().map(|ring| self.ring(&ring)),
            LogTransport::Stream(address) => {
                let server = model::Server::new("log", address.clone(), model::Location::default());
                Some(self.ring(&implicit_ring(server, None, target.length_max_bytes)))
            }
            LogTransport::Backend(name) => match snapshot.and_then(|snapshot| snapshot.backend_named(name)) {
                Some(backend) => Some(self.backend(backend, target.length_max_bytes)?),
                None => None,
            },
            transport @ (LogTransport::Udp(_) | LogTransport::Unix(_) | LogTransport::Fd(_)) => {
                Some(self.socket(transport)?)
            }
        })
    }

    /// The count of a target's lines that all threads share.
    pub fn line_count(&mut self, proxy: &str, place: usize) -> Arc<AtomicU64> {
        Arc::clone(self.line_counts.entry((proxy.to_owned(), place)).or_default())
    }

    /// The rings that the configuration in force has.
    pub fn rings(&self) -> Vec<Arc<Ring>> {
        self.rings.iter().filter(|ring| ring.is_used).map(|ring| Arc::clone(&ring.ring)).collect()
    }

    fn socket(&mut self, transport: &LogTransport) -> Result<Arc<Sink>, SinkError> {
        if let Some((_, sink)) = self.open.iter().find(|(known, _)| known == transport) {
            return Ok(Arc::clone(sink));
        }
        let to = match transport {
            LogTransport::Udp(address) => SinkTarget::Udp(*address),
            LogTransport::Unix(path) => SinkTarget::Unix(path.clone()),
            LogTransport::Fd(number) => SinkTarget::Descriptor(*number),
            LogTransport::Ring(_) | LogTransport::Backend(_) | LogTransport::Stream(_) => {
                return Err(SinkError::Socket(std::io::ErrorKind::InvalidInput.into()));
            }
        };
        let sink = Arc::new(Sink::open(&to)?);
        self.open.push((transport.clone(), Arc::clone(&sink)));
        Ok(sink)
    }

    fn ring(&mut self, model: &model::Ring) -> Arc<Sink> {
        if let Some(known) = self.rings.iter_mut().find(|known| known.model == *model) {
            known.is_used = true;
            return Arc::clone(&known.sink);
        }
        let ring = Arc::new(Ring::new(model));
        let sink = Arc::new(Sink::to(Arc::clone(&ring) as _));
        self.rings.push(OpenRing { model: model.clone(), ring, sink: Arc::clone(&sink), is_used: true });
        sink
    }

    fn backend(&mut self, backend: &Arc<Backend>, length_max_bytes: usize) -> Result<Arc<Sink>, SinkError> {
        let mut sinks = Vec::with_capacity(backend.servers.len());
        for server in &backend.servers {
            let model = &server.model;
            let sink = match &model.address {
                Address::Inet(address) if model.is_datagram => {
                    Some(self.socket(&LogTransport::Udp(*address))?)
                }
                Address::Unix(path) if model.is_datagram => {
                    Some(self.socket(&LogTransport::Unix(path.clone()))?)
                }
                Address::Fd(number) => Some(self.socket(&LogTransport::Fd(*number))?),
                Address::Inet(_) | Address::Unix(_) | Address::Abstract(_) => {
                    let timeouts = &backend.model.timeouts;
                    let ring = model::Ring {
                        name: format!("{}/{}", backend.name(), server.name()),
                        connect_timeout: timeouts.connect,
                        server_timeout: timeouts.server,
                        ..implicit_ring((**model).clone(), model.log_buffer_bytes, length_max_bytes)
                    };
                    Some(self.ring(&ring))
                }
                Address::Name { .. } | Address::SocketPair(_) => None,
            };
            sinks.push(sink);
        }
        Ok(Arc::new(Sink::to(Arc::new(LogBackend::new(Arc::clone(backend), sinks)))))
    }
}

/// The ring of a target that is a stream, for which there is no section.
fn implicit_ring(server: model::Server, size_bytes: Option<usize>, length_max_bytes: usize) -> model::Ring {
    let default = model::Ring::new("");
    model::Ring {
        name: match &server.address {
            Address::Inet(address) => format!("tcp@{address}"),
            Address::Unix(path) => format!("uxst@{}", path.display()),
            _ => "stream".to_owned(),
        },
        size_bytes: size_bytes.unwrap_or(default.size_bytes),
        length_max_bytes,
        servers: vec![server],
        ..default
    }
}
