//! Input to model and messages. The messages were recorded from keepalived 2.2.7 `-t` on the same input.

use std::net::IpAddr;

use hacore::diag::render::Style;

use super::*;
use crate::model::{Authentication, Family, InitialState, RuleAction, Version, VrrpInstance};

/// A machine with eth0, eth1 and lo, the users root and nobody, and a few programs.
pub(super) struct Machine;

impl Environment for Machine {
    fn host_name(&self) -> String {
        "host1.example.org".into()
    }

    fn interface_exists(&self, name: &str) -> bool {
        matches!(name, "eth0" | "eth1" | "lo")
    }

    fn user(&self, name: &str) -> Option<(u32, u32)> {
        match name {
            "root" => Some((0, 0)),
            "nobody" => Some((65534, 65534)),
            _ => None,
        }
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.user(name).map(|(_, gid)| gid)
    }

    fn groups_of(&self, uid: u32, gid: u32) -> Vec<u32> {
        if uid == 65534 { vec![gid, 4] } else { vec![gid] }
    }

    fn own_ids(&self) -> (u32, u32) {
        (0, 0)
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "PATH" => Some("/usr/bin:/bin".into()),
            "SITE" => Some("north".into()),
            _ => None,
        }
    }

    fn is_executable(&self, path: &str) -> bool {
        matches!(
            path,
            "/bin/true" | "/bin/echo" | "/usr/bin/systemctl" | "/etc/keepalived/notify.sh" | "/opt/unsafe.sh"
        )
    }

    fn resolves(&self, host: &str) -> bool {
        host.parse::<IpAddr>().is_ok() || host == "mail.example.org"
    }

    fn unsafe_script(&self, path: &str, uid: u32) -> Option<String> {
        (uid == 0 && path == "/opt/unsafe.sh").then(|| "writable by others".into())
    }
}

pub(super) fn read(text: &str) -> (Option<Config>, Vec<String>, Verdict) {
    let (config, diagnostics, sources) = load_text(text.as_bytes(), &LoadOptions::default(), &Machine);
    let lines = diagnostics
        .iter()
        .filter(|d| d.code.is_none_or(|code| code != CODE_UNSUPPORTED && code != CODE_NOTE))
        .map(|d| KeepalivedStyle.headline(d, &sources).replace("keepalived.conf: ", ""))
        .collect();
    let verdict = Verdict::of(&diagnostics);
    (config, lines, verdict)
}

/// An instance that is right but for `inside`, which starts at line 2.
fn instance(inside: &str) -> (Option<VrrpInstance>, Vec<String>) {
    let text = format!(
        "vrrp_instance VI_1 {{\n{inside}\n}}\n",
        inside = format_args!(
            "{inside}\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{\n10.0.0.5\n}}"
        )
    );
    let (config, lines, _) = read(&text);
    (config.and_then(|config| config.vrrp_instances.into_iter().next()), lines)
}

pub(super) fn good(inside: &str) -> VrrpInstance {
    let (instance, lines) = instance(inside);
    assert_eq!(lines, Vec::<String>::new(), "{inside}");
    instance.expect("an instance")
}

pub(super) fn messages(inside: &str) -> Vec<String> {
    instance(inside).1
}

#[test]
fn the_simplest_instance_has_keepalived_s_defaults() {
    let instance = good("");
    assert_eq!((instance.vrid, instance.priority, instance.version), (51, 100, Version::V2));
    assert_eq!((instance.family, instance.initial_state), (Family::V4, InitialState::Backup));
    assert_eq!(instance.advert_int_us, 1_000_000);
    assert_eq!((instance.garp.master_delay_us, instance.garp.master_repeat), (5_000_000, 5));
    assert_eq!((instance.garp.lower_prio_delay_us, instance.garp.lower_prio_repeat), (5_000_000, 5));
    assert_eq!(instance.vips[0].prefix_len, 32);
    assert_eq!(instance.multicast_group, "224.0.0.18".parse::<IpAddr>().unwrap());
    assert!(instance.accept && instance.preempt.enabled && !instance.strict);
    assert_eq!(instance.down_timer_adverts, 3);
}

