//! What `show sess` tells about a session, and how `shutdown session` ends it.

use super::fault::Fault;
use super::session::Session;
use crate::proxy::StreamKey;
use crate::runtime::Core;
use crate::txn::Endpoint;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Line,
    All,
}

/// The number by which the commands name a session: thread, place and generation in one.
pub fn identity(key: StreamKey) -> u64 {
    (u64::from(key.thread) + 1) << 56 | u64::from(key.slot & 0xff_ffff) << 32 | u64::from(key.generation)
}

fn end(endpoint: &Endpoint) -> (&'static str, String) {
    match endpoint {
        Endpoint::Inet(address) if address.is_ipv4() => ("tcpv4", address.to_string()),
        Endpoint::Inet(address) => ("tcpv6", address.to_string()),
        Endpoint::Unix => ("unix_stream", "unix:1".to_owned()),
        Endpoint::Unknown => ("unknown", "?".to_owned()),
    }
}

impl Session {
    /// Ends it as soon as it is run.
    pub fn shut(&mut self) {
        self.killed = Some(Fault::Killed);
    }

    /// Seconds since the client came.
    pub fn age_s(&self, core: &Core) -> u64 {
        core.clock.wall_us.saturating_sub(self.info.accepted_us) / 1_000_000
    }

    /// The name of the server it uses, with its backend's.
    pub fn uses(&self, backend: &str, server: &str) -> bool {
        let (used_backend, used_server) = self.place();
        used_backend == backend && used_server == server
    }

    fn place(&self) -> (&str, &str) {
        let info = self.stream.as_deref().map(|stream| &stream.info);
        let backend = info.and_then(|info| self.snapshot.backend(info.backend?));
        let server = backend.and_then(|backend| backend.server(info?.server?));
        (backend.map_or("<NONE>", |backend| backend.name()), server.map_or("<none>", |server| server.name()))
    }

    /// One line in HAProxy's form; what has no meaning here is 0 or empty. With `All` more about it below.
    pub fn describe(&self, core: &Core, detail: Detail) -> String {
        let id = identity(self.key());
        let frontend = self.snapshot.frontend(self.frontend).map_or("<NONE>", |frontend| frontend.name());
        let (backend, server) = self.place();
        let (proto, source) = end(&self.info.source);
        let age = self.age_s(core);
        let activity = self.stream.as_deref().map(|stream| format!("{:?}", stream.activity));
        let requests = self.info.requests_before;
        if detail == Detail::Line {
            return format!(
                "{id:#x}: proto={proto} src={source} fe={frontend} be={backend} srv={server} ts=00 epoch=0 age={age}s \
                 calls={requests} rate=0 cpu=0 lat=0 rq[f=0h,i={},an=00h,rx=,wx=,ax=] rp[f=0h,i=0,an=00h,rx=,wx=,ax=] \
                 scf=[8,0h,fd=-1] scb=[8,0h,fd=-1] exp= rc=0 c_exp=\n",
                self.input.len()
            );
        }
        let t = hacore::time::local_time((self.info.accepted_us / 1_000_000) as i64);
        let (_, destination) = end(&self.info.destination);
        let (sent, received) = self
            .stream
            .as_deref()
            .map_or((0, 0), |stream| (stream.info.bytes_sent, stream.info.bytes_uploaded));
        format!(
            "{id:#x}: [{:02}/{}/{:04}:{:02}:{:02}:{:02}.{:06}] id={id} proto={proto} source={source}\n  flags=0x0, requests={requests} \
             activity={}\n  frontend={frontend}, listener={} (id={}) addr={destination}\n  backend={backend}\n  \
             server={server}\n  age={age}s tls={}\n  req: bytes={received} waiting={}\n  res: bytes={sent}\n",
            t.day,
            t.month_name(),
            t.year,
            t.hour,
            t.minute,
            t.second,
            self.info.accepted_us % 1_000_000,
            activity.as_deref().unwrap_or("Idle"),
            self.listener.name,
            self.listener.id,
            self.info.tls,
            self.input.len(),
        )
    }
}
