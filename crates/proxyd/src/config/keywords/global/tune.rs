//! `tune.*`: sizes and limits. Those that describe HAProxy's own machinery are accepted and change nothing.

use super::global;
use crate::config::keyword::{Keyword, Line, Parsed, any};
use crate::config::loader::Loader;

const INTERNAL: &str = "it tunes a mechanism that works differently here";
const MEMORY: &str = "variables are limited by the size of a request";
const NO_COMPRESSION: &str = "nothing is compressed";
const NO_QUIC: &str = "there is no QUIC";
const NO_TABLES: &str = "there are no stick tables yet";
const TLS_FIXED: &str = "the TLS library decides this itself";
const NO_DH: &str = "there is no finite-field Diffie-Hellman";

pub const KEYWORDS: &[Keyword] = &[
    global(
        "tune.applet.zero-copy-forwarding",
        "<value>",
        "Internal tuning: applet.zero-copy-forwarding.",
        any,
    )
    .no_effect(INTERNAL),
    global("tune.buffers.limit", "<value>", "Internal tuning: buffers.limit.", any).no_effect(INTERNAL),
    global("tune.buffers.reserve", "<value>", "Internal tuning: buffers.reserve.", any).no_effect(INTERNAL),
    global("tune.bufsize", "<number>", "Size of a connection's buffer.", bufsize),
    global("tune.bufsize.large", "<value>", "Internal tuning: bufsize.large.", any).no_effect(INTERNAL),
    global("tune.bufsize.small", "<value>", "Internal tuning: bufsize.small.", any).no_effect(INTERNAL),
    global("tune.chksize", "<value>", "Internal tuning: chksize.", any).no_effect(INTERNAL),
    global("tune.cli.max-payload-size", "<value>", "Internal tuning: cli.max-payload-size.", any)
        .no_effect(INTERNAL),
    global("tune.comp.maxlevel", "<value>", "Compression: comp.maxlevel.", any).no_effect(NO_COMPRESSION),
    global("tune.defaults.purge", "<value>", "Internal tuning: defaults.purge.", any).no_effect(INTERNAL),
    global("tune.disable-fast-forward", "<value>", "Internal tuning: disable-fast-forward.", any)
        .no_effect(INTERNAL),
    global(
        "tune.disable-zero-copy-forwarding",
        "<value>",
        "Internal tuning: disable-zero-copy-forwarding.",
        any,
    )
    .no_effect(INTERNAL),
    global("tune.epoll.mask-events", "<value>", "Internal tuning: epoll.mask-events.", any)
        .no_effect(INTERNAL),
    global("tune.events.max-events-at-once", "<value>", "Internal tuning: events.max-events-at-once.", any)
        .no_effect(INTERNAL),
    global("tune.fail-alloc", "<value>", "Internal tuning: fail-alloc.", any).no_effect(INTERNAL),
    global("tune.fd.edge-triggered", "<value>", "Internal tuning: fd.edge-triggered.", any)
        .no_effect(INTERNAL),
    global("tune.fd.tables", "<value>", "Internal tuning: fd.tables.", any).no_effect(INTERNAL),
    global("tune.glitches.kill.cpu-usage", "<value>", "Internal tuning: glitches.kill.cpu-usage.", any)
        .no_effect(INTERNAL),
    global("tune.h1.be.glitches-threshold", "<value>", "Internal tuning: h1.be.glitches-threshold.", any)
        .no_effect(INTERNAL),
    global("tune.h1.fe.glitches-threshold", "<value>", "Internal tuning: h1.fe.glitches-threshold.", any)
        .no_effect(INTERNAL),
    global("tune.h1.zero-copy-fwd-recv", "<value>", "Internal tuning: h1.zero-copy-fwd-recv.", any)
        .no_effect(INTERNAL),
    global("tune.h1.zero-copy-fwd-send", "<value>", "Internal tuning: h1.zero-copy-fwd-send.", any)
        .no_effect(INTERNAL),
    global("tune.http.cookielen", "<number>", "Longest captured cookie.", cookielen),
    global("tune.http.logurilen", "<number>", "Longest URI in logs.", logurilen),
    global("tune.http.maxhdr", "<number>", "Most header fields of a message.", maxhdr),
    global(
        "tune.idle-pool.shared",
        "{ on | off }",
        "Whether threads take over each other's idle server connections.",
        idle_pool_shared,
    ),
    global("tune.idletimer", "<value>", "Internal tuning: idletimer.", any).no_effect(INTERNAL),
    global("tune.listener.default-shards", "<value>", "Internal tuning: listener.default-shards.", any)
        .no_effect(INTERNAL),
    global("tune.listener.multi-queue", "<value>", "Internal tuning: listener.multi-queue.", any)
        .no_effect(INTERNAL),
    global("tune.max-checks-per-thread", "<value>", "Internal tuning: max-checks-per-thread.", any)
        .no_effect(INTERNAL),
    global("tune.max-rules-at-once", "<value>", "Internal tuning: max-rules-at-once.", any)
        .no_effect(INTERNAL),
    global("tune.maxaccept", "<number>", "Most connections accepted in a row.", maxaccept)
        .no_effect("a thread takes what waits, in batches"),
    global("tune.maxpollevents", "<value>", "Internal tuning: maxpollevents.", any).no_effect(INTERNAL),
    global("tune.maxrewrite", "<number>", "Room that is kept for header rewriting.", maxrewrite),
    global("tune.memory.hot-size", "<value>", "Internal tuning: memory.hot-size.", any).no_effect(INTERNAL),
    global("tune.notsent-lowat.client", "<value>", "Internal tuning: notsent-lowat.client.", any)
        .no_effect(INTERNAL),
    global("tune.notsent-lowat.server", "<value>", "Internal tuning: notsent-lowat.server.", any)
        .no_effect(INTERNAL),
    global("tune.pattern.cache-size", "<value>", "Internal tuning: pattern.cache-size.", any)
        .no_effect(INTERNAL),
    global("tune.peers.max-updates-at-once", "<value>", "Stick tables: peers.max-updates-at-once.", any)
        .no_effect(NO_TABLES),
    global("tune.pipesize", "<size>", "Size of the pipes for splicing.", pipesize),
    global("tune.pool-high-fd-ratio", "<value>", "Internal tuning: pool-high-fd-ratio.", any)
        .no_effect(INTERNAL),
    global("tune.pool-low-fd-ratio", "<value>", "Internal tuning: pool-low-fd-ratio.", any)
        .no_effect(INTERNAL),
    global("tune.pt.zero-copy-forwarding", "<value>", "Internal tuning: pt.zero-copy-forwarding.", any)
        .no_effect(INTERNAL),
    global("tune.quic.be.cc.cubic-min-losses", "<value>", "QUIC: quic.be.cc.cubic-min-losses.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.cc.hystart", "<value>", "QUIC: quic.be.cc.hystart.", any).no_effect(NO_QUIC),
    global("tune.quic.be.cc.max-frame-loss", "<value>", "QUIC: quic.be.cc.max-frame-loss.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.cc.max-win-size", "<value>", "QUIC: quic.be.cc.max-win-size.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.cc.reorder-ratio", "<value>", "QUIC: quic.be.cc.reorder-ratio.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.max-idle-timeout", "<value>", "QUIC: quic.be.max-idle-timeout.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.sec.glitches-threshold", "<value>", "QUIC: quic.be.sec.glitches-threshold.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.stream.data-ratio", "<value>", "QUIC: quic.be.stream.data-ratio.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.stream.max-concurrent", "<value>", "QUIC: quic.be.stream.max-concurrent.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.be.stream.rxbuf", "<value>", "QUIC: quic.be.stream.rxbuf.", any).no_effect(NO_QUIC),
    global("tune.quic.be.tx.pacing", "<value>", "QUIC: quic.be.tx.pacing.", any).no_effect(NO_QUIC),
    global("tune.quic.be.tx.udp-gso", "<value>", "QUIC: quic.be.tx.udp-gso.", any).no_effect(NO_QUIC),
    global("tune.quic.fe.cc.cubic-min-losses", "<value>", "QUIC: quic.fe.cc.cubic-min-losses.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.cc.hystart", "<value>", "QUIC: quic.fe.cc.hystart.", any).no_effect(NO_QUIC),
    global("tune.quic.fe.cc.max-frame-loss", "<value>", "QUIC: quic.fe.cc.max-frame-loss.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.cc.max-win-size", "<value>", "QUIC: quic.fe.cc.max-win-size.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.cc.reorder-ratio", "<value>", "QUIC: quic.fe.cc.reorder-ratio.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.max-idle-timeout", "<value>", "QUIC: quic.fe.max-idle-timeout.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.sec.glitches-threshold", "<value>", "QUIC: quic.fe.sec.glitches-threshold.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.sec.retry-threshold", "<value>", "QUIC: quic.fe.sec.retry-threshold.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.sock-per-conn", "<value>", "QUIC: quic.fe.sock-per-conn.", any).no_effect(NO_QUIC),
    global("tune.quic.fe.stream.data-ratio", "<value>", "QUIC: quic.fe.stream.data-ratio.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.stream.max-concurrent", "<value>", "QUIC: quic.fe.stream.max-concurrent.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.stream.max-total", "<value>", "QUIC: quic.fe.stream.max-total.", any)
        .no_effect(NO_QUIC),
    global("tune.quic.fe.stream.rxbuf", "<value>", "QUIC: quic.fe.stream.rxbuf.", any).no_effect(NO_QUIC),
    global("tune.quic.fe.tx.pacing", "<value>", "QUIC: quic.fe.tx.pacing.", any).no_effect(NO_QUIC),
    global("tune.quic.fe.tx.udp-gso", "<value>", "QUIC: quic.fe.tx.udp-gso.", any).no_effect(NO_QUIC),
    global("tune.quic.listen", "<value>", "QUIC: quic.listen.", any).no_effect(NO_QUIC),
    global("tune.quic.mem.tx-max", "<value>", "QUIC: quic.mem.tx-max.", any).no_effect(NO_QUIC),
    global("tune.quic.zero-copy-fwd-send", "<value>", "QUIC: quic.zero-copy-fwd-send.", any)
        .no_effect(NO_QUIC),
    global("tune.rcvbuf.backend", "<value>", "Internal tuning: rcvbuf.backend.", any).no_effect(INTERNAL),
    global("tune.rcvbuf.client", "<number>", "Kernel receive buffer of client sockets.", rcvbuf_client)
        .later("the kernel sizes the buffers of sockets"),
    global("tune.rcvbuf.frontend", "<value>", "Internal tuning: rcvbuf.frontend.", any).no_effect(INTERNAL),
    global("tune.rcvbuf.server", "<number>", "Kernel receive buffer of server sockets.", rcvbuf_server)
        .later("the kernel sizes the buffers of sockets"),
    global("tune.recv_enough", "<value>", "Internal tuning: recv_enough.", any).no_effect(INTERNAL),
    global("tune.renice.runtime", "<value>", "Internal tuning: renice.runtime.", any).no_effect(INTERNAL),
    global("tune.renice.startup", "<value>", "Internal tuning: renice.startup.", any).no_effect(INTERNAL),
    global("tune.ring.queues", "<value>", "Internal tuning: ring.queues.", any).no_effect(INTERNAL),
    global("tune.runqueue-depth", "<value>", "Internal tuning: runqueue-depth.", any).no_effect(INTERNAL),
    global("tune.sched.low-latency", "<value>", "Internal tuning: sched.low-latency.", any)
        .no_effect(INTERNAL),
    global("tune.sndbuf.backend", "<value>", "Internal tuning: sndbuf.backend.", any).no_effect(INTERNAL),
    global("tune.sndbuf.client", "<number>", "Kernel send buffer of client sockets.", sndbuf_client)
        .later("the kernel sizes the buffers of sockets"),
    global("tune.sndbuf.frontend", "<value>", "Internal tuning: sndbuf.frontend.", any).no_effect(INTERNAL),
    global("tune.sndbuf.server", "<number>", "Kernel send buffer of server sockets.", sndbuf_server)
        .later("the kernel sizes the buffers of sockets"),
    global(
        "tune.ssl.cachesize",
        "<value>",
        "TLS sessions of clients that are remembered.",
        super::tls::number,
    ),
    global(
        "tune.ssl.capture-buffer-size",
        "<value>",
        "Bytes of a client's TLS offer that are kept.",
        super::tls::number,
    ),
    global(
        "tune.ssl.capture-cipherlist-size",
        "<value>",
        "Old name of tune.ssl.capture-buffer-size.",
        super::tls::number,
    ),
    global("tune.ssl.certificate-compression", "<value>", "TLS: ssl.certificate-compression.", any)
        .no_effect(TLS_FIXED),
    global("tune.ssl.default-dh-param", "<value>", "TLS: ssl.default-dh-param.", any).no_effect(NO_DH),
    global("tune.ssl.force-private-cache", "<value>", "TLS: ssl.force-private-cache.", any)
        .no_effect(TLS_FIXED),
    global(
        "tune.ssl.hard-maxrecord",
        "<value>",
        "The largest TLS record that is sent to clients.",
        super::tls::number,
    ),
    global(
        "tune.ssl.keylog",
        "<value>",
        "Whether TLS secrets are kept for the fetches that tell them.",
        super::tls::on_off,
    ),
    global("tune.ssl.keyupdate-rate-limit", "<value>", "TLS: ssl.keyupdate-rate-limit.", any)
        .no_effect(TLS_FIXED),
    global(
        "tune.ssl.lifetime",
        "<value>",
        "How long clients keep tickets of tls-ticket-keys.",
        super::tls::seconds,
    ),
    global(
        "tune.ssl.maxrecord",
        "<value>",
        "The largest TLS record that is sent to clients.",
        super::tls::number,
    ),
    global(
        "tune.ssl.ocsp-update.maxdelay",
        "<value>",
        "Old name of ocsp-update.maxdelay.",
        super::tls::seconds,
    ),
    global(
        "tune.ssl.ocsp-update.mindelay",
        "<value>",
        "Old name of ocsp-update.mindelay.",
        super::tls::seconds,
    ),
    global(
        "tune.ssl.ssl-ctx-cache-size",
        "<value>",
        "Generated certificates that are remembered.",
        super::tls::number,
    ),
    global("tune.stick-counters", "<value>", "Stick tables: stick-counters.", any).no_effect(NO_TABLES),
    global("tune.streams-elasticity", "<value>", "Internal tuning: streams-elasticity.", any)
        .no_effect(INTERNAL),
    global(
        "tune.takeover-other-tg-connections",
        "<value>",
        "Internal tuning: takeover-other-tg-connections.",
        any,
    )
    .no_effect(INTERNAL),
    global("tune.vars.check-max-size", "<value>", "Memory of variables: vars.check-max-size.", any)
        .no_effect(MEMORY),
    global("tune.vars.global-max-size", "<value>", "Memory of variables: vars.global-max-size.", any)
        .no_effect(MEMORY),
    global("tune.vars.proc-max-size", "<value>", "Memory of variables: vars.proc-max-size.", any)
        .no_effect(MEMORY),
    global("tune.vars.reqres-max-size", "<value>", "Memory of variables: vars.reqres-max-size.", any)
        .no_effect(MEMORY),
    global("tune.vars.sess-max-size", "<value>", "Memory of variables: vars.sess-max-size.", any)
        .no_effect(MEMORY),
    global("tune.vars.txn-max-size", "<value>", "Memory of variables: vars.txn-max-size.", any)
        .no_effect(MEMORY),
];

