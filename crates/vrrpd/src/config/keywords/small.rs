//! The small blocks: `track_group`, `garp_group`, `linkbeat_interfaces`, `interface_up_down_delays`.

use crate::model::{
    AddressSpec, GarpGroup, InterfaceDelay, LinkbeatInterface, LinkbeatMethod, RouteSpec, RuleSpec,
    TrackGroup,
};

use super::super::keyword::{Context, Keyword, Statement, run};
use super::draft::{At, Draft};
use super::keyword;
use super::numbers::timer;

pub(super) const TRACK_GROUP: &[Keyword<TrackGroup>] =
    &[keyword("group", "{…}", 0, "member instance names", |group, s, _| {
        let members = s.children().iter().flat_map(|line| line.words.iter());
        group.members.extend(members.map(|word| word.as_str().to_owned()));
    })];

pub(super) fn track_group(draft: &mut Draft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let mut group = TrackGroup { name: s.text(), members: Vec::new() };
    if draft.track_groups.iter().any(|other| other.name == group.name) {
        return c.warn(s.span(), format!("track_group {} already defined", group.name));
    }
    run(&[TRACK_GROUP], &mut group, s.children(), c);
    if group.members.is_empty() {
        let message = format!("Warning - track group {} has empty group block", group.name);
        return c.warn(s.span(), message);
    }
    draft.track_groups.push(group);
}

/// What `track_group` at the end of a static address, route or rule needs: a group that is defined, an interface to follow,
/// and nothing that forbids it.
pub(super) fn settle_track_groups<T>(
    list: &mut [At<T>],
    kind: &str,
    groups: &[TrackGroup],
    c: &mut Context<'_>,
) where
    for<'a> StaticTracking<'a>: From<&'a mut T>,
{
    for At { value, span } in list {
        let StaticTracking { group, no_track, followed } = StaticTracking::from(value);
        let Some(name) = group.clone() else { continue };
        let wrong = if !groups.iter().any(|known| known.name == name) {
            Some(format!("track_group {name} not found"))
        } else if no_track {
            Some(format!("Static {kind} has both track_group and no_track set - not tracking"))
        } else if !followed {
            Some(match kind {
                "rule" => "Static rule cannot have track_group if dev/iif not specified".to_owned(),
                _ => format!("Static {kind} cannot have track group if no oif specified"),
            })
        } else {
            None
        };
        if let Some(message) = wrong {
            c.warn(*span, message);
            *group = None;
        }
    }
}

/// What [`settle_track_groups`] looks at.
pub(super) struct StaticTracking<'a> {
    pub(super) group: &'a mut Option<String>,
    pub(super) no_track: bool,
    /// There is an interface whose state counts.
    pub(super) followed: bool,
}

impl<'a> From<&'a mut AddressSpec> for StaticTracking<'a> {
    fn from(spec: &'a mut AddressSpec) -> Self {
        Self { no_track: spec.no_track, followed: true, group: &mut spec.track_group }
    }
}

impl<'a> From<&'a mut RouteSpec> for StaticTracking<'a> {
    fn from(spec: &'a mut RouteSpec) -> Self {
        Self { no_track: spec.no_track, followed: spec.dev.is_some(), group: &mut spec.track_group }
    }
}

impl<'a> From<&'a mut RuleSpec> for StaticTracking<'a> {
    fn from(spec: &'a mut RuleSpec) -> Self {
        Self { no_track: spec.no_track, followed: spec.iif.is_some(), group: &mut spec.track_group }
    }
}

pub(super) const GARP_GROUP: &[Keyword<GarpGroup>] = &[
    keyword("garp_interval", "<TIMER>", 1, "seconds between GARPs", |group, s, c| {
        let wrong = |text: &str| format!("garp_group garp_interval '{text}' invalid");
        group.garp_interval_us = timer(s, c, 1..=4_294_967_295, wrong).unwrap_or(group.garp_interval_us);
    }),
    keyword("gna_interval", "<TIMER>", 1, "seconds between unsolicited NAs", |group, s, c| {
        let wrong = |text: &str| format!("garp_group gna_interval '{text}' invalid");
        group.gna_interval_us = timer(s, c, 1..=4_294_967_295, wrong).unwrap_or(group.gna_interval_us);
    }),
    keyword("interface", "<IF>", 1, "the one interface it paces", |group, s, c| {
        let name = s.text();
        interface(group, &name, s.last_span(), c);
    }),
    keyword("interfaces", "{…}", 0, "interfaces paced together", |group, s, c| {
        for word in s.children().iter().flat_map(|line| line.words.iter()) {
            interface(group, word.as_str(), word.span, c);
        }
    }),
];

fn interface(group: &mut GarpGroup, name: &str, span: hacore::diag::Span, c: &mut Context<'_>) {
    if !c.environment.interface_exists(name) {
        c.warn(span, format!("WARNING - interface {name} specified for garp_group doesn't exist"));
    }
    group.interfaces.push(name.to_owned());
}

pub(super) fn garp_group(draft: &mut Draft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let mut group = GarpGroup { garp_interval_us: 0, gna_interval_us: 0, interfaces: Vec::new() };
    run(&[GARP_GROUP], &mut group, s.children(), c);
    if group.interfaces.is_empty() || group.garp_interval_us == 0 && group.gna_interval_us == 0 {
        return c.warn(s.span(), "garp_group has no interface or no interval - ignoring");
    }
    draft.garp_groups.push(group);
}

pub(super) fn linkbeat_interfaces(draft: &mut Draft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    for line in s.children() {
        let mut words = Statement::of_values(line);
        let interface = words.text();
        let method = match words.next() {
            None => None,
            Some("MII") => Some(LinkbeatMethod::Mii),
            Some("ETHTOOL") => Some(LinkbeatMethod::Ethtool),
            Some("IOCTL") => Some(LinkbeatMethod::Ioctl),
            Some(other) => {
                c.warn(words.last_span(), format!("Unknown linkbeat type '{other}' for {interface}"));
                None
            }
        };
        draft.linkbeat_interfaces.push(LinkbeatInterface { interface, method });
    }
}

pub(super) fn interface_delays(draft: &mut Draft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    for line in s.children() {
        let mut words = Statement::of_values(line);
        let interface = words.text();
        if words.peek().is_none() {
            c.warn(line.span(), format!("interface_up_down_delays {interface} needs a down delay"));
            continue;
        }
        let wrong = |text: &str| format!("interface {interface} delay '{text}' invalid - ignoring");
        let Some(down_us) = timer(&mut words, c, 0..=255_000_000, wrong) else { continue };
        let up_us = match words.peek() {
            None => down_us,
            Some(_) => match timer(&mut words, c, 0..=255_000_000, wrong) {
                Some(us) => us,
                None => continue,
            },
        };
        draft.interface_delays.push(InterfaceDelay { interface, down_us, up_us });
    }
}
