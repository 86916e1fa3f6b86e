//! What the sessions of one data-plane thread share: poller, connections, timers, buffers, idle servers, clock.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::model::{Global, ProxyId, ServerId};
use crate::net::{BufferPool, ConnectionKey, ConnectionTable, PipePool, Poller, TimerWheel, Token, WakeList};
use crate::proxy::process::wall_us;
use crate::proxy::{Process, Server, Snapshot, StreamKey};
use crate::runtime::inbox::{Inboxes, Message};
use crate::runtime::log_writer::LogWriter;
use crate::stream::{
    FrontendPolicy, IdlePools, Newborn, ProcessVariables, ServerConnections, Stream, ThreadEnvironment,
};

/// The receive buffer that all connections of a thread share.
pub const SCRATCH_BYTES: usize = 256 * 1024;
/// Request states kept for reuse.
const STREAMS_FREE_MAX: usize = 256;

/// A thread's own handle of the snapshot: cloned without touching a shared counter.
#[derive(Debug)]
pub struct LocalSnapshot {
    pub shared: Arc<Snapshot>,
    /// What is derived from each frontend's model for the request path.
    pub policies: Vec<FrontendPolicy>,
    /// First idle pool of each proxy's servers.
    pool_base: Vec<u32>,
    pool_count: u32,
}

impl LocalSnapshot {
    pub fn new(shared: Arc<Snapshot>) -> Self {
        let mut pool_base = Vec::with_capacity(shared.proxies.len());
        let mut pool_count = 0;
        for proxy in &shared.proxies {
            pool_base.push(pool_count);
            pool_count += proxy.servers.len() as u32;
        }
        let policies =
            shared.proxies.iter().map(|proxy| FrontendPolicy::new(proxy, &shared.global)).collect();
        Self { shared, policies, pool_base, pool_count }
    }

    /// The number of a server among all servers of the snapshot.
    pub fn pool_of(&self, backend: ProxyId, server: ServerId) -> u32 {
        self.pool_base.get(backend.0 as usize).map_or(u32::MAX, |base| base + server.0)
    }

    /// The server whose idle pool this is.
    pub fn server_of_pool(&self, pool: u32) -> Option<&Arc<Server>> {
        let proxy = self.pool_base.partition_point(|base| *base <= pool).checked_sub(1)?;
        let first = *self.pool_base.get(proxy)?;
        let id = ProxyId(u32::try_from(proxy).ok()?);
        self.shared.backend(id)?.server(ServerId(pool - first))
    }

    pub fn pool_count(&self) -> usize {
        self.pool_count as usize
    }
}

impl Deref for LocalSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.shared
    }
}

/// A configuration and what was made from it for one thread.
pub struct World {
    pub snapshot: Rc<LocalSnapshot>,
    pub environment: Rc<ThreadEnvironment>,
    pub log: LogWriter,
}

impl World {
    /// Changes places with what the thread works with, and back.
    pub fn enter(&mut self, core: &mut Core) {
        std::mem::swap(&mut self.environment, &mut core.environment);
        std::mem::swap(&mut self.log, &mut core.log);
    }

    /// Whether nothing but this uses it: itself and its environment hold one handle each.
    pub fn is_deserted(&self) -> bool {
        Rc::strong_count(&self.snapshot) <= 2 && Rc::strong_count(&self.environment) <= 1
    }
}

/// The thread's clock, read once per turn of its loop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// Microseconds since the process's start.
    pub monotonic_us: u64,
    /// Microseconds since the epoch.
    pub wall_us: u64,
    /// Monotonic moment at which the wall clock was last asked.
    synced_us: u64,
}

/// How often the wall clock is asked; between, it advances with the monotonic one.
const WALL_SYNC_US: u64 = 1_000_000;

impl Clock {
    fn update(&mut self, process: &Process) {
        let now = process.now_us();
        if self.wall_us == 0 || now - self.synced_us >= WALL_SYNC_US {
            self.wall_us = wall_us();
            self.synced_us = now;
        } else {
            self.wall_us += now - self.monotonic_us;
        }
        self.monotonic_us = now;
    }

    pub fn monotonic_ms(&self) -> u64 {
        self.monotonic_us / 1000
    }
}