#[test]
fn messages_are_keepalived_s() {
    let table: &[(&str, &[&str])] = &[
        ("state SLAVE", &["(Line 2) (VI_1) unknown state 'SLAVE', defaulting to BACKUP"]),
        (
            "priority 0",
            &[
                "(Line 2) number '0' outside range [1, 255]",
                "(Line 2) (VI_1) Priority not valid! must be between 1 & 255. Using default 100",
            ],
        ),
        (
            "priority 5x",
            &[
                "(Line 2) invalid number '5x'",
                "(Line 2) (VI_1) Priority not valid! must be between 1 & 255. Using default 100",
            ],
        ),
        (
            "priority -1",
            &[
                "(Line 2) negative number '-1'",
                "(Line 2) (VI_1) Priority not valid! must be between 1 & 255. Using default 100",
            ],
        ),
        (
            "advert_int 0",
            &[
                "(Line 2) number '0' outside range [0.010000, 255.000000]",
                "(Line 2) (VI_1) Advert interval (0) not valid! Must be > 0 - ignoring",
            ],
        ),
        (
            "preempt_delay 1001",
            &[
                "(Line 2) number '1001' outside range [0.000000, 1000.000000]",
                "(Line 2) (VI_1) Preempt_delay not valid! must be between 0-1000",
            ],
        ),
        (
            "version 4",
            &["(Line 2) number '4' outside range [2, 3]", "(Line 2) (VI_1): Version must be either 2 or 3"],
        ),
        ("zork 1", &["(Line 2) Unknown keyword 'zork'"]),
        (
            "garp_master_repeat 0",
            &["(Line 2) (VI_1): garp_master_repeat must be greater than 0, setting to 1"],
        ),
        (
            "down_timer_adverts 101",
            &[
                "(Line 2) number '101' outside range [1, 100]",
                "(Line 2) (VI_1): Invalid down_timer_adverts [1:100] '101'",
            ],
        ),
        ("strict_mode foo", &["(Line 2) (VI_1) invalid strict_mode foo specified"]),
        ("use_vmac a b c", &["(Line 2) VMAC interface name already specified"]),
        (
            "unicast_ttl 256",
            &[
                "(Line 2) number '256' outside range [0, 255]",
                "(Line 2) (VI_1): TTL '256' not valid - must be between 0 & 255",
            ],
        ),
        (
            "debug 9",
            &[
                "(Line 2) number '9' outside range [0, 4]",
                "(Line 2) (VI_1) Debug value '9' not valid; must be between 0-4",
            ],
        ),
        ("smtp_alert maybe", &["(Line 2) Invalid vrrp_instance smtp_alert parameter maybe"]),
        ("mcast_dst_ip 1.2.3.4", &["(Line 2) (VI_1) mcast_dst_ip 1.2.3.4 not multicast. Skipping..."]),
        (
            "mcast_src_ip 300.1.1.1",
            &[
                "(Line 2) Configuration error: VRRP instance[VI_1] malformed src address[300.1.1.1]. Skipping...",
            ],
        ),
        ("authentication {\nauth_type FOO\n}", &["(Line 3) (VI_1) unknown authentication type 'FOO'"]),
        (
            "authentication { auth_type PASS\nauth_pass 123456789 }",
            &["(Line 3) Truncating auth_pass to 8 characters"],
        ),
        ("track_script { a }", &["(Line 2) (VI_1) track script a not found, ignoring..."]),
        (
            "track_interface { eth1 foo }",
            &["(Line 2) (VI_1) unknown track_interface eth1 option foo - ignoring"],
        ),
        (
            "track_interface { eth1 weight 300 }",
            &[
                "(Line 2) number '300' outside range [-254, 254]",
                "(Line 2) (VI_1) weight 300 for eth1 must be between [-253..253] inclusive. Ignoring...",
            ],
        ),
        (
            "track_interface { eth1 weight 5\neth1 }",
            &["(Line 3) (VI_1) duplicate track_interface eth1 - ignoring"],
        ),
        (
            "track_interface { eth0 weight 5 }",
            &["(Line 2) (VI_1) Ignoring track_interface eth0 since own interface"],
        ),
        (
            "virtual_ipaddress_excluded { 10.0.0.6 10.0.0.7 }",
            &["(Line 2) Unknown configuration entry '10.0.0.7' for ip address - ignoring"],
        ),
        (
            "virtual_ipaddress { 10.0.0.7/33 }",
            &[
                "(Line 2) number '33' outside range [0, 32]",
                "(Line 2) Invalid address prefix len 33 for address 10.0.0.7/33 - using 32",
            ],
        ),
        ("virtual_ipaddress { 10.0.0.300 }", &["(Line 2) VRRP parsed invalid IP 10.0.0.300. skipping IP..."]),
        (
            "virtual_ipaddress { 10.0.0.7/24 scope zork }",
            &["(Line 2) Invalid scope 'zork' specified for 10.0.0.7/24 - ignoring"],
        ),
        ("virtual_ipaddress { 10.0.0.7 dev }", &["(Line 2) No dev parameter specified for 10.0.0.7"]),
        (
            "virtual_ipaddress { 10.0.0.7 label eth0:averyverylongname }",
            &[
                "(Line 2) Address label eth0:averyverylongname is longer than maximum length 15 - removing address",
            ],
        ),
        ("state \"abc\"", &["(Line 2) (VI_1) unknown state 'abc', defaulting to BACKUP"]),
        ("state $NOPE", &["(Line 2) (VI_1) unknown state '$NOPE', defaulting to BACKUP"]),
    ];
    for (inside, expected) in table {
        assert_eq!(messages(inside), *expected, "{inside}");
    }
}

