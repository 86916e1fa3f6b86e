//! `global_defs`: the process, its files and reloads.

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::GlobalDraft;
use super::numbers::{flag, int};
use super::{keyword, no_effect};
use crate::model::ProcessSettings;

pub(super) const TABLE: &[Keyword<GlobalDraft>] = &[
    keyword("process_names", "", 0, "use the standard process titles", |g, _, _| {
        g.model.process_name.get_or_insert_with(|| "keepalived".into());
        g.model.vrrp_process.name.get_or_insert_with(|| "keepalived_vrrp".into());
    }),
    keyword("process_name", "<NAME>", 1, "title of the parent process", |g, s, _| {
        g.model.process_name = Some(s.text());
    }),
    keyword("vrrp_process_name", "<NAME>", 1, "title of the VRRP process", |g, s, _| {
        g.model.vrrp_process.name = Some(s.text());
    }),
    no_effect(keyword(
        "checker_process_name",
        "<NAME>",
        1,
        "title of the health check process",
        |g, s, _| {
            g.model.checker.checker.name = Some(s.text());
        },
    )),
    no_effect(keyword(
        "lvs_process_name",
        "<NAME>",
        1,
        "deprecated name of checker_process_name",
        |g, s, _| {
            g.model.checker.checker.name = Some(s.text());
        },
    )),
    no_effect(keyword("bfd_process_name", "<NAME>", 1, "title of the BFD process", |g, s, _| {
        g.model.checker.bfd.name = Some(s.text());
    })),
    keyword(
        "max_auto_priority",
        "[<-1..99>]",
        0,
        "highest real time priority the daemon may give itself when it runs late",
        |g, s, c| {
            g.model.max_auto_priority = match s.peek() {
                None => Some(99),
                Some(_) => int(s, c, -1..=99, |text| {
                    format!("max_auto_priority '{text}' must be in [0, 99] (or -1 to disable) - ignoring")
                })
                .map(|value| value as i32),
            };
        },
    ),
    keyword(
        "min_auto_priority_delay",
        "<MICROSECONDS>",
        1,
        "lateness that triggers the raise (default 1000000)",
        |g, s, c| {
            let wrong =
                |text: &str| format!("min_auto_priority_delay '{text}' must be in [1, 10000000] - ignoring");
            if let Some(us) = int(s, c, 1..=10_000_000, wrong) {
                g.model.min_auto_priority_delay_us = us as u64;
            }
        },
    ),
    keyword("vrrp_priority", "<-20..19>", 1, "nice value of the daemon", |g, s, c| {
        nice(&mut g.model.vrrp_process, "vrrp", s, c)
    }),
    keyword("vrrp_no_swap", "", 0, "lock the daemon in memory", |g, _, _| {
        g.model.vrrp_process.no_swap = true
    }),
    keyword("vrrp_rt_priority", "<1..99>", 1, "SCHED_RR priority of the daemon", |g, s, c| {
        realtime(&mut g.model.vrrp_process, "vrrp", s, c);
    }),
    keyword("vrrp_cpu_affinity", "<CPU>…", 1, "CPUs the daemon may use", |g, s, c| {
        affinity(&mut g.model.vrrp_process, "vrrp", s, c)
    }),
    keyword("vrrp_rlimit_rttime", "<MICROSECONDS>", 1, "RLIMIT_RTTIME of the daemon (10000)", |g, s, c| {
        rttime(&mut g.model.vrrp_process, s, c);
    }),
    keyword(
        "vrrp_rlimit_rtime",
        "<MICROSECONDS>",
        1,
        "deprecated spelling of vrrp_rlimit_rttime",
        |g, s, c| {
            rttime(&mut g.model.vrrp_process, s, c);
        },
    ),
    no_effect(keyword("checker_priority", "<-20..19>", 1, "nice value of the checkers", |g, s, c| {
        nice(&mut g.model.checker.checker, "checker", s, c);
    })),
    no_effect(keyword("checker_no_swap", "", 0, "lock the checkers in memory", |g, _, _| {
        g.model.checker.checker.no_swap = true
    })),
    no_effect(keyword(
        "checker_rt_priority",
        "<1..99>",
        1,
        "SCHED_RR priority of the checkers",
        |g, s, c| {
            realtime(&mut g.model.checker.checker, "checker", s, c);
        },
    )),
    no_effect(keyword("checker_cpu_affinity", "<CPU>…", 1, "CPUs the checkers may use", |g, s, c| {
        affinity(&mut g.model.checker.checker, "checker", s, c);
    })),
    no_effect(keyword(
        "checker_rlimit_rttime",
        "<MICROSECONDS>",
        1,
        "RLIMIT_RTTIME of the checkers",
        |g, s, c| {
            rttime(&mut g.model.checker.checker, s, c);
        },
    )),
    no_effect(keyword(
        "checker_rlimit_rtime",
        "<MICROSECONDS>",
        1,
        "deprecated spelling of checker_rlimit_rttime",
        |g, s, c| {
            rttime(&mut g.model.checker.checker, s, c);
        },
    )),
    no_effect(keyword("bfd_priority", "<-20..19>", 1, "nice value of the BFD part", |g, s, c| {
        nice(&mut g.model.checker.bfd, "bfd", s, c)
    })),
    no_effect(keyword("bfd_no_swap", "", 0, "lock the BFD part in memory", |g, _, _| {
        g.model.checker.bfd.no_swap = true
    })),
    no_effect(keyword("bfd_rt_priority", "<1..99>", 1, "SCHED_RR priority of the BFD part", |g, s, c| {
        realtime(&mut g.model.checker.bfd, "bfd", s, c);
    })),
    no_effect(keyword("bfd_cpu_affinity", "<CPU>…", 1, "CPUs the BFD part may use", |g, s, c| {
        affinity(&mut g.model.checker.bfd, "bfd", s, c);
    })),
    no_effect(keyword(
        "bfd_rlimit_rttime",
        "<MICROSECONDS>",
        1,
        "RLIMIT_RTTIME of the BFD part",
        |g, s, c| {
            rttime(&mut g.model.checker.bfd, s, c);
        },
    )),
    no_effect(keyword(
        "bfd_rlimit_rtime",
        "<MICROSECONDS>",
        1,
        "deprecated spelling of bfd_rlimit_rttime",
        |g, s, c| {
            rttime(&mut g.model.checker.bfd, s, c);
        },
    )),
    no_effect(keyword(
        "vrrp_netlink_cmd_rcv_bufs",
        "<BYTES>",
        1,
        "netlink command socket buffer",
        |g, s, c| {
            bytes(&mut g.model.netlink_cmd_rcv_bufs, s, c);
        },
    )),
    no_effect(keyword(
        "vrrp_netlink_cmd_rcv_bufs_force",
        "[<BOOL>]",
        0,
        "allow that buffer above rmem_max",
        |g, s, c| {
            force(&mut g.model.netlink_cmd_rcv_bufs, s, c);
        },
    )),
    no_effect(keyword(
        "vrrp_netlink_monitor_rcv_bufs",
        "<BYTES>",
        1,
        "netlink monitor socket buffer",
        |g, s, c| {
            bytes(&mut g.model.netlink_monitor_rcv_bufs, s, c);
        },
    )),
    no_effect(keyword(
        "vrrp_netlink_monitor_rcv_bufs_force",
        "[<BOOL>]",
        0,
        "allow that buffer above rmem_max",
        |g, s, c| {
            force(&mut g.model.netlink_monitor_rcv_bufs, s, c);
        },
    )),
    keyword(
        "process_monitor_rcv_bufs",
        "<BYTES>",
        1,
        "proc connector buffer for track_process",
        |g, s, c| {
            bytes(&mut g.model.process_monitor_rcv_bufs, s, c);
        },
    ),
    no_effect(keyword(
        "process_monitor_rcv_bufs_force",
        "[<BOOL>]",
        0,
        "allow that buffer above rmem_max",
        |g, s, c| {
            force(&mut g.model.process_monitor_rcv_bufs, s, c);
        },
    )),
    keyword(
        "umask",
        "<NUMBER|BITS>",
        1,
        "umask of files the daemon creates; number or |-joined I{R,W,X}{USR,GRP,OTH} names",
        umask,
    ),
    keyword("random_seed", "<NUMBER>", 1, "seed of ${_RANDOM}", |_, s, c| {
        let _ = int(s, c, 0..=i64::from(u32::MAX), |text| format!("random_seed {text} invalid"));
    }),
    keyword(
        "reload_check_config",
        "[<LOG_FILE>]",
        0,
        "test the new configuration before a reload; always done here",
        |g, s, _| {
            g.model.reload.check_config = Some(s.next().map(str::to_owned));
        },
    ),
    keyword("reload_time_file", "<PATH>", 1, "file holding the time of a planned reload", |g, s, _| {
        g.model.reload.time_file = Some(s.text());
    }),
    keyword("reload_repeat", "", 0, "do that reload daily", |g, _, _| g.model.reload.repeat = true),
    keyword(
        "reload_file",
        "[<PATH>]",
        0,
        "marker file present while the configuration is read",
        |g, s, _| {
            g.model.reload.file = Some(s.next().map(str::to_owned));
        },
    ),
    keyword("include_check", "[<CHECK>…]", 0, "which missing includes are errors", |_, s, c| {
        for word in s.rest() {
            let check = word.as_str().trim_start_matches(['+', '-']);
            if !matches!(check, "" | "read" | "readable" | "match" | "wildcard_match" | "brace_match") {
                c.warn(word.span, format!("Unknown include_check type '{check}' - ignoring"));
            }
        }
    }),
    keyword(
        "config_save_dir",
        "<DIRECTORY>",
        1,
        "keep copies of configuration and state around each reload",
        |g, s, _| {
            g.model.reload.config_save_dir = Some(s.text());
        },
    ),
    no_effect(keyword(
        "tmp_config_directory",
        "<DIRECTORY>",
        1,
        "where the consolidated configuration copy lives; none is made here",
        |_, _, _| {},
    )),
    keyword(
        "data_use_instance",
        "[<BOOL>]",
        0,
        "put instance and namespace into dump file names",
        |g, s, c| {
            if let Some(on) = flag(s, c) {
                g.model.data_use_instance = on;
            }
        },
    ),
    keyword(
        "json_version",
        "<1|2>",
        1,
        "JSON dump layout: 1 bare array, 2 object with vrrp and track_process",
        |g, s, c| {
            if let Some(version) = int(s, c, 1..=2, |text| format!("json_version '{text}' invalid")) {
                g.model.json_version = version as u8;
            }
        },
    ),
    keyword(
        "iproute_usr_dir",
        "<DIRECTORY>",
        1,
        "iproute2 tables folder shipped by the distribution",
        |g, s, _| {
            g.model.iproute_usr_dir = Some(s.text());
        },
    ),
    keyword("iproute_etc_dir", "<DIRECTORY>", 1, "iproute2 tables folder of the administrator", |g, s, _| {
        g.model.iproute_etc_dir = Some(s.text());
    }),
    keyword("state_dump_file", "<PATH>", 1, "path or folder of the SIGUSR1 dump", |g, s, _| {
        g.model.state_dump_file = Some(s.text())
    }),
    keyword("stats_dump_file", "<PATH>", 1, "path or folder of the SIGUSR2 dump", |g, s, _| {
        g.model.stats_dump_file = Some(s.text())
    }),
    keyword("json_dump_file", "<PATH>", 1, "path or folder of the JSON dump", |g, s, _| {
        g.model.json_dump_file = Some(s.text())
    }),
];