/// Everything a session may use besides itself.
pub struct Core {
    pub thread: u16,
    pub process: Arc<Process>,
    pub snapshot: Rc<LocalSnapshot>,
    pub inboxes: Arc<Inboxes>,
    pub poller: Poller,
    pub connections: ConnectionTable,
    pub wheel: TimerWheel,
    pub buffers: BufferPool,
    pub pipes: PipePool,
    /// Received bytes before anybody took them over. Taken out while in use.
    pub scratch: Box<[u8]>,
    /// Bytes being encoded for one write. Taken out while in use.
    pub out: Vec<u8>,
    pub clock: Clock,
    pub idle: IdlePools,
    pub log: LogWriter,
    /// A log line being rendered. Taken out while in use.
    pub log_text: Vec<u8>,
    pub environment: Rc<ThreadEnvironment>,
    /// Buffers that actions render into. Taken out while in use.
    pub rule_scratch: crate::rules::Scratch,
    /// Sessions to look at again in this turn: granted slots, more data than one turn's share.
    pub runnable: Vec<Token>,
    /// Whom HTTP/2 has news for.
    pub woken: Arc<WakeList>,
    /// Requests of HTTP/2 connections that wait for a session of their own.
    pub newborn: Vec<Newborn>,
    pub http2_servers: ServerConnections,
    /// A frontend was full and is no more: accept loops of this thread should look again.
    pub accept_again: bool,
    pub stopping: bool,
    /// Boxed: a stream is moved in and out of its session as one pointer.
    #[allow(clippy::vec_box)]
    free_streams: Vec<Box<Stream>>,
    random: u64,
}

/// A thread's share of `maxpipes`, whose default is a quarter of `maxconn`.
fn pipes_max(process: &Process, global: &Global) -> usize {
    let all = match global.maxpipes {
        Some(number) => number,
        None => process.maxconn.load(std::sync::atomic::Ordering::Relaxed) / 4,
    };
    (all as usize).div_ceil(process.threads.max(1))
}

impl Core {
    pub fn new(
        thread: u16,
        snapshot: &Arc<Snapshot>,
        inboxes: &Arc<Inboxes>,
        log: LogWriter,
        variables: &Arc<ProcessVariables>,
    ) -> std::io::Result<Self> {
        let process = Arc::clone(&snapshot.process);
        let local = Rc::new(LocalSnapshot::new(Arc::clone(snapshot)));
        let mut clock = Clock::default();
        clock.update(&process);
        let seed = clock.wall_us.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(thread) << 32);
        Ok(Self {
            thread,
            poller: Poller::new()?,
            connections: ConnectionTable::new(),
            wheel: TimerWheel::new(clock.monotonic_ms()),
            buffers: BufferPool::new(snapshot.global.bufsize_bytes),
            pipes: PipePool::new(
                pipes_max(&process, &snapshot.global),
                snapshot.global.pipe_bytes,
                &process.pipes,
            ),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            out: Vec::with_capacity(SCRATCH_BYTES),
            idle: IdlePools::new(local.pool_count()),
            random: seed | 1,
            environment: Rc::new(ThreadEnvironment::new(&local, variables, thread, !seed)),
            log_text: Vec::new(),
            rule_scratch: Default::default(),
            clock,
            log,
            runnable: Vec::new(),
            woken: Arc::default(),
            newborn: Vec::new(),
            http2_servers: ServerConnections::default(),
            accept_again: false,
            stopping: false,
            free_streams: Vec::new(),
            inboxes: Arc::clone(inboxes),
            snapshot: local,
            process,
        })
    }

    pub fn update_clock(&mut self) {
        self.clock.update(&self.process);
        self.environment.set_now_ms(self.clock.monotonic_ms());
    }

    /// A request's state, as good as new.
    pub fn take_stream(&mut self) -> Box<Stream> {
        self.free_streams.pop().unwrap_or_default()
    }

    /// Takes a request's state back.
    pub fn give_back_stream(&mut self, mut stream: Box<Stream>) {
        stream.reset(&mut self.buffers);
        if self.free_streams.len() < STREAMS_FREE_MAX {
            self.free_streams.push(stream);
        }
    }

    /// Closes a connection, if it is still there.
    pub fn close(&mut self, key: ConnectionKey) {
        drop(self.connections.remove(key));
    }

    /// Tells the owner of a ticket that it holds a slot now.
    pub fn grant(&mut self, stream: StreamKey, server: &Arc<Server>) {
        let server = Arc::clone(server);
        self.inboxes.send(usize::from(stream.thread), Message::SlotGranted { stream, server });
    }

    /// Goes over to a new configuration; gives what sessions under the old one need to end in peace.
    pub fn adopt(&mut self, snapshot: &Arc<Snapshot>, log: LogWriter) -> World {
        let new = Rc::new(LocalSnapshot::new(Arc::clone(snapshot)));
        let old = std::mem::replace(&mut self.snapshot, new);
        self.adopt_idle(&old);
        let environment = Rc::new(self.environment.renewed(&self.snapshot));
        World {
            snapshot: old,
            environment: std::mem::replace(&mut self.environment, environment),
            log: std::mem::replace(&mut self.log, log),
        }
    }

    /// 64 pseudo-random bits (xorshift64*): for balancing and unique ids, not for secrets.
    pub fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
