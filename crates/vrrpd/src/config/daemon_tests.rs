//! Keywords about the daemon's process, its files, static things and late wake-ups, and verdicts on lines that are cut off.
//! The messages were recorded from keepalived 2.4.3 `-t`.

use super::tests::{Machine, good, messages, read};
use super::*;
use crate::model::{Encapsulation, UnicastChecksum};

#[test]
fn timer_expired_backup_needs_nopreempt_and_a_priority_of_another_router() {
    assert_eq!(good("nopreempt\ntimer_expired_backup 150").timer_expired_backup, Some(Some(150)));
    assert_eq!(good("nopreempt\ntimer_expired_backup").timer_expired_backup, Some(None));
    assert_eq!(
        messages("timer_expired_backup 150"),
        ["(VI_1) expired_timer_backup requires nopreempt - resetting"]
    );
    assert_eq!(
        messages("nopreempt\nthread_timer_expired 150"),
        ["(Line 3) (VI_1) thread_timer_expired - please replace with keyword 'timer_expired_backup'"]
    );
    assert!(
        messages("nopreempt\ntimer_expired_backup 255").contains(
            &"(Line 3) (VI_1) timer_expired_backup highest_other_priority not valid! must be between 1 & 254"
                .to_owned()
        )
    );
}

#[test]
fn a_track_group_has_members_and_what_names_it_an_interface() {
    let text = "track_group G {
 group {
  VI_1
 }
}
track_group G {
 group {
  VI_1
 }
}
track_group I {
 group {
 }
}
static_ipaddress {
 10.78.0.2/24 dev eth0 track_group X
 10.78.0.1/24 dev eth1 track_group G
}
static_routes {
 10.2.0.0/24 via 10.77.0.5 track_group G
 10.4.0.0/24 via 10.77.0.5 dev eth0 track_group G
}
static_rules {
 from 10.1.0.0/16 table 100 priority 400 track_group G
}
";
    let (config, lines, _) = read(text);
    assert_eq!(
        lines,
        [
            "(Line 6) track_group G already defined",
            "(Line 11) Warning - track group I has empty group block",
            "(Line 16) track_group X not found",
            "(Line 20) Static route cannot have track group if no oif specified",
            "(Line 24) Static rule cannot have track_group if dev/iif not specified",
        ]
    );
    let config = config.unwrap();
    assert_eq!(config.static_interfaces_of("VI_1"), ["eth0", "eth1"]);
    assert_eq!(config.static_interfaces_of("VI_2"), Vec::<&str>::new());
}

#[test]
fn scripts_get_the_groups_of_their_user_when_that_is_asked_for() {
    let text = |global: &str| {
        format!(
            "global_defs {{\nscript_user nobody\nenable_script_security\n{global}\n}}\nvrrp_instance VI_1 {{\ninterface eth0\n\
             virtual_router_id 51\nnotify /bin/true\nvirtual_ipaddress {{\n10.0.0.5\n}}\n}}\n"
        )
    };
    let groups = |global: &str| {
        let (config, ..) = read(&text(global));
        config.unwrap().vrrp_instances.remove(0).notify.any.unwrap().groups
    };
    assert_eq!(groups(""), Vec::<u32>::new());
    assert_eq!(groups("set_supplementary_groups"), [65534, 4]);
    assert_eq!(groups("set_supplementary_groups off"), Vec::<u32>::new());
}

#[test]
fn include_check_makes_every_include_of_its_file_strict() {
    let dir = tempfile::tempdir().unwrap();
    let fatal = |checks: &str, include: &str| {
        let file = dir.path().join("keepalived.conf");
        std::fs::write(&file, format!("global_defs {{\n{checks}\n}}\ninclude {include}\n")).unwrap();
        let (_, diagnostics, _) = load_in(&[file], &LoadOptions::default(), &Machine);
        diagnostics.iter().any(|diagnostic| diagnostic.code == Some(CODE_INCLUDE))
    };
    let (missing, pattern) = ("/no/such/file", "/no/such/*.conf");
    assert!(!fatal("", missing) && !fatal("", pattern));
    assert!(fatal("include_check", missing) && fatal("include_check", pattern));
    assert!(fatal("include_check readable", missing) && !fatal("include_check readable", pattern));
    assert!(fatal("include_check wildcard_match", pattern));
    assert!(!fatal("include_check\ninclude_check -wildcard_match brace_match match", pattern));
    assert!(fatal("include_check +match", missing));
}

#[test]
fn iproute_folders_are_where_names_are_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rt_tables"), "100 mine\n").unwrap();
    let text = format!(
        "static_routes {{\n10.0.0.0/8 dev eth0 table mine\n}}\nglobal_defs {{\niproute_etc_dir {}\n}}\n",
        dir.path().display()
    );
    let (config, lines, _) = read(&text);
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(config.unwrap().static_routes[0].table, Some(100));
}

