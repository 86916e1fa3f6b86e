//! `keepalived.data`: configuration and state in the format of keepalived 2.2.7, which exporters parse. Left out are its
//! sections about sockets and interfaces, and lines about what is not here.

use std::fmt::Write;

use hacore::time::local_time;

use crate::model::{
    Authentication, CommandLine, GlobalDefs, NotifyScripts, RouteSpec, RuleAction, RuleSpec, RunAs, TrackSet,
    Version, VrrpInstance,
};
use crate::track::Condition;
use crate::vrrp::{Router, State, Tracker};

use super::stats::{address_text, wanted_state};
use super::view::View;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// The whole text.
pub(super) fn data(view: &View<'_>) -> String {
    let mut out = Lines(String::new());
    out.global(&view.config.global);
    out.line("------< VRRP Topology >------");
    for (index, model) in view.config.vrrp_instances.iter().enumerate() {
        out.instance(view, model, view.routers.get(index));
    }
    out.groups(view);
    out.scripts(view);
    out.files(view);
    out.processes(view);
    out.0
}

struct Lines(String);

fn on(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Seconds without needless decimals.
fn seconds(us: u64) -> String {
    (us as f64 / 1e6).to_string()
}

/// `'/bin/true' 'a'`.
pub(super) fn command_text(command: &CommandLine) -> String {
    command.argv.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

fn ids(run_as: RunAs) -> String {
    format!("{}:{}", run_as.uid, run_as.gid)
}

/// `1795378145.465406 (Sun Nov 22 20:09:05.465406 2026)`.
fn moment(wall_seconds: f64) -> String {
    let at = local_time(wall_seconds as i64);
    let micros = (wall_seconds.fract() * 1e6) as u32;
    format!(
        "{wall_seconds:.6} ({} {} {:2} {:02}:{:02}:{:02}.{micros:06} {})",
        WEEKDAYS.get(usize::from(at.weekday)).copied().unwrap_or("---"),
        at.month_name(),
        at.day,
        at.hour,
        at.minute,
        at.second,
        at.year
    )
}

impl Lines {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "   {name} = {value}");
    }

    fn list(&mut self, title: &str, entries: impl IntoIterator<Item = String>) {
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_some() {
            self.line(format!("   {title} :"));
            entries.for_each(|entry| self.line(format!("     {entry}")));
        }
    }

    fn global(&mut self, global: &GlobalDefs) {
        self.line("------< Global definitions >------");
        let namespace = global.net_namespace.as_deref().unwrap_or("(default)");
        self.line(format!(" Network namespace = {namespace}"));
        if let Some(name) = &global.instance_name {
            self.line(format!(" Instance name = {name}"));
        }
        self.line(format!(" Router ID = {}", global.router_id));
        if let Some(server) = &global.mail.server {
            self.line(format!(" Smtp server = {server}"));
            self.line(format!(" Smtp server port = {}", global.mail.port));
        }
        self.line(format!(" Smtp server connection timeout = {}", seconds(global.mail.connect_timeout_us)));
        if let Some(from) = &global.mail.from {
            self.line(format!(" Email notification from = {from}"));
        }
        if !global.mail.to.is_empty() {
            self.line(" Email notification to:");
            global.mail.to.iter().for_each(|to| self.line(format!("   {to}")));
        }
        self.line(format!(" Default interface = {}", global.default_interface));
        self.line(format!(" VRRP IPv4 mcast group = {}", global.vrrp_mcast_group4));
        self.line(format!(" VRRP IPv6 mcast group = {}", global.vrrp_mcast_group6));
        self.line(format!(" Gratuitous ARP interval = {:.6}", global.garp_interval.garp_us as f64 / 1e6));
        self.line(format!(" Gratuitous NA interval = {:.6}", global.garp_interval.gna_us as f64 / 1e6));
        self.line(format!(" Script security {}", on(global.script_security)));
        self.line(format!(" Default script uid:gid {}", ids(global.script_user)));
    }

    fn instance(&mut self, view: &View<'_>, model: &VrrpInstance, router: Option<&Router>) {
        self.line(format!(" VRRP Instance = {}", model.name));
        self.value("VRRP Version", model.version.number());
        if let Some((group, _)) = view.group_of(&model.name) {
            self.value("Sync group", &group.name);
        }
        if let Some(router) = router {
            self.state(view, router);
        }
        self.value("Wantstate", wanted_state(model, router).name());
        if let Some(router) = router {
            self.value("Last transition", moment(view.clocks.wall_seconds(router.since_us())));
        }
        self.value("Interface", model.interface.as_deref().unwrap_or("none"));
        if let Some(source) = router.and_then(Router::source) {
            let origin = if model.source_address.is_some() { " (from configuration)" } else { "" };
            self.value("Using src_ip", format!("{source}{origin}"));
        }
        if model.unicast.is_none() {
            self.line(format!("   Multicast address {}", model.multicast_group));
        }
        self.settings(model, router);
        self.addresses(model, router.is_some_and(Router::holds_addresses));
        self.tracked(&model.track);
        self.notification(&model.notify);
    }

    fn state(&mut self, view: &View<'_>, router: &Router) {
        self.value("State", router.state().name());
        if let Some((address, priority)) = router.master().filter(|_| router.state() == State::Backup) {
            self.value("Master router", address);
            self.value("Master priority", priority);
        }
        let faults = router.faults().count();
        self.value("Number of interface and track script faults", faults);
        if let Some(at_us) = router.next_deadline_us() {
            self.value("Read timeout", moment(view.clocks.wall_seconds_ahead(at_us)));
        }
        self.value("Master down timer", format!("{} usecs", router.master_down_interval_us()));
    }

    fn settings(&mut self, model: &VrrpInstance, router: Option<&Router>) {
        let garp = &model.garp;
        self.value("Gratuitous ARP delay", seconds(garp.master_delay_us));
        self.value("Gratuitous ARP repeat", garp.master_repeat);
        self.value("Gratuitous ARP refresh", seconds(garp.master_refresh_us));
        self.value("Gratuitous ARP refresh repeat", garp.master_refresh_repeat);
        self.value("Gratuitous ARP lower priority delay", seconds(garp.lower_prio_delay_us));
        self.value("Gratuitous ARP lower priority repeat", garp.lower_prio_repeat);
        self.value("Down timer adverts", model.down_timer_adverts);
        self.value("Send advert after receive lower priority advert", !model.lower_prio_no_advert);
        self.value("Send advert after receive higher priority advert", model.higher_prio_send_advert);
        self.value("Virtual Router ID", model.vrid);
        self.value("Priority", model.priority);
        let effective = router.map_or(model.priority, Router::priority);
        self.value("Effective priority", effective);
        self.value("Total priority", effective);
        self.value(
            "Advert interval",
            match model.version {
                Version::V2 => format!("{} sec", seconds(model.advert_int_us)),
                Version::V3 => format!("{} milli-sec", model.advert_int_us / 1000),
            },
        );
        self.value("Accept", on(model.accept));
        self.value("Preempt", on(model.preempt.enabled));
        if model.preempt.delay_us > 0 {
            self.value("Preempt delay", format!("{} secs", seconds(model.preempt.delay_us)));
        }
        self.value("Promote_secondaries", on(model.promote_secondaries));
        match model.auth {
            Authentication::None => {}
            // The secret is nobody's business: the file is read by exporters.
            Authentication::Pass(_) => self.value("Authentication type", "SIMPLE_PASSWORD"),
            Authentication::Ah(_) => self.value("Authentication type", "IPSEC_AH"),
        }
    }

    fn addresses(&mut self, model: &VrrpInstance, held: bool) {
        if !model.vips.is_empty() {
            self.line(format!("   Virtual IP ({}):", model.vips.len()));
        }
        for spec in &model.vips {
            self.line(format!("     {}", address_text(spec, model.device_of(spec), held)));
        }
        self.list(
            "Virtual IP Excluded",
            model.excluded_vips.iter().map(|spec| address_text(spec, model.device_of(spec), held)),
        );
        if let Some(unicast) = &model.unicast {
            if let Some(ttl) = unicast.ttl {
                self.value("Unicast TTL", ttl);
            }
            self.line(format!("   Check unicast src : {}", yes(model.check_unicast_source)));
            self.list("Unicast Peer", unicast.peers.iter().map(|peer| peer.address.to_string()));
        }
        self.list("Virtual Routes", model.routes.iter().map(route_text));
        self.list("Virtual Rules", model.rules.iter().map(rule_text));
    }

    fn tracked(&mut self, track: &TrackSet) {
        self.list(
            "Tracked interfaces",
            track.interfaces.iter().map(|t| format!("{} weight {}", t.name, t.weight)),
        );
        self.list("Tracked scripts", track.scripts.iter().map(|t| format!("{} weight {}", t.name, t.weight)));
        self.list("Tracked files", track.files.iter().map(|t| format!("{}, weight {}", t.name, t.weight)));
        self.list(
            "Tracked processes",
            track.processes.iter().map(|t| format!("{}, weight {}", t.name, t.weight)),
        );
        self.list(
            "Tracked proxies",
            track.proxies.iter().map(|t| format!("{}, weight {}", t.name(), t.weight)),
        );
    }

    fn notification(&mut self, notify: &NotifyScripts) {
        self.value("Using smtp notification", yes(notify.smtp_alert));
        self.value("Notify deleted", if notify.says_deleted { "Deleted" } else { "Fault" });
        self.scripts_of(notify);
        self.value("Notify priority changes", notify.priority_changes);
    }

    fn scripts_of(&mut self, notify: &NotifyScripts) {
        for (title, command) in [
            ("Backup state transition script", &notify.backup),
            ("Master state transition script", &notify.master),
            ("Fault state transition script", &notify.fault),
            ("Stop state transition script", &notify.stop),
            ("Deleted state transition script", &notify.deleted),
            ("Generic state transition script", &notify.any),
            ("Master rx lower pri script", &notify.master_rx_lower_pri),
        ] {
            if let Some(command) = command {
                self.value(title, format!("{}, uid:gid {}", command_text(command), ids(command.run_as)));
            }
        }
    }

    fn groups(&mut self, view: &View<'_>) {
        if view.config.sync_groups.is_empty() {
            return;
        }
        self.line("------< VRRP Sync groups >------");
        for model in &view.config.sync_groups {
            let state = view.groups.iter().find(|group| group.name == model.name);
            let state = state.map_or("INIT", |group| group.state.name());
            self.line(format!(" VRRP Sync Group = {}, {state}", model.name));
            self.list("VRRP member instances", model.members.iter().cloned());
            self.value("Using smtp notification", yes(model.notify.smtp_alert));
            self.scripts_of(&model.notify);
        }
    }

    fn followers(&mut self, view: &View<'_>, of: impl Fn(&TrackSet) -> Option<i32>) {
        let instances = view.config.vrrp_instances.iter();
        let lines =
            instances.filter_map(|model| Some(format!("{}, weight {}", model.name, of(&model.track)?)));
        self.list("Tracking instances", lines.collect::<Vec<_>>());
    }

    fn scripts(&mut self, view: &View<'_>) {
        if view.config.scripts.is_empty() {
            return;
        }
        self.line("------< VRRP Scripts >------");
        for script in &view.config.scripts {
            let condition = view.conditions.get(&Tracker::Script(script.name.clone()));
            self.line(format!(" VRRP Script = {}", script.name));
            self.value("Command", command_text(&script.command));
            self.value("Interval", format!("{} sec", seconds(script.interval_us)));
            self.value("Timeout", format!("{} sec", seconds(script.timeout_us)));
            self.value("Weight", script.weight);
            self.value("Rise", script.rise);
            self.value("Fall", script.fall);
            self.value("Init state", if script.init_fail { "failed" } else { "unknown" });
            self.value(
                "Status",
                match condition {
                    Some(Condition::Good) => "GOOD",
                    Some(Condition::Bad) => "BAD",
                    _ => "INIT",
                },
            );
            self.value("Script uid:gid", ids(script.command.run_as));
            let name = &script.name;
            self.followers(view, |set| set.scripts.iter().find(|t| t.name == *name).map(|t| t.weight));
            self.value("State", "idle");
        }
    }

    fn files(&mut self, view: &View<'_>) {
        if view.config.track_files.is_empty() {
            return;
        }
        self.line("------< VRRP Track files >------");
        for file in &view.config.track_files {
            self.line(format!(" Track file = {}", file.name));
            self.value("File", &file.path);
            if let Some(Condition::Value(value)) = view.conditions.get(&Tracker::File(file.name.clone())) {
                self.value("Status", value);
            }
            self.value("Weight", file.weight);
            let name = &file.name;
            self.followers(view, |set| set.files.iter().find(|t| t.name == *name).map(|t| t.weight));
        }
    }

    fn processes(&mut self, view: &View<'_>) {
        if view.config.track_processes.is_empty() {
            return;
        }
        self.line("------< VRRP Track processes >------");
        for process in &view.config.track_processes {
            let condition = view.conditions.get(&Tracker::Process(process.name.clone()));
            self.line(format!(" VRRP Track process = {}", process.name));
            self.value("Process", &process.process);
            if !process.parameters.is_empty() {
                self.value("Parameters", process.parameters.join(" "));
            }
            self.value("Min processes", process.quorum);
            if let Some(max) = process.quorum_max {
                self.value("Max processes", max);
            }
            self.value("Have quorum", condition == Some(&Condition::Good));
            self.value("Weight", process.weight);
            self.value("Terminate delay", format!("{:.6}s", process.terminate_delay_us as f64 / 1e6));
            self.value("Fork delay", format!("{:.6}s", process.fork_delay_us as f64 / 1e6));
            self.value("Full command", process.full_command);
            let name = &process.name;
            self.followers(view, |set| set.processes.iter().find(|t| t.name == *name).map(|t| t.weight));
        }
    }
}

