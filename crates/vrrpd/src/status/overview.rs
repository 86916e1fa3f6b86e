//! `vrrpd ctl status`: who holds what, since when, and why, for people.

use std::fmt::Write;

use crate::model::VrrpInstance;
use crate::version;
use crate::vrrp::{Effect, Rival, Router, State, Steering, rival::Outcome};

use super::data::address_text;
use super::view::{View, tracker_name};

/// The whole text.
pub fn overview(view: &View<'_>) -> String {
    let mut out = String::new();
    let life = view.life;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}, process {}, up {}",
        version::title(),
        std::process::id(),
        duration(view.clocks.since_us(life.started_us))
    );
    let _ = writeln!(out, "{}, read {} ago", life.config_file, duration(view.clocks.since_us(life.read_us)));
    if let Some((at_us, reason)) = &life.refused {
        let ago = duration(view.clocks.since_us(*at_us));
        let _ = writeln!(out, "LAST RELOAD REFUSED {ago} ago, the file of before is in use: {reason}");
    }
    let _ = writeln!(out, "{}", summary(view.routers));
    for (model, router) in view.config.vrrp_instances.iter().zip(view.routers) {
        out.push('\n');
        instance(view, model, router, &mut out);
    }
    out
}

/// One line with the number of instances by state; the service manager shows it, too.
pub fn summary(routers: &[Router]) -> String {
    let count = |state| routers.iter().filter(|router| router.state() == state).count();
    let mut out = format!(
        "{} master, {} backup, {} fault",
        count(State::Master),
        count(State::Backup),
        count(State::Fault)
    );
    let steered = routers.iter().filter(|router| router.steering() != Steering::None).count();
    if steered > 0 {
        let _ = write!(out, ", {steered} drained or with another priority by hand");
    }
    out
}

fn instance(view: &View<'_>, model: &VrrpInstance, router: &Router, out: &mut String) {
    let since = duration(view.clocks.since_us(router.since_us()));
    let _ =
        writeln!(out, "{}: {} for {since}, {}", model.name, router.state().name(), priority(model, router));
    let mut line = |text: String| {
        let _ = writeln!(out, "  {text}");
    };
    line(place(model, router));
    if let Some((address, priority)) = router.master().filter(|_| router.state() == State::Backup) {
        line(format!("master is {address}, priority {priority}"));
    }
    if router.is_handing_over() {
        line("handing over: keeps the addresses until the new master is heard".to_owned());
    }
    let verb = if router.holds_addresses() { "holds" } else { "would hold" };
    for spec in model.all_addresses() {
        line(format!("{verb} {}", address_text(spec, model.device_of(spec), false)));
    }
    if let Some((group, state)) = view.group_of(&model.name) {
        line(format!("sync group {}: {}", group.name, state.map_or("INIT", |group| group.state.name())));
    }
    match router.steering() {
        Steering::None => {}
        Steering::Drained => line("drained by hand ('vrrpd ctl resume' takes that back)".to_owned()),
        Steering::Priority(number) => {
            line(format!("priority {number} by hand ('vrrpd ctl resume' takes that back)"));
        }
    }
    for (tracker, effect) in router.effects() {
        match effect {
            Effect::None | Effect::Weight(_) => {}
            Effect::Fault => line(format!("at fault: {}", tracker_name(tracker))),
            Effect::Pending => line(format!("waits for the first result of {}", tracker_name(tracker))),
        }
    }
    if router.is_faulty() && !router.has_own_fault() {
        line("at fault: another member of its sync group".to_owned());
    }
    for rival in router.rivals().remembered() {
        line(encounter(view, rival));
    }
}

/// `priority 120 (configured 100, script chk +20)`.
fn priority(model: &VrrpInstance, router: &Router) -> String {
    let weights: Vec<String> = router
        .effects()
        .iter()
        .filter_map(|(tracker, effect)| match effect {
            Effect::Weight(weight) => Some(format!("{} {weight:+}", tracker_name(tracker))),
            _ => None,
        })
        .collect();
    let mut out = format!("priority {}", router.priority());
    if router.priority() != model.priority || !weights.is_empty() {
        let _ = write!(out, " (configured {}", model.priority);
        for weight in weights {
            let _ = write!(out, ", {weight}");
        }
        out.push(')');
    }
    out
}

fn place(model: &VrrpInstance, router: &Router) -> String {
    let interface = model.interface.as_deref().unwrap_or("no interface");
    let source = router.source().map_or_else(String::new, |address| format!(" from {address}"));
    let way = if model.unicast.is_some() { "unicast" } else { "multicast" };
    format!(
        "VRRPv{} {}, router id {} on {interface}{source}, an advert every {} s",
        model.version.number(),
        way,
        model.vrid,
        model.advert_int_us as f64 / 1e6
    )
}

/// Two masters at once, in a line.
fn encounter(view: &View<'_>, rival: &Rival) -> String {
    let ago = duration(view.clocks.since_us(rival.until_us));
    let lasted = duration(rival.until_us.saturating_sub(rival.since_us));
    let Rival { address, priority, adverts, .. } = rival;
    match rival.outcome {
        Outcome::Stayed => format!(
            "SPLIT BRAIN with {address} (priority {priority}): heard as a second master for {lasted}, {adverts} \
             advert{}, last {ago} ago; we stayed master and announced our addresses again",
            if *adverts == 1 { "" } else { "s" }
        ),
        Outcome::SteppedBack => format!(
            "SPLIT BRAIN possible with {address} (priority {priority}): it fell silent, we were master for {lasted}, \
             and it came back as master {ago} ago; unless it was down, there were two; we stepped back"
        ),
    }
}

/// `12.3 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`.
fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        0..60 => format!("{:.1} s", us as f64 / 1e6),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        let text = |seconds: f64| duration((seconds * 1e6) as u64);
        assert_eq!(text(0.04), "0.0 s");
        assert_eq!(text(59.94), "59.9 s");
        assert_eq!(text(184.0), "3 min 4 s");
        assert_eq!(text(7500.0), "2 h 5 min");
        assert_eq!(text(273_600.0), "3 d 4 h");
    }
}