/// Buffers below this cannot hold a request's head.
const BUFFER_MIN_BYTES: u64 = 1024;
/// Largest buffer.
const BUFFER_MAX_BYTES: u64 = 256 << 20;

fn bufsize(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let size = line.size(BUFFER_MAX_BYTES)?;
    if size < BUFFER_MIN_BYTES {
        return Err(line
            .alert(format!("'{}' expects a value of at least {BUFFER_MIN_BYTES}, got {size}.", line.name)));
    }
    loader.global.bufsize_bytes = size as usize;
    line.end()
}

fn pipesize(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.pipe_bytes = Some(line.size(BUFFER_MAX_BYTES)? as usize);
    line.end()
}

fn maxrewrite(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.maxrewrite_bytes = line.size(BUFFER_MAX_BYTES)? as usize;
    line.end()
}

fn cookielen(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.http_cookie_length = line.integer(0..=65535)? as usize;
    line.end()
}

fn logurilen(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.http_log_uri_length = line.integer(1..=65535)? as usize;
    line.end()
}

fn maxhdr(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.http_headers_max = line.integer(1..=32767)? as usize;
    line.end()
}

fn maxaccept(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_accept = Some(line.integer(-1..=i64::from(i32::MAX))? as i32);
    line.end()
}

fn idle_pool_shared(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("either 'on' or 'off'.")?;
    loader.global.idle_pool_shared = match word.as_str() {
        "on" => true,
        "off" => false,
        other => {
            return Err(line
                .alert_at(word, format!("'{}' expects either 'on' or 'off' but got '{other}'.", line.name)));
        }
    };
    line.end()
}

fn rcvbuf_client(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.receive_buffer_client_bytes = Some(line.size(u64::from(u32::MAX))? as u32);
    line.end()
}

fn rcvbuf_server(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.receive_buffer_server_bytes = Some(line.size(u64::from(u32::MAX))? as u32);
    line.end()
}

fn sndbuf_client(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.send_buffer_client_bytes = Some(line.size(u64::from(u32::MAX))? as u32);
    line.end()
}

fn sndbuf_server(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.send_buffer_server_bytes = Some(line.size(u64::from(u32::MAX))? as u32);
    line.end()
}
