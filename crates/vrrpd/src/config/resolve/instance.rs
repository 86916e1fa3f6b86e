//! Instances: defaults merged, then keepalived's corrections in its wording.

use hacore::diag::Diagnostic;

use crate::model::{
    AddressSpec, Authentication, Config, Family, GarpSettings, HmacMode, HmacSettings, InitialState,
    InstanceDefaults, Preempt, UnicastSettings, Version, VmacSettings, VrrpInstance,
};

use super::super::keyword::Context;
use super::super::keywords::draft::{AuthKind, GarpDraft, GlobalDraft, InstanceDraft};
use super::super::value::seconds_text;
use super::command::Commands;
use super::tracked::{self, NoWeights};

const ADVERT_INT_DEFAULT_US: u64 = 1_000_000;
/// 12 bits of centiseconds (RFC 9568 §5.2.7).
const V3_ADVERT_INT_MAX_US: u64 = 40_950_000;
const PRIORITY_DEFAULT: u8 = 100;
const PRIORITY_OWNER: u8 = 255;

/// The instance, or `None` with an alert when it cannot run.
pub(super) fn resolve(
    mut draft: InstanceDraft,
    global: &GlobalDraft,
    config: &Config,
    commands: &mut Commands,
    context: &mut Context<'_>,
) -> Option<VrrpInstance> {
    let name = draft.name.clone();
    let Some(vrid) = draft.vrid else {
        alert(context, &draft, format!("({name}) the virtual router id must be set"));
        return None;
    };
    let vips = addresses(&mut draft, context);
    let family = draft.is_ipv6().map_or(Family::V4, |ipv6| if ipv6 { Family::V6 } else { Family::V4 });
    if let Some(span) = draft.native_ipv6.filter(|_| family == Family::V4 && !vips.is_empty()) {
        context.warn(span, format!("({name}) Cannot specify native_ipv6 with IPv4 addresses"));
    }
    let version = version(&draft, global, family, context);
    let strict = draft.strict.unwrap_or(global.strict);
    if !has_vips(&draft, &vips, version, strict, context) {
        return None;
    }
    let unicast = unicast(&draft, context);
    if draft.interface.is_none() && unicast.as_ref().is_none_or(|unicast| unicast.peers.is_empty()) {
        alert(context, &draft, format!("({name}) Unknown interface!"));
        return None;
    }
    let initial_state = draft.state.unwrap_or_default();
    let owner_by_state = strict && initial_state == InitialState::Master;
    let priority = draft.priority.unwrap_or(if owner_by_state { PRIORITY_OWNER } else { PRIORITY_DEFAULT });
    let owner = priority == PRIORITY_OWNER;

    let mut instance = VrrpInstance {
        interface: draft.interface.as_ref().map(|interface| interface.value.clone()),
        vrf: draft.vrf.clone(),
        vrid,
        version,
        family,
        priority,
        initial_state,
        advert_int_us: advert_int(&draft, version, context),
        auth: authentication(&draft, version, strict, context),
        auth_hmac: hmac(&draft, strict),
        vips,
        excluded_vips: draft.excluded_vips.iter().map(|at| at.value.clone()).collect(),
        no_vips: draft.no_vips,
        routes: draft.routes.iter().map(|at| at.value.clone()).collect(),
        rules: draft.rules.iter().map(|at| at.value.clone()).collect(),
        source_address: draft.source_address.as_ref().map(|at| at.value),
        track_source_address: draft.track_source_address,
        multicast_group: multicast_group(&draft, global, family, context),
        check_unicast_source: draft.check_unicast_src.unwrap_or(global.check_unicast_src)
            || unicast
                .iter()
                .flat_map(|u| &u.peers)
                .any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some()),
        unicast,
        preempt: Preempt { enabled: !draft.nopreempt, delay_us: draft.preempt_delay_us },
        garp: garp(&draft.garp, global),
        accept: draft.accept.unwrap_or(!strict || owner),
        strict,
        skip_check_adv_addr: draft.skip_check_adv_addr.unwrap_or(global.skip_check_adv_addr),
        v3_checksum_as_v2: draft.v3_checksum_as_v2.unwrap_or(global.v3_checksum_as_v2),
        down_timer_adverts: draft.down_timer_adverts.or(global.down_timer_adverts).unwrap_or(3),
        lower_prio_no_advert: draft.lower_prio_no_advert.or(global.lower_prio_no_advert).unwrap_or(strict),
        higher_prio_send_advert: draft
            .higher_prio_send_advert
            .or(global.higher_prio_send_advert)
            .unwrap_or(false),
        owner_ignore_adverts: draft.owner_ignore_adverts.unwrap_or(global.owner_ignore_adverts || strict),
        timer_expired_backup: draft.timer_expired_backup,
        vmac: None,
        ipvlan: draft.ipvlan.clone(),
        dont_track_primary: draft.dont_track_primary,
        linkbeat_use_polling: draft.linkbeat_use_polling,
        promote_secondaries: draft.promote_secondaries,
        kernel_rx_buf_bytes: draft.kernel_rx_buf_bytes,
        track: Default::default(),
        notify: commands.notify_scripts(&draft.notify, global, context),
        lvs_sync_interface: draft.lvs_sync_interface.clone(),
        debug: draft.debug,
        config_fault: None,
        name,
    };
    instance.vmac = vmac(&draft, instance.unicast.is_some(), context);
    instance.track = track(&draft, &instance, config, context);
    settle_state(&mut instance, context);
    if strict {
        settle_strict(&mut instance, &draft, context);
    }
    if instance.unicast.as_ref().is_some_and(|unicast| unicast.peers.is_empty()) {
        instance.config_fault = Some("unicast without peers".into());
    }
    Some(instance)
}

