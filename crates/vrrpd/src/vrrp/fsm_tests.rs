//! Transitions one by one: each test is named for the rule it shows.

use std::net::IpAddr;

use super::*;
use crate::model::{GarpSettings, InitialState, Version};
use crate::packet::{AddressMismatch, Advertisement, Received};

const SECOND_US: u64 = 1_000_000;

pub(super) fn settings(priority: u8) -> Settings {
    Settings {
        name: "VI_1".into(),
        version: Version::V2,
        priority,
        initial_state: InitialState::Backup,
        advert_interval_us: SECOND_US,
        down_timer_adverts: 3,
        preempt: true,
        preempt_delay_us: 0,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        step_back_when_late: None,
        skip_check_adv_addr: false,
        garp: GarpSettings {
            master_delay_us: 5 * SECOND_US,
            master_repeat: 5,
            master_refresh_us: 0,
            master_refresh_repeat: 1,
            lower_prio_delay_us: 5 * SECOND_US,
            lower_prio_repeat: 5,
            extra_interfaces: None,
        },
        hand_over: true,
        deaf_until_us: 0,
    }
}

fn own() -> IpAddr {
    "10.0.0.5".parse().unwrap()
}

pub(super) fn advert(version: Version, priority: u8, source: IpAddr, interval_us: u64) -> Event {
    let advert = Advertisement { version, vrid: 51, priority, interval_us, addresses: vec![] };
    Event::Advert(Received { advert, source, mismatch: None, hmac_sequence: None, old_checksum_found: false })
}

pub(super) fn heard(priority: u8, source: &str) -> Event {
    advert(Version::V2, priority, source.parse().unwrap(), SECOND_US)
}

pub(super) fn step(router: &mut Router, event: Event, now_us: u64) -> Vec<Action> {
    let mut out = Vec::new();
    router.step(event, now_us, &mut out);
    out
}

pub(super) fn backup(settings: Settings) -> Router {
    let mut router = Router::new(settings);
    step(&mut router, Event::Source(Some(own())), 0);
    step(&mut router, Event::Start, 0);
    assert_eq!(router.state(), State::Backup);
    router
}

/// A master since time 0 of its own.
pub(super) fn master(settings: Settings) -> (Router, u64) {
    let mut router = backup(settings);
    let at_us = router.next_deadline_us().unwrap();
    step(&mut router, Event::Timer, at_us);
    assert_eq!(router.state(), State::Master);
    (router, at_us)
}

pub(super) fn logs(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Log(_, text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

pub(super) fn doings(actions: &[Action]) -> Vec<Action> {
    actions.iter().filter(|action| !matches!(action, Action::Log(..))).cloned().collect()
}

#[test]
fn a_backup_becomes_master_after_master_down_in_keepaliveds_order() {
    let mut router = backup(settings(100));
    let at_us = router.next_deadline_us().unwrap();
    assert_eq!(at_us, 3_609_375);
    assert_eq!(step(&mut router, Event::Timer, at_us - 1), vec![]);
    let actions = step(&mut router, Event::Timer, at_us);
    assert_eq!(
        doings(&actions),
        vec![
            Action::SendAdvert { priority: 100 },
            Action::AddAddresses,
            Action::Announce { repeat: 5 },
            Action::Notify(Notice::State(State::Master)),
        ]
    );
    assert_eq!(
        logs(&actions),
        ["(VI_1) Receive advertisement timeout", "(VI_1) Entering MASTER STATE", "(VI_1) setting VIPs."]
    );
    assert_eq!(router.next_deadline_us(), Some(at_us + SECOND_US));
}

#[test]
fn an_owner_with_state_master_is_master_a_microsecond_after_start() {
    let mut settings = settings(255);
    settings.initial_state = InitialState::Master;
    let router = backup(settings);
    assert_eq!(router.next_deadline_us(), Some(1));
}

#[test]
fn adverts_keep_their_rhythm_when_wake_ups_are_late() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, Event::Timer, at_us + SECOND_US + 300);
    assert_eq!(router.next_deadline_us(), Some(at_us + 2 * SECOND_US));
}