#[test]
fn contradictions_are_settled_as_in_keepalived() {
    let table: &[(&str, &str)] = &[
        (
            "state MASTER\nnopreempt",
            "(VI_1) Warning - nopreempt will not work with initial state MASTER - clearing",
        ),
        (
            "state MASTER\npreempt_delay 5",
            "(VI_1) Warning - preempt delay will not work with initial state MASTER - clearing",
        ),
        (
            "priority 255\nnopreempt",
            "(VI_1) nopreempt is incompatible with priority 255. resetting nopreempt",
        ),
        (
            "advert_int 1.5",
            "(Line 1) (VI_1) VRRPv2 advertisement interval 1.500000s must be an integer. rounding",
        ),
        (
            "version 3\nadvert_int 0.255",
            "(Line 1) (VI_1) VRRPv3 advertisement interval 0.255000s must be in units of 10ms - rounding",
        ),
        (
            "version 3\nadvert_int 50",
            "(Line 1) (VI_1) VRRPv3 advertisement interval 50.00s is out of range. Must be less than 40.96s. Setting to 40.95s",
        ),
        (
            "version 3\nauthentication { auth_type PASS\nauth_pass x }",
            "(Line 1) (VI_1) VRRP version 3 does not support authentication. Ignoring.",
        ),
        (
            "authentication { auth_type PASS }",
            "(Line 1) (VI_1) Authentication specified but no password given. Ignoring",
        ),
        (
            "unicast_src_ip 10.0.0.1",
            "(Line 1) (VI_1) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration.",
        ),
        ("vmac_xmit_base", "(Line 1) (VI_1) vmac_xmit_base is only valid with a vmac"),
    ];
    for (inside, expected) in table {
        assert_eq!(messages(inside), [*expected], "{inside}");
    }
    assert!(instance("state MASTER\nnopreempt").0.unwrap().preempt.enabled);
    assert_eq!(instance("version 3\nadvert_int 50").0.unwrap().advert_int_us, 40_950_000);
    assert_eq!(instance("advert_int 0.3").0.unwrap().advert_int_us, 1_000_000);
}

