//! `track_*` blocks, `track_file`, `vrrp_track_process`.

use crate::model::{InitFile, ParamMatch};

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::{FileDraft, ProcessDraft, TrackDraft, TrackedDraft};
use super::keyword;
use super::numbers::{int, timer};

/// `[reverse]` after a weight; `unknown` starts the message about any other word.
pub(super) fn reverse(s: &mut Statement<'_>, c: &mut Context<'_>, unknown: &str) -> bool {
    match s.next() {
        None => false,
        Some("reverse") => true,
        Some(other) => {
            c.warn(s.last_span(), format!("{unknown} {other}"));
            false
        }
    }
}

/// Which list a `track_*` block fills, its largest weight, and what its messages call an entry.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Interface,
    Script,
    File,
    Process,
    Bfd,
}

impl Kind {
    fn weight_max(self) -> i64 {
        match self {
            Self::Interface | Self::Script | Self::Bfd => 253,
            Self::File | Self::Process => 254,
        }
    }

    pub(in crate::config) fn keyword(self) -> &'static str {
        match self {
            Self::Interface => "track_interface",
            Self::Script => "track_script",
            Self::File => "track_file",
            Self::Process => "track_process",
            Self::Bfd => "track_bfd",
        }
    }
}

/// What may follow a name in a `track_*` block.
pub(super) const OPTIONS: &[Keyword<TrackedDraft>] = &[
    keyword(
        "weight",
        "<NUMBER>",
        1,
        "priority change -253..253 (254 for file/process); 0 means FAULT",
        |_, _, _| {},
    ),
    keyword("reverse", "", 0, "turn the sense round", |_, _, _| {}),
    keyword("noreverse", "", 0, "undo a reverse default", |_, _, _| {}),
];

/// A `track_*` block of the instance or group `owner`.
pub(super) fn block(track: &mut TrackDraft, kind: Kind, owner: &str, s: &Statement<'_>, c: &mut Context<'_>) {
    for line in s.children() {
        let Some(tracked) = entry(kind, owner, Statement::of_values(line), c) else { continue };
        let list = match kind {
            Kind::Interface => &mut track.interfaces,
            Kind::Script => &mut track.scripts,
            Kind::File => &mut track.files,
            Kind::Process => &mut track.processes,
            Kind::Bfd => &mut track.bfds,
        };
        if list.iter().any(|other| other.name == tracked.name) {
            let message = format!("({owner}) duplicate {} {} - ignoring", kind.keyword(), tracked.name);
            c.warn(tracked.span, message);
        } else {
            list.push(tracked);
        }
    }
}

fn entry(kind: Kind, owner: &str, mut words: Statement<'_>, c: &mut Context<'_>) -> Option<TrackedDraft> {
    let name = words.next()?.to_owned();
    let mut tracked = TrackedDraft { name, weight: None, reverse: None, span: words.last_span() };
    let name = &tracked.name;
    while let Some(option) = words.next() {
        match option {
            "weight" if words.peek().is_some() => {
                let max = kind.weight_max();
                let wrong = |text: &str| {
                    format!(
                        "({owner}) weight {text} for {name} must be between [-{max}..{max}] inclusive. Ignoring..."
                    )
                };
                match words.int(c, -254..=254) {
                    Ok(weight) if weight.abs() <= max => tracked.weight = Some(weight as i32),
                    Ok(weight) => c.warn(words.last_span(), wrong(&weight.to_string())),
                    Err(text) => c.warn(words.last_span(), wrong(text)),
                }
            }
            "reverse" => tracked.reverse = Some(true),
            "noreverse" | "no_reverse" => tracked.reverse = Some(false),
            other => {
                let keyword = kind.keyword();
                c.warn(
                    words.last_span(),
                    format!("({owner}) unknown {keyword} {name} option {other} - ignoring"),
                );
                return Some(tracked);
            }
        }
    }
    Some(tracked)
}

