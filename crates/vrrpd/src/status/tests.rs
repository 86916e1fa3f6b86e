//! The texts, read as the programs read them that people have.

use std::collections::BTreeMap;

use super::*;
use crate::runtime::build;
use crate::track::Condition;
use crate::vrrp::{Effect, Event, Steering, Tracker};

const CONFIGURATION: &str = "vrrp_script chk {
    script /bin/true
    weight 10
}
vrrp_instance VI_1 {
    interface lo
    virtual_router_id 51
    priority 150
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress {
        10.0.0.1/24 brd 10.0.0.255
        10.0.0.2
    }
    virtual_ipaddress_excluded {
        10.0.0.3/24
    }
    track_script {
        chk
    }
}
";

/// A master for 10 s.
struct Scene {
    config: Config,
    routers: Vec<Router>,
    conditions: BTreeMap<Tracker, Condition>,
    life: Life,
    interfaces: crate::netlink::Interfaces,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keepalived.conf");
        std::fs::write(&file, CONFIGURATION).unwrap();
        let (config, diagnostics, _) = crate::config::load(&[file], &crate::config::LoadOptions::default());
        let config = config.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let mut router = Router::new(build::settings(&config, 0).remove(0));
        let tracker = Tracker::Script("chk".into());
        let track = Event::Track { tracker: tracker.clone(), effect: Effect::Weight(10) };
        let mut out = Vec::new();
        for event in [Event::Source(Some("10.0.0.9".parse().unwrap())), track, Event::Start] {
            router.step(event, 0, &mut out);
        }
        let at_us = router.next_deadline_us().unwrap();
        router.step(Event::Timer, at_us, &mut out);
        let life = Life { config_file: "/etc/keepalived/keepalived.conf".into(), ..Life::default() };
        Self {
            config,
            routers: vec![router],
            conditions: BTreeMap::from([(tracker, Condition::Good)]),
            life,
            interfaces: Default::default(),
        }
    }

    fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            routers: &self.routers,
            groups: &[],
            conditions: &self.conditions,
            life: &self.life,
            interfaces: &self.interfaces,
            sockets: &[],
            clocks: Clocks { monotonic_us: 20_000_000, wall_us: 1_795_375_620_000_000 },
        }
    }
}

/// How both known exporters read `keepalived.data`: blocks begin with one blank and a title, their fields with three.
fn fields<'t>(text: &'t str, title: &str) -> BTreeMap<&'t str, Vec<&'t str>> {
    let mut out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut inside, mut key) = (false, "");
    for line in text.lines() {
        if line.starts_with(&format!(" {title} = ")) {
            inside = true;
        } else if inside && line.starts_with("     ") {
            out.entry(key).or_default().push(line.trim());
        } else if inside && line.starts_with("   ") {
            let (name, value) = line
                .trim()
                .split_once('=')
                .or_else(|| line.trim().split_once(':'))
                .unwrap_or((line.trim(), ""));
            key = name.trim();
            out.entry(key).or_default().push(value.trim());
        } else {
            inside = false;
        }
    }
    out
}

#[test]
fn exporters_find_what_they_look_for_in_the_data() {
    let scene = Scene::new();
    let text = data_text(&scene.view());
    let instance = fields(&text, "VRRP Instance");
    let field = |name: &str| instance.get(name).map(|values| values.concat()).unwrap_or_default();
    assert_eq!(field("State"), "MASTER");
    assert_eq!(field("Wantstate"), "MASTER");
    assert_eq!(field("Interface"), "lo");
    assert_eq!(field("Virtual Router ID"), "51");
    assert_eq!(field("Gratuitous ARP delay"), "5");
    let moment = field("Last transition");
    assert!(
        moment.split(' ').next().unwrap().parse::<f64>().is_ok_and(|at| at > 1_795_375_600.0),
        "{moment}"
    );
    let addresses = instance.get("Virtual IP (2)").unwrap();
    assert_eq!(addresses[1], "10.0.0.1/24 brd 10.0.0.255 dev lo scope global set");
    assert_eq!(addresses[2], "10.0.0.2 dev lo scope global set");
    let script = fields(&text, "VRRP Script");
    assert_eq!((script["Status"][0], script["State"][0]), ("GOOD", "idle"));
    assert!(!text.contains("secret"), "a dump is no place for a password");
}

#[test]
fn status_says_who_holds_what_and_why() {
    let mut scene = Scene::new();
    let text = overview(&scene.view());
    for line in [
        "1 master, 0 backup, 0 fault",
        "VI_1: MASTER for 16.6 s, priority 160 (configured 150, script chk +10)",
        "  VRRPv2 multicast, router id 51 on lo from 10.0.0.9, an advert every 1 s",
        "  holds 10.0.0.3/24 dev lo scope global",
    ] {
        assert!(text.lines().any(|other| other == line), "no '{line}' in:\n{text}");
    }
    scene.routers[0].step(Event::Steer(Steering::Drained), 15_000_000, &mut Vec::new());
    let text = overview(&scene.view());
    assert!(text.contains("VI_1: BACKUP for 5.0 s, priority 1 (configured 150, script chk +10)"), "{text}");
    assert!(text.contains("  handing over: keeps the addresses until the new master is heard"), "{text}");
    assert!(text.contains("  drained by hand"), "{text}");
}

#[test]
fn every_sample_has_the_head_of_its_family_before_it() {
    let scene = Scene::new();
    let text = metrics(&scene.view());
    let mut family = "";
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            assert_eq!(line.split(['{', ' ']).next(), Some(family), "{line}");
        }
    }
    assert!(text.contains("keepalived_script_status{name=\"chk\"} 1\n"));
    let json: serde_json::Value = serde_json::from_str(&json_text(&scene.view())).unwrap();
    assert_eq!(json[0]["vrrpd"]["trackers"][1]["condition"], "good");
    assert_eq!(json[0]["data"]["evips"][0], "10.0.0.3/24 dev lo scope global set");
}

#[test]
fn dumps_go_into_folders_and_carry_the_instance_in_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |path: &Path, names| dump_path(path, DATA_FILE, names);
    assert_eq!(path(Path::new(DATA_FILE), [None, None]), Path::new("/tmp/keepalived.data"));
    assert_eq!(path(folder.path(), [None, None]), folder.path().join("keepalived.data"));
    let named = path(Path::new(DATA_FILE), [Some("a"), Some("ns")]);
    assert_eq!(named, Path::new("/tmp/keepalived_a_ns.data"));
}