#[test]
fn routes_may_wrap_their_packets_and_belong_to_a_vrf() {
    let text = "static_routes {
 10.1.0.0/24 via 10.77.0.2 dev eth0 encap mpls 100/200 ttl 9 metric 5
 10.2.0.0/24 dev eth0 vrf blue ttl-propagate disabled
 10.3.0.0/24 dev eth0 encap gre 5
 10.4.0.0/24 as to 10.5.0.0 dev eth0
}
";
    let (config, lines, _) = read(text);
    assert_eq!(
        lines,
        [
            "(Line 4) unknown encap type - gre",
            "(Line 4) unknown route keyword 5",
            "(Line 5) \"as to\" for MPLS only - ignoring"
        ]
    );
    let routes = config.unwrap().static_routes;
    assert_eq!(routes[0].encap, Some(Encapsulation::Mpls { labels: vec![100, 200], ttl: Some(9) }));
    assert_eq!(routes[0].priority, Some(5), "the words after it are the route's");
    assert_eq!((routes[1].vrf.as_deref(), routes[1].ttl_propagate), (Some("blue"), Some(false)));
}

#[test]
fn an_ipvlan_has_one_name_one_address_and_one_mode() {
    let instance = good("use_ipvlan iv0 10.0.0.9/24 private group 7");
    let ipvlan = instance.ipvlan.unwrap();
    assert_eq!((ipvlan.name.as_deref(), ipvlan.group), (Some("iv0"), Some(7)));
    assert_eq!(ipvlan.address, Some(("10.0.0.9".parse().unwrap(), 24)));
    assert_eq!(
        messages("use_ipvlan a_name_that_is_too_long_for_it 10.77.0.5 10.77.0.6 bridge private"),
        [
            "(Line 2) (VI_1) IPVLAN interface name 'a_name_that_is_too_long_for_it' too long - ignoring",
            "(Line 2) (VI_1) ipvlan address already specified - ignoring '10.77.0.6'",
            "(Line 2) (VI_1) ipvlan type already specified - ignoring 'private'",
        ]
    );
}

#[test]
fn unicast_checksums_are_of_three_minds() {
    let checksum = |word: &str| {
        let unicast = format!("unicast_peer {{\n10.0.0.9\n}}\n{word}");
        good(&unicast).unicast.unwrap().checksum
    };
    assert_eq!(checksum(""), UnicastChecksum::Auto);
    assert_eq!(checksum("old_unicast_checksum"), UnicastChecksum::Old);
    assert_eq!(checksum("old_unicast_checksum never"), UnicastChecksum::Never);
}

#[test]
fn umask_takes_names_for_all_bits_of_a_class() {
    let umask = |text: &str| read(&format!("global_defs {{\numask {text}\n}}\n")).0.unwrap().global.umask;
    assert_eq!(umask("IRWXG|IWOTH"), Some(0o072));
    assert_eq!(umask("022"), Some(0o022));
}

#[test]
fn state_master_with_a_header_is_no_good_and_said_so() {
    let lines = messages("state MASTER\nauthentication {\nauth_type AH\nauth_pass secret\n}");
    assert_eq!(lines, ["(VI_1) Initial state master is incompatible with AH authentication - clearing"]);
}

#[test]
fn a_line_with_an_open_quote_is_left_out_and_nothing_else() {
    let (config, lines, verdict) = read(
        "global_defs {\nrouter_id \"north\n}\nvrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {\n10.0.0.5\n}\n}\n",
    );
    assert_eq!(lines, ["(Line 2) Unmatched quote: 'router_id \"north'"]);
    assert_eq!((verdict.exit_code(), verdict.keepalived_exit_code()), (4, 5));
    assert_eq!(config.unwrap().vrrp_instances.len(), 1);
}

/// keepalived looks at no script before all interfaces are there.
#[test]
fn a_missing_interface_counts_before_script_security() {
    let instance = |interface: &str| {
        format!(
            "vrrp_script chk {{\nscript /bin/true\n}}\nvrrp_instance VI_1 {{\ninterface {interface}\nvirtual_router_id 51\n\
             track_script {{\nchk\n}}\nvirtual_ipaddress {{\n10.0.0.5\n}}\n}}\n"
        )
    };
    assert_eq!(read(&instance("eth0")).2.keepalived_exit_code(), 6);
    assert_eq!(read(&instance("eth7")).2.keepalived_exit_code(), 5);
}

#[test]
fn a_service_told_by_its_mark_has_no_protocol() {
    let (_, lines, _) =
        read("virtual_server fwmark 1 {\nlvs_sched rr\nprotocol TCP\nreal_server 10.0.0.1 80 {\n}\n}\n");
    assert_eq!(
        lines,
        ["Warning: Virtual server FWM 1: protocol specified for fwmark - protocol will be ignored"]
    );
}

/// Any line may be missing, or end early: there is a verdict, never a panic.
#[test]
fn a_file_with_a_line_cut_is_read_to_its_end() {
    let text = include_str!("../../../../etc/vrrpd/keepalived.conf");
    let lines: Vec<&str> = text.lines().collect();
    for cut in 0..lines.len() {
        for keep in [0, lines[cut].len() / 2] {
            let mut lines: Vec<&str> = lines.clone();
            lines[cut] = lines[cut].get(..keep).unwrap_or_default();
            let text = lines.join("\n");
            let (config, _, verdict) = read(&text);
            assert_eq!(config.is_none(), verdict.exit_code() == 3, "line {}", cut + 1);
        }
    }
}