pub(super) const FILE: &[Keyword<FileDraft>] = &[
    keyword("file", "<PATH>", 0, "path", |file, s, c| match s.next() {
        Some(path) => file.path = Some(path.to_owned()),
        None => c.warn(s.span(), "track file file name missing"),
    }),
    keyword("weight", "<NUMBER> [reverse]", 1, "factor for the number in the file (1)", |file, s, c| {
        let name = file.name.clone();
        let wrong = |text: &str| {
            format!(
                "Weight ({text}) for track_file {name} must be between [-254..254] inclusive. Ignoring..."
            )
        };
        if let Some(weight) = int(s, c, -2_147_483_647..=2_147_483_647, wrong) {
            file.weight = weight as i32;
        }
        file.weight_reverse = reverse(s, c, &format!("track_file {name} unknown weight option"));
    }),
    keyword("init_file", "[<VALUE>] [overwrite]", 0, "create it at start", |file, s, c| {
        let mut init = InitFile { value: 0, overwrite: false };
        while let Some(word) = s.next() {
            match (word, word.parse::<i64>()) {
                ("overwrite", _) => init.overwrite = true,
                (_, Ok(value)) => init.value = value,
                (other, Err(_)) => c.warn(s.last_span(), format!("Unknown track file init option {other}")),
            }
        }
        file.init_file = Some(init);
    }),
];

pub(super) const PROCESS: &[Keyword<ProcessDraft>] = &[
    keyword("process", "<NAME> [<ARGUMENT>…]", 1, "name and optional arguments", |process, s, _| {
        let Some(mut command) = super::notify::whole_command(s) else { return };
        if command.argv.is_empty() {
            return;
        }
        let parameters = command.argv.split_off(1);
        process.process = command.argv.pop();
        process.parameters = parameters;
    }),
    keyword(
        "param_match",
        "[initial|partial]",
        0,
        "how arguments are compared: exact without a word",
        |process, s, c| {
            process.param_match = match s.next() {
                None => Some(ParamMatch::Exact),
                Some("initial") => Some(ParamMatch::Initial),
                Some("partial") => Some(ParamMatch::Partial),
                Some(other) => {
                    let message =
                        format!("Unknown vrrp_track_process {} param_match type '{other}'", process.name);
                    c.warn(s.last_span(), message);
                    None
                }
            };
        },
    ),
    keyword("weight", "<-254..254> [reverse]", 1, "default weight", |process, s, c| {
        let name = process.name.clone();
        let wrong = |text: &str| {
            format!(
                "Weight ({text}) for vrrp_track_process {name} must be between [-254..254] inclusive. Ignoring..."
            )
        };
        if let Some(weight) = int(s, c, -254..=254, wrong) {
            process.weight = weight as i32;
        }
        process.weight_reverse = reverse(s, c, &format!("vrrp_track_process {name} unknown weight option"));
    }),
    keyword("quorum", "<NUMBER>", 1, "fewest processes (1)", |process, s, c| {
        let name = process.name.clone();
        let wrong = |text: &str| {
            format!(
                "Quorum ({text}) for vrrp_track_process {name} must be between 1 and 65535 inclusive. Ignoring..."
            )
        };
        process.quorum = int(s, c, 1..=65535, wrong).map(|quorum| quorum as u32).or(process.quorum);
    }),
    keyword("quorum_max", "<NUMBER>", 1, "most processes", |process, s, c| {
        let name = process.name.clone();
        let wrong = |text: &str| {
            format!(
                "Quorum_max ({text}) for vrrp_track_process {name} must be between 0 and 65535 inclusive. Ignoring..."
            )
        };
        let max = int(s, c, 0..=65535, wrong).map(|quorum| quorum as u32);
        if max.is_some_and(|max| process.quorum.is_some_and(|quorum| quorum > max)) {
            return c.warn(s.span(), "quorum_max is less than quorum - ignoring");
        }
        process.quorum_max = max;
    }),
    keyword("delay", "<TIMER>", 1, "sets both delays", |process, s, c| {
        if let Some(us) = delay(process, s, c) {
            process.fork_delay_us = us;
            process.terminate_delay_us = us;
        }
    }),
    keyword("terminate_delay", "<TIMER>", 1, "seconds before a loss counts", |process, s, c| {
        process.terminate_delay_us = delay(process, s, c).unwrap_or(process.terminate_delay_us);
    }),
    keyword("fork_delay", "<TIMER>", 1, "seconds before a gain counts", |process, s, c| {
        process.fork_delay_us = delay(process, s, c).unwrap_or(process.fork_delay_us);
    }),
    keyword("full_command", "", 0, "match the command line, not the name", |process, _, _| {
        process.full_command = true
    }),
];

fn delay(process: &ProcessDraft, s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<u64> {
    let keyword = s.keyword();
    timer(s, c, 0..=3_600_000_000, |text| {
        format!(
            "{keyword} ({text}) for vrrp_track_process {} must be between 0.000001 and 3600 inclusive. Ignoring...",
            process.name
        )
    })
}
