//! Which server a client belongs to: `use-server`, the persistence cookie, and what the answer tells the client.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use hacore::hash::xxh64;

use super::session::Session;
use super::state::Stream;
use crate::http::HeadFull;
use crate::http::cookie;
use crate::model::{Address, Cookie, Proxy, ServerId};
use crate::proxy::{Backend, Server};
use crate::runtime::Core;
use crate::txn::{CookieSeen, CookieSet};

impl Stream {
    /// Looks for a server that the request is bound to before any balancing.
    pub(super) fn find_persistent_server(
        &mut self,
        session: &mut Session,
        core: &mut Core,
    ) -> Result<(), HeadFull> {
        let snapshot = Rc::clone(&session.snapshot);
        let Some(backend) = self.info.backend.and_then(|id| snapshot.backend(id)) else { return Ok(()) };
        let persistence = self.persistence(session, core, &backend.model);
        if let Some(server) = self.switched_server(session, core, backend, persistence) {
            self.info.server = Some(server);
            self.is_persistent = true;
        }
        if let Some(name) = backend.model.persist_rdp_cookie.as_ref().filter(|_| !self.is_persistent) {
            self.find_rdp_server(session, backend, name);
        }
        match &backend.model.cookie {
            Some(cookie) if self.has_request => self.read_cookie(core, backend, cookie, persistence),
            _ => Ok(()),
        }
    }

    /// `persist rdp-cookie`: the server whose address the cookie has.
    fn find_rdp_server(&mut self, session: &Session, backend: &Backend, name: &str) {
        let cookie = hacore::balance::key::rdp_cookie(session.input.as_slice(), name.as_bytes());
        let Some(address) = cookie.and_then(rdp_address) else { return };
        let found = backend.servers.iter().find(|server| server.address() == Address::Inet(address));
        if let Some(server) = found.filter(|server| may_be_bound(server, &backend.model, Persistence::Normal))
        {
            self.info.server = Some(server.id);
            self.is_persistent = true;
        }
    }

    /// The first of the `force-persist` and `ignore-persist` rules that applies.
    fn persistence(&self, session: &Session, core: &Core, proxy: &Proxy) -> Persistence {
        if proxy.persist_rules.is_empty() {
            return Persistence::Normal;
        }
        let context = self.context(session, core);
        let applies = |condition: &Option<std::sync::Arc<crate::expr::Condition>>| {
            condition.as_ref().is_none_or(|condition| condition.eval(&context))
        };
        match proxy.persist_rules.iter().find(|(_, condition)| applies(condition)) {
            None => Persistence::Normal,
            Some((true, _)) => Persistence::Forced,
            Some((false, _)) => Persistence::Ignored,
        }
    }

    /// `use-server`: the first rule that applies and whose server may be used.
    fn switched_server(
        &self,
        session: &Session,
        core: &Core,
        backend: &Backend,
        persistence: Persistence,
    ) -> Option<ServerId> {
        let rules = &backend.model.use_server;
        if rules.is_empty() {
            return None;
        }
        let context = self.context(session, core);
        let rule = rules.iter().find(|rule| rule.condition.as_ref().is_none_or(|c| c.eval(&context)))?;
        let mut name = Vec::new();
        rule.name.render(&context, &mut name);
        let server = backend.server_named(std::str::from_utf8(&name).ok()?)?;
        may_be_bound(server, &backend.model, persistence).then_some(server.id)
    }

    fn read_cookie(
        &mut self,
        core: &Core,
        backend: &Backend,
        cookie: &Cookie,
        persistence: Persistence,
    ) -> Result<(), HeadFull> {
        let name = cookie.name.as_bytes();
        let Some(value) = cookie::request_cookie(&self.request.headers, name) else {
            self.cookie_ignored = persistence == Persistence::Ignored;
            if is_active(cookie) {
                self.info.cookie_seen = CookieSeen::None;
            }
            return Ok(());
        };
        let delimiter = if cookie.prefix { cookie::PREFIX_DELIMITER } else { b'|' };
        let id = value.split(|byte| *byte == delimiter).next().unwrap_or_default();
        self.cookie_first_s = date_in(value, cookie, 2);
        self.cookie_last_s = date_in(value, cookie, 1);
        let seen = match dates(value, cookie, core.clock.wall_us / 1_000_000) {
            _ if persistence == Persistence::Ignored => CookieSeen::Unused,
            Some(outdated) => outdated,
            None => match backend
                .servers
                .iter()
                .find(|server| cookie_of(server, &backend.model).is_some_and(|own| own.as_bytes() == id))
            {
                None => CookieSeen::Invalid,
                Some(_) if self.is_persistent => CookieSeen::Unused,
                Some(server) if may_be_bound(server, &backend.model, persistence) => {
                    self.info.server = Some(server.id);
                    self.is_persistent = true;
                    self.cookie_bound = true;
                    if server.is_stopped() { CookieSeen::Down } else { CookieSeen::Valid }
                }
                Some(_) => CookieSeen::Down,
            },
        };
        self.info.cookie_seen = seen;
        self.cookie_ignored = persistence == Persistence::Ignored;
        if !is_active(cookie) {
            self.info.cookie_seen = CookieSeen::NotApplicable;
        }
        if cookie.prefix {
            cookie::strip_prefix(&mut self.request.headers, name)
        } else if cookie.indirect {
            cookie::remove_request_cookie(&mut self.request.headers, name)
        } else {
            Ok(())
        }
    }

