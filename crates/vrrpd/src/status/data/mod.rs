//! `keepalived.data`: configuration and state in the format of keepalived 2.2.7, which exporters parse. Passwords are left out,
//! because the file is read by others, and so are lines about what is not here.

mod global;
mod host;
mod instance;
mod text;

use std::fmt::Write;

use hacore::time::local_time;

use crate::model::{CommandLine, NotifyScripts, RunAs, TrackSet};
use crate::track::Condition;
use crate::vrrp::{State, Tracker};

use super::view::View;

pub use text::{address_text, route_text, rule_text};

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// The whole text.
pub(super) fn data(view: &View<'_>) -> String {
    let mut out = Lines(String::new());
    out.global(&view.config.global);
    out.garp_groups(view);
    out.static_things(view);
    out.line("------< VRRP Topology >------");
    for (index, model) in view.config.vrrp_instances.iter().enumerate() {
        out.instance(view, model, view.routers.get(index));
    }
    if view.is_running() {
        out.sockets(view);
    }
    out.groups(view);
    out.scripts(view);
    out.files(view);
    out.processes(view);
    if view.is_running() {
        out.interfaces(view);
    }
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
fn plain_seconds(us: u64) -> String {
    (us as f64 / 1e6).to_string()
}

/// Seconds with all decimals.
fn seconds(us: u64) -> String {
    format!("{:.6}", us as f64 / 1e6)
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
            let members =
                || view.routers.iter().filter(|router| model.members.contains(&router.settings().name));
            let fault = members().filter(|router| router.has_own_fault()).count();
            let init = members().filter(|router| router.state() == State::Init).count();
            self.line(format!("   Num member fault {fault}, num member init {init}"));
            self.list("VRRP member instances", model.members.iter().cloned());
            if model.tracking_weight {
                self.line("   sync_group_tracking_weight set");
            }
            self.value("Using smtp notification", yes(model.notify.smtp_alert));
            self.tracked(&model.track);
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
            self.value("Interval", format!("{} sec", plain_seconds(script.interval_us)));
            self.value("Timeout", format!("{} sec", plain_seconds(script.timeout_us)));
            self.value("Weight", script.weight);
            self.value("Rise", script.rise);
            self.value("Fall", script.fall);
            self.value("Insecure", "no");
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
