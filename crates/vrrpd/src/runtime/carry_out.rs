//! Carrying out what the state machines want.
//!
//! Adverts of one round leave before anything slower happens, then addresses, announcements and
//! notifications follow in each router's own order (the order is keepalived's).

use std::collections::BTreeSet;

use hacore::time::monotonic_us;

use crate::packet;
use crate::status::Dump;
use crate::vrrp::{Action, Event, Notice, Router, State, sync_group::Outcome};

use super::{
    actor::Actor,
    instance::Seals,
    legacy,
    outside::{Happening, Kind, Stimulus, What},
};

/// Instances that get their addresses and do not lose them within the same outcomes: theirs can be set first.
fn only_adding(outcomes: &[Outcome]) -> BTreeSet<usize> {
    let of = |wanted: Action| {
        outcomes.iter().filter(move |(_, action)| *action == wanted).map(|(index, _)| *index)
    };
    let removing: BTreeSet<usize> = of(Action::RemoveAddresses).collect();
    of(Action::AddAddresses).filter(|index| !removing.contains(index)).collect()
}

impl Actor {
    /// One event for one router, and everything that follows.
    pub(super) async fn feed(&mut self, index: usize, event: Event) {
        let mut out = Vec::new();
        self.domain.step(index, event, monotonic_us(), &mut out);
        self.carry_out(out).await;
    }

    /// Carries actions out: all adverts first, then new addresses, the rest in order.
    pub(super) async fn carry_out(&mut self, outcomes: Vec<Outcome>) {
        let mut changed = BTreeSet::new();
        for (index, action) in &outcomes {
            if legacy::changes_record(action) {
                changed.insert(*index);
            }
            if let Action::SendAdvert { priority } = action {
                self.send_advert(*index, *priority);
            }
        }
        for index in changed {
            self.record(index);
        }
        let adding = only_adding(&outcomes);
        let indexes: Vec<usize> = adding.iter().copied().collect();
        self.add_addresses_of(&indexes).await;
        for (index, action) in outcomes {
            match action {
                Action::SendAdvert { .. } => {}
                Action::AddAddresses if adding.contains(&index) => {}
                Action::AddAddresses => self.add_addresses(index).await,
                Action::RemoveAddresses => self.remove_addresses(index).await,
                Action::Announce { repeat } => self.announce(index, repeat),
                Action::AnnounceElsewhere => self.announce_elsewhere(index),
                Action::Notify(notice) => self.notify(index, notice),
                Action::Log(level, text) => self.log.log(level, &text),
            }
        }
        self.notify_groups();
    }

    fn send_advert(&mut self, index: usize, priority: u8) {
        let Some(source) = self.domain.routers().get(index).and_then(Router::source) else { return };
        let Some(instance) = self.instances.get_mut(index) else { return };
        let Some((_, transmitter)) = instance.port.clone() else { return };
        let advert = instance.advertisement(priority);
        let (auth, cover) = (instance.expectation.auth, instance.expectation.checksum);
        for destination in instance.destinations() {
            let summed = instance.checksum_destination(destination);
            let message = packet::encode(&advert, auth, cover, source, summed);
            let seals = Seals { header: instance.next_seal(), trailer: instance.next_signer() };
            let id = instance.next_id();
            let envelope = instance.envelope(source, destination, id, seals);
            if let Err(error) = transmitter.send(envelope, &message) {
                self.log.detail(&format!(
                    "({}) send advert error {} ({error})",
                    instance.model.name,
                    error.raw_os_error().unwrap_or_default()
                ));
            }
        }
    }

    fn notify(&mut self, index: usize, notice: Notice) {
        let Some(instance) = self.instances.get(index) else { return };
        let priority = self.domain.routers().get(index).map_or(0, Router::priority);
        self.status_is_old |= matches!(notice, Notice::State(_) | Notice::Stop);
        let what = match notice {
            Notice::State(state) => What::State(state),
            Notice::Stop => What::Stop,
            Notice::MasterRxLowerPriority => What::MasterRxLowerPriority,
            Notice::Priority(state) => What::Priority(state),
        };
        let (kind, name, scripts) = (Kind::Instance, &*instance.model.name, &instance.model.notify);
        let happening = Happening { kind, name, what, priority, scripts };
        self.outside.happened(&happening);
        self.mailer.happened(&happening);
    }

    fn notify_groups(&mut self) {
        for (index, group) in self.domain.groups().iter().enumerate() {
            let Some(known) = self.group_states.get_mut(index) else { continue };
            let started = group
                .members
                .iter()
                .filter_map(|member| self.domain.routers().get(*member))
                .all(|router| router.state() != State::Init);
            if !started || *known == group.state {
                continue;
            }
            *known = group.state;
            if let Some(model) = self.config.sync_groups.get(index) {
                let (what, scripts) = (What::State(group.state), &model.notify);
                let happening =
                    Happening { kind: Kind::Group, name: &group.name, what, priority: 0, scripts };
                self.outside.happened(&happening);
                self.mailer.happened(&happening);
            }
        }
    }

    /// `config_save_dir`: the state before and after a reload.
    pub(super) fn save_state(&self, suffix: &'static str) {
        let Some(directory) = self.config.global.reload.config_save_dir.clone() else { return };
        let (snapshot, stimuli) = (self.snapshot(), self.stimuli.clone());
        tokio::task::spawn_blocking(move || {
            let text = crate::status::data_text(&snapshot.view());
            if let Err(error) = crate::status::save(&directory, "keepalived_vrrp", suffix, text.as_bytes()) {
                // Nobody hears it when the daemon ends meanwhile.
                let _ = stimuli.blocking_send(Stimulus::Log(format!("config_save_dir {directory}: {error}")));
            }
        });
    }

    pub(super) fn dump(&mut self, what: Dump) {
        let name = match what {
            Dump::Data => Some("data"),
            Dump::Json => Some("as json"),
            Dump::Stats | Dump::ClearStats => None,
        };
        if let Some(name) = name {
            self.log.info(&format!("Printing VRRP {name} for process({}) on signal", std::process::id()));
        }
        let (snapshot, stimuli) = (self.snapshot(), self.stimuli.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = crate::status::write(what, &snapshot.view()) {
                // Nobody hears it when the daemon ends meanwhile.
                let _ = stimuli.blocking_send(Stimulus::Log(format!("cannot write a dump: {error}")));
            }
        });
        if what == Dump::ClearStats {
            for index in 0..self.domain.routers().len() {
                if let Some(router) = self.domain.router_mut(index) {
                    router.clear_counters();
                }
            }
        }
    }
}