    /// Tells the client which server it belongs to, as the `cookie` line says.
    ///
    /// `cacheable`: caches may keep the response, which `nocache` forbids them then.
    pub(super) fn set_cookie(
        &mut self,
        session: &Session,
        core: &Core,
        cacheable: bool,
    ) -> Result<(), HeadFull> {
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else {
            return Ok(());
        };
        let Some(cookie) = &backend.model.cookie else { return Ok(()) };
        let server = self.info.server.and_then(|id| backend.server(id));
        let id = server.and_then(|server| cookie_of(server, &backend.model));
        let name = cookie.name.as_bytes();
        if !is_active(cookie) {
            return Ok(());
        }
        self.info.cookie_set = CookieSet::None;
        if self.cookie_ignored {
            return Ok(());
        }
        let provided = cookie::set_cookie(&self.response.headers, name);
        if cookie.rewrite || cookie.prefix {
            let Some(id) = id else {
                if provided.is_some() {
                    self.info.cookie_set = CookieSet::Provided;
                }
                return Ok(());
            };
            if cookie::rewrite_set_cookie(&mut self.response.headers, name, id.as_bytes(), cookie.prefix)? {
                self.info.cookie_set = CookieSet::Rewritten;
            }
            return Ok(());
        }
        match provided {
            Some(_) if cookie.preserve => {
                self.info.cookie_set = CookieSet::Provided;
                return Ok(());
            }
            Some((index, _)) if cookie.insert => {
                self.response.headers.remove_at(index);
                self.info.cookie_set = CookieSet::Deleted;
            }
            Some(_) => self.info.cookie_set = CookieSet::Provided,
            None => {}
        }
        // The date of the first use is asked for and missing, or there though nobody asks for it.
        let first_is_odd = cookie.maxlife.is_some() != self.cookie_first_s.is_some();
        let last_is_odd = cookie.maxidle.is_some() || self.cookie_last_s.is_some();
        let known = self.cookie_bound && !last_is_odd && !first_is_odd;
        let wrong_method = cookie.postonly && self.request.method() != crate::http::Method::Post;
        if !cookie.insert || known || wrong_method {
            return Ok(());
        }
        self.info.cookie_set = if self.cookie_bound { CookieSet::Updated } else { CookieSet::Inserted };
        let now_s = core.clock.wall_us / 1_000_000;
        let first_s = self.cookie_first_s.filter(|_| self.cookie_bound).unwrap_or(now_s);
        let line = set_cookie_value(cookie, id.as_deref(), now_s, first_s);
        self.response.headers.add(b"set-cookie", line.as_bytes())?;
        if cookie.nocache && cacheable {
            self.response.headers.add(b"cache-control", b"private")?;
        }
        Ok(())
    }
}

/// `IP.PORT.0000`: the address as a little-endian number, the port's bytes swapped ("Session Directory and Load Balancing
/// Using Terminal Server").
fn rdp_address(cookie: &[u8]) -> Option<SocketAddr> {
    let mut parts = std::str::from_utf8(cookie).ok()?.split('.');
    let (ip, port, reserved) = (parts.next()?, parts.next()?, parts.next()?);
    let ip: u32 = ip.parse().ok()?;
    let port: u16 = port.parse().ok()?;
    if !reserved.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(SocketAddr::from((ip.to_le_bytes(), port.swap_bytes())))
}

/// What `force-persist` and `ignore-persist` say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persistence {
    Normal,
    Forced,
    Ignored,
}

/// A server that persistence may lead to: draining ones too, stopped ones only with `option persist` or `force-persist`.
fn may_be_bound(server: &Server, proxy: &Proxy, persistence: Persistence) -> bool {
    !server.is_stopped() || proxy.options.persist || persistence == Persistence::Forced
}

