//! The one task that owns every virtual router: what it is made of and how it starts. How it lives is in `turn`, how
//! actions are carried out in `carry_out`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use hacore::time::monotonic_us;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::admin::{self, Question};
use crate::host::{
    firewall::{Firewall, FirewallError},
    scheduling::AutoPriority,
    sysctl::Sysctls,
    vmac::Vmac,
};
use crate::logging::Log;
use crate::model::{Config, DynamicInterfaces, RxBufferPolicy};
use crate::net::{Announcer, Channel, Inbound, Listener, SocketError, Transmitter, receive};
use crate::netlink::{Interfaces, Netlink, NetlinkError};
use crate::notify::{self, Drain, Mailer};
use crate::status::Life;
use crate::supervisor::{Board, Record};
use crate::track::{self, Condition, Trackers};
use crate::vrrp::{Domain, Event, Router, State, Tracker};

use super::{
    build,
    debounce::Debounce,
    instance::Instance,
    lease::Lease,
    legacy::Inheritance,
    outside::{Outside, Stimulus},
    vmacs,
};

/// The daemon could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A raw socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The kernel's interfaces.
    #[error("{0}")]
    Netlink(#[from] NetlinkError),
    /// Something else of the system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The packet filter of `no_accept`.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// The file names interfaces that are not there.
    #[error(
        "Non-existent interface specified in configuration ({0}) - create it first or set dynamic_interfaces"
    )]
    NoInterface(String),
    /// The file asks for what is not there yet.
    #[error("{0}")]
    Unsupported(String),
}

/// Why the actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
}

/// A configuration that was read again.
pub struct Reading {
    /// What it says.
    pub config: Config,
    /// The same as the next worker will read it.
    pub text: Vec<u8>,
    /// What there is to say about it; it is in the log already.
    pub messages: Vec<String>,
}

/// A reading under way; an error is what is wrong with the configuration, and in the log already.
pub type Read = Pin<Box<dyn Future<Output = Result<Reading, Vec<String>>>>>;

/// How the actor has the configuration read again, beside its own work.
pub type Reread = Box<dyn FnMut(Log) -> Read>;

/// Things the command line decides.
pub struct Options {
    /// The configuration's file, for those who ask.
    pub config_file: String,
    /// What the command line says about the admin socket.
    pub admin: admin::Overrides,
    /// How SIGHUP gets a new configuration.
    pub reread: Reread,
    /// Tells whoever waits that the daemon is up.
    pub on_ready: Box<dyn FnOnce()>,
    /// The process that the service manager knows: ours, or our supervisor's.
    pub main_pid: u32,
}

/// What reaches the actor besides timers, signals and the kernel's news.
#[derive(Debug)]
pub struct Inbox {
    pub(super) datagrams: mpsc::Receiver<Inbound>,
    pub(super) stimuli: mpsc::Receiver<Stimulus>,
    pub(super) questions: mpsc::Receiver<Question>,
}

/// Of an interface that does not say.
const MTU_DEFAULT_BYTES: u32 = 1500;
/// Stimuli that wait for the actor at most.
const STIMULI_MAX: usize = 1024;

/// The owner of everything.
pub struct Actor {
    pub(super) config: Arc<Config>,
    /// The same before anything was made up for it, to compare the next one with.
    pub(super) as_read: Arc<Config>,
    pub(super) domain: Domain,
    pub(super) instances: Vec<Instance>,
    pub(super) interfaces: Interfaces,
    pub(super) netlink: Netlink,
    pub(super) announcer: Announcer,
    pub(super) listeners: BTreeMap<Channel, (Rc<Channel>, Listener, Rc<Transmitter>)>,
    pub(super) inbound: mpsc::Sender<Inbound>,
    /// Removals of ours that the monitor has yet to report.
    pub(super) own_removals: BTreeMap<(u32, IpAddr), u32>,
    pub(super) group_states: Vec<State>,
    pub(super) debounce: Debounce,
    pub(super) firewall: Firewall,
    pub(super) sysctls: Sysctls,
    /// What `use_vmac` asks for, made or not.
    pub(super) vmacs: Vec<Vmac>,
    pub(super) outside: Box<dyn Outside>,
    pub(super) mailer: Mailer,
    /// Scripts that [`Actor::outside`] has yet to see end.
    pub(super) scripts: Drain,
    pub(super) trackers: Option<Trackers>,
    pub(super) stimuli: mpsc::Sender<Stimulus>,
    /// What trackers have found, for those who ask.
    pub(super) conditions: BTreeMap<Tracker, Condition>,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) services: admin::Services,
    pub(super) life: Life,
    pub(super) auto_priority: AutoPriority,
    /// The service manager does not know the last transition yet.
    pub(super) status_is_old: bool,
    pub(super) log: Log,
    /// When each instance's addresses were last renewed.
    pub(super) leases: Vec<Option<Lease>>,
    /// Where the state is written down for a successor.
    pub(super) board: Option<Board>,
    /// What a predecessor left, until it is adopted.
    pub(super) inherited: Vec<Record>,
    /// `-V`: leave addresses at the end.
    pub(super) leave_addresses: bool,
    /// `--address-monitoring`.
    pub(super) report_addresses: bool,
    pub(super) unknown_vrids: BTreeSet<u8>,
    /// When a packet that is no advert was last mentioned.
    pub(super) wreck_said_us: u64,
}