#[test]
fn after_a_freeze_one_advert_is_sent_not_all_that_were_missed() {
    let (mut router, at_us) = master(settings(100));
    let late_us = at_us + 10 * SECOND_US;
    let actions = step(&mut router, Event::Timer, late_us);
    let sent = actions.iter().filter(|a| matches!(a, Action::SendAdvert { .. })).count();
    assert_eq!(sent, 1);
    assert_eq!(router.next_deadline_us(), Some(late_us + SECOND_US));
}

#[test]
fn the_second_announcement_follows_after_garp_master_delay() {
    let (mut router, at_us) = master(settings(100));
    for _ in 0..4 {
        let next_us = router.next_deadline_us().unwrap();
        step(&mut router, Event::Timer, next_us);
    }
    let actions = step(&mut router, Event::Timer, at_us + 5 * SECOND_US);
    assert!(actions.contains(&Action::Announce { repeat: 5 }));
}

#[test]
fn priority_zero_makes_a_backup_wait_the_skew_only() {
    let mut router = backup(settings(100));
    let actions = step(&mut router, heard(0, "10.0.0.9"), 500);
    assert_eq!(logs(&actions), ["(VI_1) Backup received priority 0 advertisement"]);
    assert_eq!(router.next_deadline_us(), Some(500 + 609_375));
}

#[test]
fn equal_and_higher_priority_restart_the_timer_of_a_backup() {
    for priority in [100, 101, 255] {
        let mut router = backup(settings(100));
        step(&mut router, heard(priority, "10.0.0.1"), 700);
        assert_eq!(router.next_deadline_us(), Some(700 + 3_609_375));
    }
}

#[test]
fn a_lower_priority_is_discarded_and_the_timer_runs_on() {
    let mut router = backup(settings(100));
    let actions = step(&mut router, heard(99, "10.0.0.1"), 700);
    assert_eq!(logs(&actions), ["(VI_1) received lower priority (99) advert from 10.0.0.1 - discarding"]);
    assert_eq!(router.next_deadline_us(), Some(3_609_375));
}

#[test]
fn nopreempt_accepts_a_lower_priority() {
    let mut router = backup(Settings { preempt: false, ..settings(100) });
    step(&mut router, heard(50, "10.0.0.1"), 700);
    assert_eq!(router.next_deadline_us(), Some(700 + 3_609_375));
}

#[test]
fn preempt_delay_accepts_lower_adverts_until_it_ends_and_then_waits_master_down() {
    let mut router = backup(Settings { preempt_delay_us: 10 * SECOND_US, ..settings(150) });
    let actions = step(&mut router, heard(100, "10.0.0.1"), SECOND_US);
    assert_eq!(logs(&actions), ["(VI_1) start preempt delay (10.000000)"]);
    for second in 2..=11 {
        step(&mut router, Event::Timer, second * SECOND_US);
        step(&mut router, heard(100, "10.0.0.1"), second * SECOND_US);
    }
    assert_eq!(router.state(), State::Backup);
    // The delay ended at 11 s; the last accepted advert came at 10 s.
    let down_us = timing::master_down_us(Version::V2, 150, SECOND_US, 3);
    assert_eq!(router.next_deadline_us(), Some(10 * SECOND_US + down_us));
    step(&mut router, Event::Timer, 10 * SECOND_US + down_us);
    assert_eq!(router.state(), State::Master);
}

#[test]
fn an_advert_not_lower_than_ours_cancels_the_preempt_delay() {
    let mut router = backup(Settings { preempt_delay_us: 10 * SECOND_US, ..settings(150) });
    step(&mut router, heard(100, "10.0.0.1"), SECOND_US);
    step(&mut router, heard(200, "10.0.0.2"), 2 * SECOND_US);
    let actions = step(&mut router, heard(100, "10.0.0.1"), 3 * SECOND_US);
    assert_eq!(logs(&actions), ["(VI_1) start preempt delay (10.000000)"]);
}

