//! `vrrp_sync_group`.

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::{At, GroupDraft};
use super::track::Kind;
use super::{keyword, no_effect, not_yet, notify, track, track_proxy};

pub(super) const TABLE: &[Keyword<GroupDraft>] = &[
    keyword("group", "{…}", 0, "member instance names", |group, s, _| {
        let members = s.children().iter().flat_map(|line| line.words.iter());
        group.members.extend(members.map(|word| At { value: word.as_str().to_owned(), span: word.span }));
    }),
    keyword("track_interface", "{…}", 0, "IF [weight N [reverse]], for all members", |g, s, c| {
        tracked(g, Kind::Interface, s, c)
    }),
    keyword("track_script", "{…}", 0, "SCRIPT [weight N [reverse|noreverse]]", |g, s, c| {
        tracked(g, Kind::Script, s, c)
    }),
    keyword("track_file", "{…}", 0, "FILE [weight N [reverse|noreverse]]", |g, s, c| {
        tracked(g, Kind::File, s, c)
    }),
    keyword("track_process", "{…}", 0, "PROCESS [weight N [reverse|noreverse]]", |g, s, c| {
        tracked(g, Kind::Process, s, c)
    }),
    keyword(
        "track_proxy",
        "{…}",
        0,
        "servers of a proxy's backend that have to be up (not known to keepalived)",
        |g, s, c| track_proxy::block(&mut g.track, &g.name, s, c),
    ),
    not_yet(keyword("track_bfd", "{…}", 0, "BFD [weight N [reverse|noreverse]]", |g, s, c| {
        tracked(g, Kind::Bfd, s, c)
    })),
    keyword(
        "notify_backup",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run when the group enters BACKUP",
        |g, s, c| notify::script(&mut g.notify, s, c),
    ),
    keyword(
        "notify_master",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run when the group enters MASTER",
        |g, s, c| notify::script(&mut g.notify, s, c),
    ),
    keyword(
        "notify_fault",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run when the group enters FAULT",
        |g, s, c| notify::script(&mut g.notify, s, c),
    ),
    keyword("notify_stop", "<COMMAND> [<USER> [<GROUP>]]", 1, "program run at shutdown", |g, s, c| {
        notify::script(&mut g.notify, s, c)
    }),
    keyword(
        "notify",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run for every change, with four arguments appended",
        |g, s, c| notify::script(&mut g.notify, s, c),
    ),
    keyword("smtp_alert", "[<BOOL>]", 0, "mail on group changes", |g, s, c| match s.flag() {
        Ok(on) => g.notify.smtp_alert = Some(on),
        Err(text) => c.warn(s.last_span(), format!("Invalid vrrp_group smtp_alert parameter {text}")),
    }),
    no_effect(keyword("global_tracking", "", 0, "deprecated: let weights differ per member", |g, s, c| {
        c.warn(
            s.span(),
            format!(
                "({}) global_tracking is deprecated. Use track_interface/script/file on the sync group",
                g.name
            ),
        );
        g.global_tracking = true;
    })),
    keyword("sync_group_tracking_weight", "", 0, "allow weighted trackers on members", |g, _, _| {
        g.tracking_weight = true
    }),
    keyword(
        "notify_priority_changes",
        "[<BOOL>]",
        0,
        "write priority changes to the FIFOs",
        |g, s, c| match s.flag() {
            Ok(on) => g.notify.priority_changes = Some(on),
            Err(text) => {
                c.warn(
                    s.last_span(),
                    format!("({}) Invalid value '{text}' for notify_priority_changes specified", g.name),
                );
            }
        },
    ),
];

fn tracked(group: &mut GroupDraft, kind: Kind, s: &mut Statement<'_>, c: &mut Context<'_>) {
    track::block(&mut group.track, kind, &group.name, s, c);
}