#[test]
fn what_cannot_run_has_no_model() {
    for (text, expected) in [
        ("vrrp_instance V { interface eth0\n}", "(Line 1) (V) the virtual router id must be set"),
        (
            "vrrp_instance V { virtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}",
            "(Line 1) (V) Unknown interface!",
        ),
        (
            "vrrp_instance V { interface eth0\nvirtual_router_id 1\nversion 3\n}",
            "(Line 1) (V) No VIP specified; at least one is required",
        ),
        (
            "vrrp_instance V { interface nope\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}",
            "Non-existent interface specified in configuration",
        ),
    ] {
        let (config, lines, verdict) = read(text);
        assert!(config.is_none(), "{text}");
        assert_eq!(lines.last().map(String::as_str), Some(expected), "{text}");
        assert_eq!((verdict.exit_code(), verdict.keepalived_exit_code()), (3, 5), "{text}");
    }
    let two = |a, b| {
        format!(
            "vrrp_instance {a} {{ interface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{ 10.0.0.{b} }}\n}}\n"
        )
    };
    let (config, lines, _) = read(&(two("A", 1) + &two("B", 2)));
    assert!(config.is_none());
    assert_eq!(lines, ["A and B both use VRID 51 with IPv4 on interface eth0"]);
}

#[test]
fn a_missing_parameter_ends_keepalived_at_once() {
    let (config, lines, verdict) = read("vrrp_instance V {\ninterface\n}");
    assert!(config.is_none());
    assert_eq!(
        lines[0],
        "(Line 2) *** Configuration line starting `interface` is missing a parameter after keyword `interface` at word position 2"
    );
    assert_eq!(verdict.keepalived_exit_code(), 2);
}

#[test]
fn dynamic_interfaces_wait_for_what_is_not_there() {
    let text = "vrrp_instance V { interface nope\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}\nglobal_defs { dynamic_interfaces }";
    let (config, _, verdict) = read(text);
    assert!(config.is_some());
    assert_eq!(verdict.outcome(), Outcome::Good);
}

#[test]
fn addresses_have_all_their_options() {
    let vip = |line: &str| {
        let text = format!("virtual_ipaddress_excluded {{\n{line}\n}}");
        good(&text).excluded_vips[0].clone()
    };
    let spec = vip("192.168.1.100/24 brd + dev eth1 label eth1:1 scope link no_track");
    assert_eq!((spec.address.to_string(), spec.prefix_len), ("192.168.1.100".into(), 24));
    assert_eq!(spec.broadcast, crate::model::Broadcast::HostBitsSet);
    assert_eq!(
        (spec.dev.as_deref(), spec.label.as_deref(), spec.scope),
        (Some("eth1"), Some("eth1:1"), Some(253))
    );
    assert!(spec.no_track && !spec.flags.nodad);
    let spec = vip("2001:db8::1");
    assert_eq!((spec.prefix_len, spec.preferred_lft_s, spec.flags.nodad), (128, Some(0), true));
    let spec = vip("2001:db8::1/64 -nodad preferred_lft forever home mngtmpaddr noprefixroute autojoin");
    assert_eq!(spec.preferred_lft_s, Some(crate::model::LIFETIME_FOREVER));
    assert!(
        !spec.flags.nodad
            && spec.flags.home
            && spec.flags.mngtmpaddr
            && spec.flags.noprefixroute
            && spec.flags.autojoin
    );
}

#[test]
fn blocks_may_stand_anywhere_on_their_lines() {
    let (config, lines, _) = read(
        "vrrp_instance VI_1{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress\n{\n10.0.0.1}\nauthentication { auth_type PASS\nauth_pass abc } priority 150}",
    );
    assert_eq!(lines, Vec::<String>::new());
    let instance = &config.unwrap().vrrp_instances[0];
    assert_eq!(instance.priority, 150);
    assert_eq!(instance.auth, Authentication::Pass(*b"abc\0\0\0\0\0"));
}

#[test]
fn an_unknown_block_costs_only_itself() {
    let (instance, lines) = instance("zork {\nfoo\n}\npriority 7");
    assert_eq!(lines, ["(Line 2) Unknown keyword 'zork'"]);
    assert_eq!(instance.unwrap().priority, 7);
}

