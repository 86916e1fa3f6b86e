//! `vrrp_instance`: identity, state, timing, tracking and notification; the rest is in the files beside.

use crate::model::{InitialState, Version};

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::{At, InstanceDraft};
use super::numbers::{int, timer};
use super::track::Kind;
use super::{
    address, instance_auth, instance_garp, instance_net, keyword, no_effect, not_yet, notify, route, rule,
    track, track_proxy,
};

pub(in crate::config) const TABLES: &[&[Keyword<InstanceDraft>]] =
    &[IDENTITY, instance_net::TABLE, TRACKING, instance_garp::TABLE, instance_auth::TABLE];

const IDENTITY: &[Keyword<InstanceDraft>] = &[
    keyword("state", "MASTER|BACKUP", 1, "initial wish", |i, s, c| {
        i.state = Some(match s.next() {
            Some("MASTER") => InitialState::Master,
            Some("BACKUP") => InitialState::Backup,
            other => {
                let other = other.unwrap_or_default();
                let message = format!("({}) unknown state '{other}', defaulting to BACKUP", i.name);
                let warning = hacore::diag::Diagnostic::warning(message).at(s.last_span());
                c.diagnostics.push(warning.did_you_mean(other, ["MASTER", "BACKUP"]));
                InitialState::Backup
            }
        });
    }),
    keyword("virtual_router_id", "<1..255>", 1, "VRID", |i, s, c| {
        let wrong = |text: &str| format!("({}): VRID '{text}' not valid - must be between 1 & 255", i.name);
        i.vrid = int(s, c, 1..=255, wrong).map(|vrid| vrid as u8).or(i.vrid);
    }),
    keyword("version", "<2|3>", 1, "VRRP version", |i, s, c| {
        let wrong = |_: &str| format!("({}): Version must be either 2 or 3", i.name);
        if let Some(version) = int(s, c, 2..=3, wrong) {
            let value = if version == 2 { Version::V2 } else { Version::V3 };
            i.version = Some(At { value, span: s.span() });
        }
    }),
    keyword("native_ipv6", "", 0, "deprecated: force IPv6", |i, s, _| i.native_ipv6 = Some(s.span())),
    keyword("priority", "<1..255>", 1, "255 is the address owner (default 100)", |i, s, c| {
        let wrong =
            |_: &str| format!("({}) Priority not valid! must be between 1 & 255. Using default 100", i.name);
        i.priority = Some(int(s, c, 1..=255, wrong).unwrap_or(100) as u8);
    }),
    keyword(
        "advert_int",
        "<TIMER>",
        1,
        "seconds between adverts; v2 whole 1..255, v3 steps of 0.01 to 40.95",
        |i, s, c| {
            let wrong = |text: &str| {
                format!("({}) Advert interval ({text}) not valid! Must be > 0 - ignoring", i.name)
            };
            i.advert_int_us = timer(s, c, 10_000..=255_000_000, wrong).or(i.advert_int_us);
        },
    ),
    keyword("virtual_ipaddress", "{…}", 0, "VIPs carried in adverts", |i, s, c| {
        address::block(&mut i.vips, s, c, false);
    }),
    keyword(
        "virtual_ipaddress_excluded",
        "{…}",
        0,
        "further addresses kept out of adverts, any family",
        |i, s, c| {
            address::block(&mut i.excluded_vips, s, c, false);
        },
    ),
    keyword("no_virtual_ipaddress", "", 0, "no VIPs on purpose", |i, _, _| i.no_vips = true),
    keyword("virtual_routes", "{…}", 0, "routes held while master", |i, s, c| {
        route::block(&mut i.routes, s, c, false)
    }),
    keyword("virtual_rules", "{…}", 0, "rules held while master", |i, s, c| {
        rule::block(&mut i.rules, s, c, false)
    }),
    keyword("accept", "", 0, "take packets for VIPs when not the owner (default)", |i, _, _| {
        i.accept = Some(true)
    }),
    keyword("no_accept", "", 0, "drop packets for VIPs when not the owner", |i, _, _| i.accept = Some(false)),
    keyword("skip_check_adv_addr", "[<BOOL>]", 0, "check the VIP list only for a new master", |i, s, c| {
        i.skip_check_adv_addr = flag(&i.name, s, c).or(i.skip_check_adv_addr);
    }),
    keyword("strict_mode", "[<BOOL>]", 0, "hold to the RFC", |i, s, c| {
        i.strict = flag(&i.name, s, c).or(i.strict)
    }),
    keyword("preempt", "", 0, "take over from a lower priority master (default)", |i, _, _| {
        i.nopreempt = false
    }),
    keyword("nopreempt", "", 0, "leave a working lower priority master alone", |i, _, _| i.nopreempt = true),
    keyword("preempt_delay", "<TIMER>", 1, "seconds to wait before preempting, 0..1000", |i, s, c| {
        let wrong = |_: &str| format!("({}) Preempt_delay not valid! must be between 0-1000", i.name);
        i.preempt_delay_us = timer(s, c, 0..=1_000_000_000, wrong).unwrap_or(0);
    }),
    no_effect(keyword("debug", "<0..4>", 1, "level, no effect", |i, s, c| {
        let wrong = |text: &str| format!("({}) Debug value '{text}' not valid; must be between 0-4", i.name);
        i.debug = int(s, c, 0..=4, wrong).unwrap_or(0) as u8;
    })),
    keyword("lower_prio_no_advert", "[<BOOL>]", 0, "do not answer a lower priority advert", |i, s, c| {
        i.lower_prio_no_advert = flag(&i.name, s, c).or(i.lower_prio_no_advert);
    }),
    keyword("higher_prio_send_advert", "[<BOOL>]", 0, "send one advert before yielding", |i, s, c| {
        i.higher_prio_send_advert = flag(&i.name, s, c).or(i.higher_prio_send_advert);
    }),
    keyword("owner_ignore_adverts", "[<BOOL>]", 0, "address owner ignores adverts", |i, s, c| {
        i.owner_ignore_adverts = flag(&i.name, s, c).or(i.owner_ignore_adverts);
    }),
    keyword(
        "timer_expired_backup",
        "[<PRIORITY>]",
        0,
        "after a late wake-up step back to BACKUP (needs nopreempt)",
        timer_expired,
    ),
    keyword("thread_timer_expired", "[<PRIORITY>]", 0, "old name of timer_expired_backup", |i, s, c| {
        let message =
            format!("({}) thread_timer_expired - please replace with keyword 'timer_expired_backup'", i.name);
        c.warn(s.span(), message);
        timer_expired(i, s, c);
    }),
    keyword("down_timer_adverts", "<1..100>", 1, "missed adverts before take-over (3)", |i, s, c| {
        let wrong = |text: &str| format!("({}): Invalid down_timer_adverts [1:100] '{text}'", i.name);
        i.down_timer_adverts = int(s, c, 1..=100, wrong).map(|value| value as u8).or(i.down_timer_adverts);
    }),
];