#[test]
fn a_master_yields_to_a_higher_priority() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, heard(150, "10.0.0.1"), at_us + 5);
    assert_eq!(
        logs(&actions),
        [
            "(VI_1) Master received advert from 10.0.0.1 with higher priority 150, ours 100",
            "(VI_1) Entering BACKUP STATE",
            "(VI_1) removing VIPs."
        ]
    );
    assert!(!actions.iter().any(|action| matches!(action, Action::SendAdvert { .. })));
    assert_eq!(router.next_deadline_us(), Some(at_us + 5 + 3_609_375));
}

#[test]
fn between_equal_priorities_the_higher_address_is_master() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, heard(100, "10.0.0.4"), at_us + 5);
    assert!(logs(&actions)[0].ends_with("lower priority 100, ours 100, forcing new election"));
    assert_eq!(router.state(), State::Master);
    let actions = step(&mut router, heard(100, "10.0.0.6"), at_us + 6);
    assert_eq!(
        logs(&actions)[0],
        "(VI_1) Master received advert from 10.0.0.6 with same priority 100 but higher IP address than ours"
    );
    assert_eq!(router.state(), State::Backup);
}

#[test]
fn a_master_answers_a_lower_priority_with_an_advert_and_announcements() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, heard(90, "10.0.0.9"), at_us + 5);
    assert_eq!(
        doings(&actions),
        vec![
            Action::SendAdvert { priority: 100 },
            Action::Announce { repeat: 5 },
            Action::Notify(Notice::MasterRxLowerPriority),
        ]
    );
}

#[test]
fn lower_prio_no_advert_leaves_the_lower_one_unanswered() {
    let (mut router, at_us) = master(Settings { lower_prio_no_advert: true, ..settings(100) });
    let actions = step(&mut router, heard(90, "10.0.0.9"), at_us + 5);
    assert!(!actions.iter().any(|action| matches!(action, Action::SendAdvert { .. })));
    assert_eq!(router.next_deadline_us(), Some(at_us + SECOND_US));
}

#[test]
fn our_own_address_as_sender_changes_nothing() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, heard(200, "10.0.0.5"), at_us + 5);
    assert_eq!(router.state(), State::Master);
}

#[test]
fn an_owner_told_to_ignore_adverts_ignores_them() {
    let (mut router, at_us) = master(Settings { owner_ignore_adverts: true, ..settings(255) });
    step(&mut router, heard(254, "10.0.0.9"), at_us + 5);
    assert_eq!(router.state(), State::Master);
    step(&mut router, heard(255, "10.0.0.9"), at_us + 10);
    assert_eq!(router.state(), State::Backup, "another owner, with a higher address");
}

#[test]
fn a_lost_address_costs_the_state_for_one_skew() {
    let (mut router, at_us) = master(settings(150));
    let actions = step(&mut router, Event::AddressLost, at_us + 5);
    assert_eq!(
        logs(&actions),
        ["(VI_1) Entering BACKUP STATE", "(VI_1) sent 0 priority", "(VI_1) removing VIPs."]
    );
    let skew_us = timing::skew_us(Version::V2, 150, SECOND_US);
    assert_eq!(router.next_deadline_us(), Some(at_us + 5 + skew_us));
}

fn track(name: &str, effect: Effect) -> Event {
    Event::Track { tracker: Tracker::Script(name.into()), effect }
}

#[test]
fn a_dead_interface_means_fault_without_waiting() {
    let (mut router, at_us) = master(settings(100));
    let tracker = Tracker::Interface("eth0".into());
    let actions = step(&mut router, Event::Track { tracker, effect: Effect::Fault }, at_us + 5);
    assert_eq!(
        doings(&actions),
        vec![
            Action::SendAdvert { priority: 0 },
            Action::RemoveAddresses,
            Action::Notify(Notice::State(State::Fault)),
        ]
    );
    assert_eq!(router.next_deadline_us(), None);
}