fn nice(process: &mut ProcessSettings, name: &str, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let value = int(s, c, -20..=19, |_| format!("Invalid {name} process priority specified"));
    process.nice = value.map(|value| value as i32).or(process.nice);
}

fn realtime(process: &mut ProcessSettings, name: &str, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let wrong = |_: &str| format!("Invalid {name} process real-time priority specified");
    let Some(value) = int(s, c, 1..=i64::from(i32::MAX), wrong) else { return };
    if value > 99 {
        let message =
            format!("{name} process real-time priority {value} greater than maximum 99 - setting to maximum");
        c.warn(s.last_span(), message);
    }
    process.rt_priority = Some(value.min(99) as u8);
}

fn affinity(process: &mut ProcessSettings, name: &str, s: &mut Statement<'_>, c: &mut Context<'_>) {
    while s.peek().is_some() {
        let wrong = |_: &str| format!("Invalid cpu_id:0 specified for {name} process");
        match int(s, c, 0..=1023, wrong) {
            Some(cpu) => process.cpu_affinity.push(cpu as u32),
            None => return,
        }
    }
}

fn rttime(process: &mut ProcessSettings, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let keyword = s.keyword();
    let value = int(s, c, 1..=i64::from(u32::MAX), |text| format!("invalid {keyword} '{text}' - ignoring"));
    process.rlimit_rttime_us = value.map(|value| value as u64).or(process.rlimit_rttime_us);
}

