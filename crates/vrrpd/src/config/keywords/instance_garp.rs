//! `vrrp_instance`: gratuitous ARP and unsolicited NA.

use crate::model::GarpExtraInterfaces;

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::InstanceDraft;
use super::keyword;
use super::numbers::int;

pub(super) const TABLE: &[Keyword<InstanceDraft>] = &[
    keyword("garp_master_delay", "<SECONDS>", 1, "seconds to the second GARP burst", |i, s, c| {
        let wrong = |text: &str| format!("({}): garp_master_delay '{text}' invalid - ignoring", i.name);
        i.garp.master_delay_us = seconds(s, c, wrong).or(i.garp.master_delay_us);
    }),
    keyword("garp_master_refresh", "<SECONDS>", 1, "seconds between refresh GARPs", |i, s, c| {
        let wrong = |text: &str| format!("({}): Invalid garp_master_refresh '{text}' - ignoring", i.name);
        i.garp.master_refresh_us = seconds(s, c, wrong).or(i.garp.master_refresh_us);
    }),
    keyword("garp_master_repeat", "<NUMBER>", 1, "GARPs per burst", |i, s, c| {
        i.garp.master_repeat = repeat(&i.name, s, c).or(i.garp.master_repeat);
    }),
    keyword("garp_master_refresh_repeat", "<NUMBER>", 1, "GARPs per refresh", |i, s, c| {
        i.garp.master_refresh_repeat = repeat(&i.name, s, c).or(i.garp.master_refresh_repeat);
    }),
    keyword(
        "garp_lower_prio_delay",
        "<SECONDS>",
        1,
        "delay of the second burst after a lower priority advert",
        |i, s, c| {
            let wrong =
                |text: &str| format!("({}): garp_lower_prio_delay '{text}' invalid - ignoring", i.name);
            i.garp.lower_prio_delay_us = seconds(s, c, wrong).or(i.garp.lower_prio_delay_us);
        },
    ),
    keyword(
        "garp_lower_prio_repeat",
        "<NUMBER>",
        1,
        "GARPs per burst after a lower priority advert",
        |i, s, c| {
            let wrong =
                |text: &str| format!("({}): garp_lower_prio_repeat '{text}' invalid - ignoring", i.name);
            let repeat = int(s, c, 0..=i64::from(i32::MAX), wrong).map(|value| value as u32);
            i.garp.lower_prio_repeat = repeat.or(i.garp.lower_prio_repeat);
        },
    ),
    keyword("garp_extra_if", "[all] <SECONDS>", 1, "periodic GARP on other VIP interfaces", extra_if),
    keyword("vmac_garp_intvl", "[all] <SECONDS>", 1, "deprecated name of garp_extra_if", extra_if),
];

fn seconds(s: &mut Statement<'_>, c: &mut Context<'_>, wrong: impl FnOnce(&str) -> String) -> Option<u64> {
    int(s, c, 0..=4294, wrong).map(|seconds| seconds as u64 * 1_000_000)
}

fn repeat(name: &str, s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<u32> {
    let keyword = s.keyword();
    match int(s, c, 0..=i64::from(i32::MAX), |text| {
        format!("({name}): {keyword} '{text}' invalid - ignoring")
    })? {
        0 => {
            c.warn(s.last_span(), format!("({name}): {keyword} must be greater than 0, setting to 1"));
            Some(1)
        }
        value => Some(value as u32),
    }
}

fn extra_if(i: &mut InstanceDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let keyword = s.keyword();
    let all = s.take_if("all");
    let wrong = |text: &str| format!("({}): {keyword} '{text}' invalid - ignoring", i.name);
    if let Some(seconds) = int(s, c, 0..=86400, wrong) {
        i.garp.extra_interfaces = Some(GarpExtraInterfaces { all, interval_us: seconds as u64 * 1_000_000 });
    }
}
