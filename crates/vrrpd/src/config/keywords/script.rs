//! `vrrp_script`.

use super::super::keyword::Keyword;
use super::draft::ScriptDraft;
use super::notify;
use super::numbers::{int, timer};
use super::{keyword, track};

pub(super) const TABLE: &[Keyword<ScriptDraft>] = &[
    keyword("script", "<COMMAND>", 1, "command line", |script, s, _| {
        script.command = notify::whole_command(s)
    }),
    keyword("interval", "<TIMER>", 1, "seconds between runs, ms steps (1)", |script, s, c| {
        let name = script.name.clone();
        let wrong = |text: &str| {
            format!("({name}): vrrp script interval '{text}' must be between 1 and 4294 - ignoring")
        };
        match timer(s, c, 0..=4_294_000_000, wrong) {
            Some(us) if us < 1000 => {
                c.warn(
                    s.last_span(),
                    format!("({name}): vrrp script interval must be greater than 0, setting to 1"),
                );
                script.interval_us = 1_000_000;
            }
            Some(us) => script.interval_us = us,
            None => {}
        }
    }),
    keyword("timeout", "<TIMER>", 1, "seconds until a run counts as failed (interval)", |script, s, c| {
        let name = script.name.clone();
        let wrong = |text: &str| format!("({name}): vrrp script timeout '{text}' invalid - ignoring");
        match timer(s, c, 0..=4_294_000_000, wrong) {
            Some(0) => {
                c.warn(
                    s.last_span(),
                    format!("({name}): vrrp script timeout must be greater than 0, setting to 1"),
                );
                script.timeout_us = 1_000_000;
            }
            Some(us) => script.timeout_us = us,
            None => {}
        }
    }),
    keyword("weight", "<-253..253> [reverse]", 1, "default weight", |script, s, c| {
        let name = script.name.clone();
        let wrong = |text: &str| format!("vrrp_script {name} weight {text} must be in [-253, 253]");
        if let Some(weight) = int(s, c, -253..=253, wrong) {
            script.weight = weight as i32;
        }
        script.weight_reverse = track::reverse(s, c, &format!("vrrp_script {name} unknown weight option"));
    }),
    keyword("rise", "<NUMBER>", 1, "successes needed to be up (1)", |script, s, c| {
        let name = script.name.clone();
        let wrong =
            |text: &str| format!("({name}): vrrp script rise value '{text}' invalid, defaulting to 1");
        script.rise = int(s, c, 1..=i64::from(i32::MAX), wrong).unwrap_or(1) as u32;
    }),
    keyword("fall", "<NUMBER>", 1, "failures needed to be down (1)", |script, s, c| {
        let name = script.name.clone();
        let wrong =
            |text: &str| format!("({name}): vrrp script fall value '{text}' invalid, defaulting to 1");
        script.fall = int(s, c, 1..=i64::from(i32::MAX), wrong).unwrap_or(1) as u32;
    }),
    keyword("user", "<USER> [<GROUP>]", 1, "who runs it", |script, s, c| {
        script.user = notify::user(s);
        let unknown = script.user.as_ref().is_some_and(|user| notify::ids(user, c.environment).is_none());
        if unknown {
            let command = script.command.as_ref().map(|command| command.argv.join(" ")).unwrap_or_default();
            c.warn(s.span(), format!("Unable to set uid/gid for script '{command}'"));
        }
    }),
    keyword("init_fail", "", 0, "start in the failed state", |script, _, _| script.init_fail = true),
];