fn alert(context: &mut Context<'_>, draft: &InstanceDraft, message: String) {
    context.diagnostics.push(Diagnostic::alert(message).at(draft.span));
}

fn warn(context: &mut Context<'_>, draft: &InstanceDraft, message: String) {
    context.warn(draft.span, format!("({}) {message}", draft.name));
}

/// The VIPs of the first one's family, each once.
fn addresses(draft: &mut InstanceDraft, context: &mut Context<'_>) -> Vec<AddressSpec> {
    let ipv6 = draft.vips.first().map(|vip| vip.value.address.is_ipv6());
    let name = draft.name.clone();
    draft.vips.retain(|vip| {
        let fits = Some(vip.value.address.is_ipv6()) == ipv6;
        if !fits {
            let address = format!("{}/{}", vip.value.address, vip.value.prefix_len);
            context.warn(
                vip.span,
                format!("({name}): address family must match VRRP instance [{address}] - ignoring"),
            );
        }
        fits
    });
    let mut seen = std::collections::HashSet::new();
    let mut keep = |address: &AddressSpec| seen.insert((address.address, address.dev.clone()));
    let vips = draft.vips.iter().map(|at| at.value.clone()).filter(&mut keep).collect();
    draft.excluded_vips.retain(|at| keep(&at.value));
    vips
}

fn version(
    draft: &InstanceDraft,
    global: &GlobalDraft,
    family: Family,
    context: &mut Context<'_>,
) -> Version {
    match (&draft.version, family) {
        (Some(at), Family::V6) if at.value == Version::V2 => {
            let message = format!(
                "({}) vrrp_version 2 conflicts with configured or deduced version 0; ignoring.",
                draft.name
            );
            context.warn(at.span, message);
            Version::V3
        }
        (_, Family::V6) => Version::V3,
        (Some(at), Family::V4) => at.value,
        (None, Family::V4) => global.version.unwrap_or(Version::V2),
    }
}

fn has_vips(
    draft: &InstanceDraft,
    vips: &[AddressSpec],
    version: Version,
    strict: bool,
    context: &mut Context<'_>,
) -> bool {
    if !vips.is_empty() || draft.no_vips && !strict {
        return true;
    }
    if version == Version::V3 || strict {
        alert(context, draft, format!("({}) No VIP specified; at least one is required", draft.name));
        return false;
    }
    warn(context, draft, "No VIP specified; at least one is sensible".into());
    true
}

