//! `tune.h2.*`: HTTP/2 towards clients (`fe`), servers (`be`) or both.

use super::global;
use crate::config::keyword::{Keyword, Line, Parsed, any, one};
use crate::config::loader::Loader;
use crate::model::H2Tuning;

/// RFC 9113 §6.9.1.
const WINDOW_MAX: i64 = (1 << 31) - 1;
const FRAMES: &str = "a connection's share of a turn is bounded otherwise";
const LIMITS: &str = "floods of frames end the connection by limits of their own";

pub const KEYWORDS: &[Keyword] = &[
    global("tune.h2.be.glitches-threshold", "<number>", "Protocol oddities before a server is left.", one)
        .no_effect(LIMITS),
    global(
        "tune.h2.be.initial-window-size",
        "<number>",
        "Body bytes that a server may send unasked.",
        window,
    ),
    global(
        "tune.h2.be.max-concurrent-streams",
        "<number>",
        "Requests at once on a server connection.",
        concurrent,
    ),
    global("tune.h2.be.max-frames-at-once", "<number>", "Frames in one turn.", one).no_effect(FRAMES),
    global("tune.h2.be.rxbuf", "<size>", "Bytes received ahead on a server connection.", receive),
    global("tune.h2.fe.glitches-threshold", "<number>", "Protocol oddities before a client is left.", one)
        .no_effect(LIMITS),
    global(
        "tune.h2.fe.initial-window-size",
        "<number>",
        "Body bytes that a client may send unasked.",
        window,
    ),
    global("tune.h2.fe.max-concurrent-streams", "<number>", "Requests at once of a client.", concurrent),
    global("tune.h2.fe.max-frames-at-once", "<number>", "Frames in one turn.", one).no_effect(FRAMES),
    global("tune.h2.fe.max-rst-at-once", "<number>", "Resets in one turn.", one).no_effect(LIMITS),
    global(
        "tune.h2.fe.max-total-streams",
        "<number>",
        "Requests before a client is asked to reconnect.",
        total,
    ),
    global("tune.h2.fe.rxbuf", "<size>", "Bytes received ahead on a client connection.", receive),
    global("tune.h2.header-table-size", "<number>", "Bytes of the dynamic header table.", table),
    global("tune.h2.initial-window-size", "<number>", "Body bytes that a peer may send unasked.", window),
    global("tune.h2.log-errors", "{ none | connection | stream }", "Which errors are logged.", one)
        .no_effect("streams that fail are logged as any request"),
    global("tune.h2.max-concurrent-streams", "<number>", "Requests at once on a connection.", concurrent),
    global("tune.h2.max-frame-size", "<number>", "The largest frame that is taken.", frame),
    global("tune.h2.zero-copy-fwd-send", "{ on | off }", "Forwarding without a copy.", any)
        .no_effect("bodies are copied once"),
];

/// Sets a value on the side that the keyword names, or on both.
fn apply(loader: &mut Loader, line: &Line<'_>, set: impl Fn(&mut H2Tuning)) {
    if !line.name.contains(".be.") {
        set(&mut loader.global.h2_frontend);
    }
    if !line.name.contains(".fe.") {
        set(&mut loader.global.h2_backend);
    }
}

fn window(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.integer(0..=WINDOW_MAX)? as u32;
    apply(loader, line, |tuning| tuning.initial_window_bytes = bytes);
    line.end()
}

fn concurrent(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let streams = match line.integer(0..=WINDOW_MAX)? as u32 {
        0 => u32::MAX,
        streams => streams,
    };
    apply(loader, line, |tuning| tuning.concurrent_streams_max = streams);
    line.end()
}

fn total(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.h2_frontend.total_streams_max = line.integer(0..=WINDOW_MAX)? as u64;
    line.end()
}

fn receive(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.size(WINDOW_MAX as u64)? as u32;
    apply(loader, line, |tuning| tuning.receive_bytes_max = bytes);
    line.end()
}

fn table(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.integer(0..=65536)? as u32;
    apply(loader, line, |tuning| tuning.header_table_bytes = bytes);
    line.end()
}

fn frame(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.integer(16384..=16_777_215)? as u32;
    apply(loader, line, |tuning| tuning.frame_bytes_max = bytes);
    line.end()
}
