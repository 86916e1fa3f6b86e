//! `bfd_instance`: read and checked, not carried out yet.

use super::schema::{Check, Field, Schema, field};

/// A `bfd_instance` block.
pub(super) const SCHEMA: Schema = Schema { fields: &[FIELDS] };

const FIELDS: &[Field] = &[
    field("source_ip", Check::Text, "own address"),
    field("neighbor_ip", Check::Text, "far address"),
    field("neighbour_ip", Check::Text, "other spelling"),
    field("min_rx", Check::Timer, "required minimum receive interval, ms (10)"),
    field("min_tx", Check::Timer, "wanted minimum transmit interval, ms (10)"),
    field("idle_tx", Check::Timer, "transmit interval while down, ms (1000)"),
    field("multiplier", Check::Int(1, 255), "missed packets before down (5)"),
    field("passive", Check::Flag, "wait for the far end"),
    field("ttl", Check::Int(1, 255), "IPv4 TTL (255)"),
    field("hoplimit", Check::Int(1, 255), "IPv6 hop limit (64)"),
    field("max_hops", Check::Int(0, 255), "TTL reduction tolerated (0)"),
    field("multihop", Check::Flag, "port 4784"),
    field("weight", Check::Text, "default VRRP weight [reverse]"),
    field("vrrp", Check::Bare, "events to the VRRP child only"),
    field("checker", Check::Bare, "events to the checker child only"),
];
