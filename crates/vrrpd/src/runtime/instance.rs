//! The side of an instance that touches the system: where it sends, what it expects, which
//! interfaces it needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use crate::model::{self, AddressSpec, AntiReplay, HmacMode, HmacSettings, UnicastChecksum, VrrpInstance};
use crate::net::{Channel, Transmitter, transmit::Envelope};
use crate::packet::{
    AUTH_DATA_LEN, Advertisement, Authentication, Expectation, HEADER_LEN, IPPROTO_AH, IPPROTO_VRRP,
    VRRP_TTL, ah, receive::OldChecksum, trailer, v3::ChecksumCover,
};

/// What identifies an instance across a reload; its name may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Virtual router id.
    pub vrid: u8,
    /// Family of its adverts.
    pub family: model::Family,
    /// Interface of its configuration.
    pub interface: Option<String>,
    /// Its vmac, if it has one.
    pub vmac: Option<String>,
}

/// One instance and its sockets.
#[derive(Debug)]
pub struct Instance {
    /// The configuration.
    pub model: VrrpInstance,
    /// What it accepts.
    pub expectation: Expectation,
    /// Channel and sending socket, once the interface exists.
    pub port: Option<(Rc<Channel>, Rc<Transmitter>)>,
    id: u16,
    signer: Option<trailer::Signer>,
}

/// What proves that a packet is ours.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seals {
    /// `auth_type AH`.
    pub header: Option<ah::Seal>,
    /// `auth_hmac`.
    pub trailer: Option<trailer::Signer>,
}

impl Instance {
    /// From its configuration, without sockets.
    pub fn new(model: VrrpInstance) -> Self {
        Instance { expectation: expectation(&model), signer: signer(&model), model, port: None, id: 0 }
    }

    /// What it is matched by at a reload.
    pub fn identity(&self) -> Identity {
        Identity {
            vrid: self.model.vrid,
            family: self.model.family,
            interface: self.model.interface.clone(),
            vmac: self.vmac().map(str::to_owned),
        }
    }

    /// Whether a configuration is one of this instance: whether [`Self::identity`] would be the same.
    pub fn is_of(&self, model: &VrrpInstance) -> bool {
        let vmac = |model: &VrrpInstance| model.vmac.as_ref().and_then(|vmac| vmac.name.clone());
        self.model.vrid == model.vrid
            && self.model.family == model.family
            && self.model.interface == model.interface
            && vmac(&self.model) == vmac(model)
    }

    /// Name of its vmac, if it has one.
    pub fn vmac(&self) -> Option<&str> {
        self.model.vmac.as_ref()?.name.as_deref()
    }

    /// Interface that its adverts leave by and arrive at: the vmac unless `vmac_xmit_base` is set.
    pub fn advert_interface(&self) -> Option<&str> {
        let base = || self.model.interface.as_deref();
        self.model.vmac.as_ref().filter(|vmac| !vmac.xmit_base).map_or_else(base, |_| self.vmac())
    }

    /// The next IPv4 identification; 0 is left out.
    pub fn next_id(&mut self) -> u16 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    /// Protocol number of the packets it receives.
    pub fn protocol(&self) -> u8 {
        if matches!(self.expectation.auth, Authentication::Header(_)) { IPPROTO_AH } else { IPPROTO_VRRP }
    }

    /// What goes into the authentication header of the next packet, if it has one.
    pub fn next_seal(&mut self) -> Option<ah::Seal> {
        let seal = self.seal()?.renewed(wall_seconds());
        self.expectation.sequence = seal.sequence;
        Some(seal)
    }

    /// The seal of the last packet, if packets have one.
    pub fn seal(&self) -> Option<ah::Seal> {
        let Authentication::Header(secret) = self.expectation.auth else { return None };
        Some(ah::Seal { secret, sequence: self.expectation.sequence })
    }

    /// What signs the next packet, with `auth_hmac`.
    pub fn next_signer(&mut self) -> Option<trailer::Signer> {
        self.signer = self.signer.map(|signer| signer.renewed(hacore::time::wall_us()));
        self.signer
    }

    /// What signed the last packet.
    pub fn signer(&self) -> Option<trailer::Signer> {
        self.signer
    }

    /// Takes the numbers over that a former configuration of it has used and heard.
    pub fn continue_sequences(&mut self, before: &Instance) {
        self.expectation.sequence = before.expectation.sequence;
        let was_old = before.expectation.old_checksum.is_some_and(|old| old.in_use);
        if let (Some(old), true) = (&mut self.expectation.old_checksum, was_old) {
            old.in_use = true;
        }
        if let (Some(signer), Some(former)) = (&mut self.signer, before.signer) {
            signer.sequence = former.sequence;
        }
        if let (Some(guard), Some(former)) = (&mut self.expectation.hmac, &before.expectation.hmac) {
            guard.heard.clone_from(&former.heard);
        }
    }

    /// The address that the checksum of an advert to `destination` is made with.
    pub fn checksum_destination(&self, destination: IpAddr) -> IpAddr {
        match self.expectation.old_checksum {
            Some(OldChecksum { group, in_use: true }) => group.into(),
            _ => destination,
        }
    }

    /// From now on checksums are of the old kind; `false` when they were already.
    pub fn use_old_checksum(&mut self) -> bool {
        self.expectation.old_checksum.as_mut().is_some_and(|old| !std::mem::replace(&mut old.in_use, true))
    }