fn bytes(setting: &mut Option<(u32, bool)>, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let keyword = s.keyword();
    if let Some(bytes) =
        int(s, c, 1..=i64::from(i32::MAX), |text| format!("{keyword} '{text}' invalid - ignoring"))
    {
        *setting = Some((bytes as u32, setting.is_some_and(|(_, force)| force)));
    }
}

fn force(setting: &mut Option<(u32, bool)>, s: &mut Statement<'_>, c: &mut Context<'_>) {
    if let Some(on) = flag(s, c) {
        *setting = Some((setting.map_or(0, |(bytes, _)| bytes), on));
    }
}

fn umask(g: &mut GlobalDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let text = s.text();
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.starts_with('0') => u32::from_str_radix(&text, 8).ok(),
        None => text.parse().ok(),
    };
    if let Some(number) = number {
        g.model.umask = Some(number & 0o777);
        return;
    }
    let mut mask = 0;
    for bit in text.split('|').map(str::trim).filter(|bit| !bit.is_empty()) {
        if let Some(shift) = match bit {
            "IRWXU" => Some(6),
            "IRWXG" => Some(3),
            "IRWXO" => Some(0),
            _ => None,
        } {
            mask |= 7 << shift;
            continue;
        }
        let kind = match bit.get(..2) {
            Some("IR") => 4,
            Some("IW") => 2,
            Some("IX") => 1,
            _ => 0,
        };
        let shift = match bit.get(2..) {
            Some("USR") => 6,
            Some("GRP") => 3,
            Some("OTH") => 0,
            _ => 32,
        };
        if kind == 0 || shift == 32 {
            return c.warn(s.last_span(), format!("Unknown umask bit {bit}"));
        }
        mask |= kind << shift;
    }
    g.model.umask = Some(mask);
}
