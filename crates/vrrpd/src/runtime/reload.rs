//! Applying a new configuration to the running daemon: what both have stays as it is.
//!
//! Instances are matched by VRID, family and interface, not by name (keepalived's behaviour).

use std::sync::Arc;

use hacore::time::monotonic_us;

use crate::model::Config;
use crate::notify;
use crate::track::{self, Trackers};
use crate::vrrp::{Domain, Ending, Event, Router, State, Tracker, sync_group::Outcome};

use super::{
    actor::Actor,
    build,
    instance::Instance,
    outside::{Happening, Kind, Nobody, Stimulus, What},
    vmacs,
};

impl Actor {
    /// Goes over to `config`; an error says why nothing has changed.
    pub(super) async fn reload(&mut self, mut config: Config) -> Result<(), String> {
        let before = (&self.config.global.net_namespace, &self.config.global.instance_name);
        if before != (&config.global.net_namespace, &config.global.instance_name) {
            self.log.warning("net_namespace and instance cannot be changed by a reload - ignoring");
        }
        let unsupported = build::unsupported(&config).into_iter().next();
        let vmacs = vmacs::plan(&mut config, &self.vmacs, &self.interfaces);
        let refusal =
            unsupported.or_else(|| self.load_firewall(&config).err().map(|error| error.to_string()));
        if let Some(reason) = refusal {
            self.log.warning(&format!("{reason}; the configuration in use stays"));
            return Err(reason);
        }
        self.advertise_all().await;
        self.trackers = None;
        self.conditions.clear();
        self.remove_instances_missing_in(&config).await;
        let settings = build::settings(&config, 0);
        let old_routers = std::mem::take(&mut self.domain).into_routers();
        let old_instances = std::mem::take(&mut self.instances);
        let mut old: Vec<(Instance, Router)> = old_instances.into_iter().zip(old_routers).collect();
        let (mut kept, mut routers) = (Vec::new(), Vec::new());
        for (model, settings) in config.vrrp_instances.iter().zip(settings) {
            let mut instance = Instance::new(model.clone());
            let position = old.iter().position(|(before, _)| before.is_of(model));
            match position.map(|position| old.swap_remove(position)) {
                Some((before, mut router)) => {
                    router.reconfigure(settings);
                    instance.port.clone_from(&before.port);
                    instance.continue_sequences(&before);
                    routers.push(router);
                    kept.push(Some(before));
                }
                None => {
                    routers.push(Router::new(settings));
                    kept.push(None);
                }
            }
            self.instances.push(instance);
        }
        let groups = build::groups(&config, &routers);
        self.group_states = groups.iter().map(|group| group.state).collect();
        self.domain = Domain::new(routers, groups);
        self.change_static_addresses(&config).await;
        self.change_fifos(&config);
        self.mailer.configure(&config.global, &self.stimuli);
        self.config = Arc::new(config);
        self.auto_priority.reconfigure(&self.config.global);
        let former_vmacs = self.change_vmacs(vmacs).await;
        let tracked = track::initial_stimuli(&self.config);
        for (index, before) in kept.into_iter().enumerate() {
            match before {
                Some(before) => self.continue_instance(index, &before).await,
                None => self.start_new_instance(index, &tracked).await,
            }
        }
        self.trackers = Some(Trackers::start(&self.config, &self.stimuli));
        self.lease_anew().await;
        self.drop_unused_listeners();
        self.remove_vmacs(&former_vmacs).await;
        self.advertise_all().await;
        self.record_all();
        if self.config.global.fifo_write_states_on_reload {
            self.remind_fifos();
        }
        self.log.info("Reload complete");
        Ok(())
    }

    fn remind_fifos(&mut self) {
        for (instance, router) in self.instances.iter().zip(self.domain.routers()) {
            let (kind, name, scripts) = (Kind::Instance, &*instance.model.name, &instance.model.notify);
            let (what, priority) = (What::State(router.state()), router.priority());
            self.outside.remind(&Happening { kind, name, what, priority, scripts });
        }
        for (model, group) in self.config.sync_groups.iter().zip(self.domain.groups()) {
            let (kind, name, scripts) = (Kind::Group, &*group.name, &model.notify);
            self.outside.remind(&Happening {
                kind,
                name,
                what: What::State(group.state),
                priority: 0,
                scripts,
            });
        }
    }

    /// As keepalived does: a matching master sends an advert before and after.
    async fn advertise_all(&mut self) {
        let now_us = monotonic_us();
        let mut out: Vec<Outcome> = Vec::new();
        for index in 0..self.domain.routers().len() {
            let mut actions = Vec::new();
            if let Some(router) = self.domain.router_mut(index) {
                router.advertise_now(now_us, &mut actions);
            }
            out.extend(actions.into_iter().map(|action| (index, action)));
        }
        self.carry_out(out).await;
    }

    async fn start_new_instance(&mut self, index: usize, tracked: &[Stimulus]) {
        self.remove_residual_addresses(index).await;
        if let Err(error) = self.open_port(index) {
            self.log.warning(&error.to_string());
        }
        self.start_instance(index, tracked).await;
    }

    fn change_fifos(&mut self, config: &Config) {
        let (old, new) = (&self.config.global, &config.global);
        if old.notify_fifo != new.notify_fifo || old.vrrp_notify_fifo != new.vrrp_notify_fifo {
            // The old FIFOs go before the new ones come: they may have the same path.
            self.outside = Box::new(Nobody);
            let (notifier, scripts) = notify::Notifier::new(new, self.stimuli.clone());
            self.outside = Box::new(notifier);
            self.scripts = scripts;
        }
    }

