//! Sequences recorded from HAProxy 2.6 (a server that answered with these statuses in turn) and a seeded simulation.

use std::time::{Duration, Instant};

use super::*;
use crate::balance::RAMP_FULL;

const SUBJECT: Subject<'static> = Subject { backend: "be", server: "s1", backup: false };

fn checked(rise: u32, fall: u32) -> Settings {
    Settings { check: Some(Timing { rise, fall, ..Timing::default() }), ..Settings::default() }
}

fn http(code: u32, disable_on_404: bool, health: &Health) -> CheckResult {
    let up = health.operation() != Operation::Stopped;
    let result = |status| CheckResult::new(status, Duration::ZERO).with_code(code);
    match code {
        200..=399 => result(CheckStatus::Layer7Ok),
        404 if disable_on_404 && up => result(CheckStatus::Layer7OkConditionally),
        _ => result(CheckStatus::Layer7Status).with_description(format!("R{code}")),
    }
}

fn lines(events: &Outcome, log_health_checks: bool) -> Vec<String> {
    let left = Left::default();
    let line = |event: &Event| match event {
        Event::Report(report) if log_health_checks => Some(report.line(&SUBJECT)),
        Event::Changed(change) => Some(change.line(&SUBJECT, &left, log_health_checks)),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

/// status, check_health, chkfail, chkdown after each response, recorded with
/// `check inter 100 fall 3 rise 2`, `http-check disable-on-404`.
#[test]
fn a_recorded_sequence_gives_haproxys_states_and_counters() {
    let now = Instant::now();
    let mut health = Health::new(checked(2, 3), now);
    assert_eq!(
        (health.status().to_string().as_str(), health.check_fields(true).status.as_str()),
        ("UP 1/3", "* INI")
    );
    let recorded = [
        (200, "UP", 4, 0, 0),
        (500, "UP 2/3", 3, 1, 0),
        (500, "UP 1/3", 2, 2, 0),
        (200, "UP", 4, 2, 0),
        (500, "UP 2/3", 3, 3, 0),
        (500, "UP 1/3", 2, 4, 0),
        (500, "DOWN", 0, 5, 1),
        (200, "DOWN 1/2", 1, 5, 1),
        (200, "UP", 4, 5, 1),
        (500, "UP 2/3", 3, 6, 1),
        (200, "UP", 4, 6, 1),
        (200, "UP", 4, 6, 1),
        (200, "UP", 4, 6, 1),
        (404, "NOLB", 4, 6, 1),
        (404, "NOLB", 4, 6, 1),
        (404, "NOLB", 4, 6, 1),
        (404, "NOLB", 4, 6, 1),
        (200, "UP", 4, 6, 1),
        (200, "UP", 4, 6, 1),
        (404, "NOLB", 4, 6, 1),
        (500, "NOLB 2/3", 3, 7, 1),
        (404, "NOLB", 4, 7, 1),
        (500, "NOLB 2/3", 3, 8, 1),
        (500, "NOLB 1/3", 2, 9, 1),
        (500, "DOWN", 0, 10, 2),
        (404, "DOWN", 0, 10, 2),
        (404, "DOWN", 0, 10, 2),
        (404, "DOWN", 0, 10, 2),
        (200, "DOWN 1/2", 1, 10, 2),
    ];
    for (step, (code, status, counter, failed, downs)) in recorded.into_iter().enumerate() {
        let result = http(code, true, &health);
        health.on_check(result, now);
        let fields = health.check_fields(false);
        let totals = health.totals();
        assert_eq!(
            (
                health.status().to_string().as_str(),
                fields.counters.unwrap()[2],
                totals.failed_checks,
                totals.downs
            ),
            (status, counter, failed, downs),
            "step {step}: {code}"
        );
    }
}

#[test]
fn transitions_are_logged_in_haproxys_words() {
    let now = Instant::now();
    let refused = CheckResult::new(CheckStatus::Layer4Connection, Duration::ZERO)
        .with_description("Connection refused");
    let mut health = Health::new(checked(2, 3), now);
    let events = health.on_check(refused.clone(), now);
    let left = Left { active: 2, ..Left::default() };
    let Some(Event::Changed(change)) = events.iter().find(|e| matches!(e, Event::Changed(_))) else {
        panic!("no change in {events:?}");
    };
    assert_eq!(
        change.line(&SUBJECT, &left, false),
        "Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms. \
         2 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
    );
    assert_eq!(change.level(), LogLevel::Alert);
    let backup = Subject { backup: true, ..SUBJECT };
    let left = Left { active: 0, backup: 1, ..Left::default() };
    assert_eq!(
        change.line(&backup, &left, true),
        "Backup Server be/s1 is DOWN. 0 active and 1 backup servers left. Running on backup. 0 sessions active, \
         0 requeued, 0 remaining in queue."
    );
}

#[test]
fn log_health_checks_reports_what_changed() {
    let now = Instant::now();
    let mut health = Health::new(checked(2, 3), now);
    let mut said = Vec::new();
    for code in [200, 500, 200, 200, 500, 500, 500, 500, 200] {
        let result = http(code, false, &health);
        said.extend(lines(&health.on_check(result, now), true));
    }
    let passed = "Health check for server be/s1 succeeded, reason: Layer7 check passed, code: 200, check duration: 0ms";
    let failed = "Health check for server be/s1 failed, reason: Layer7 wrong status, code: 500, info: \"R500\", \
                  check duration: 0ms";
    let down = "Server be/s1 is DOWN. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, \
                0 remaining in queue.";
    let expected = [
        format!("{passed}, status: 3/3 UP."),
        format!("{failed}, status: 2/3 UP."),
        format!("{passed}, status: 3/3 UP."),
        format!("{failed}, status: 2/3 UP."),
        format!("{failed}, status: 1/3 UP."),
        format!("{failed}, status: 0/2 DOWN."),
        down.to_owned(),
        format!("{passed}, status: 1/2 DOWN."),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_conditional_pass_stops_softly_and_a_pass_brings_back() {
    let now = Instant::now();
    let mut health = Health::new(checked(2, 3), now);
    let mut said = Vec::new();
    for code in [200, 404, 404, 200] {
        let result = http(code, true, &health);
        said.extend(lines(&health.on_check(result, now), false));
    }
    assert_eq!(
        said,
        [
            "Server be/s1 is stopping, reason: Layer7 check conditionally passed, code: 404, check duration: 0ms. \
             0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.",
            "Server be/s1 is UP, reason: Layer7 check passed, code: 200, check duration: 0ms. \
             0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.",
        ]
    );
}

/// `set server be/s1 state …` on a running server, as recorded.
#[test]
fn maintenance_and_drain_are_logged_in_haproxys_words() {
    let now = Instant::now();
    let mut health = Health::new(checked(2, 3), now);
    let online = "0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.";
    let left = "0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.";
    let steps = [
        (AdminState::Drain, vec![format!("Server be/s1 enters drain state. {online}")], "DRAIN"),
        (
            AdminState::Maintenance,
            vec![format!("Server be/s1 is going DOWN for maintenance. {left}")],
            "MAINT",
        ),
        (
            AdminState::Ready,
            vec!["Server be/s1 is UP/READY (leaving forced maintenance).".to_owned()],
            "UP 1/3",
        ),
        (
            AdminState::Maintenance,
            vec![format!("Server be/s1 is going DOWN for maintenance. {left}")],
            "MAINT",
        ),
        (
            AdminState::Drain,
            vec![
                "Server be/s1 is UP/DRAIN (leaving forced maintenance).".to_owned(),
                "Server be/s1 remains in forced drain mode.".to_owned(),
            ],
            "DRAIN",
        ),
        (AdminState::Ready, vec!["Server be/s1 is UP (leaving forced drain).".to_owned()], "UP 1/3"),
    ];
    for (admin, expected, status) in steps {
        let events = health.set_admin(admin, now);
        assert_eq!((lines(&events, false), health.status().to_string()), (expected, status.to_owned()));
        assert!(events.contains(&Event::ConditionChanged));
    }
}

#[test]
fn a_server_that_was_down_leaves_maintenance_as_up_and_falls_at_the_first_failure() {
    let now = Instant::now();
    let mut health = Health::new(checked(2, 2), now);
    let refused = CheckResult::new(CheckStatus::Layer4Connection, Duration::ZERO);
    health.on_check(refused.clone(), now);
    let entered = lines(&health.set_admin(AdminState::Maintenance, now), false);
    assert_eq!(entered, ["Server be/s1 was DOWN and now enters maintenance."]);
    assert_eq!(health.check_interval(), None);
    assert!(health.on_check(refused.clone(), now).is_empty(), "a late result does not count in maintenance");
    health.set_admin(AdminState::Ready, now);
    assert_eq!(health.operation(), Operation::Running);
    health.on_check(refused, now);
    assert_eq!(health.operation(), Operation::Stopped);
}

#[test]
fn a_tracking_server_follows_and_names_the_tracked_one() {
    let now = Instant::now();
    let mut tracked = Health::new(checked(2, 3), now);
    tracked.on_check(CheckResult::new(CheckStatus::Layer4Ok, Duration::ZERO), now);
    let mut tracking = Health::new(Settings { tracking: true, ..Settings::default() }, now);
    let mut follow = |tracked: &Health| {
        let events = tracking.set_tracked(tracked.as_tracked("be/s2".into()), now);
        (lines(&events, false), tracking.status().to_string())
    };
    assert_eq!(follow(&tracked), (vec![], "UP".to_owned()));
    tracked.set_health(ForcedHealth::Down, now);
    let (said, status) = follow(&tracked);
    assert_eq!(status, "DOWN");
    assert!(said[0].starts_with("Server be/s1 is DOWN via be/s2. "), "{said:?}");
    tracked.set_health(ForcedHealth::Up, now);
    assert!(follow(&tracked).0[0].starts_with("Server be/s1 is UP via be/s2. "));
    tracked.set_admin(AdminState::Maintenance, now);
    let (said, status) = follow(&tracked);
    assert!(said[0].starts_with("Server be/s1 is going DOWN for maintenance via be/s2. "), "{said:?}");
    assert_eq!(status, "MAINT (via be/s2)");
    tracked.set_admin(AdminState::Drain, now);
    assert_eq!(
        follow(&tracked).0,
        [
            "Server be/s1 is UP/DRAIN (leaving maintenance).",
            "Server be/s1 is leaving forced drain but remains in drain mode via be/s2."
        ]
    );
    tracked.set_admin(AdminState::Ready, now);
    assert_eq!(follow(&tracked).0, ["Server be/s1 is UP (leaving forced drain)."]);
}

#[test]
fn a_server_in_its_own_maintenance_follows_in_silence() {
    let now = Instant::now();
    let mut tracked = Health::new(checked(2, 3), now);
    let mut tracking = Health::new(Settings { tracking: true, ..Settings::default() }, now);
    tracking.set_admin(AdminState::Maintenance, now);
    tracked.set_health(ForcedHealth::Down, now);
    let events = tracking.set_tracked(tracked.as_tracked("be/s2".into()), now);
    assert_eq!(lines(&events, false), Vec::<String>::new());
    assert_eq!(tracking.status().to_string(), "MAINT");
    let events = tracking.set_admin(AdminState::Ready, now);
    assert_eq!(lines(&events, false), ["Server be/s1 is DOWN/READY (leaving forced maintenance)."]);
    assert!(!tracking.condition(now).available);
}

#[test]
fn an_agent_takes_down_and_only_the_agent_brings_back() {
    let now = Instant::now();
    let settings = Settings { agent_inter: Some(Duration::from_secs(2)), weight: 50, ..checked(2, 3) };
    let mut health = Health::new(settings, now);
    health.on_check(CheckResult::new(CheckStatus::Layer4Ok, Duration::ZERO), now);
    let said = lines(&health.on_agent(agent::parse(b"fail\n", Duration::ZERO), now), false);
    assert!(
        said[0].starts_with(
            "Server be/s1 is DOWN, reason: Layer7 wrong status, code: 0, info: \"via agent : fail\", check duration: 0ms. "
        ),
        "{said:?}"
    );
    health.on_check(CheckResult::new(CheckStatus::Layer4Ok, Duration::ZERO), now);
    assert_eq!(health.status().to_string(), "DOWN (agent)");
    health.on_agent(agent::parse(b"up 75% maxconn:30\n", Duration::ZERO), now);
    assert_eq!((health.status().to_string().as_str(), health.condition(now).weight), ("UP", 37));
    health.on_agent(agent::parse(b"300000%\n", Duration::ZERO), now);
    assert_eq!(health.weight(), 256);
    health.on_agent(agent::parse(b"drain\n", Duration::ZERO), now);
    assert_eq!(health.status().to_string(), "DRAIN (agent)");
    health.on_agent(agent::parse(b"", Duration::ZERO), now);
    let unreachable = AgentAnswer {
        result: CheckResult::new(CheckStatus::Layer4Connection, Duration::ZERO),
        ..agent::parse(b"\n", Duration::ZERO)
    };
    health.on_agent(unreachable, now);
    assert_eq!(health.operation(), Operation::Running, "an agent that cannot be reached says nothing");
}

#[test]
fn observe_counts_errors_in_a_row() {
    let now = Instant::now();
    let observed = |on_error| {
        let observe = Some(Observe { layer: Layer::Layer7, error_limit: 2, on_error });
        let mut health = Health::new(Settings { observe, ..checked(2, 3) }, now);
        health.on_check(CheckResult::new(CheckStatus::Layer7Ok, Duration::ZERO).with_code(200), now);
        assert!(health.on_traffic(Observation::of_status(500), now).is_empty());
        assert!(
            health.on_traffic(Observation::of_status(404), now).is_empty(),
            "a good answer starts the count again"
        );
        assert!(health.on_traffic(Observation::ReadTimeout, now).is_empty());
        let events = health.on_traffic(Observation::WrongStatus, now);
        assert!(events.contains(&Event::CheckSooner));
        (health.status().to_string(), lines(&events, false))
    };
    assert_eq!(observed(OnError::FastInter).0, "UP");
    assert_eq!(observed(OnError::FailCheck).0, "UP 2/3");
    assert_eq!(observed(OnError::SuddenDeath).0, "UP 1/3");
    let (status, said) = observed(OnError::MarkDown);
    assert_eq!(status, "DOWN");
    assert!(
        said[0].starts_with(
            "Server be/s1 is DOWN, reason: Health analyze, info: \"Detected 2 consecutive errors, last one was: \
             Wrong http response\". 0 active"
        ),
        "{said:?}"
    );
}

#[test]
fn init_state_decides_how_many_results_it_takes() {
    let now = Instant::now();
    let results_until_change = |init, status| {
        let mut health = Health::new(Settings { init, ..checked(3, 4) }, now);
        let before = health.operation();
        (1..20).find(|_| {
            health.on_check(CheckResult::new(status, Duration::ZERO), now);
            health.operation() != before
        })
    };
    assert_eq!(results_until_change(InitState::FullyUp, CheckStatus::Layer4Connection), Some(4));
    assert_eq!(results_until_change(InitState::Up, CheckStatus::Layer4Connection), Some(1));
    assert_eq!(results_until_change(InitState::Down, CheckStatus::Layer4Ok), Some(1));
    assert_eq!(results_until_change(InitState::FullyDown, CheckStatus::Layer4Ok), Some(3));
}

#[test]
fn the_interval_follows_the_counter() {
    let now = Instant::now();
    let seconds = Duration::from_secs;
    let timing = Timing {
        inter: seconds(2),
        fast_inter: Some(seconds(1)),
        down_inter: Some(seconds(5)),
        rise: 2,
        fall: 2,
    };
    let mut health = Health::new(Settings { check: Some(timing), ..Settings::default() }, now);
    let mut after = |status| {
        health.on_check(CheckResult::new(status, Duration::ZERO), now);
        health.check_interval()
    };
    assert_eq!(after(CheckStatus::Layer4Ok), Some(seconds(2)));
    assert_eq!(after(CheckStatus::Layer4Timeout), Some(seconds(1)));
    assert_eq!(after(CheckStatus::Layer4Timeout), Some(seconds(5)));
    assert_eq!(after(CheckStatus::Layer4Ok), Some(seconds(1)));
}

#[test]
fn slowstart_raises_the_weight_and_ends_with_a_line() {
    let start = Instant::now();
    let settings = Settings { slowstart: Duration::from_secs(4), ..checked(1, 1) };
    let mut health = Health::new(settings, start);
    assert_eq!(health.condition(start).ramp, RAMP_FULL, "a server up at start does not start slowly");
    health.on_check(CheckResult::new(CheckStatus::Layer4Timeout, Duration::ZERO), start);
    health.on_check(CheckResult::new(CheckStatus::Layer4Ok, Duration::ZERO), start);
    let mut steps = vec![health.condition(start).ramp];
    let mut said = Vec::new();
    while let Some(at) = health.next_tick_at(start + Duration::from_secs(steps.len() as u64 - 1)) {
        let events = health.on_tick(at);
        assert!(events.contains(&Event::ConditionChanged));
        said.extend(lines(&events, false));
        steps.push(health.condition(at).ramp);
    }
    assert_eq!(steps, [1, 5, 9, 13, 16]);
    assert_eq!(
        said,
        ["Server be/s1 is UP. 0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."]
    );
}

/// A small generator, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Thousands of servers, every kind of input, time that jumps: a server goes down only after `fall` failures in a row
/// since it was last fully up, comes up only after `rise` passes in a row, and the condition is always announced.
#[test]
fn simulation_of_flapping_servers() {
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let (rise, fall) = (1 + random.below(4) as u32, 1 + random.below(4) as u32);
        let mut now = Instant::now();
        let slowstart = Duration::from_secs(random.below(4));
        let mut health = Health::new(Settings { slowstart, ..checked(rise, fall) }, now);
        health.on_check(CheckResult::new(CheckStatus::Layer4Ok, Duration::ZERO), now);
        let (mut passes, mut fails) = (rise, 0);
        let mut told = health.condition(now);
        for step in 0..100 {
            now += Duration::from_millis([0, 10, 2_000, 86_400_000][random.below(4) as usize]);
            let was_up = health.operation() != Operation::Stopped;
            let events = match random.below(8) {
                0 => health.on_tick(now),
                1 => health.set_weight(random.below(257) as u16, now),
                kind => {
                    let status = if kind < 5 { CheckStatus::Layer4Ok } else { CheckStatus::Layer4Timeout };
                    (passes, fails) = if kind < 5 { (passes + 1, 0) } else { (0, fails + 1) };
                    health.on_check(CheckResult::new(status, Duration::ZERO), now)
                }
            };
            let is_up = health.operation() != Operation::Stopped;
            let context =
                format!("seed {seed} step {step}: rise {rise} fall {fall} passes {passes} fails {fails}");
            if was_up && !is_up {
                assert!(fails >= fall, "{context}");
            }
            if !was_up && is_up {
                assert!(passes >= rise, "{context}");
            }
            if is_up {
                assert!(fails < fall, "{context}");
            }
            if events.contains(&Event::ConditionChanged) {
                told = health.condition(now);
            }
            let due = health.next_tick_at(now).is_some();
            assert!(health.condition(now) == told || due, "{context}: {events:?}");
            let counters = health.check_fields(false).counters.unwrap();
            assert!(counters[2] < rise + fall, "{context}");
        }
    }
}