#[test]
fn braces_are_counted() {
    assert_eq!(
        read("vrrp_script a {\nscript /bin/true\n").1,
        ["(Line 2) There are 1 missing '}'s or extra '{'s"]
    );
    assert_eq!(read("}\n").1, ["(Line 1) Extra '}' found"]);
}

#[test]
fn definitions_conditions_and_repetitions() {
    let text = "\
$VIPS= \\
10.0.0.1 \\
10.0.0.2/24
$B=$C
$C=77
vrrp_instance VI_${_INSTANCE} {
 interface eth0
 virtual_router_id 51
 @host1 priority $B
 @^host1 priority 8
 virtual_ipaddress {
  $VIPS
  ~SEQ(N, 3, 4) 10.0.${N}.1
  ~LST({A,D}, {1,2},{3,4}) 10.${A}.0.${D}
 }
 virtual_ipaddress_excluded {
  ~SEQx(H, 0x0e, 0x10) fe80::${H}
 }
}
";
    let (config, lines, _) = read(text);
    assert_eq!(lines, Vec::<String>::new());
    let instance = &config.unwrap().vrrp_instances[0];
    assert_eq!((instance.name.as_str(), instance.priority), ("VI_host1", 77));
    let vips: Vec<String> = instance.vips.iter().map(|vip| vip.address.to_string()).collect();
    assert_eq!(vips, ["10.0.0.1", "10.0.0.2", "10.0.3.1", "10.0.4.1", "10.1.0.2", "10.3.0.4"]);
    let excluded: Vec<String> = instance.excluded_vips.iter().map(|vip| vip.address.to_string()).collect();
    assert_eq!(excluded, ["fe80::e", "fe80::f", "fe80::10"]);
}

#[test]
fn predefined_definitions() {
    for (text, expected) in
        [("${_ENV SITE}", "north"), ("${_RANDOM 5 5}", "5"), ("a${_HASH}b${_BANG}", "a#b!")]
    {
        let expected = format!("(Line 2) (VI_1) unknown state '{expected}', defaulting to BACKUP");
        assert_eq!(messages(&format!("state {text}")), [expected], "{text}");
    }
}

#[test]
fn substitution_that_never_ends_is_an_error() {
    let (_, lines, _) = read("$A=$A x\n$A\n");
    assert_eq!(lines, ["(Line 2) definitions refer to each other without end - ignoring line"]);
    let bomb = "$A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".to_owned()
        + &(0..30).map(|n| format!("$B{}=${{{}}}${{{}}}\n", n + 1, name(n), name(n))).collect::<String>()
        + "$B30\n";
    fn name(n: usize) -> String {
        if n == 0 { "A".into() } else { format!("B{n}") }
    }
    let (_, lines, _) = read(&bomb);
    assert!(lines.iter().any(|line| line.contains("too long")), "{lines:?}");
}

#[test]
fn includes_are_found_from_the_including_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("keepalived.conf", "include conf.d/*.conf\ninclude nothing*.conf\nincludew conf.d/*.none\n");
    write("conf.d/a.conf", "include other\nzork\n");
    write("conf.d/other", "global_defs { router_id ${_PWD} }\n");
    let (config, diagnostics, sources) =
        load_in(&[dir.path().join("keepalived.conf")], &LoadOptions::default(), &Machine);
    assert!(config.is_none(), "includew without a match is an error");
    let lines: Vec<String> = diagnostics.iter().map(|d| KeepalivedStyle.headline(d, &sources)).collect();
    assert!(lines[0].contains("Config files missing 'conf.d/*.none'."), "{lines:?}");
    assert!(lines[1].ends_with("conf.d/a.conf: Line 2) Unknown keyword 'zork'"), "{lines:?}");
    assert_eq!(Verdict::of(&diagnostics).keepalived_exit_code(), 6);
}

