//! Lines of `virtual_rules` and `static_rules`: the words of `ip rule`.

use crate::model::{RuleAction, RuleSpec};

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::At;
use super::keyword;
use super::route::{number, prefix, protocol, realms, table};

/// A line while it is read.
pub(super) struct RuleLine {
    spec: RuleSpec,
    family_written: Option<bool>,
    dropped: bool,
}

pub(super) const TABLE: &[Keyword<RuleLine>] = &[
    keyword("from", "<PREFIX>", 1, "source prefix", |line, s, c| {
        line.spec.from = address(line.spec.from, s, c, "from", &mut line.dropped);
    }),
    keyword("to", "<PREFIX>", 1, "destination prefix", |line, s, c| {
        line.spec.to = address(line.spec.to, s, c, "to", &mut line.dropped);
    }),
    keyword("not", "", 0, "invert the match", |line, _, _| line.spec.invert = true),
    keyword("table|lookup", "<TABLE>", 1, "table to use", |line, s, c| {
        let text = s.text();
        match table(&text, c) {
            Some(table) => line.spec.action = RuleAction::Table(table),
            None => {
                c.warn(s.last_span(), format!("Routing table {text} not found for rule"));
                line.dropped = true;
            }
        }
    }),
    keyword("preference|order|priority", "<NUMBER>", 1, "rule preference", |line, s, c| {
        line.spec.priority = number(s, c, "preference", i64::from(u32::MAX));
    }),
    keyword("dsfield|tos", "<TOS>", 1, "TOS selector", |line, s, c| {
        line.spec.tos = number(s, c, "tos", 255).map(|tos| tos as u8);
    }),
    keyword("fwmark", "<MARK>[/<MASK>]", 1, "mark/mask", |line, s, c| {
        let text = s.text();
        let (mark, mask) =
            text.split_once('/').map_or((text.as_str(), None), |(mark, mask)| (mark, Some(mask)));
        line.spec.fwmark = any_base(mark);
        line.spec.fwmask = mask.and_then(any_base);
        if line.spec.fwmark.is_none() || mask.is_some() && line.spec.fwmask.is_none() {
            c.warn(s.last_span(), format!("Invalid rule fwmark {text}"));
            line.dropped = true;
        }
    }),
    keyword("realms", "[<FROM>/]<TO>", 1, "realms", |line, s, c| line.spec.realms = realms(s, c)),
    keyword("sup_pl|suppress_prefixlength", "<LENGTH>", 1, "suppress prefix length", |line, s, c| {
        line.spec.suppress_prefixlength = number(s, c, "suppress_prefixlength", 128);
    }),
    keyword("sup_group|suppress_ifgroup", "<GROUP>", 1, "suppress interface group", |line, s, c| {
        line.spec.suppress_ifgroup = number(s, c, "suppress_ifgroup", i64::from(u32::MAX));
    }),
    keyword("iif|dev", "<IF>", 1, "input interface", |line, s, c| line.spec.iif = interface(s, c)),
    keyword("oif", "<IF>", 1, "output interface", |line, s, c| line.spec.oif = interface(s, c)),
    keyword("tunnel-id", "<ID>", 1, "tunnel id", |line, s, c| {
        let text = s.text();
        line.spec.tunnel_id = text.parse().ok();
        if line.spec.tunnel_id.is_none() {
            c.warn(s.last_span(), format!("Invalid tunnel-id '{text}' specified"));
        }
    }),
    keyword("uidrange", "<LOW>-<HIGH>", 1, "user id range", |line, s, c| {
        let text = s.text();
        line.spec.uid_range = range::<u32>(&text);
        if line.spec.uid_range.is_none() {
            c.warn(s.last_span(), format!("Invalid uidrange '{text}' specified"));
        }
    }),
    keyword("l3mdev", "", 0, "VRF lookup", |line, _, _| line.spec.l3mdev = true),
    keyword("protocol", "<PROTOCOL>", 1, "rule protocol", |line, s, c| {
        let text = s.text();
        line.spec.protocol = protocol(&text, c);
        if line.spec.protocol.is_none() {
            c.warn(s.last_span(), format!("Invalid rule protocol '{text}' specified"));
        }
    }),
    keyword("ipproto", "<PROTOCOL>", 1, "transport protocol", ip_protocol),
    keyword("ip_proto", "<PROTOCOL>", 1, "other spelling of ipproto", ip_protocol),
    keyword("sport", "<PORT>[-<PORT>]", 1, "source ports", |line, s, c| line.spec.source_ports = ports(s, c)),
    keyword("dport", "<PORT>[-<PORT>]", 1, "destination ports", |line, s, c| {
        line.spec.destination_ports = ports(s, c)
    }),
    keyword("no_track", "", 0, "losing it does not cost the master state", |line, _, _| {
        line.spec.no_track = true
    }),
    keyword("type|blackhole|unreachable|prohibit", "", 0, "action instead of a table", |_, _, _| {}),
    keyword("goto", "<PREFERENCE>", 1, "jump to a preference", |line, s, c| {
        line.spec.action =
            number(s, c, "goto", i64::from(u32::MAX)).map_or(line.spec.action, RuleAction::Goto);
    }),
    keyword("nop", "", 0, "no operation", |line, _, _| line.spec.action = RuleAction::Nop),
    keyword("inet|inet6", "", 0, "force the family", |_, _, _| {}),
];

