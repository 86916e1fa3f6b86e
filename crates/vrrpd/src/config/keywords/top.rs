//! Top level keywords. The global ones work wherever they stand, so they are a table of their own that is run first.

use std::rc::Rc;

use super::super::keyword::{Context, Keyword, Statement, run};
use super::super::tree::Node;
use super::draft::{Draft, FileDraft, GroupDraft, InstanceDraft, ProcessDraft, ScriptDraft, TrackDraft};
use super::numbers::int;
use super::{
    bfd, global, instance, keyword, no_effect, not_yet, schema, script, small, sync_group, track,
    virtual_server,
};

/// What keepalived's parent process reads before all else.
pub(in crate::config) const GLOBAL: &[Keyword<Draft>] = &[
    keyword("global_defs", "{…}", 0, "block with daemon wide settings", |d, s, c| {
        run(global::TABLES, &mut d.global, s.children(), c);
    }),
    no_effect(keyword(
        "linkbeat_use_polling",
        "",
        0,
        "poll link state in place of netlink news, which every driver sends nowadays",
        |d, _, _| {
            d.global.model.linkbeat_use_polling = true;
        },
    )),
    keyword("net_namespace", "<NAME>", 1, "run the daemon inside this named network namespace", |d, s, _| {
        d.global.model.net_namespace = Some(s.text());
    }),
    no_effect(keyword(
        "net_namespace_ipvs",
        "[<NAME>]",
        0,
        "put the IPVS tables in another namespace",
        |d, s, _| {
            d.global.model.net_namespace_ipvs = s.next().map(str::to_owned);
        },
    )),
    no_effect(keyword(
        "namespace_with_ipsets",
        "",
        0,
        "permit ipsets in a namespace on kernels before 3.13",
        |d, _, _| {
            d.global.model.namespace_with_ipsets = true;
        },
    )),
    keyword("use_pid_dir", "", 0, "keep pid files in /run/keepalived/", |d, _, _| {
        d.global.model.use_pid_dir = true
    }),
    keyword("instance", "<NAME>", 1, "name of this daemon when several share a namespace", |d, s, _| {
        d.global.model.instance_name = Some(s.text());
    }),
    no_effect(keyword(
        "child_wait_time",
        "<SECONDS>",
        1,
        "seconds to wait for children at shutdown (default 5)",
        |d, s, c| {
            if let Some(seconds) = int(s, c, 0..=4294, |text| format!("Invalid child_wait_time {text}")) {
                d.global.model.child_wait_us = seconds as u64 * 1_000_000;
            }
        },
    )),
];