fn prefix(to: Option<(std::net::IpAddr, u8)>) -> String {
    to.map_or_else(|| "default".to_owned(), |(address, length)| format!("{address}/{length}"))
}

/// The main words of a route.
pub fn route_text(spec: &RouteSpec) -> String {
    let mut out = format!("{} {}", format!("{:?}", spec.insert).to_lowercase(), prefix(spec.to));
    if let Some(via) = spec.via {
        let family = if via.address.is_ipv6() { "inet6" } else { "inet" };
        let _ = write!(out, " via {family} {}", via.address);
    }
    for (word, value) in [
        ("dev", spec.dev.clone()),
        ("src", spec.source.map(|source| source.to_string())),
        ("metric", spec.priority.map(|priority| priority.to_string())),
        ("table", spec.table.map(|table| table.to_string())),
        ("proto", Some(spec.protocol.unwrap_or(crate::netlink::route::PROTOCOL_KEEPALIVED).to_string())),
    ] {
        if let Some(value) = value {
            let _ = write!(out, " {word} {value}");
        }
    }
    out
}

/// The main words of a rule.
pub fn rule_text(spec: &RuleSpec) -> String {
    let mut out = String::new();
    if spec.invert {
        out.push_str("not ");
    }
    let _ = write!(out, "from {}", spec.from.map_or_else(|| "all".to_owned(), |from| prefix(Some(from))));
    if let Some(to) = spec.to {
        let _ = write!(out, " to {}", prefix(Some(to)));
    }
    if let Some(priority) = spec.priority {
        let _ = write!(out, " priority {priority}");
    }
    let protocol = spec.protocol.unwrap_or(crate::netlink::route::PROTOCOL_KEEPALIVED);
    let _ = write!(out, " tos {:#x} protocol {protocol}", spec.tos.unwrap_or(0));
    match spec.action {
        RuleAction::Table(table) => {
            let _ = write!(out, " lookup {table}");
        }
        RuleAction::Goto(preference) => {
            let _ = write!(out, " goto {preference}");
        }
        RuleAction::Unspecified => {}
        other => {
            let _ = write!(out, " {}", format!("{other:?}").to_lowercase());
        }
    }
    out
}
