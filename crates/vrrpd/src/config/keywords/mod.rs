//! The keyword tables, one file a block. A keyword is one item: name, arguments, documentation, support, parser.

pub(super) mod address;
pub(super) mod bfd;
pub(super) mod draft;
mod encap;
pub(super) mod global;
mod global_admin;
mod global_daemon;
mod global_lvs;
mod global_script;
mod global_vrrp;
pub(super) mod instance;
mod instance_auth;
mod instance_garp;
mod instance_net;
pub(super) mod notify;
mod numbers;
pub(super) mod route;
pub(super) mod rule;
pub(super) mod schema;
pub(super) mod script;
pub(super) mod small;
pub(super) mod sync_group;
pub(super) mod top;
pub(super) mod track;
mod track_proxy;
pub(super) mod virtual_server;

use super::keyword::{Context, Keyword, KeywordInfo, Statement, Support};

/// A keyword that is carried out.
const fn keyword<T>(
    name: &'static str,
    arguments: &'static str,
    required: usize,
    doc: &'static str,
    apply: fn(&mut T, &mut Statement<'_>, &mut Context<'_>),
) -> Keyword<T> {
    Keyword { name, arguments, doc, support: Support::Implemented, required, apply }
}

/// Read and checked, but not carried out yet.
const fn not_yet<T>(keyword: Keyword<T>) -> Keyword<T> {
    Keyword { support: Support::NotYet, ..keyword }
}

/// Needs nothing here.
const fn no_effect<T>(keyword: Keyword<T>) -> Keyword<T> {
    Keyword { support: Support::NoEffect, ..keyword }
}

/// Every keyword with the block it stands in and how far it is carried out; documentation is made from it.
pub fn all() -> Vec<KeywordInfo> {
    let mut out = Vec::new();
    fn add<T>(out: &mut Vec<KeywordInfo>, block: &'static str, tables: &[&[Keyword<T>]]) {
        out.extend(tables.iter().flat_map(|table| table.iter()).map(|keyword| keyword.info(block)));
    }
    add(&mut out, "", &[top::GLOBAL, top::TABLE]);
    add(&mut out, "global_defs", global::TABLES);
    add(&mut out, "track_group", &[small::TRACK_GROUP]);
    add(&mut out, "garp_group", &[small::GARP_GROUP]);
    add(&mut out, "static_ipaddress", &[address::TABLE, address::STATIC]);
    add(&mut out, "static_routes", &[route::TABLE, route::STATIC]);
    add(&mut out, "static_rules", &[rule::TABLE, rule::STATIC]);
    add(&mut out, "vrrp_sync_group", &[sync_group::TABLE]);
    add(&mut out, "vrrp_instance", instance::TABLES);
    add(&mut out, "vrrp_instance/authentication", &[instance_auth::AUTHENTICATION]);
    add(&mut out, "vrrp_instance/auth_hmac", &[instance_auth::HMAC]);
    add(&mut out, "vrrp_instance/unicast_peer", &[instance_net::PEER]);
    add(&mut out, "vrrp_instance/virtual_ipaddress", &[address::TABLE, address::VIRTUAL]);
    add(&mut out, "vrrp_instance/virtual_routes", &[route::TABLE]);
    add(&mut out, "vrrp_instance/virtual_rules", &[rule::TABLE]);
    add(&mut out, "track_*", &[track::OPTIONS]);
    add(&mut out, "track_proxy", &[track_proxy::TABLE]);
    add(&mut out, "vrrp_script", &[script::TABLE]);
    add(&mut out, "vrrp_track_process", &[track::PROCESS]);
    add(&mut out, "track_file", &[track::FILE]);
    bfd::SCHEMA.infos("bfd_instance", &mut out);
    virtual_server::SSL.infos("SSL", &mut out);
    virtual_server::VIRTUAL_SERVER.infos("virtual_server", &mut out);
    out
}
