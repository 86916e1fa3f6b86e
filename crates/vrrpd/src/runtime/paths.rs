//! Routes and policy rules that come and go with a master, and static ones.
//!
//! What the kernel refuses is said and left out: the addresses are more important. As with keepalived, a tracked route or
//! rule that somebody else removes costs the master state.

use netlink_packet_route::RouteNetlinkMessage;

use netlink_packet_route::{route::RouteMessage, rule::RuleMessage};

use crate::model::{RouteSpec, RuleSpec, VrrpInstance, WhereInserted};
use crate::netlink::{plain, route, rule};
use crate::vrrp::{Event, State};

use super::actor::Actor;

impl Actor {
    /// Routes, then rules.
    pub(super) async fn add_paths(&self, name: &str, routes: &[RouteSpec], rules: &[RuleSpec]) {
        for spec in routes {
            let Some(message) = self.route(name, spec) else { continue };
            if let Err(error) = self.netlink.add_route(message, spec.insert).await {
                self.log.warning(&format!("({name}) cannot add route to {}: {error}", destination(spec)));
            }
        }
        for spec in rules {
            if let Err(error) = self.netlink.add_rule(rule::message(spec)).await {
                self.log.warning(&format!("({name}) cannot add rule {}: {error}", preference(spec)));
            }
        }
    }

    /// A route that may be there, or not be possible yet.
    pub(super) async fn add_paths_quietly(&self, spec: &RouteSpec) {
        let message = route::message(spec, |dev| self.interfaces.by_name(dev));
        if let Some(message) = message {
            // The next change of an interface is the next chance.
            let _ = self.netlink.add_route(message, WhereInserted::Add).await;
        }
    }

    /// Rules, then routes; what is not there is fine.
    pub(super) async fn remove_paths(&self, name: &str, routes: &[RouteSpec], rules: &[RuleSpec]) {
        for spec in rules {
            if let Err(error) = self.netlink.remove_rule(rule::message(spec)).await {
                self.log.warning(&format!("({name}) cannot remove rule {}: {error}", preference(spec)));
            }
        }
        for spec in routes {
            let Some(message) = self.route(name, spec) else { continue };
            if let Err(error) = self.netlink.remove_route(message).await {
                self.log.warning(&format!("({name}) cannot remove route to {}: {error}", destination(spec)));
            }
        }
    }

    /// Only what differs is touched.
    pub(super) async fn change_paths(
        &self,
        name: &str,
        old: (&[RouteSpec], &[RuleSpec]),
        new: (&[RouteSpec], &[RuleSpec]),
    ) {
        let (routes, rules) = (missing(old.0, new.0), missing(old.1, new.1));
        self.remove_paths(name, &routes, &rules).await;
        let (routes, rules) = (missing(new.0, old.0), missing(new.1, old.1));
        self.add_paths(name, &routes, &rules).await;
    }

    /// The requests that remove rules, then routes, for whoever knows nothing else of them.
    pub(super) fn path_removals(&self, routes: &[RouteSpec], rules: &[RuleSpec]) -> Vec<Vec<u8>> {
        let rules = rules.iter().map(|spec| RouteNetlinkMessage::DelRule(rule::message(spec)));
        let routes = routes
            .iter()
            .filter_map(|spec| route::message(spec, |dev| self.interfaces.by_name(dev)))
            .map(RouteNetlinkMessage::DelRoute);
        rules.chain(routes).map(plain::request).collect()
    }

    /// A route was removed, by somebody else if its instance is master.
    pub(super) async fn route_gone(&mut self, gone: &RouteMessage) {
        self.restore_static_route(gone).await;
        self.path_gone("route", |model| {
            model.routes.iter().any(|spec| !spec.no_track && route::is_about(gone, spec))
        })
        .await;
    }

    /// The same of a rule.
    pub(super) async fn rule_gone(&mut self, gone: &RuleMessage) {
        self.restore_static_rule(gone).await;
        self.path_gone("rule", |model| {
            model.rules.iter().any(|spec| !spec.no_track && rule::is_about(gone, spec))
        })
        .await;
    }

    async fn path_gone(&mut self, what: &str, is_its: impl Fn(&VrrpInstance) -> bool) {
        for index in 0..self.instances.len() {
            let is_master = self.domain.routers().get(index).is_some_and(|r| r.state() == State::Master);
            let Some(instance) = self.instances.get(index).filter(|_| is_master) else { continue };
            if is_its(&instance.model) {
                let name = &instance.model.name;
                self.log.info(&format!("({name}) Netlink reflector reports a virtual {what} removed"));
                self.feed(index, Event::AddressLost).await;
            }
        }
    }

    fn route(&self, name: &str, spec: &RouteSpec) -> Option<RouteMessage> {
        let message = route::message(spec, |dev| self.interfaces.by_name(dev));
        if message.is_none() {
            let text = format!("({name}) no interface for the route to {}", destination(spec));
            self.log.warning(&text);
        }
        message
    }
}

/// What of `list` is not in `other`.
fn missing<T: PartialEq + Clone>(list: &[T], other: &[T]) -> Vec<T> {
    list.iter().filter(|entry| !other.contains(entry)).cloned().collect()
}

fn destination(spec: &RouteSpec) -> String {
    spec.to.map_or_else(|| "default".to_owned(), |(address, length)| format!("{address}/{length}"))
}

fn preference(spec: &RuleSpec) -> String {
    spec.priority.map_or_else(|| "without preference".to_owned(), |priority| priority.to_string())
}
