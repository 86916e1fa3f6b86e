//! `encap` in a route: the words of `ip route … encap` (ip-route(8)).

use std::net::IpAddr;

use crate::model::{Encapsulation, TunnelEncapsulation};

use super::super::keyword::{Context, Statement};

/// Labels in a stack (the kernel's limit).
const LABELS_MAX: usize = 30;
/// A label has 20 bits.
const LABEL_MAX: u32 = (1 << 20) - 1;

/// Reads type and options at the cursor, up to the first word that is none of them.
pub(super) fn encap(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<Encapsulation> {
    match s.next() {
        Some("mpls") => mpls(s, c),
        Some("ip") => tunnel(s, c, false),
        Some("ip6") => tunnel(s, c, true),
        Some("ila") => {
            let text = s.text();
            let locator = ila_locator(&text);
            if locator.is_none() {
                c.warn(s.last_span(), format!("Invalid locator {text} for ila"));
            }
            locator.map(|locator| Encapsulation::Ila { locator })
        }
        other => {
            let kind = other.unwrap_or_default();
            c.warn(s.last_span(), format!("unknown encap type - {kind}"));
            None
        }
    }
}

fn mpls(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<Encapsulation> {
    let text = s.text();
    let labels: Option<Vec<u32>> =
        text.split('/').map(|label| label.parse().ok().filter(|label| *label <= LABEL_MAX)).collect();
    let labels = labels.filter(|labels| labels.len() <= LABELS_MAX);
    if labels.is_none() {
        c.warn(s.last_span(), format!("invalid mpls address {text}"));
    }
    let mut ttl = None;
    if s.take_if("ttl") {
        ttl = option(s, c, "ttl", |text| text.parse().ok());
    }
    Some(Encapsulation::Mpls { labels: labels?, ttl })
}

fn tunnel(s: &mut Statement<'_>, c: &mut Context<'_>, ipv6: bool) -> Option<Encapsulation> {
    let mut out = TunnelEncapsulation { ipv6, ..TunnelEncapsulation::default() };
    let address = |text: &str| text.parse::<IpAddr>().ok().filter(|address| address.is_ipv6() == ipv6);
    while let Some(word) = s.peek() {
        let known = match word {
            "id" | "dst" | "src" | "flags" => true,
            "tos" | "ttl" => !ipv6,
            "tc" | "hoplimit" => ipv6,
            _ => false,
        };
        if !known {
            break;
        }
        let _ = s.next();
        match word {
            "id" => out.id = option(s, c, word, unsigned),
            "dst" => out.destination = option(s, c, word, address),
            "src" => out.source = option(s, c, word, address),
            "flags" => out.flags = option(s, c, word, |text| u16::try_from(unsigned(text)?).ok()),
            "tos" | "tc" => out.class = option(s, c, word, |text| u8::try_from(unsigned(text)?).ok()),
            _ => out.hops = option(s, c, word, |text| u8::try_from(unsigned(text)?).ok()),
        }
    }
    Some(Encapsulation::Tunnel(out))
}

fn option<T>(
    s: &mut Statement<'_>,
    c: &mut Context<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = s.text();
    let value = read(&text);
    if value.is_none() {
        c.warn(s.last_span(), format!("Invalid encap {name} {text}"));
    }
    value
}

fn unsigned(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
}

/// `1:2:3:4`, the upper half of an IPv6 address, as the kernel stores it.
fn ila_locator(text: &str) -> Option<[u8; 8]> {
    let words: Option<Vec<[u8; 2]>> =
        text.split(':').map(|word| u16::from_str_radix(word, 16).ok().map(u16::to_be_bytes)).collect();
    words?.concat().try_into().ok()
}
