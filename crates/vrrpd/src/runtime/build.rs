//! From the model to the routers of the state machine.

use crate::model::{Config, GlobalDefs, SyncGroup};
use crate::netlink::route;
use crate::vrrp::{Group, Router, Settings};

/// A feature of the file that this version does not carry out, although the file is right.
///
/// An instance that would behave differently from what its file says must not run.
pub fn unsupported(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for feature in config.static_routes.iter().filter_map(route::unsupported) {
        found.push(format!("static_routes: {feature} is not supported yet"));
    }
    for instance in &config.vrrp_instances {
        let mut refuse = |wanted: bool, feature: &str| {
            if wanted {
                found.push(format!("({}) {feature} is not supported yet", instance.name));
            }
        };
        let ah = matches!(instance.auth, crate::model::Authentication::Ah(_));
        refuse(ah && instance.family == crate::model::Family::V6, "auth_type AH with IPv6");
        for feature in instance.routes.iter().filter_map(route::unsupported) {
            refuse(true, feature);
        }
    }
    found
}

/// The state machine's settings of every instance.
pub fn settings(config: &Config, deaf_until_us: u64) -> Vec<Settings> {
    config
        .vrrp_instances
        .iter()
        .map(|instance| Settings { deaf_until_us, ..Settings::from(instance) })
        .collect()
}

/// The sync groups over routers in the order of the configuration.
pub fn groups(config: &Config, routers: &[Router]) -> Vec<Group> {
    config.sync_groups.iter().map(|group| build_group(config, routers, group)).collect()
}

fn build_group(config: &Config, routers: &[Router], group: &SyncGroup) -> Group {
    let members: Vec<usize> = group
        .members
        .iter()
        .filter_map(|member| config.vrrp_instances.iter().position(|instance| instance.name == *member))
        .collect();
    let states = members.iter().filter_map(|member| routers.get(*member)).map(Router::state);
    let state = Group::state_of(states);
    Group { name: group.name.clone(), members, state }
}

/// Until when adverts are not for us: `vrrp_startup_delay` from now, `vrrp_delay_after_boot` from boot; 0 for never.
pub fn deaf_until_us(global: &GlobalDefs, now_us: u64) -> u64 {
    let after_start_us = match global.startup_delay_us {
        0 => 0,
        delay_us => now_us + delay_us,
    };
    // The monotonic clock counts from boot, but for the time the machine was suspended.
    let after_boot_us = global.delay_after_boot_us;
    let until_us = after_start_us.max(after_boot_us);
    if until_us > now_us { until_us } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_both_delays_counts() {
        let global = |startup_delay_us, delay_after_boot_us| GlobalDefs {
            startup_delay_us,
            delay_after_boot_us,
            ..GlobalDefs::default()
        };
        assert_eq!(deaf_until_us(&global(0, 0), 100), 0);
        assert_eq!(deaf_until_us(&global(50, 0), 100), 150);
        assert_eq!(deaf_until_us(&global(50, 170), 100), 170);
        assert_eq!(deaf_until_us(&global(0, 90), 100), 0);
    }
}