const TRACKING: &[Keyword<InstanceDraft>] = &[
    keyword("dont_track_primary", "", 0, "own interface down is no fault", |i, _, _| {
        i.dont_track_primary = true
    }),
    keyword("track_interface", "{…}", 0, "IF [weight N [reverse]]", |i, s, c| {
        tracked(i, Kind::Interface, s, c)
    }),
    keyword("track_script", "{…}", 0, "SCRIPT [weight N [reverse|noreverse]]", |i, s, c| {
        tracked(i, Kind::Script, s, c)
    }),
    keyword("track_file", "{…}", 0, "FILE [weight N [reverse|noreverse]]", |i, s, c| {
        tracked(i, Kind::File, s, c)
    }),
    keyword("track_process", "{…}", 0, "PROCESS [weight N [reverse|noreverse]]", |i, s, c| {
        tracked(i, Kind::Process, s, c)
    }),
    keyword(
        "track_proxy",
        "{…}",
        0,
        "servers of a proxy's backend that have to be up (not known to keepalived)",
        |i, s, c| track_proxy::block(&mut i.track, &i.name, s, c),
    ),
    not_yet(keyword("track_bfd", "{…}", 0, "BFD [weight N [reverse|noreverse]]", |i, s, c| {
        tracked(i, Kind::Bfd, s, c)
    })),
    keyword("notify_backup", "<COMMAND> [<USER> [<GROUP>]]", 1, "program run on BACKUP", |i, s, c| {
        notify::script(&mut i.notify, s, c)
    }),
    keyword("notify_master", "<COMMAND> [<USER> [<GROUP>]]", 1, "program run on MASTER", |i, s, c| {
        notify::script(&mut i.notify, s, c)
    }),
    keyword("notify_fault", "<COMMAND> [<USER> [<GROUP>]]", 1, "program run on FAULT", |i, s, c| {
        notify::script(&mut i.notify, s, c)
    }),
    keyword("notify_stop", "<COMMAND> [<USER> [<GROUP>]]", 1, "program run at shutdown", |i, s, c| {
        notify::script(&mut i.notify, s, c)
    }),
    keyword(
        "notify_deleted",
        "[<COMMAND> [<USER> [<GROUP>]]]",
        0,
        "DELETED in place of FAULT when a reload removes the instance, optional program",
        |i, s, c| {
            i.notify.says_deleted = true;
            if s.peek().is_some() {
                notify::script(&mut i.notify, s, c);
            }
        },
    ),
    keyword(
        "notify",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run for every change, with four arguments appended",
        |i, s, c| notify::script(&mut i.notify, s, c),
    ),
    keyword(
        "notify_master_rx_lower_pri",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run when a master hears a lower priority advert",
        |i, s, c| notify::script(&mut i.notify, s, c),
    ),
    keyword("smtp_alert", "[<BOOL>]", 0, "mail on state changes", |i, s, c| match s.flag() {
        Ok(on) => i.notify.smtp_alert = Some(on),
        Err(text) => c.warn(s.last_span(), format!("Invalid vrrp_instance smtp_alert parameter {text}")),
    }),
    keyword(
        "notify_priority_changes",
        "[<BOOL>]",
        0,
        "write priority changes to the FIFOs",
        |i, s, c| match s.flag() {
            Ok(on) => i.notify.priority_changes = Some(on),
            Err(text) => {
                let message =
                    format!("({}) Invalid value '{text}' for notify_priority_changes specified", i.name);
                c.warn(s.last_span(), message);
            }
        },
    ),
];

fn tracked(instance: &mut InstanceDraft, kind: Kind, s: &mut Statement<'_>, c: &mut Context<'_>) {
    track::block(&mut instance.track, kind, &instance.name, s, c);
}

/// A boolean with the message that instances have.
pub(super) fn flag(name: &str, s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<bool> {
    match s.flag() {
        Ok(on) => Some(on),
        Err(text) => {
            c.warn(s.last_span(), format!("({name}) invalid {} {text} specified", s.keyword()));
            None
        }
    }
}

fn timer_expired(i: &mut InstanceDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let priority = match s.peek() {
        None => None,
        Some(_) => int(s, c, 1..=254, |_| {
            format!(
                "({}) timer_expired_backup highest_other_priority not valid! must be between 1 & 254",
                i.name
            )
        }),
    };
    i.timer_expired_backup = Some(priority.map(|priority| priority as u8));
}
