//! `track_proxy`: an instance follows how many servers of a proxy's backend are up. keepalived does not know it.

use crate::model::TrackedProxy;

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::TrackDraft;
use super::keyword;
use super::numbers::{int, timer};

/// The longest interval: an hour.
const INTERVAL_MAX_US: u64 = 3_600_000_000;

/// What stands in the block, on one line or on many.
pub(super) const TABLE: &[Keyword<TrackedProxy>] = &[
    keyword("socket", "<PATH>", 1, "admin socket of proxyd or HAProxy", |_, _, _| {}),
    keyword("backend", "<NAME>", 1, "backend whose servers are counted", |_, _, _| {}),
    keyword("min_up", "<NUMBER>", 1, "servers that have to be up (1)", |_, _, _| {}),
    keyword("weight", "<-253..253>", 1, "priority change; 0, the default, means FAULT", |_, _, _| {}),
    keyword("reverse", "", 0, "turn the sense round", |_, _, _| {}),
    keyword("interval", "<TIMER>", 1, "seconds between questions (1)", |_, _, _| {}),
    keyword("rise", "<NUMBER>", 1, "good answers in a row that are needed (1)", |_, _, _| {}),
    keyword("fall", "<NUMBER>", 1, "bad answers in a row that are needed (1)", |_, _, _| {}),
];

/// The block of the instance or group `owner`.
pub(super) fn block(track: &mut TrackDraft, owner: &str, s: &Statement<'_>, c: &mut Context<'_>) {
    let mut proxy = TrackedProxy {
        socket: String::new(),
        backend: String::new(),
        min_up: 1,
        weight: 0,
        reverse: false,
        interval_us: 1_000_000,
        rise: 1,
        fall: 1,
    };
    for line in s.children() {
        let mut words = Statement::of_values(line);
        while let Some(option) = words.next_word() {
            read(&mut proxy, owner, option, &mut words, c);
        }
    }
    if !proxy.socket.starts_with('/') || proxy.backend.is_empty() {
        let message =
            format!("({owner}) track_proxy needs a socket (an absolute path) and a backend - ignoring");
        return c.warn(s.span(), message);
    }
    if track.proxies.iter().any(|other| other.name() == proxy.name()) {
        return c.warn(s.span(), format!("({owner}) duplicate track_proxy {} - ignoring", proxy.name()));
    }
    track.proxies.push(proxy);
}

fn read(
    proxy: &mut TrackedProxy,
    owner: &str,
    option: &hacore::diag::Word,
    words: &mut Statement<'_>,
    c: &mut Context<'_>,
) {
    let name = option.as_str();
    if name == "reverse" {
        proxy.reverse = true;
        return;
    }
    if !TABLE.iter().any(|keyword| keyword.name == name) {
        return c.unknown(option, TABLE.iter().map(|keyword| keyword.name));
    }
    if words.peek().is_none() {
        return c.warn(option.span, format!("({owner}) track_proxy: {name} needs a value - ignoring"));
    }
    let wrong = |text: &str| format!("({owner}) track_proxy: {name} '{text}' invalid - ignoring");
    match name {
        "socket" => proxy.socket = words.text(),
        "backend" => proxy.backend = words.text(),
        "weight" => {
            proxy.weight = int(words, c, -253..=253, wrong).map_or(proxy.weight, |weight| weight as i32);
        }
        "interval" => {
            proxy.interval_us = timer(words, c, 10_000..=INTERVAL_MAX_US, wrong).unwrap_or(proxy.interval_us);
        }
        _ => {
            let number = int(words, c, 1..=65_535, wrong).map(|number| number as u32);
            let field = match name {
                "min_up" => &mut proxy.min_up,
                "rise" => &mut proxy.rise,
                _ => &mut proxy.fall,
            };
            *field = number.unwrap_or(*field);
        }
    }
}