fn unicast(draft: &InstanceDraft, context: &mut Context<'_>) -> Option<UnicastSettings> {
    if draft.peers.is_empty() {
        if draft.unicast && !draft.unicast_fault_no_peer {
            let message = "A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration.";
            warn(context, draft, message.into());
        }
        if !draft.unicast_fault_no_peer {
            return None;
        }
    }
    Some(UnicastSettings {
        peers: draft.peers.iter().map(|peer| peer.value).collect(),
        ttl: draft.unicast_ttl,
        checksum: draft.unicast_checksum,
        fault_no_peer: draft.unicast_fault_no_peer,
    })
}

fn advert_int(draft: &InstanceDraft, version: Version, context: &mut Context<'_>) -> u64 {
    let us = draft.advert_int_us.unwrap_or(ADVERT_INT_DEFAULT_US);
    match version {
        Version::V2 if !us.is_multiple_of(1_000_000) => {
            let text = seconds_text(us);
            warn(
                context,
                draft,
                format!("VRRPv2 advertisement interval {text}s must be an integer. rounding"),
            );
            ((us + 500_000) / 1_000_000).max(1) * 1_000_000
        }
        Version::V3 if us > V3_ADVERT_INT_MAX_US => {
            let text = format!("{}.{:02}", us / 1_000_000, us % 1_000_000 / 10_000);
            let message = format!(
                "VRRPv3 advertisement interval {text}s is out of range. Must be less than 40.96s. Setting to 40.95s"
            );
            warn(context, draft, message);
            V3_ADVERT_INT_MAX_US
        }
        Version::V3 if !us.is_multiple_of(10_000) => {
            let text = seconds_text(us);
            warn(
                context,
                draft,
                format!("VRRPv3 advertisement interval {text}s must be in units of 10ms - rounding"),
            );
            ((us + 5_000) / 10_000).clamp(1, 4095) * 10_000
        }
        _ => us,
    }
}

fn authentication(
    draft: &InstanceDraft,
    version: Version,
    strict: bool,
    context: &mut Context<'_>,
) -> Authentication {
    let Some(kind) = draft.auth_kind else { return Authentication::None };
    if strict {
        warn(context, draft, "Strict mode does not support authentication. Ignoring.".into());
        return Authentication::None;
    }
    if version == Version::V3 {
        warn(context, draft, "VRRP version 3 does not support authentication. Ignoring.".into());
        return Authentication::None;
    }
    match (kind, draft.auth_pass) {
        (_, None) => {
            warn(context, draft, "Authentication specified but no password given. Ignoring".into());
            Authentication::None
        }
        (AuthKind::Pass, Some(secret)) => Authentication::Pass(secret),
        (AuthKind::Ah, Some(secret)) => Authentication::Ah(secret),
    }
}

/// Manual, `auth_hmac`: strict mode enforces it, and without `time_window` it is three intervals, five seconds at least.
fn hmac(draft: &InstanceDraft, strict: bool) -> Option<HmacSettings> {
    const WINDOW_MIN_S: u16 = 5;
    let mut hmac = draft.hmac.clone()?;
    if strict {
        hmac.mode = HmacMode::Enforce;
    }
    if hmac.time_window_s == 0 {
        let interval_us = draft.advert_int_us.unwrap_or(ADVERT_INT_DEFAULT_US);
        let three_s = u16::try_from((3 * interval_us).div_ceil(1_000_000)).unwrap_or(u16::MAX);
        hmac.time_window_s = three_s.max(WINDOW_MIN_S);
    }
    Some(hmac)
}

fn multicast_group(
    draft: &InstanceDraft,
    global: &GlobalDraft,
    family: Family,
    context: &mut Context<'_>,
) -> std::net::IpAddr {
    match &draft.multicast_group {
        Some(at) if Family::of(at.value) == family => at.value,
        Some(at) => {
            let message = format!(
                "({}) mcast_dst_ip {} is not of the instance's family. Skipping...",
                draft.name, at.value
            );
            context.warn(at.span, message);
            global.model.mcast_group(family)
        }
        None => global.model.mcast_group(family),
    }
}