#[test]
fn scripts_are_found_checked_and_run_by_somebody() {
    let vrrp = "vrrp_instance V { interface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\ntrack_script { chk weight 5 reverse }\nnotify_master /etc/keepalived/notify.sh master\nnotify_backup \"/etc/keepalived/notify.sh 'a b' c\" nobody\n}\n";
    let script = "vrrp_script chk {\nscript \"systemctl is-active haproxy\"\ninterval 2\ntimeout 2\nfall 3\nrise 2\nweight -20\n}\n";
    let (config, lines, verdict) = read(&format!("{script}{vrrp}"));
    assert_eq!(lines, ["SECURITY VIOLATION - scripts are being executed but script_security not enabled."]);
    assert_eq!((verdict.outcome(), verdict.exit_code()), (Outcome::Security, 6));
    let config = config.unwrap();
    let chk = &config.scripts[0];
    assert_eq!(chk.command.argv, ["/usr/bin/systemctl", "is-active", "haproxy"]);
    assert_eq!(
        (chk.interval_us, chk.timeout_us, chk.rise, chk.fall, chk.weight),
        (2_000_000, 2_000_000, 2, 3, -20)
    );
    let instance = &config.vrrp_instances[0];
    assert_eq!((instance.track.scripts[0].weight, instance.track.scripts[0].reverse), (5, true));
    let master = instance.notify.master.as_ref().unwrap();
    assert_eq!(master.argv, ["/etc/keepalived/notify.sh", "master"]);
    let backup = instance.notify.backup.as_ref().unwrap();
    assert_eq!(backup.argv, ["/etc/keepalived/notify.sh", "a b", "c"]);
    assert_eq!(backup.run_as.uid, 65534);

    let (_, lines, _) = read(&format!("{vrrp}{script}"));
    assert_eq!(lines[0], "(Line 4) (V) track script chk not found, ignoring...");

    let secured = format!("global_defs {{ enable_script_security }}\n{script}{vrrp}");
    let (_, lines, _) = read(&secured);
    assert_eq!(
        lines,
        [
            "(Line 3) Unable to set default user keepalived_script for script",
            "(Line 3) Unable to set default user for vrrp script chk - removing"
        ]
    );
    let unsafe_script = secured
        .replace("enable_script_security", "enable_script_security\nscript_user root\n")
        .replace("systemctl is-active haproxy", "/opt/unsafe.sh");
    assert_eq!(read(&unsafe_script).1, ["(Line 5) Disabling track script chk due to insecure"]);
}

#[test]
fn sync_groups_keep_only_members_that_exist() {
    let one = |name: &str, vrid| {
        format!(
            "vrrp_instance {name} {{ interface eth0\nvirtual_router_id {vrid}\nvirtual_ipaddress {{ 10.0.0.{vrid} }}\ntrack_script {{ a }}\n}}\n"
        )
    };
    let text = "vrrp_script a { script /bin/true\nweight 10\n}\nglobal_defs { enable_script_security\nscript_user root\n}\n".to_owned()
        + &one("V1", 1)
        + &one("V2", 2)
        + "vrrp_sync_group G { group { V1\nV2\nV9\n} }\nvrrp_sync_group H { group { V1 } }\nvrrp_sync_group I { }\n";
    let (config, lines, _) = read(&text);
    assert_eq!(
        lines,
        [
            "Virtual router V9 specified in sync group G doesn't exist - ignoring",
            "Virtual router V1 cannot exist in more than one sync group; ignoring H",
            "Sync group H, no matching virtual router found in group declaration - removing",
            "Sync group I has no virtual router(s). removing",
            "(Line 10) (V1) ignoring tracked script a with weights due to SYNC group",
            "(Line 15) (V2) ignoring tracked script a with weights due to SYNC group",
        ]
    );
    let config = config.unwrap();
    assert_eq!(config.sync_groups.len(), 1);
    assert_eq!(config.sync_groups[0].members, ["V1", "V2"]);
    assert!(config.vrrp_instances[0].track.scripts.is_empty());
}