impl Actor {
    /// Opens the kernel's channels and reads its interfaces. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// [`StartError`]; its text names the fix where there is one.
    pub async fn new(
        mut config: Config,
        log: Log,
        inheritance: Inheritance,
    ) -> Result<(Self, Inbox), StartError> {
        let as_read = Arc::new(config.clone());
        if let Some(first) = build::unsupported(&config).into_iter().next() {
            return Err(StartError::Unsupported(first));
        }
        let netlink = Netlink::open()?;
        let interfaces = netlink.interfaces().await?;
        let vmacs = vmacs::plan(&mut config, &[], &interfaces);
        let announcer = Announcer::open().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => StartError::Socket(SocketError::Permission),
            _ => StartError::Io(error),
        })?;
        let (inbound, datagrams) = mpsc::channel(receive::QUEUE_LEN);
        let (stimuli, stimuli_from) = mpsc::channel(STIMULI_MAX);
        let (questions, questions_from) = mpsc::channel(admin::QUESTIONS_MAX);
        let (notifier, scripts) = notify::Notifier::new(&config.global, stimuli.clone());
        // The delay was over, or will be, in a former life.
        let deaf_until_us = match inheritance.records.is_empty() {
            true => build::deaf_until_us(&config.global, monotonic_us()),
            false => 0,
        };
        let routers: Vec<Router> =
            build::settings(&config, deaf_until_us).into_iter().map(Router::new).collect();
        let groups = build::groups(&config, &routers);
        let mut actor = Actor {
            group_states: groups.iter().map(|_| State::Init).collect(),
            domain: Domain::new(routers, groups),
            instances: config.vrrp_instances.iter().cloned().map(Instance::new).collect(),
            interfaces,
            netlink,
            announcer,
            listeners: BTreeMap::new(),
            inbound,
            own_removals: BTreeMap::new(),
            debounce: Debounce::default(),
            firewall: Firewall::inherited(inheritance.host.firewall_table),
            sysctls: Sysctls::inherited(inheritance.host.sysctls),
            vmacs,
            outside: Box::new(notifier),
            mailer: Mailer::default(),
            scripts,
            trackers: None,
            stimuli,
            conditions: BTreeMap::new(),
            questions,
            services: admin::Services::default(),
            life: Life { started_us: monotonic_us(), read_us: monotonic_us(), ..Life::default() },
            auto_priority: AutoPriority::new(&config.global),
            status_is_old: false,
            log,
            leases: config.vrrp_instances.iter().map(|_| None).collect(),
            board: inheritance.board,
            inherited: inheritance.records,
            leave_addresses: false,
            report_addresses: false,
            unknown_vrids: BTreeSet::new(),
            wreck_said_us: 0,
            config: Arc::new(config),
            as_read,
        };
        actor.mailer.configure(&actor.config.global, &actor.stimuli);
        Ok((actor, Inbox { datagrams, stimuli: stimuli_from, questions: questions_from }))
    }

    /// Brings the instances up: old addresses go, sockets open, routers leave INIT.
    ///
    /// # Errors
    /// [`StartError`] when an interface or a capability is missing.
    pub async fn start(&mut self) -> Result<(), StartError> {
        if self.config.global.dynamic_interfaces == DynamicInterfaces::No {
            self.demand_interfaces()?;
        }
        self.make_vmacs().await;
        if self.inherited.is_empty() {
            self.prepare_host()?;
        }
        self.say_long_delays();
        for index in 0..self.instances.len() {
            self.open_port(index)?;
        }
        for index in 0..self.instances.len() {
            let held = |record: &Record| record.legacy.holds_addresses;
            let Some(instance) = self.instances.get(index) else { continue };
            if !self.record_of(instance).is_some_and(held) {
                self.remove_residual_addresses(index).await;
            }
        }
        if !self.inherited.is_empty() {
            self.adopt().await;
            self.prepare_host()?;
            self.add_static_addresses().await;
            self.trackers = Some(Trackers::start(&self.config, &self.stimuli));
            return Ok(());
        }
        self.add_static_addresses().await;
        self.log.info("Startup complete");
        let tracked = track::initial_stimuli(&self.config);
        for index in 0..self.instances.len() {
            self.start_instance(index, &tracked).await;
        }
        self.record_all();
        self.trackers = Some(Trackers::start(&self.config, &self.stimuli));
        Ok(())
    }

    /// `-V`: addresses stay at the end.
    pub fn leave_addresses(&mut self, leave: bool) {
        self.leave_addresses = leave;
    }

    /// `--address-monitoring`: every address that comes or goes is logged.
    pub fn report_all_addresses(&mut self, report: bool) {
        self.report_addresses = report;
    }

    /// A router whose links and source address are known goes to BACKUP or FAULT.
    pub(super) async fn start_instance(&mut self, index: usize, tracked: &[Stimulus]) {
        let now_us = monotonic_us();
        let mut out = Vec::new();
        let mut events = self.initial_events(index);
        events.extend(self.tracked_events(index, tracked));
        for event in events {
            self.domain.step(index, event, now_us, &mut out);
        }
        self.say_faults(index);
        self.domain.step(index, Event::Start, now_us, &mut out);
        self.carry_out(out).await;
    }

    /// What trackers do to an instance before their first result.
    pub(super) fn tracked_events(&self, index: usize, tracked: &[Stimulus]) -> Vec<Event> {
        let Some(own) = self.instances.get(index) else { return Vec::new() };
        tracked
            .iter()
            .filter_map(|stimulus| match stimulus {
                Stimulus::Track { instance, tracker, effect } if *instance == own.model.name => {
                    Some(Event::Track { tracker: tracker.clone(), effect: *effect })
                }
                _ => None,
            })
            .collect()
    }

    fn demand_interfaces(&self) -> Result<(), StartError> {
        let mut missing = None;
        for instance in &self.instances {
            let own = instance.model.interface.clone();
            let name = &instance.model.name;
            let below = self.vmacs.iter().filter(|vmac| vmac.owner == *name).map(|vmac| vmac.parent.clone());
            let is_ours = |name: &String| self.vmacs.iter().any(|vmac| vmac.name == *name);
            let others = instance.address_interfaces().into_iter().filter(|name| !is_ours(name));
            let vrf = instance.model.vrf.clone();
            for name in own.into_iter().chain(vrf).chain(below).chain(others) {
                if self.interfaces.by_name(&name).is_none() {
                    self.log.warning(&format!(
                        "WARNING - interface {name} for vrrp_instance {} doesn't exist",
                        instance.model.name
                    ));
                    missing = Some(name);
                }
            }
        }
        missing.map_or(Ok(()), |name| Err(StartError::NoInterface(name)))
    }

    /// Opens or shares the sockets of an instance, when its interface exists.
    pub(super) fn open_port(&mut self, index: usize) -> Result<(), SocketError> {
        let Some(instance) = self.instances.get(index) else { return Ok(()) };
        let Some(channel) = self.channel_of(instance) else { return Ok(()) };
        if !self.listeners.contains_key(&channel) {
            let shared = Rc::new(channel.clone());
            let buffer_bytes = self.receive_buffer_bytes(&channel);
            let listener = Listener::open(Rc::clone(&shared), buffer_bytes, self.inbound.clone())?;
            let transmitter = Rc::new(Transmitter::open(&channel)?);
            self.log.detail(&format!(
                "VRRP sockpool: [ifindex(  {}), family({}), proto({}), {}, address({})]",
                channel.ifindex,
                channel.family().name(),
                channel.protocol,
                if channel.is_multicast() { "multicast" } else { "unicast" },
                channel.address
            ));
            self.listeners.insert(channel.clone(), (shared, listener, transmitter));
        }
        if let (Some(instance), Some((shared, _, transmitter))) =
            (self.instances.get_mut(index), self.listeners.get(&channel))
        {
            instance.port = Some((Rc::clone(shared), Rc::clone(transmitter)));
        }
        Ok(())
    }

    /// What the instances of a channel ask for together (`kernel_rx_buf_size`, `vrrp_rx_bufs_policy`); `None` when none
    /// does.
    pub(super) fn receive_buffer_bytes(&self, channel: &Channel) -> Option<u32> {
        let global = &self.config.global;
        let of_policy = |instance: &Instance| {
            let link = || self.interfaces.by_name(instance.advert_interface()?);
            let bytes = match global.rx_bufs_policy? {
                RxBufferPolicy::Bytes(bytes) => return Some(bytes),
                RxBufferPolicy::Mtu => link().map_or(MTU_DEFAULT_BYTES, |link| link.mtu),
                RxBufferPolicy::Advert => instance.advert_bytes(),
            };
            Some(bytes.saturating_mul(global.rx_bufs_multiplier))
        };
        self.instances
            .iter()
            .filter(|instance| self.channel_of(instance).as_ref() == Some(channel))
            .filter_map(|instance| instance.model.kernel_rx_buf_bytes.or_else(|| of_policy(instance)))
            .reduce(u32::saturating_add)
    }

    fn channel_of(&self, instance: &Instance) -> Option<Channel> {
        let (ifindex, interface) = match instance.advert_interface() {
            Some(name) => (self.interfaces.by_name(name)?.index, name.to_owned()),
            // A vmac that could not be planned.
            None if instance.model.interface.is_some() => return None,
            // Unicast only: everywhere, or in its VRF.
            None => match &instance.model.vrf {
                Some(vrf) => (self.interfaces.by_name(vrf)?.index, vrf.clone()),
                None => (0, String::new()),
            },
        };
        let address = match &instance.model.unicast {
            None => instance.model.multicast_group,
            Some(_) => self.source_of(instance)?,
        };
        Some(Channel { ifindex, interface, address, protocol: instance.protocol() })
    }
}