/// What instances have that say nothing else.
pub(super) fn defaults(global: &GlobalDraft) -> InstanceDefaults {
    InstanceDefaults {
        version: global.version.unwrap_or(Version::V2),
        garp: garp(&GarpDraft::default(), global),
        down_timer_adverts: global.down_timer_adverts.unwrap_or(3),
        lower_prio_no_advert: global.lower_prio_no_advert.unwrap_or(global.strict),
        higher_prio_send_advert: global.higher_prio_send_advert.unwrap_or(false),
        check_unicast_src: global.check_unicast_src,
        skip_check_adv_addr: global.skip_check_adv_addr,
        strict: global.strict,
        notify_priority_changes: global.notify_priority_changes,
        smtp_alert: global.smtp_alert,
        smtp_alert_vrrp: global.smtp_alert_vrrp,
    }
}

fn garp(own: &GarpDraft, global: &GlobalDraft) -> GarpSettings {
    let default = &global.garp;
    let master_delay_us = own.master_delay_us.or(default.master_delay_us).unwrap_or(if global.min_garp {
        0
    } else {
        5_000_000
    });
    let master_repeat =
        own.master_repeat.or(default.master_repeat).unwrap_or(if global.min_garp { 1 } else { 5 });
    GarpSettings {
        master_delay_us,
        master_repeat,
        master_refresh_us: own.master_refresh_us.or(default.master_refresh_us).unwrap_or(0),
        master_refresh_repeat: own.master_refresh_repeat.or(default.master_refresh_repeat).unwrap_or(1),
        lower_prio_delay_us: own
            .lower_prio_delay_us
            .or(default.lower_prio_delay_us)
            .unwrap_or(master_delay_us),
        lower_prio_repeat: own.lower_prio_repeat.or(default.lower_prio_repeat).unwrap_or(master_repeat),
        extra_interfaces: own
            .extra_interfaces
            .or(default.extra_interfaces)
            .filter(|extra| extra.interval_us > 0),
    }
}

fn vmac(draft: &InstanceDraft, unicast: bool, context: &mut Context<'_>) -> Option<VmacSettings> {
    let Some(vmac) = &draft.vmac else {
        if draft.vmac_for_addresses {
            warn(
                context,
                draft,
                "use_vmac_addr is only carried out with use_vmac; write use_vmac behind the addresses".into(),
            );
        }
        if draft.vmac_xmit_base {
            warn(context, draft, "vmac_xmit_base is only valid with a vmac".into());
        }
        return None;
    };
    if unicast && !draft.vmac_xmit_base {
        warn(context, draft, "unicast with use_vmac requires vmac_xmit_base - setting".into());
    }
    Some(VmacSettings {
        xmit_base: draft.vmac_xmit_base || unicast,
        for_addresses: draft.vmac_for_addresses,
        ..vmac.clone()
    })
}

fn track(
    draft: &InstanceDraft,
    instance: &VrrpInstance,
    config: &Config,
    context: &mut Context<'_>,
) -> crate::model::TrackSet {
    let in_group = config.sync_group_of(&instance.name).is_some_and(|group| !group.tracking_weight);
    let no_weights = match (instance.is_owner(), in_group) {
        (true, _) => Some(NoWeights::Owner),
        (_, true) => Some(NoWeights::SyncGroup),
        _ => None,
    };
    let own = instance.interface.as_deref();
    tracked::resolve(&draft.track, &instance.name, own, no_weights, config, context)
}