#[test]
fn all_faults_must_clear_before_backup() {
    let (mut router, at_us) = master(Settings { hand_over: false, ..settings(100) });
    step(&mut router, track("a", Effect::Fault), at_us);
    step(&mut router, track("b", Effect::Fault), at_us);
    step(&mut router, track("a", Effect::None), at_us);
    assert_eq!(router.state(), State::Fault);
    let actions = step(&mut router, track("b", Effect::None), at_us + 9);
    assert_eq!(logs(&actions), ["(VI_1) Entering BACKUP STATE"]);
    assert_eq!(router.next_deadline_us(), Some(at_us + 9 + 3_609_375));
}

#[test]
fn adverts_are_not_heard_in_fault() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, track("a", Effect::Fault), at_us);
    step(&mut router, heard(90, "10.0.0.9"), at_us + 5);
    assert_eq!(router.counters().adverts_received, 0);
}

#[test]
fn a_priority_change_moves_a_running_timer() {
    let mut router = backup(settings(100));
    let actions = step(&mut router, track("a", Effect::Weight(50)), 5);
    assert_eq!(logs(&actions), ["(VI_1) Changing effective priority from 100 to 150"]);
    let down_us = timing::master_down_us(Version::V2, 150, SECOND_US, 3);
    assert_eq!(router.next_deadline_us(), Some(down_us));
}

#[test]
fn version_3_backups_adopt_the_masters_interval() {
    let mut router = backup(Settings { version: Version::V3, ..settings(100) });
    let event = advert(Version::V3, 200, "10.0.0.9".parse().unwrap(), 500_000);
    let actions = step(&mut router, event, 1000);
    assert_eq!(logs(&actions), ["(VI_1) advertisement interval updated from 1000ms to 500ms by master"]);
    let down_us = timing::master_down_us(Version::V3, 100, 500_000, 3);
    assert_eq!(router.next_deadline_us(), Some(1000 + down_us));
}

#[test]
fn on_stop_addresses_stay_until_the_new_master_was_heard() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, Event::Stop(Ending::Shutdown), at_us);
    assert_eq!(doings(&actions), vec![Action::SendAdvert { priority: 0 }, Action::Notify(Notice::Stop)]);
    assert!(!router.is_finished());
    step(&mut router, heard(90, "10.0.0.9"), at_us + 600_000);
    let release_us = router.next_deadline_us().unwrap();
    assert!(release_us <= at_us + 600_000 + 10_000);
    let actions = step(&mut router, Event::Timer, release_us);
    assert_eq!(doings(&actions), vec![Action::RemoveAddresses]);
    assert!(router.is_finished());
}

#[test]
fn on_stop_addresses_stay_one_master_down_time_at_most() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, Event::Stop(Ending::Shutdown), at_us);
    assert_eq!(router.next_deadline_us(), Some(at_us + 3_609_375));
    let actions = step(&mut router, Event::Timer, at_us + 3_609_375);
    assert_eq!(doings(&actions), vec![Action::RemoveAddresses]);
}

#[test]
fn a_second_stop_waits_no_longer() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, Event::Stop(Ending::Shutdown), at_us);
    let actions = step(&mut router, Event::Stop(Ending::Shutdown), at_us + 1);
    assert_eq!(doings(&actions), vec![Action::RemoveAddresses]);
    assert!(router.is_finished());
}

#[test]
fn without_hand_over_addresses_go_at_once_as_keepaliveds_do() {
    let (mut router, at_us) = master(Settings { hand_over: false, ..settings(100) });
    let actions = step(&mut router, Event::Stop(Ending::Shutdown), at_us);
    assert_eq!(
        doings(&actions),
        vec![Action::SendAdvert { priority: 0 }, Action::RemoveAddresses, Action::Notify(Notice::Stop)]
    );
}

#[test]
fn a_failed_script_hands_over_as_a_stop_does() {
    let (mut router, at_us) = master(settings(100));
    step(&mut router, track("a", Effect::Fault), at_us);
    assert!(router.holds_addresses());
    step(&mut router, heard(90, "10.0.0.9"), at_us + 5);
    let release_us = router.next_deadline_us().unwrap();
    step(&mut router, Event::Timer, release_us);
    assert!(!router.holds_addresses());
}

