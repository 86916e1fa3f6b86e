//! Which objects statistics are about, and the way through them: one after the other, with a place to stop and go on.

use super::collect::{self, Clock};
use super::row::{ObjectKind, StatRow};
use super::{COLUMN_COUNT, Column};
use crate::model::ProxyId;
use crate::proxy::{Backend, Frontend, Listener, Server, Snapshot};

/// Some of the columns of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns(u128);

const _: () = assert!(COLUMN_COUNT <= u128::BITS as usize);

impl Columns {
    pub const ALL: Self = Self(u128::MAX);

    pub fn only(column: Column) -> Self {
        Self(1 << column as usize)
    }

    pub fn and(self, column: Column) -> Self {
        Self(self.0 | 1 << column as usize)
    }

    pub fn has(self, column: Column) -> bool {
        self.0 & 1 << column as usize != 0
    }
}

/// Which rows are wanted: `show stat <iid> <type> <sid>` and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The proxy's number.
    pub proxy_number: Option<u32>,
    /// Sum of [`ObjectKind::filter_bit`]s.
    pub kinds: u32,
    /// The server's or listener's number.
    pub object_number: Option<u32>,
    /// `up`: no server that is down.
    pub only_up: bool,
    /// `no-maint`: no server in maintenance.
    pub without_maintenance: bool,
    /// Addresses, cookies and algorithms, which a user of the lowest level does not see.
    pub with_legends: bool,
    /// Listeners of all frontends, not only of those with `option socket-stats`.
    pub with_listeners: bool,
    /// `stats scope`: names of proxies; empty is all of them.
    pub scope: Vec<String>,
    /// What is looked up of each object.
    pub columns: Columns,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            proxy_number: None,
            kinds: u32::MAX,
            object_number: None,
            only_up: false,
            without_maintenance: false,
            with_legends: true,
            with_listeners: false,
            scope: Vec::new(),
            columns: Columns::ALL,
        }
    }
}

impl Filter {
    fn wants(&self, kind: ObjectKind, number: u32) -> bool {
        self.kinds & kind.filter_bit() != 0 && self.object_number.is_none_or(|wanted| wanted == number)
    }
}

/// Something that has statistics.
#[derive(Debug, Clone, Copy)]
pub enum Object<'a> {
    Frontend(&'a Frontend),
    Listener(&'a Frontend, &'a Listener),
    Server(&'a Backend, &'a Server),
    Backend(&'a Backend),
}

impl Object<'_> {
    pub fn kind(&self) -> ObjectKind {
        match self {
            Object::Frontend(_) => ObjectKind::Frontend,
            Object::Listener(..) => ObjectKind::Listener,
            Object::Server(..) => ObjectKind::Server,
            Object::Backend(_) => ObjectKind::Backend,
        }
    }

    fn number(&self) -> u32 {
        match self {
            Object::Listener(_, listener) => listener.id,
            Object::Server(_, server) => server.model.numeric_id,
            Object::Frontend(_) | Object::Backend(_) => 0,
        }
    }

    /// Its figures; `None` when the filter's `up` or `no-maint` leave it out.
    pub fn row(&self, filter: &Filter, clock: &Clock) -> Option<StatRow> {
        match self {
            Object::Frontend(frontend) => Some(collect::frontend_row(frontend, filter, clock)),
            Object::Listener(frontend, listener) => Some(collect::listener_row(frontend, listener, filter)),
            Object::Server(backend, server) => collect::server_row(backend, server, filter, clock),
            Object::Backend(backend) => Some(collect::backend_row(backend, filter, clock)),
        }
    }
}

/// How far a walk has come: in HAProxy's order per proxy the frontend, its listeners, servers, the backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    proxy: usize,
    place: usize,
}

impl Position {
    /// The next object that the filter wants.
    pub fn next<'a>(&mut self, snapshot: &'a Snapshot, filter: &Filter) -> Option<Object<'a>> {
        while let Some(proxy) = snapshot.proxies.get(self.proxy) {
            let other = filter.proxy_number.is_some_and(|wanted| wanted != proxy.numeric_id)
                || !filter.scope.is_empty() && !filter.scope.contains(&proxy.name);
            let with_listeners = filter.with_listeners || proxy.options.socket_stats;
            let id = ProxyId(u32::try_from(self.proxy).unwrap_or(u32::MAX));
            let is_wanted = !other && !proxy.disabled;
            while let Some(object) = at(snapshot, id, self.place).filter(|_| is_wanted) {
                self.place += 1;
                let kind = object.kind();
                if matches!(object, Object::Server(_, server) if server.model.is_nameless()) {
                    continue;
                }
                if filter.wants(kind, object.number()) && (kind != ObjectKind::Listener || with_listeners) {
                    return Some(object);
                }
            }
            *self = Self { proxy: self.proxy + 1, place: 0 };
        }
        None
    }

    /// The next row.
    pub fn next_row(&mut self, snapshot: &Snapshot, filter: &Filter, clock: &Clock) -> Option<StatRow> {
        loop {
            let object = self.next(snapshot, filter)?;
            if let Some(row) = object.row(filter, clock) {
                return Some(row);
            }
        }
    }
}

/// What stands at a place of a proxy.
fn at(snapshot: &Snapshot, id: ProxyId, mut place: usize) -> Option<Object<'_>> {
    if let Some(frontend) = snapshot.frontend(id) {
        match place.checked_sub(1) {
            None => return Some(Object::Frontend(frontend)),
            Some(of_listener) => place = of_listener,
        }
        if let Some(listener) = frontend.listeners.get(place) {
            return Some(Object::Listener(frontend, listener));
        }
        place -= frontend.listeners.len();
    }
    let backend = snapshot.backend(id)?;
    match backend.servers.get(place) {
        Some(server) => Some(Object::Server(backend, server)),
        None if place == backend.servers.len() => Some(Object::Backend(backend)),
        None => None,
    }
}
