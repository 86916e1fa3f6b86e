//! Lines of `virtual_ipaddress`, `virtual_ipaddress_excluded` and `static_ipaddress`.

use std::net::IpAddr;

use crate::model::{AddressSpec, Broadcast, LIFETIME_FOREVER};

use super::super::keyword::{Context, Keyword, Statement};
use super::super::value::{self, integer};
use super::draft::At;
use super::keyword;

/// A line while it is read.
pub(super) struct AddressLine {
    spec: AddressSpec,
    /// The address as written.
    text: String,
    /// Something is so wrong that the address is left out.
    dropped: bool,
    lifetime_written: bool,
}

pub(super) const TABLE: &[Keyword<AddressLine>] = &[
    keyword("brd", "<ADDR>|+|-", 1, "broadcast address, + or - to derive it", broadcast),
    keyword("broadcast", "<ADDR>|+|-", 1, "broadcast address, + or - to derive it", broadcast),
    keyword("dev", "<IF>", 1, "interface", |line, s, c| {
        let name = s.text();
        if !c.environment.interface_exists(&name) {
            let message = format!("WARNING - interface {name} for ip address {} doesn't exist", line.text);
            super::super::resolve::missing_interface(c, s.last_span(), message);
        }
        line.spec.dev = Some(name);
    }),
    keyword("scope", "<SCOPE>", 1, "IPv4 scope name or number", |line, s, c| {
        let text = s.text();
        match scope(&text) {
            Some(scope) => line.spec.scope = Some(scope),
            None => c.warn(
                s.last_span(),
                format!("Invalid scope '{text}' specified for {} - ignoring", line.text),
            ),
        }
    }),
    keyword("label", "<LABEL>", 1, "IPv4 alias name", |line, s, c| {
        let label = s.text();
        if label.len() > LABEL_BYTES_MAX {
            let message = format!(
                "Address label {label} is longer than maximum length {LABEL_BYTES_MAX} - removing address"
            );
            c.warn(s.last_span(), message);
            line.dropped = true;
        } else {
            line.spec.label = Some(label);
        }
    }),
    keyword("peer", "<ADDR>[/<LEN>]", 1, "far end of a point to point address", |line, s, c| {
        let text = s.text();
        match value::address(&text) {
            Some((peer, length)) if peer.is_ipv4() == line.spec.address.is_ipv4() => {
                line.spec.peer = Some(peer);
                if let Some(length) = length.and_then(|length| length.parse::<u8>().ok()) {
                    line.spec.prefix_len = length.min(value::length_max(peer));
                }
            }
            _ => {
                c.warn(s.last_span(), format!("Invalid peer address {text} for {} - ignoring", line.text));
            }
        }
    }),
    keyword("home", "", 0, "mobile IPv6 home address flag", |line, _, _| line.spec.flags.home = true),
    keyword("-nodad", "", 0, "clear the nodad flag (it is set by default)", |line, _, _| {
        line.spec.flags.nodad = false
    }),
    keyword("mngtmpaddr", "", 0, "manage temporary addresses flag", |line, _, _| {
        line.spec.flags.mngtmpaddr = true
    }),
    keyword("noprefixroute", "", 0, "do not add the prefix route", |line, _, _| {
        line.spec.flags.noprefixroute = true
    }),
    keyword("autojoin", "", 0, "join multicast groups on the address", |line, _, _| {
        line.spec.flags.autojoin = true
    }),
    keyword("no_track", "", 0, "losing it does not cost the master state", |line, _, _| {
        line.spec.no_track = true
    }),
    keyword("preferred_lft", "<SECONDS>|forever", 1, "preferred life time (IPv6 /128: 0)", |line, s, c| {
        line.lifetime_written = true;
        if s.take_if("forever") {
            line.spec.preferred_lft_s = Some(LIFETIME_FOREVER);
            return;
        }
        match s.int(c, 0..=i64::from(LIFETIME_FOREVER)) {
            Ok(seconds) => line.spec.preferred_lft_s = Some(seconds as u32),
            Err(text) => c.warn(s.last_span(), format!("preferred_lft {text} is invalid")),
        }
    }),
];