#[test]
fn dont_release_vrrp_leaves_everything_silently() {
    let (mut router, at_us) = master(settings(100));
    let actions = step(&mut router, Event::Stop(Ending::LeaveAddresses), at_us);
    assert_eq!(doings(&actions), vec![Action::Notify(Notice::Stop)]);
    assert!(router.is_finished());
}

#[test]
fn the_same_complaint_is_logged_once_until_something_changes() {
    let mut router = backup(settings(100));
    let refused = || Event::Refused(crate::packet::DecodeError::Password);
    let first = step(&mut router, refused(), 5);
    assert_eq!(logs(&first), ["(VI_1) received an invalid passwd!"]);
    assert_eq!(step(&mut router, refused(), 6), vec![]);
    assert_eq!(router.counters().refused.auth_failure, 2);
    let at_us = router.next_deadline_us().unwrap();
    step(&mut router, Event::Timer, at_us);
    assert_eq!(step(&mut router, refused(), at_us + 1).len(), 1);
}

#[test]
fn an_unknown_script_holds_a_starting_router_in_init() {
    for (result, state) in [(Effect::None, State::Backup), (Effect::Fault, State::Fault)] {
        let mut router = Router::new(settings(100));
        step(&mut router, Event::Source(Some(own())), 0);
        step(&mut router, track("a", Effect::Pending), 0);
        assert_eq!(step(&mut router, Event::Start, 0), vec![]);
        assert_eq!(router.state(), State::Init);
        step(&mut router, track("a", result), 5);
        assert_eq!(router.state(), state);
    }
}

fn group_of_two() -> Domain {
    let routers = vec![backup(settings(150)), backup(Settings { name: "VI_2".into(), ..settings(150) })];
    let group = Group { name: "SG".into(), members: vec![0, 1], state: State::Backup };
    Domain::new(routers, vec![group])
}

fn states(domain: &Domain) -> Vec<State> {
    domain.routers().iter().map(Router::state).collect()
}

#[test]
fn a_group_becomes_master_only_when_all_members_want_to() {
    let mut domain = group_of_two();
    let mut out = Vec::new();
    let at_us = domain.next_deadline_us().unwrap();
    domain.step(1, heard(200, "10.0.0.9"), at_us - 10, &mut out);
    domain.timers(at_us, &mut out);
    assert_eq!(states(&domain), [State::Backup, State::Backup]);
    let later_us = at_us - 10 + 4 * SECOND_US;
    out.clear();
    domain.timers(later_us, &mut out);
    assert_eq!(states(&domain), [State::Master, State::Master]);
    let texts: Vec<String> = out
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Log(_, text) => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert!(texts.contains(&"VRRP_Group(SG) Syncing instances to MASTER state".to_owned()));
}

#[test]
fn a_fault_of_one_member_is_a_fault_of_all() {
    let mut domain = group_of_two();
    let mut out = Vec::new();
    domain.timers(4 * SECOND_US, &mut out);
    assert_eq!(states(&domain), [State::Master, State::Master]);
    domain.step(1, track("a", Effect::Fault), 5 * SECOND_US, &mut out);
    assert_eq!(states(&domain), [State::Fault, State::Fault]);
    domain.step(1, track("a", Effect::None), 6 * SECOND_US, &mut out);
    assert_eq!(states(&domain), [State::Backup, State::Backup]);
}

#[test]
fn a_member_that_steps_back_takes_the_others_along() {
    let mut domain = group_of_two();
    let mut out = Vec::new();
    domain.timers(4 * SECOND_US, &mut out);
    domain.step(0, heard(200, "10.0.0.9"), 5 * SECOND_US, &mut out);
    assert_eq!(states(&domain), [State::Backup, State::Backup]);
}