/// What `state MASTER`, priority 255 and AH exclude.
fn settle_state(instance: &mut VrrpInstance, context: &mut Context<'_>) {
    let name = &instance.name;
    let mut warn =
        |message: &str| context.diagnostics.push(Diagnostic::warning(format!("({name}) {message}")));
    if instance.is_owner() && !instance.preempt.enabled {
        warn("nopreempt is incompatible with priority 255. resetting nopreempt");
        instance.preempt.enabled = true;
    }
    if instance.initial_state == InitialState::Master {
        if !instance.preempt.enabled {
            warn("Warning - nopreempt will not work with initial state MASTER - clearing");
            instance.preempt.enabled = true;
        }
        if instance.preempt.delay_us > 0 && !instance.strict {
            warn("Warning - preempt delay will not work with initial state MASTER - clearing");
            instance.preempt.delay_us = 0;
        }
        if matches!(instance.auth, Authentication::Ah(_)) && !instance.is_owner() {
            // A sequence number has to be heard first (keepalived's behaviour).
            warn("Initial state master is incompatible with AH authentication - clearing");
            instance.initial_state = InitialState::Backup;
        }
    }
    if instance.timer_expired_backup.is_some() && instance.preempt.enabled {
        warn("expired_timer_backup requires nopreempt - resetting");
        instance.timer_expired_backup = None;
    }
    if !instance.preempt.enabled && instance.preempt.delay_us > 0 {
        instance.preempt.delay_us = 0;
    }
}

/// Manual, `vrrp_strict`.
fn settle_strict(instance: &mut VrrpInstance, draft: &InstanceDraft, context: &mut Context<'_>) {
    let name = instance.name.clone();
    let mut warn =
        |message: &str| context.diagnostics.push(Diagnostic::warning(format!("({name}) {message}")));
    if (instance.initial_state == InitialState::Master) != instance.is_owner() && draft.state.is_some() {
        warn("State MASTER must match being address owner");
    }
    instance.initial_state = if instance.is_owner() { InitialState::Master } else { InitialState::Backup };
    if instance.preempt.delay_us > 0 {
        warn("preempt_delay is incompatible with strict mode - resetting");
        instance.preempt.delay_us = 0;
    }
    if instance.version == Version::V2 && instance.accept && !instance.is_owner() {
        warn("warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting");
        instance.accept = false;
    }
    if draft.garp.lower_prio_repeat.is_some_and(|repeat| repeat > 0) {
        warn("Strict mode requires no repeat garps. resetting");
    }
    instance.garp.lower_prio_repeat = 0;
    instance.garp.lower_prio_delay_us = 0;
    if !instance.lower_prio_no_advert {
        warn("Strict mode requires no lower priority advert. resetting");
        instance.lower_prio_no_advert = true;
    }
    if instance.higher_prio_send_advert {
        warn("strict mode requires higher_prio_send_advert to be clear. resetting");
        instance.higher_prio_send_advert = false;
    }
    if let Some(vmac) = instance.vmac.as_mut().filter(|vmac| vmac.xmit_base && instance.unicast.is_none()) {
        warn("strict mode is incompatible with vmac_xmit_base. resetting");
        vmac.xmit_base = false;
    }
    if instance.down_timer_adverts != 3 {
        warn("strict mode requires down_timer_adverts to be 3. resetting");
        instance.down_timer_adverts = 3;
    }
    instance.owner_ignore_adverts = true;
    if instance.family == Family::V6 && !instance.vips.first().is_some_and(|vip| is_link_local(vip.address)) {
        warn("the first IPv6 VIP address should be link local");
    }
}

fn is_link_local(address: std::net::IpAddr) -> bool {
    matches!(address, std::net::IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Two instances that would answer to the same adverts.
pub(super) fn duplicate_vrids(config: &Config, context: &mut Context<'_>) {
    let mut seen = std::collections::HashMap::new();
    for instance in &config.vrrp_instances {
        let Some(interface) = &instance.interface else { continue };
        let peers = instance.unicast.as_ref().map(|unicast| {
            let mut peers: Vec<_> = unicast.peers.iter().map(|peer| peer.address).collect();
            peers.sort_unstable();
            peers
        });
        let group = peers.is_none().then_some(instance.multicast_group);
        let key = (interface, instance.vrid, instance.family, group, peers);
        if let Some(other) = seen.insert(key, &instance.name) {
            let family = if instance.family == Family::V4 { "IPv4" } else { "IPv6" };
            let message = format!(
                "{other} and {} both use VRID {} with {family} on interface {interface}",
                instance.name, instance.vrid
            );
            context.diagnostics.push(Diagnostic::alert(message));
        }
    }
}