pub(super) const STATIC: &[Keyword<RuleLine>] = &[keyword(
    "track_group",
    "<NAME>",
    1,
    "group whose instances need the rule's interface",
    |line, s, _| {
        line.spec.track_group = Some(s.text());
    },
)];

/// The lines of a rule block.
pub(super) fn block(list: &mut Vec<At<RuleSpec>>, s: &Statement<'_>, c: &mut Context<'_>, is_static: bool) {
    let tables: &[&[Keyword<RuleLine>]] = if is_static { &[TABLE, STATIC] } else { &[TABLE] };
    for node in s.children() {
        let mut words = Statement::of_values(node);
        if let Some(spec) = line(&mut words, tables, c) {
            list.push(At { value: spec, span: node.span() });
        }
    }
}

fn line(words: &mut Statement<'_>, tables: &[&[Keyword<RuleLine>]], c: &mut Context<'_>) -> Option<RuleSpec> {
    let mut line = RuleLine { spec: empty(), family_written: None, dropped: false };
    while let Some(word) = words.next() {
        let found =
            tables.iter().flat_map(|table| table.iter()).find(|k| k.name.split('|').any(|name| name == word));
        match (word, found) {
            ("inet" | "inet6", _) => line.family_written = Some(word == "inet6"),
            ("type", _) => {}
            ("blackhole", _) => line.spec.action = RuleAction::Blackhole,
            ("unreachable", _) => line.spec.action = RuleAction::Unreachable,
            ("prohibit", _) => line.spec.action = RuleAction::Prohibit,
            (_, Some(keyword)) if words.rest().len() < keyword.required => {
                c.warn(words.last_span(), format!("rule keyword {word} is missing a value"));
                return None;
            }
            (_, Some(keyword)) => {
                c.remark(keyword.support, words.last_span(), keyword.name);
                (keyword.apply)(&mut line, words, c);
            }
            (text, None) => {
                c.warn(words.last_span(), format!("Unknown rule option {text}"));
                return None;
            }
        }
        if line.dropped {
            return None;
        }
    }
    if line.spec.action == RuleAction::Unspecified && !line.spec.l3mdev {
        c.warn(words.span(), "No action specified for rule - ignoring");
        return None;
    }
    if line.spec.priority.is_none() {
        let message = "Rule has no preference specified. This is probably not what you want.";
        c.warn(words.span(), message);
    }
    let addresses = [line.spec.from, line.spec.to].into_iter().flatten();
    line.spec.ipv6 =
        line.family_written.unwrap_or_else(|| addresses.map(|(a, _)| a.is_ipv6()).next().unwrap_or(false));
    Some(line.spec)
}

fn empty() -> RuleSpec {
    RuleSpec {
        ipv6: false,
        from: None,
        to: None,
        invert: false,
        action: RuleAction::Unspecified,
        priority: None,
        tos: None,
        fwmark: None,
        fwmask: None,
        realms: None,
        suppress_prefixlength: None,
        suppress_ifgroup: None,
        iif: None,
        oif: None,
        tunnel_id: None,
        uid_range: None,
        l3mdev: false,
        protocol: None,
        ip_proto: None,
        source_ports: None,
        destination_ports: None,
        no_track: false,
        track_group: None,
    }
}

type Prefix = Option<(std::net::IpAddr, u8)>;

fn address(
    old: Prefix,
    s: &mut Statement<'_>,
    c: &mut Context<'_>,
    what: &str,
    dropped: &mut bool,
) -> Prefix {
    if s.take_if("all") {
        return old;
    }
    let text = s.peek().unwrap_or_default().to_owned();
    let prefix = prefix(s, c);
    if prefix.is_none() {
        c.warn(s.last_span(), format!("Invalid rule {what} address {text}"));
        *dropped = true;
    }
    prefix
}

fn interface(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<String> {
    let name = s.text();
    if !c.environment.interface_exists(&name) {
        let message = format!("WARNING - interface {name} for rule doesn't exist");
        super::super::resolve::missing_interface(c, s.last_span(), message);
    }
    Some(name)
}

fn any_base(text: &str) -> Option<u32> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
}

fn range<N: std::str::FromStr + PartialOrd + Copy>(text: &str) -> Option<(N, N)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}

fn ports(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<(u16, u16)> {
    let text = s.text();
    let ports = range::<u16>(&text);
    if ports.is_none() {
        c.warn(s.last_span(), format!("Invalid rule port range '{text}'"));
    }
    ports
}

fn ip_protocol(line: &mut RuleLine, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let text = s.text();
    line.spec.ip_proto = match text.to_ascii_lowercase().as_str() {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "ipv6-icmp" => Some(58),
        "sctp" => Some(132),
        number => number.parse().ok(),
    };
    if line.spec.ip_proto.is_none() {
        c.warn(s.last_span(), format!("Invalid rule ip_proto '{text}'"));
    }
}