    /// Only changed addresses are touched.
    async fn continue_instance(&mut self, index: usize, before: &Instance) {
        self.forget_dropped_trackers(index);
        let same_channel = self.instances.get(index).is_some_and(|instance| {
            instance.model.unicast == before.model.unicast
                && instance.model.multicast_group == before.model.multicast_group
                && instance.model.source_address == before.model.source_address
                && instance.protocol() == before.protocol()
                && instance.advert_interface() == before.advert_interface()
        });
        if !same_channel {
            if let Some(instance) = self.instances.get_mut(index) {
                instance.port = None;
            }
            if let Err(error) = self.open_port(index) {
                self.log.warning(&error.to_string());
            }
        }
        let holds = self.domain.routers().get(index).is_some_and(Router::holds_addresses);
        if holds {
            self.change_addresses(index, before).await;
        }
        for event in self.initial_events(index) {
            self.feed(index, event).await;
        }
    }

    async fn change_addresses(&mut self, index: usize, before: &Instance) {
        let Some(after) = self.instances.get(index) else { return };
        let name = after.model.name.clone();
        let place = |instance: &Instance| -> Vec<(Option<String>, crate::model::AddressSpec)> {
            instance
                .model
                .all_addresses()
                .map(|spec| (instance.interface_of(spec).map(str::to_owned), spec.clone()))
                .collect()
        };
        let (old, new) = (place(before), place(after));
        for (interface, spec) in old.iter().filter(|entry| !new.contains(entry)) {
            let index = interface.as_deref().and_then(|name| self.interfaces.by_name(name));
            if let Some(ifindex) = index.map(|link| link.index) {
                self.remove_address(&name, ifindex, spec).await;
            }
        }
        let mut added = false;
        for (interface, spec) in new.iter().filter(|entry| !old.contains(entry)) {
            let link = interface.as_deref().and_then(|name| self.interfaces.by_name(name));
            if let Some(ifindex) = link.map(|link| link.index) {
                let lifetime_s = self.instances.get(index).and_then(|instance| self.lifetime_s(instance));
                self.add_address(&name, ifindex, spec, lifetime_s).await;
                added = true;
            }
        }
        let Some(after) = self.instances.get(index).map(|instance| instance.model.clone()) else { return };
        let old = (before.model.routes.as_slice(), before.model.rules.as_slice());
        self.change_paths(&name, old, (&after.routes, &after.rules)).await;
        if added {
            let repeat = self.instances.get(index).map_or(0, |instance| instance.model.garp.master_repeat);
            self.announce(index, repeat);
        }
    }

    fn forget_dropped_trackers(&mut self, index: usize) {
        let Some(instance) = self.instances.get(index) else { return };
        let group = self.config.sync_group_of(&instance.model.name);
        let sets = || std::iter::once(&instance.model.track).chain(group.map(|g| &g.track));
        let wanted = |tracker: &Tracker| match tracker {
            Tracker::Interface(name) => {
                instance.model.interface.as_ref() == Some(name) && !instance.model.dont_track_primary
                    || instance.model.vrf.as_ref() == Some(name)
                    || instance.address_interfaces().contains(name)
                    || self.config.static_interfaces_of(&instance.model.name).contains(&name.as_str())
            }
            Tracker::TrackedInterface(name) => {
                sets().any(|set| set.interfaces.iter().any(|tracked| tracked.name == *name))
            }
            Tracker::Script(name) => {
                sets().any(|set| set.scripts.iter().any(|tracked| tracked.name == *name))
            }
            Tracker::File(name) => sets().any(|set| set.files.iter().any(|tracked| tracked.name == *name)),
            Tracker::Process(name) => {
                sets().any(|set| set.processes.iter().any(|tracked| tracked.name == *name))
            }
            Tracker::Proxy(name) => sets().any(|set| set.proxies.iter().any(|proxy| proxy.name() == *name)),
            Tracker::Source => true,
            Tracker::Configuration => instance.model.config_fault.is_some(),
        };
        let dropped: Vec<Tracker> = self
            .domain
            .routers()
            .get(index)
            .into_iter()
            .flat_map(Router::trackers)
            .filter(|tracker| !wanted(tracker))
            .cloned()
            .collect();
        if let Some(router) = self.domain.router_mut(index) {
            for tracker in &dropped {
                router.drop_tracker(tracker);
            }
        }
    }

    /// As keepalived does: priority 0, addresses off, FAULT or DELETED told.
    async fn remove_instances_missing_in(&mut self, config: &Config) {
        for index in 0..self.instances.len() {
            let Some(instance) = self.instances.get(index) else { continue };
            let stays = config.vrrp_instances.iter().any(|model| instance.is_of(model));
            if stays {
                continue;
            }
            self.feed(index, Event::Stop(Ending::Removed)).await;
            let Some(instance) = self.instances.get(index) else { continue };
            let deleted = instance.model.notify.says_deleted;
            self.outside.happened(&Happening {
                kind: Kind::Instance,
                name: &instance.model.name,
                what: if deleted { What::Deleted } else { What::State(State::Fault) },
                priority: instance.model.priority,
                scripts: &instance.model.notify,
            });
        }
    }

    fn drop_unused_listeners(&mut self) {
        let instances = &self.instances;
        self.listeners.retain(|channel, _| {
            instances
                .iter()
                .any(|instance| instance.port.as_ref().is_some_and(|(used, _)| **used == *channel))
        });
    }
}
