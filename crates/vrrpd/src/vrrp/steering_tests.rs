//! What operators ask for, and two masters at once.

use super::{
    fsm_tests::{backup, doings, heard, logs, master, settings, step},
    rival::Outcome,
    *,
};

const SECOND_US: u64 = 1_000_000;

fn states(actions: &[Action]) -> Vec<State> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Notify(Notice::State(state)) => Some(*state),
            _ => None,
        })
        .collect()
}

#[test]
fn a_drained_master_says_good_bye_and_keeps_its_addresses_until_another_is_heard() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, Event::Steer(Steering::Drained), at_us + 10);
    assert_eq!(
        doings(&actions),
        vec![
            Action::Notify(Notice::Priority(State::Master)),
            Action::SendAdvert { priority: 0 },
            Action::Notify(Notice::State(State::Backup)),
        ]
    );
    assert!(router.holds_addresses() && router.is_handing_over());
    assert_eq!((router.state(), router.priority()), (State::Backup, 1));
    step(&mut router, heard(50, "10.0.0.9"), at_us + 600_000);
    let release_us = router.next_deadline_us().unwrap();
    assert!(release_us <= at_us + 610_000, "the new master was heard");
    let actions = step(&mut router, Event::Timer, release_us);
    assert_eq!(doings(&actions), vec![Action::RemoveAddresses]);
}

#[test]
fn a_drained_master_that_nobody_follows_is_master_again_and_its_addresses_never_leave() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, Event::Steer(Steering::Drained), at_us + 10);
    while router.state() != State::Master {
        let now_us = router.next_deadline_us().unwrap();
        let actions = step(&mut router, Event::Timer, now_us);
        assert!(!actions.contains(&Action::RemoveAddresses));
    }
    // Even when the timer is late.
    let (mut router, at_us) = master(settings(100));
    step(&mut router, Event::Steer(Steering::Drained), at_us + 10);
    let actions = step(&mut router, Event::Timer, at_us + 60 * SECOND_US);
    assert_eq!(states(&actions), [State::Master]);
    assert!(!actions.contains(&Action::RemoveAddresses));
}

#[test]
fn a_higher_priority_does_not_disturb_a_master_and_resume_gives_the_configured_one_back() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, Event::Steer(Steering::Priority(120)), at_us + 10);
    assert_eq!(states(&actions), []);
    assert_eq!(logs(&actions), ["(VI_1) Changing effective priority from 100 to 120"]);
    step(&mut router, Event::Steer(Steering::None), at_us + 20);
    assert_eq!((router.state(), router.priority()), (State::Backup, 100), "it fell, so it steps aside");
}

#[test]
fn trackers_count_on_top_of_a_steered_priority_but_not_of_a_drained_one() {
    let mut router = backup(settings(100));
    let tracker = Tracker::Script("chk".into());
    step(&mut router, Event::Track { tracker, effect: Effect::Weight(20) }, 10);
    step(&mut router, Event::Steer(Steering::Priority(50)), 20);
    assert_eq!(router.priority(), 70);
    step(&mut router, Event::Steer(Steering::Drained), 30);
    assert_eq!(router.priority(), 1);
    let mut adopted = Router::new(settings(100));
    step(&mut adopted, Event::Source(router.source()), 30);
    adopted.adopt(&router.legacy(), 40, &mut Vec::new());
    assert_eq!((adopted.steering(), adopted.priority()), (Steering::Drained, 1), "a crash does not undo it");
}

#[test]
fn a_drained_owner_hears_whoever_takes_its_place() {
    let (mut router, at_us) = master(Settings { owner_ignore_adverts: true, ..settings(255) });
    step(&mut router, Event::Steer(Steering::Drained), at_us + 10);
    step(&mut router, heard(100, "10.0.0.9"), at_us + 20);
    assert_eq!(router.master().map(|(_, priority)| priority), Some(100));
    step(&mut router, Event::Steer(Steering::None), at_us + 30);
    assert_eq!(router.priority(), 255);
}

#[test]
fn a_drained_member_takes_its_sync_group_along_without_a_gap() {
    let named = |name: &str| Settings { name: name.into(), ..settings(100) };
    let mut domain = Domain::new(
        vec![Router::new(named("A")), Router::new(named("B"))],
        vec![Group { name: "SG".into(), members: vec![0, 1], state: State::Init }],
    );
    let mut out = Vec::new();
    for index in 0..2 {
        domain.step(index, Event::Source(Some("10.0.0.5".parse().unwrap())), 0, &mut out);
    }
    for index in 0..2 {
        domain.step(index, Event::Start, 0, &mut out);
    }
    while domain.routers().iter().any(|router| router.state() != State::Master) {
        let at_us = domain.next_deadline_us().unwrap();
        domain.timers(at_us, &mut out);
    }
    out.clear();
    domain.step(0, Event::Steer(Steering::Drained), 10 * SECOND_US, &mut out);
    assert!(
        domain.routers().iter().all(|router| router.state() == State::Backup && router.holds_addresses())
    );
    let goodbyes = out.iter().filter(|(_, action)| *action == Action::SendAdvert { priority: 0 }).count();
    assert_eq!(goodbyes, 2, "{out:?}");
}

#[test]
fn a_rival_of_lower_priority_is_one_encounter_while_it_goes_on() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, heard(50, "10.0.0.9"), at_us + 1000);
    assert_eq!(router.rivals().count(), 0, "the last advert of the one that we replaced");
    for second in [10, 11, 12, 60] {
        step(&mut router, heard(50, "10.0.0.9"), at_us + second * SECOND_US);
    }
    let met: Vec<_> =
        router.rivals().remembered().map(|r| (r.until_us - r.since_us, r.adverts, r.outcome)).collect();
    assert_eq!(met, [(2 * SECOND_US, 3, Outcome::Stayed), (0, 1, Outcome::Stayed)]);
    assert_eq!(router.rivals().count(), 2);
}

#[test]
fn a_master_that_fell_silent_and_comes_back_is_reported_and_gets_one_more_advert() {
    let mut router = backup(settings(100));
    step(&mut router, heard(150, "10.0.0.9"), 10);
    let at_us = router.next_deadline_us().unwrap();
    step(&mut router, Event::Timer, at_us);
    let actions = step(&mut router, heard(150, "10.0.0.9"), at_us + 7 * SECOND_US);
    assert_eq!(
        actions.first(),
        Some(&Action::SendAdvert { priority: 100 }),
        "it announces its addresses again"
    );
    assert!(logs(&actions).contains(
        &"(VI_1) 10.0.0.9 had fallen silent without good-bye: unless it was down, both were master for up to 7.000 s"
    ));
    let rival = router.rivals().remembered().next().unwrap();
    assert_eq!((rival.until_us - rival.since_us, rival.outcome), (7 * SECOND_US, Outcome::SteppedBack));
}

#[test]
fn a_master_that_said_good_bye_may_come_back_without_a_word() {
    let mut router = backup(settings(100));
    step(&mut router, heard(150, "10.0.0.9"), 10);
    step(&mut router, heard(0, "10.0.0.9"), 20);
    let at_us = router.next_deadline_us().unwrap();
    step(&mut router, Event::Timer, at_us);
    let actions = step(&mut router, heard(150, "10.0.0.9"), at_us + 7 * SECOND_US);
    assert!(!actions.contains(&Action::SendAdvert { priority: 100 }));
    assert_eq!(router.rivals().count(), 0);
}