    /// Where adverts go to.
    pub fn destinations(&self) -> Vec<IpAddr> {
        match &self.model.unicast {
            Some(unicast) => unicast.peers.iter().map(|peer| peer.address).collect(),
            None => vec![self.model.multicast_group],
        }
    }

    /// Length of one of its adverts on the wire, IP header included.
    pub fn advert_bytes(&self) -> u32 {
        const HEADERS_BYTES: usize = 40 + 24;
        let addresses = self.model.vips.len() * self.model.family.address_len();
        let bytes = HEADERS_BYTES + HEADER_LEN + addresses + AUTH_DATA_LEN + trailer::TRAILER_LEN;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// TTL of its adverts.
    pub fn ttl(&self) -> u8 {
        self.model.unicast.as_ref().and_then(|unicast| unicast.ttl).unwrap_or(VRRP_TTL)
    }

    /// Addressing of one advert.
    pub fn envelope(&self, source: IpAddr, destination: IpAddr, id: u16, seals: Seals) -> Envelope {
        Envelope { source, destination, ttl: self.ttl(), id, ah: seals.header, signer: seals.trailer }
    }

    /// The advert it sends at this priority.
    pub fn advertisement(&self, priority: u8) -> Advertisement {
        Advertisement {
            version: self.model.version,
            vrid: self.model.vrid,
            priority,
            interval_us: self.model.advert_int_us,
            addresses: self.expectation.addresses.clone(),
        }
    }

    /// Interface of an address: its own `dev`, else the instance's.
    pub fn interface_of<'a>(&'a self, spec: &'a AddressSpec) -> Option<&'a str> {
        spec.dev.as_deref().or(self.model.interface.as_deref())
    }

    /// Interfaces other than its own that its adverts and addresses need; the vmac is as good as the interface below.
    pub fn address_interfaces(&self) -> BTreeSet<String> {
        let own = |dev: &String| {
            Some(dev) == self.model.interface.as_ref()
                || self.model.dont_track_primary && Some(dev.as_str()) == self.vmac()
        };
        self.model
            .all_addresses()
            .filter_map(|spec| spec.dev.clone())
            .chain(self.vmac().map(str::to_owned))
            .filter(|dev| !own(dev))
            .collect()
    }

    /// Whether `address` is one of its virtual ones.
    pub fn is_virtual(&self, address: IpAddr) -> bool {
        self.model.all_addresses().any(|spec| spec.address == address)
    }
}

/// Seconds since the epoch, which fit until 2106.
fn wall_seconds() -> u32 {
    u32::try_from(hacore::time::wall_us() / 1_000_000).unwrap_or(u32::MAX)
}

/// What signs adverts; nobody does in `mode receive-only`.
fn signer(model: &VrrpInstance) -> Option<trailer::Signer> {
    let hmac = model.auth_hmac.as_ref().filter(|hmac| hmac.mode != HmacMode::ReceiveOnly)?;
    let key = hmac.keys.iter().find(|key| key.id == hmac.active_key)?;
    Some(trailer::Signer { key_id: key.id, secret: trailer::Secret::new(&key.secret), sequence: 0 })
}

fn guard(hmac: &HmacSettings) -> trailer::Guard {
    trailer::Guard {
        keys: hmac.keys.iter().map(|key| (key.id, trailer::Secret::new(&key.secret))).collect(),
        enforce: hmac.mode == HmacMode::Enforce,
        window_s: (hmac.anti_replay == AntiReplay::Time).then_some(hmac.time_window_s),
        wall_us: 0,
        heard: BTreeMap::new(),
    }
}

/// Unicast with version 3 over IPv4 recognises the old checksum, or uses it at once (`old_unicast_checksum`).
fn old_checksum(model: &VrrpInstance) -> Option<OldChecksum> {
    let unicast = model.unicast.as_ref().filter(|_| model.version == model::Version::V3)?;
    let in_use = match unicast.checksum {
        UnicastChecksum::Never => return None,
        UnicastChecksum::Auto => false,
        UnicastChecksum::Old => true,
    };
    match model.multicast_group {
        IpAddr::V4(group) => Some(OldChecksum { group, in_use }),
        IpAddr::V6(_) => None,
    }
}

fn expectation(model: &VrrpInstance) -> Expectation {
    let auth = match model.auth {
        model::Authentication::Pass(secret) => Authentication::Password(secret),
        model::Authentication::Ah(secret) => Authentication::Header(secret),
        model::Authentication::None => Authentication::None,
    };
    let checked = model.check_unicast_source.then_some(model.unicast.as_ref()).flatten();
    Expectation {
        version: model.version,
        family: model.family,
        vrid: model.vrid,
        auth,
        sequence: 0,
        interval_us: model.advert_int_us,
        checksum: if model.v3_checksum_as_v2 { ChecksumCover::Message } else { ChecksumCover::PseudoHeader },
        old_checksum: old_checksum(model),
        unicast: model.unicast.is_some(),
        addresses: model.vips.iter().map(|spec| spec.address).collect(),
        hmac: model.auth_hmac.as_ref().map(guard),
        peers: checked.map(|unicast| unicast.peers.clone()).unwrap_or_default(),
    }
}