pub(in crate::config) const TABLE: &[Keyword<Draft>] = &[
    keyword(
        "track_group",
        "<NAME> {…}",
        1,
        "named set of instances that follow static addresses/routes/rules",
        small::track_group,
    ),
    keyword("static_ipaddress", "{…}", 0, "addresses the daemon sets at start and keeps", |d, s, c| {
        super::address::block(&mut d.static_addresses, s, c, true);
        small::settle_track_groups(&mut d.static_addresses, "address", &d.track_groups, c);
    }),
    keyword("static_routes", "{…}", 0, "routes the daemon sets at start and keeps", |d, s, c| {
        super::route::block(&mut d.static_routes, s, c, true);
        small::settle_track_groups(&mut d.static_routes, "route", &d.track_groups, c);
    }),
    keyword("static_rules", "{…}", 0, "policy rules the daemon sets at start and keeps", |d, s, c| {
        super::rule::block(&mut d.static_rules, s, c, true);
        small::settle_track_groups(&mut d.static_rules, "rule", &d.track_groups, c);
    }),
    keyword("vrrp_sync_group", "<NAME> {…}", 1, "instances that change state together", |d, s, c| {
        let name = s.text();
        if d.groups.iter().any(|group| group.name == name) {
            return c.warn(s.span(), format!("vrrp sync group {name} already defined"));
        }
        let mut group = GroupDraft {
            name,
            members: Vec::new(),
            track: TrackDraft { known: d.known.clone(), ..TrackDraft::default() },
            notify: Default::default(),
            tracking_weight: false,
            global_tracking: false,
        };
        run(&[sync_group::TABLE], &mut group, s.children(), c);
        d.groups.push(group);
    }),
    keyword(
        "garp_group",
        "{…}",
        0,
        "pacing of gratuitous ARP / unsolicited NA for a set of interfaces",
        small::garp_group,
    ),
    no_effect(keyword(
        "linkbeat_interfaces",
        "{…}",
        0,
        "interfaces whose link state is polled; netlink reports it here",
        small::linkbeat_interfaces,
    )),
    keyword("vrrp_instance", "<NAME> {…}", 1, "one virtual router on one interface", |d, s, c| {
        let name = s.text();
        if d.instances.iter().any(|instance| instance.name == name) {
            return c.warn(s.span(), format!("vrrp instance {name} already defined"));
        }
        let mut draft = InstanceDraft::new(name, s.span());
        draft.track.known = d.known.clone();
        run(instance::TABLES, &mut draft, s.children(), c);
        d.instances.push(draft);
    }),
    keyword(
        "vrrp_script",
        "<NAME> {…}",
        1,
        "periodic check program whose exit status steers instances",
        |d, s, c| {
            let name = s.text();
            if d.scripts.iter().any(|script| script.name == name) {
                return c.warn(s.span(), format!("vrrp script {name} already defined"));
            }
            let mut draft = ScriptDraft {
                name,
                command: None,
                user: None,
                interval_us: 1_000_000,
                timeout_us: 0,
                weight: 0,
                weight_reverse: false,
                rise: 1,
                fall: 1,
                init_fail: false,
            };
            run(&[script::TABLE], &mut draft, s.children(), c);
            if draft.command.is_none() {
                return c.warn(s.span(), format!("No script set for vrrp_script {} - removing", draft.name));
            }
            Rc::make_mut(&mut d.known.scripts).push(draft.name.clone());
            d.scripts.push(draft);
        },
    ),
    keyword(
        "vrrp_track_process",
        "<NAME> {…}",
        1,
        "count of running processes that steers instances",
        |d, s, c| {
            let name = s.text();
            if d.processes.iter().any(|process| process.name == name) {
                return c.warn(s.span(), format!("vrrp track process {name} already defined"));
            }
            let mut draft = ProcessDraft {
                name,
                process: None,
                parameters: Vec::new(),
                param_match: None,
                full_command: false,
                // The manual says 1; keepalived 2.2.7 holds an instance in FAULT.
                weight: 0,
                weight_reverse: false,
                quorum: None,
                quorum_max: None,
                terminate_delay_us: 0,
                fork_delay_us: 0,
            };
            run(&[track::PROCESS], &mut draft, s.children(), c);
            if draft.process.is_none() {
                let message = format!("No process set for vrrp_track_process {} - removing", draft.name);
                return c.warn(s.span(), message);
            }
            Rc::make_mut(&mut d.known.processes).push(draft.name.clone());
            d.processes.push(draft);
        },
    ),
    keyword(
        "track_file",
        "<NAME> {…}",
        1,
        "number read from a file that steers instances or real servers",
        file,
    ),
    keyword("vrrp_track_file", "<NAME> {…}", 1, "old name of track_file", file),
    keyword(
        "interface_up_down_delays",
        "{…}",
        0,
        "debounce of link changes: IFNAME DOWN [UP] a line",
        small::interface_delays,
    ),
    not_yet(keyword("bfd_instance", "<NAME> {…}", 1, "one BFD session (RFC 5880/5881/5883)", |d, s, c| {
        let node: &Node = s.node;
        d.bfd_instances.push(schema::check(&bfd::SCHEMA, node, c));
    })),
    not_yet(keyword("SSL", "{…}", 0, "client certificate and CA for SSL_GET", |d, s, c| {
        d.ssl = Some(schema::check(&virtual_server::SSL, s.node, c));
    })),
    not_yet(keyword(
        "virtual_server_group",
        "<NAME> {…}",
        1,
        "named list of address/port, ranges and fwmarks for one virtual_server",
        |d, s, _| {
            d.virtual_server_groups.push(schema::values(s.node));
        },
    )),
    not_yet(keyword(
        "virtual_server",
        "<ADDR> [<PORT>] | fwmark <N> | group <NAME> {…}",
        1,
        "one IPVS service",
        |d, s, c| {
            if virtual_server::address_is_valid(s, c) {
                virtual_server::check_fwmark(s, c);
                d.virtual_servers.push(schema::check(&virtual_server::VIRTUAL_SERVER, s.node, c));
            }
        },
    )),
];

/// Reads all statements: the global ones first, wherever they stand.
pub(in crate::config) fn read(nodes: &[Node], c: &mut Context<'_>) -> Draft {
    let mut draft = Draft::default();
    let (global, other): (Vec<Node>, Vec<Node>) =
        nodes.iter().cloned().partition(|node| GLOBAL.iter().any(|keyword| keyword.name == node.keyword()));
    run(&[GLOBAL], &mut draft, &global, c);
    c.dynamic_interfaces = super::super::resolve::dynamic(&draft);
    let written = [&draft.global.model.iproute_etc_dir, &draft.global.model.iproute_usr_dir];
    for (dir, written) in c.iproute_dirs.iter_mut().zip(written) {
        if let Some(written) = written {
            dir.clone_from(written);
        }
    }
    // Unknown words are looked for among all of them.
    run(&[TABLE, GLOBAL], &mut draft, &other, c);
    draft
}

fn file(draft: &mut Draft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let name = s.text();
    if draft.files.iter().any(|file| file.name == name) {
        return c.warn(s.span(), format!("track file {name} already defined"));
    }
    let mut file = FileDraft { name, path: None, weight: 1, weight_reverse: false, init_file: None };
    run(&[track::FILE], &mut file, s.children(), c);
    if file.path.is_none() {
        return c.warn(s.span(), format!("No file set for track_file {} - ignoring", file.name));
    }
    Rc::make_mut(&mut draft.known.files).push(file.name.clone());
    draft.files.push(file);
}