/// The server's name in the cookie: its own, or with `dynamic` one made of its address and the backend's key.
fn cookie_of<'s>(server: &'s Server, proxy: &Proxy) -> Option<Cow<'s, str>> {
    if let Some(own) = &server.model.cookie {
        return Some(Cow::Borrowed(own));
    }
    let cookie = proxy.cookie.as_ref().filter(|cookie| cookie.dynamic)?;
    debug_assert!(cookie.dynamic);
    match server.address() {
        Address::Inet(address) => {
            Some(Cow::Owned(dynamic_cookie(proxy.dynamic_cookie_key.as_deref()?, address)))
        }
        _ => None,
    }
}

/// XXH64 of key, address and port, the port as 32 bits in network order.
fn dynamic_cookie(key: &str, address: SocketAddr) -> String {
    let mut text = key.as_bytes().to_vec();
    match address.ip() {
        IpAddr::V4(ip) => text.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => text.extend_from_slice(&ip.octets()),
    }
    text.extend_from_slice(&u32::from(address.port()).to_be_bytes());
    format!("{:016x}", xxh64(&text, 0))
}

/// What `maxidle` and `maxlife` say about the dates in the cookie; `None`: nothing against it.
fn dates(value: &[u8], cookie: &Cookie, now_s: u64) -> Option<CookieSeen> {
    if cookie.maxidle.is_none() && cookie.maxlife.is_none() {
        return None;
    }
    let mut parts = value.split(|byte| *byte == b'|').skip(1);
    let mut age_s = || parts.next().and_then(cookie::decode_date).map(|date_s| now_s.saturating_sub(date_s));
    let (last, first) = (age_s(), age_s());
    let beyond = |age_s: Option<u64>, limit: Option<std::time::Duration>| {
        age_s.zip(limit).is_some_and(|(age_s, limit)| age_s > limit.as_secs())
    };
    if beyond(last, cookie.maxidle) {
        Some(CookieSeen::Expired)
    } else if beyond(first, cookie.maxlife) {
        Some(CookieSeen::Old)
    } else {
        None
    }
}

/// `insert`, `rewrite` or `prefix`; without them the cookie is only read, and logs say nothing of it.
fn is_active(cookie: &Cookie) -> bool {
    cookie.insert || cookie.rewrite || cookie.prefix
}

/// One of the dates in a cookie (1: of its last use, 2: of its first), seconds since the epoch.
fn date_in(value: &[u8], cookie: &Cookie, place: usize) -> Option<u64> {
    if cookie.prefix {
        return None;
    }
    value.split(|byte| *byte == b'|').nth(place).and_then(cookie::decode_date)
}

/// Without an `id` the line makes the client forget the cookie: its server has none.
fn set_cookie_value(cookie: &Cookie, id: Option<&str>, now_s: u64, first_s: u64) -> String {
    let mut line = format!("{}={}", cookie.name, id.unwrap_or_default());
    let mut add_date = |date_s: u64| {
        line.push('|');
        line.push_str(&String::from_utf8_lossy(&cookie::encode_date(date_s)));
    };
    match id {
        None => line.push_str("; Expires=Thu, 01-Jan-1970 00:00:01 GMT"),
        Some(_) => {
            if cookie.maxidle.is_some() || cookie.maxlife.is_some() {
                add_date(now_s);
            }
            if cookie.maxlife.is_some() {
                add_date(first_s);
            }
        }
    }
    line.push_str("; path=/");
    for domain in &cookie.domains {
        line.push_str("; domain=");
        line.push_str(domain);
    }
    if cookie.httponly {
        line.push_str("; HttpOnly");
    }
    if cookie.secure {
        line.push_str("; Secure");
    }
    for attribute in &cookie.attributes {
        line.push_str("; ");
        line.push_str(attribute);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Microsoft's description.
    #[test]
    fn rdp_cookie() {
        assert_eq!(rdp_address(b"3640205228.15629.0000"), Some("172.31.249.216:3389".parse().unwrap()));
        for bad in ["", "1", "1.2", "x.2.0", "1.99999.0", "1.2.x", "99999999999.1.0"] {
            assert_eq!(rdp_address(bad.as_bytes()), None, "{bad}");
        }
    }

    /// The value is what HAProxy 2.6 sends for this server and key.
    #[test]
    fn cookie_dynamic() {
        let address = SocketAddr::from(([127, 0, 0, 1], 18180));
        assert_eq!(dynamic_cookie("MYKEY", address), "73c41b937d7334af");
    }
}