#[test]
fn skip_check_adv_addr_looks_at_the_addresses_of_a_new_master_only() {
    let other_list = |source: &str| {
        let address = "192.0.2.1".parse().unwrap();
        let Event::Advert(received) = heard(150, source) else { unreachable!() };
        Event::Advert(Received { mismatch: Some(AddressMismatch::Missing { vrid: 51, address }), ..received })
    };
    for (skip, errors) in [(false, 3), (true, 2)] {
        let mut router = backup(Settings { skip_check_adv_addr: skip, ..settings(100) });
        step(&mut router, other_list("10.0.0.6"), 1);
        step(&mut router, other_list("10.0.0.6"), 2);
        step(&mut router, other_list("10.0.0.7"), 3);
        assert_eq!(router.counters().address_list_errors, errors, "skip {skip}");
    }
}

#[test]
fn many_masters_advertise_together_and_never_late() {
    let interval_us = 1_000_000;
    let routers = (0..20).map(|_| Router::new(settings(100))).collect();
    let mut domain = Domain::new(routers, Vec::new());
    let mut out = Vec::new();
    for index in 0..20 {
        // Started one after the other, they expire one after the other.
        let at_us = 10_000_000 + index as u64 * 7_000;
        domain.step(index, Event::Source(Some("10.0.0.1".parse().unwrap())), at_us, &mut out);
        domain.step(index, Event::Start, at_us, &mut out);
    }
    let mut last_us = vec![None; 20];
    let mut at_once = 0;
    for _ in 0..400 {
        let Some(now_us) = domain.next_deadline_us() else { break };
        out.clear();
        domain.timers(now_us, &mut out);
        let sent: Vec<usize> = out
            .iter()
            .filter(|(_, action)| matches!(action, Action::SendAdvert { .. }))
            .map(|(index, _)| *index)
            .collect();
        at_once = sent.len();
        for index in sent {
            if let Some(before_us) = last_us[index].replace(now_us) {
                assert!(now_us - before_us <= interval_us, "router {index} was late");
            }
        }
    }
    assert_eq!(at_once, 20, "they have not found together");
}

/// keepalived 2.4.3: with priority 150 elsewhere, 3.1 s of silence are none, 5.1 s are too much (both tried).
#[test]
fn a_master_that_was_held_up_steps_back_only_when_another_may_have_taken_over() {
    let late = Settings { preempt: false, step_back_when_late: Some(150), ..settings(200) };
    let (mut router, at_us) = master(late.clone());
    step(&mut router, Event::Timer, at_us + 3_100_000);
    assert_eq!(router.state(), State::Master);
    let (mut router, at_us) = master(late.clone());
    let out = step(&mut router, Event::Timer, at_us + 5_100_000);
    assert_eq!(router.state(), State::Backup);
    assert!(
        out.contains(&Action::RemoveAddresses) && !out.iter().any(|a| matches!(a, Action::SendAdvert { .. }))
    );
    assert_eq!(
        out.first(),
        Some(&Action::Log(Level::Info, "VRRP thread timer expired 4.100000 seconds ago".into()))
    );
    // The adverts that waited meanwhile are heard first.
    let (mut router, at_us) = master(late);
    step(&mut router, heard(100, "10.0.0.1"), at_us + 5_100_000);
    assert_eq!(router.state(), State::Backup);
    assert_eq!(router.master(), Some(("10.0.0.1".parse().unwrap(), 100)), "nopreempt: it stays");
    // Without the keyword a master goes on.
    let (mut router, at_us) = master(settings(200));
    step(&mut router, Event::Timer, at_us + 60_000_000);
    assert_eq!(router.state(), State::Master);
}

/// keepalived 2.2.7: its last check, for `check_unicast_src`, comes after an advert was counted.
#[test]
fn adverts_of_strangers_are_counted_as_received_other_refusals_are_not() {
    let mut router = backup(settings(100));
    let stranger = crate::packet::DecodeError::NotAPeer("10.0.0.9".parse().unwrap());
    step(&mut router, Event::Refused(stranger), 1);
    step(&mut router, Event::Refused(crate::packet::DecodeError::Ttl(3)), 1);
    assert_eq!((router.counters().adverts_received, router.counters().refused.ttl), (1, 1));
}
