//! Setting and removing policy rules: `virtual_rules` and `static_rules`.

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteProtocol, RouteRealm},
    rule::{RuleAction as KernelAction, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange},
};

use crate::model::{RuleAction, RuleSpec};

use super::{Netlink, NetlinkError, route::PROTOCOL_KEEPALIVED};

/// `FRA_IP_PROTO`, which the message library has for known protocols only.
const FRA_IP_PROTO: u16 = 22;

/// The message that describes a rule.
pub fn message(spec: &RuleSpec) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if spec.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.tos = spec.tos.unwrap_or(0);
    if spec.invert {
        message.header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    message.header.action = match spec.action {
        RuleAction::Table(table) => {
            message.header.table = u8::try_from(table).unwrap_or(0);
            attributes.push(RuleAttribute::Table(table));
            KernelAction::ToTable
        }
        RuleAction::Goto(preference) => {
            attributes.push(RuleAttribute::Goto(preference));
            KernelAction::Goto
        }
        RuleAction::Nop => KernelAction::Nop,
        RuleAction::Blackhole => KernelAction::Blackhole,
        RuleAction::Unreachable => KernelAction::Unreachable,
        RuleAction::Prohibit => KernelAction::Prohibit,
        // With l3mdev the device says which table.
        RuleAction::Unspecified => KernelAction::ToTable,
    };
    if let Some((address, length)) = spec.from {
        message.header.src_len = length;
        attributes.push(RuleAttribute::Source(address));
    }
    if let Some((address, length)) = spec.to {
        message.header.dst_len = length;
        attributes.push(RuleAttribute::Destination(address));
    }
    attributes.extend(spec.priority.map(RuleAttribute::Priority));
    attributes.extend(spec.fwmark.map(RuleAttribute::FwMark));
    attributes.extend(spec.fwmask.map(RuleAttribute::FwMask));
    attributes.extend(spec.realms.map(|packed| {
        RuleAttribute::Realm(RouteRealm { source: (packed >> 16) as u16, destination: packed as u16 })
    }));
    attributes.extend(spec.suppress_prefixlength.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(spec.suppress_ifgroup.map(RuleAttribute::SuppressIfGroup));
    attributes.extend(spec.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(spec.oif.clone().map(RuleAttribute::Oifname));
    attributes.extend(spec.tunnel_id.map(RuleAttribute::TunId));
    attributes
        .extend(spec.uid_range.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
    if spec.l3mdev {
        attributes.push(RuleAttribute::L3MDev(true));
    }
    let protocol = spec.protocol.unwrap_or(PROTOCOL_KEEPALIVED);
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(protocol)));
    attributes.extend(
        spec.ip_proto.map(|number| RuleAttribute::Other(DefaultNla::new(FRA_IP_PROTO, vec![number]))),
    );
    let ports = |(start, end)| RulePortRange { start, end };
    attributes.extend(spec.source_ports.map(|range| RuleAttribute::SourcePortRange(ports(range))));
    attributes.extend(spec.destination_ports.map(|range| RuleAttribute::DestinationPortRange(ports(range))));
    message
}

/// Whether a message is about the rule that `spec` describes: everything that `spec` says is in it.
pub fn is_about(gone: &RuleMessage, spec: &RuleSpec) -> bool {
    let wanted = message(spec);
    gone.header.family == wanted.header.family
        && gone.header.action == wanted.header.action
        && gone.header.src_len == wanted.header.src_len
        && gone.header.dst_len == wanted.header.dst_len
        && wanted.attributes.iter().all(|attribute| gone.attributes.contains(attribute))
}

impl Netlink {
    /// Sets the rule; one that is there already is fine.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn add_rule(&self, rule: RuleMessage) -> Result<(), NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRule(rule));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.change(request, nix::libc::EEXIST).await.map(drop)
    }

    /// Removes the rule; `false` when it was not there.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn remove_rule(&self, rule: RuleMessage) -> Result<bool, NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelRule(rule));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        self.change(request, nix::libc::ENOENT).await
    }
}
