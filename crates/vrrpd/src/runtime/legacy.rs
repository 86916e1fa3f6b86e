//! Writing down what the next worker or the supervisor needs, and adopting what a former worker left.

use hacore::time::monotonic_us;
use netlink_packet_route::RouteNetlinkMessage;

use crate::model::AddressSpec;
use crate::netlink::{address, macvlan, plain};
use crate::packet::{self, PRIORITY_STOP};
use crate::supervisor::{Board, HostRecord, Record, Will};
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
        self.record_all();
    }

    /// Writes every instance down, after a start or a reload.
    pub(super) fn record_all(&mut self) {
        for index in 0..self.instances.len() {
            self.record(index);
        }
        self.record_host();
        let Some(board) = &self.board else { return };
        if let Err(error) = board.set_count(self.instances.len()) {
            self.log.warning(&format!("cannot write down the state: {error}"));
        }
    }

    /// Writes one instance down.
    pub(super) fn record(&mut self, index: usize) {
        if self.board.is_none() {
            return;
        }
        let Some((record, will)) = self.record_for(index) else { return };
        let Some(board) = &self.board else { return };
        if let Err(error) = board.write(index, &record, &will) {
            // An old record is worse than none: it could bring addresses back.
            let _ = board.clear(index);
            self.log.warning(&format!("({}) cannot write down the state: {error}", record.name));
        }
    }

    fn record_for(&self, index: usize) -> Option<(Record, Will)> {
        let (instance, router) = (self.instances.get(index)?, self.domain.routers().get(index)?);
        let name = instance.model.name.clone();
        let record = Record { name, identity: instance.identity(), legacy: router.legacy() };
        let will = if self.leave_addresses { Will::default() } else { self.will(instance, router) };
        Some((record, will))
    }

    /// How to give up an instance without knowing anything of it.
    fn will(&self, instance: &Instance, router: &Router) -> Will {
        if !router.holds_addresses() {
            return Will::default();
        }
        let mut will = Will::of_holder(&instance.model.name, instance.model.vrid, router.master_down_us());
        if let Some((channel, _)) = &instance.port {
            will.place(channel);
        }
        let advert = instance.advertisement(PRIORITY_STOP);
        let (auth, cover) = (instance.expectation.auth, instance.expectation.checksum);
        let seals = Seals { header: instance.seal(), trailer: instance.signer() };
        for (source, destination) in router
            .source()
            .into_iter()
            .flat_map(|source| instance.destinations().into_iter().map(move |to| (source, to)))
        {
            let message = packet::encode(&advert, auth, cover, source, destination);
            will.advert(&instance.envelope(source, destination, 1, seals), &message);
        }
        for request in self.path_removals(&instance.model.routes, &instance.model.rules) {
            will.route_removal(&request);
        }
        for (ifindex, spec) in self.placed_addresses(instance) {
            will.route_removal(&address_removal(ifindex, &spec));
        }
        will
    }

    /// Writes down what was changed on the machine.
    pub(super) fn record_host(&self) {
        let Some(board) = &self.board else { return };
        let (record, will) = match self.leave_addresses {
            true => (HostRecord::default(), Will::default()),
            false => {
                let firewall_table = self.firewall.table().map(str::to_owned);
                (HostRecord { sysctls: self.sysctls.changed().to_vec(), firewall_table }, self.host_will())
            }
        };
        if let Err(error) = board.write_host(&record, &will) {
            self.log.warning(&format!("cannot write down what was changed: {error}"));
        }
    }

    /// How to clear the machine of everything that does not belong to one instance: static routes, rules and addresses,
    /// packet filter, vmacs; then switches get their former values.
    fn host_will(&self) -> Will {
        let mut will = Will::default();
        for request in self.path_removals(&self.config.static_routes, &self.config.static_rules) {
            will.route_removal(&request);
        }
        for (ifindex, spec) in self.placed_static_addresses(&self.config) {
            will.route_removal(&address_removal(ifindex, &spec));
        }
        if let Some(table) = self.firewall.table() {
            for family in [nix::libc::NFPROTO_IPV4, nix::libc::NFPROTO_IPV6] {
                will.filter_removal(&plain::table_removal(family as u8, table));
            }
        }
        for link in self.vmacs.iter().filter_map(|vmac| self.interfaces.by_name(&vmac.name)) {
            let removal = RouteNetlinkMessage::DelLink(macvlan::removal(link.index));
            will.route_removal(&plain::request(removal));
        }
        for (path, before) in self.sysctls.changed().iter().rev() {
            will.switch(path.as_os_str().as_encoded_bytes(), before.as_bytes());
        }
        will
    }
}

fn address_removal(ifindex: u32, spec: &AddressSpec) -> Vec<u8> {
    plain::request(RouteNetlinkMessage::DelAddress(address::removal(ifindex, spec)))
}
