//! Writing down what the next worker or the supervisor needs, and adopting what a former worker left.

use hacore::time::monotonic_us;

use crate::packet::{self, PRIORITY_STOP};
use crate::supervisor::{Board, Farewell, HostRecord, Record};
use crate::track;
use crate::vrrp::{Action, Legacy, Router};

use super::{
    actor::Actor,
    instance::{Instance, Seals},
};

/// What a worker inherits.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Where it writes what it leaves itself; none in a process without supervisor.
    pub board: Option<Board>,
    /// What the former worker left.
    pub records: Vec<Record>,
    /// What it had changed on the machine.
    pub host: HostRecord,
}

/// Whether an action means that the record is old now.
pub(super) fn changes_record(action: &Action) -> bool {
    matches!(action, Action::Notify(_) | Action::AddAddresses | Action::RemoveAddresses)
}

impl Actor {
    /// The record of an instance, if a former worker left one.
    pub(super) fn record_of(&self, instance: &Instance) -> Option<&Record> {
        let identity = instance.identity();
        self.inherited.iter().find(|record| record.identity == identity)
    }

    /// Routers with a legacy go on, the others start.
    pub(super) async fn adopt(&mut self) {
        let tracked = track::initial_stimuli(&self.config);
        let now_us = monotonic_us();
        let mut out = Vec::new();
        for index in 0..self.instances.len() {
            let mut events = self.initial_events(index);
            events.extend(self.tracked_events(index, &tracked));
            for event in events {
                self.domain.step(index, event, now_us, &mut out);
            }
        }
        let records = std::mem::take(&mut self.inherited);
        let legacies: Vec<Option<&Legacy>> = self
            .instances
            .iter()
            .map(|instance| {
                let identity = instance.identity();
                records.iter().find(|record| record.identity == identity).map(|record| &record.legacy)
            })
            .collect();
        self.domain.adopt(&legacies, now_us, &mut out);
        // Nobody has to be told of a state that has not changed.
        for (known, group) in self.group_states.iter_mut().zip(self.domain.groups()) {
            *known = group.state;
        }
        self.carry_out(out).await;
        self.record_all(false);
    }

    /// Writes every instance down, after a start or a reload.
    pub(super) fn record_all(&mut self, reloaded: bool) {
        for index in 0..self.instances.len() {
            self.record(index);
        }
        self.record_host();
        let Some(board) = &self.board else { return };
        if let Err(error) = board.set_count(self.instances.len(), reloaded || board.was_reloaded()) {
            self.log.warning(&format!("cannot write down the state: {error}"));
        }
    }

    /// Writes one instance down.
    pub(super) fn record(&mut self, index: usize) {
        if self.board.is_none() {
            return;
        }
        let Some(record) = self.record_for(index) else { return };
        let Some(board) = &self.board else { return };
        if let Err(error) = board.write(index, &record) {
            // An old record is worse than none: it could bring addresses back.
            let _ = board.clear(index);
            self.log.warning(&format!("({}) cannot write down the state: {error}", record.name));
        }
    }

    fn record_for(&self, index: usize) -> Option<Record> {
        let (instance, router) = (self.instances.get(index)?, self.domain.routers().get(index)?);
        Some(Record {
            name: instance.model.name.clone(),
            identity: instance.identity(),
            legacy: router.legacy(),
            farewell: if self.leave_addresses {
                Farewell::default()
            } else {
                self.farewell(instance, router)
            },
        })
    }

    fn farewell(&self, instance: &Instance, router: &Router) -> Farewell {
        if !router.holds_addresses() {
            return Farewell::default();
        }
        let advert = instance.advertisement(PRIORITY_STOP);
        let (auth, cover) = (instance.expectation.auth, instance.expectation.checksum);
        let seals = Seals { header: instance.seal(), trailer: instance.signer() };
        let adverts = router.source().map_or_else(Vec::new, |source| {
            instance
                .destinations()
                .into_iter()
                .map(|destination| {
                    let message = packet::encode(&advert, auth, cover, source, destination);
                    (instance.envelope(source, destination, 1, seals), message)
                })
                .collect()
        });
        Farewell {
            channel: instance.port.as_ref().map(|(channel, _)| (**channel).clone()),
            adverts,
            addresses: self.placed_addresses(instance),
            paths: self.path_removals(&instance.model.routes, &instance.model.rules),
            master_down_us: router.master_down_us(),
        }
    }

    /// Writes down what was changed on the machine.
    pub(super) fn record_host(&self) {
        let Some(board) = &self.board else { return };
        let links = self.vmacs.iter().filter_map(|vmac| self.interfaces.by_name(&vmac.name));
        let record = match self.leave_addresses {
            true => HostRecord::default(),
            false => HostRecord {
                sysctls: self.sysctls.changed().to_vec(),
                firewall_table: self.firewall.table().map(str::to_owned),
                vmacs: links.map(|link| link.index).collect(),
                addresses: self.placed_static_addresses(&self.config),
                paths: self.path_removals(&self.config.static_routes, &self.config.static_rules),
            },
        };
        if let Err(error) = board.write_host(&record) {
            self.log.warning(&format!("cannot write down what was changed: {error}"));
        }
    }
}