pub(super) const VIRTUAL: &[Keyword<AddressLine>] =
    &[keyword("use_vmac", "", 0, "a vmac for just this address", |line, _, _| line.spec.use_vmac = true)];

pub(super) const STATIC: &[Keyword<AddressLine>] = &[keyword(
    "track_group",
    "<NAME>",
    1,
    "group whose instances need the address's interface",
    |line, s, _| {
        line.spec.track_group = Some(s.text());
    },
)];

/// `IFNAMSIZ` - 1.
const LABEL_BYTES_MAX: usize = 15;

fn broadcast(line: &mut AddressLine, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let text = s.text();
    line.spec.broadcast = match (text.as_str(), text.parse::<IpAddr>()) {
        ("+", _) => Broadcast::HostBitsSet,
        ("-", _) => Broadcast::HostBitsClear,
        (_, Ok(address)) if address.is_ipv4() == line.spec.address.is_ipv4() => Broadcast::Address(address),
        _ => {
            c.warn(
                s.last_span(),
                format!("VRRP is trying to assign invalid broadcast {text}. skipping VIP..."),
            );
            line.dropped = true;
            return;
        }
    };
}

/// `rt_scopes` names, or a number.
pub(super) fn scope(text: &str) -> Option<u8> {
    Some(match text {
        "global" | "universe" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        number => number.parse().ok()?,
    })
}

/// The lines of an address block.
pub(super) fn block(
    list: &mut Vec<At<AddressSpec>>,
    s: &Statement<'_>,
    c: &mut Context<'_>,
    is_static: bool,
) {
    let tables: &[&[Keyword<AddressLine>]] = if is_static { &[TABLE, STATIC] } else { &[TABLE, VIRTUAL] };
    for node in s.children() {
        let mut words = Statement::of_values(node);
        if let Some(spec) = line(&mut words, tables, c) {
            list.push(At { value: spec, span: node.span() });
        }
    }
}

fn line(
    words: &mut Statement<'_>,
    tables: &[&[Keyword<AddressLine>]],
    c: &mut Context<'_>,
) -> Option<AddressSpec> {
    let text = words.text();
    let Some((address, length)) = value::address(&text) else {
        c.warn(words.last_span(), format!("VRRP parsed invalid IP {text}. skipping IP..."));
        return None;
    };
    let max = value::length_max(address);
    let prefix_len = match length.map(|length| integer(length, &(0..=i64::from(max)))) {
        None => max,
        Some(Ok(length)) => length as u8,
        Some(Err(error)) => {
            c.warn(words.last_span(), error.to_string());
            let length = length.unwrap_or_default();
            c.warn(
                words.last_span(),
                format!("Invalid address prefix len {length} for address {text} - using {max}"),
            );
            max
        }
    };
    let mut line = AddressLine {
        spec: AddressSpec::new(address, prefix_len),
        text,
        dropped: false,
        lifetime_written: false,
    };
    while let Some(option) = words.next() {
        let keyword = tables.iter().flat_map(|table| table.iter()).find(|keyword| keyword.name == option);
        let Some(keyword) = keyword else {
            let known = tables.iter().flat_map(|table| table.iter()).map(|keyword| keyword.name);
            let message = format!("Unknown configuration entry '{option}' for ip address - ignoring");
            let warning =
                hacore::diag::Diagnostic::warning(message).at(words.last_span()).did_you_mean(option, known);
            c.diagnostics.push(warning);
            continue;
        };
        if words.rest().len() < keyword.required {
            c.warn(words.last_span(), format!("No {option} parameter specified for {}", line.text));
            break;
        }
        c.remark(keyword.support, words.last_span(), keyword.name);
        (keyword.apply)(&mut line, words, c);
    }
    (!line.dropped).then_some(line.spec)
}