#[test]
fn routes_and_rules_are_those_of_ip() {
    let instance = good(
        "virtual_routes {\nsrc 10.0.0.1 10.3.0.0/16 via 10.0.0.8 dev eth0 table 5 metric 7 mtu lock 1400\ndefault via 10.0.0.9 dev eth0\nblackhole 10.5.0.0/16\n}\nvirtual_rules {\nfrom 10.0.0.0/8 table 1 priority 5\nto 10.0.0.0/8 blackhole priority 7\n}",
    );
    let route = &instance.routes[0];
    assert_eq!((route.table, route.priority), (Some(5), Some(7)));
    assert_eq!((&*route.metrics[0].name, route.metrics[0].value, route.metrics[0].lock), ("mtu", 1400, true));
    assert_eq!(instance.routes[1].to, None);
    assert_eq!(instance.routes[2].kind, crate::model::RouteType::Blackhole);
    assert_eq!((instance.rules[0].action, instance.rules[0].priority), (RuleAction::Table(1), Some(5)));
    assert_eq!(instance.rules[1].action, RuleAction::Blackhole);
}

#[test]
fn virtual_servers_are_checked_and_told_once_each() {
    let text = "virtual_server 10.0.0.1 80 {\nlb_kind FNAT\nlb_algo rr\npersistence_timeout 0\nnat_mask 1\nreal_server 10.0.0.2 80 {\nHTTP_GET {\nnb_get_retry 3\n}\nTCP_CHECK {\nnb_get_retry 3\n}\n}\n}\n";
    let (config, lines, _) = read(text);
    assert_eq!(
        lines,
        [
            "(Line 2) PARSER : unknown [FNAT] routing method for virtual server.",
            "(Line 4) number '0' outside range [1, 2678400]",
            "(Line 4) persistence_timeout invalid",
            "(Line 5) Unknown keyword 'nat_mask'",
            "(Line 8) nb_get_retry is deprecated - please use 'retry'",
            "(Line 11) Unknown keyword 'nb_get_retry'",
        ]
    );
    assert_eq!(config.unwrap().virtual_servers.len(), 1);
    let (_, diagnostics, _) = load_text(text.as_bytes(), &LoadOptions::default(), &Machine);
    let not_yet = diagnostics.iter().filter(|d| d.code == Some(CODE_UNSUPPORTED)).count();
    assert_eq!(not_yet, 1);
}

#[test]
fn a_typo_finds_its_keyword_and_the_caret_its_place() {
    let text = b"vrrp_instance V {\n  prioritty 100\n}\n";
    let (_, diagnostics, sources) = load_text(text, &LoadOptions::default(), &Machine);
    let first = diagnostics.iter().next().unwrap();
    assert_eq!(
        hacore::diag::render::render(&KeepalivedStyle, first, &sources, true),
        "(keepalived.conf: Line 2) Unknown keyword 'prioritty'\n   |\n 2 |   prioritty 100\n   |   ^^^^^^^^^\n   = help: did you mean 'priority'?\n"
    );
}

/// A file of the shared folder beside the workspace, if it is there.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    Some(root.join(path)).filter(|path| path.exists())
}

#[test]
fn every_keyword_of_keepalived_is_known() {
    let Some(path) = shared("keywords/keepalived-keywords.tsv") else {
        println!("skipped: no keyword list beside the workspace");
        return;
    };
    let ours = keywords();
    let text = std::fs::read_to_string(path).unwrap();
    let mut missing = Vec::new();
    for line in text.lines().skip(1) {
        let mut columns = line.split('\t');
        let (block, keyword) = (columns.next().unwrap(), columns.next().unwrap());
        let (block, value) = match block.strip_suffix(" (value block)") {
            Some(block) => (block, true),
            None => (block, false),
        };
        let block = match block {
            "(syntax)" => continue,
            "(top level)" => "",
            "vrrp_track_file" => "track_file",
            other => other,
        };
        // `<ADDR>[/LEN]` and its like are the values themselves.
        let is_value = value && (keyword.starts_with('<') || keyword.starts_with('['));
        let is_known = |name: &str| {
            ours.iter().any(|k| k.block == block && k.name.split('|').any(|known| known == name))
        };
        let names = keyword.trim_start_matches("[to] ").split('|').filter(|name| *name != "...");
        if !is_value
            && !names
                .into_iter()
                .all(|name| is_known(name) || value && block.starts_with("virtual_server_group"))
        {
            missing.push(format!("{block}/{keyword}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
