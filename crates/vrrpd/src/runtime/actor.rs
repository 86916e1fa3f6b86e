//! The one task that owns every virtual router: it sleeps until the earliest deadline, feeds events to
//! the state machines and carries their actions out.
//!
//! Adverts of one round leave before anything slower happens, then addresses, announcements and
//! notifications follow in each router's own order (the order is keepalived's).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use hacore::{process::sd_notify::Notifier, time::monotonic_us};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::host::{
    firewall::{Firewall, FirewallError},
    sysctl::Sysctls,
};
use crate::logging::Log;
use crate::model::{Config, DynamicInterfaces};
use crate::net::{Announcer, Channel, Inbound, Listener, SocketError, Transmitter, receive};
use crate::netlink::{Interfaces, Monitor, Netlink, NetlinkError};
use crate::notify::{self, Drain};
use crate::packet;
use crate::supervisor::{Board, Record};
use crate::track::{self, Trackers};
use crate::vrrp::{Action, Domain, Ending, Event, Notice, Router, State, sync_group::Outcome};

use super::{
    build,
    instance::Instance,
    lease::Lease,
    legacy::{self, Inheritance},
    outside::{Happening, Kind, Outside, Stimulus, What},
    signals::{Request, Signals},
    timer::Timer,
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

/// How the actor reads the configuration again; an error is text for the log.
pub type Reread = Box<dyn FnMut(&Log) -> Option<Config>>;

/// Things the command line decides.
pub struct Options {
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
    datagrams: mpsc::Receiver<Inbound>,
    stimuli: mpsc::Receiver<Stimulus>,
}

/// Stimuli that wait for the actor at most.
const STIMULI_MAX: usize = 1024;
/// A deadline missed by more than this means that we were busy or frozen, microseconds.
const LATE_US: u64 = 2_000;
/// Rounds of reading before deadlines count anyway, so that a flood cannot hold them up.
const CATCH_UP_ROUNDS_MAX: usize = 16;
/// Datagrams taken in a row before deadlines are looked at again.
const BATCH_MAX: usize = 64;
/// How long notify scripts may run on when the daemon ends.
const SCRIPTS_END_MAX: Duration = Duration::from_secs(5);

/// The owner of everything.
pub struct Actor {
    pub(super) config: Config,
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
    pub(super) firewall: Firewall,
    pub(super) sysctls: Sysctls,
    pub(super) outside: Box<dyn Outside>,
    /// Scripts that [`Actor::outside`] has yet to see end.
    pub(super) scripts: Drain,
    pub(super) trackers: Option<Trackers>,
    pub(super) stimuli: mpsc::Sender<Stimulus>,
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
    unknown_vrids: BTreeSet<u8>,
}

impl Actor {
    /// Opens the kernel's channels and reads its interfaces. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// [`StartError`]; its text names the fix where there is one.
    pub async fn new(
        config: Config,
        log: Log,
        inheritance: Inheritance,
    ) -> Result<(Self, Inbox), StartError> {
        if let Some(first) = build::unsupported(&config).into_iter().next() {
            return Err(StartError::Unsupported(first));
        }
        let netlink = Netlink::open()?;
        let interfaces = netlink.interfaces().await?;
        let announcer =
            Announcer::open(super::announce::pace(&config)).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => StartError::Socket(SocketError::Permission),
                _ => StartError::Io(error),
            })?;
        let (inbound, datagrams) = mpsc::channel(receive::QUEUE_LEN);
        let (stimuli, stimuli_from) = mpsc::channel(STIMULI_MAX);
        let (notifier, scripts) = notify::Notifier::new(&config.global, stimuli.clone());
        // The delay was over, or will be, in a former life.
        let deaf_until_us = match inheritance.records.is_empty() {
            true => build::deaf_until_us(&config.global, monotonic_us()),
            false => 0,
        };
        let routers: Vec<Router> =
            build::settings(&config, deaf_until_us).into_iter().map(Router::new).collect();
        let groups = build::groups(&config, &routers);
        let actor = Actor {
            group_states: groups.iter().map(|_| State::Init).collect(),
            domain: Domain::new(routers, groups),
            instances: config.vrrp_instances.iter().cloned().map(Instance::new).collect(),
            interfaces,
            netlink,
            announcer,
            listeners: BTreeMap::new(),
            inbound,
            own_removals: BTreeMap::new(),
            firewall: Firewall::default(),
            sysctls: Sysctls::default(),
            outside: Box::new(notifier),
            scripts,
            trackers: None,
            stimuli,
            log,
            leases: config.vrrp_instances.iter().map(|_| None).collect(),
            board: inheritance.board,
            inherited: inheritance.records,
            leave_addresses: false,
            report_addresses: false,
            unknown_vrids: BTreeSet::new(),
            config,
        };
        Ok((actor, Inbox { datagrams, stimuli: stimuli_from }))
    }

    /// Brings the instances up: old addresses go, sockets open, routers leave INIT.
    ///
    /// # Errors
    /// [`StartError`] when an interface or a capability is missing.
    pub async fn start(&mut self) -> Result<(), StartError> {
        if self.config.global.dynamic_interfaces == DynamicInterfaces::No {
            self.demand_interfaces()?;
        }
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
        self.prepare_host()?;
        self.add_static_addresses().await;
        self.log.info("Startup complete");
        let tracked = track::initial_stimuli(&self.config);
        for index in 0..self.instances.len() {
            self.start_instance(index, &tracked).await;
        }
        self.record_all(false);
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
            for name in own.into_iter().chain(instance.address_interfaces()) {
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
            let buffer_bytes = instance.model.kernel_rx_buf_bytes;
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

    fn channel_of(&self, instance: &Instance) -> Option<Channel> {
        let (ifindex, interface) = match &instance.model.interface {
            Some(name) => (self.interfaces.by_name(name)?.index, name.clone()),
            None => (0, String::new()),
        };
        let address = match &instance.model.unicast {
            None => instance.model.multicast_group,
            Some(_) => self.source_of(instance)?,
        };
        Some(Channel { ifindex, interface, address, protocol: instance.protocol() })
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// Only when the timer or a signal handler cannot be made.
    pub async fn run(
        mut self,
        inbox: Inbox,
        mut monitor: Monitor,
        mut signals: Signals,
        options: Options,
    ) -> Result<Ended, StartError> {
        let Inbox { mut datagrams, mut stimuli } = inbox;
        let mut timer = Timer::new()?;
        let Options { mut reread, on_ready, main_pid } = options;
        let service = Notifier::from_env();
        if let Some(service) = &service {
            service.ready_as(main_pid, &self.status_line());
        }
        on_ready();
        let mut stopping = false;
        loop {
            if self.is_late(monotonic_us()) {
                self.catch_up(&mut datagrams).await;
            }
            let now_us = monotonic_us();
            if self.next_deadline_us().is_some_and(|at_us| at_us <= now_us) {
                self.timers(now_us).await;
            }
            if stopping && self.domain.is_finished() {
                break;
            }
            timer.arm(self.next_deadline_us())?;
            tokio::select! {
                expired = timer.expired() => expired?,
                Some(inbound) = datagrams.recv() => {
                    self.receive(&inbound).await;
                    for _ in 0..BATCH_MAX {
                        let Ok(inbound) = datagrams.try_recv() else { break };
                        self.receive(&inbound).await;
                    }
                }
                Some(change) = monitor.next() => self.changed(change).await,
                Some(stimulus) = stimuli.recv() => self.stimulus(stimulus).await,
                request = signals.next() => match request {
                    Request::Stop => {
                        if let Some(service) = service.as_ref().filter(|_| !stopping) {
                            service.stopping();
                        }
                        stopping = true;
                        self.stop().await;
                    }
                    Request::Reload if !stopping => {
                        if let Some(service) = &service {
                            service.reloading();
                        }
                        self.log.info("Reloading ...");
                        match reread(&self.log) {
                            Some(config) => self.reload(config).await,
                            None => self.log.warning("Reload refused: the configuration in use stays"),
                        }
                        if let Some(service) = &service {
                            service.ready_as(main_pid, &self.status_line());
                        }
                    }
                    Request::Reload => {}
                    Request::DumpData => self.dump(crate::status::Dump::Data),
                    Request::DumpStats => self.dump(crate::status::Dump::Stats),
                    Request::ClearStats => self.dump(crate::status::Dump::ClearStats),
                    Request::DumpJson => self.dump(crate::status::Dump::Json),
                },
            }
        }
        if !self.leave_addresses {
            self.remove_static_addresses().await;
        }
        self.trackers = None;
        self.leave_host(self.leave_addresses);
        self.scripts.finished(SCRIPTS_END_MAX).await;
        self.log.info("Stopped");
        Ok(Ended::Stopped)
    }

    fn status_line(&self) -> String {
        let count = |state| self.domain.routers().iter().filter(|r| r.state() == state).count();
        format!(
            "{} master, {} backup, {} fault",
            count(State::Master),
            count(State::Backup),
            count(State::Fault)
        )
    }

    fn next_deadline_us(&self) -> Option<u64> {
        [self.domain.next_deadline_us(), self.announcer.next_deadline_us(), self.next_renewal_us()]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_late(&self, now_us: u64) -> bool {
        self.next_deadline_us().is_some_and(|at_us| at_us + LATE_US < now_us)
    }

    /// Hears what arrived while we were busy, before a deadline that passed meanwhile counts: an advert that
    /// waits in a socket is no silence.
    async fn catch_up(&mut self, datagrams: &mut mpsc::Receiver<Inbound>) {
        for _ in 0..CATCH_UP_ROUNDS_MAX {
            // Lets the receive tasks read.
            tokio::task::yield_now().await;
            let Ok(first) = datagrams.try_recv() else { return };
            self.receive(&first).await;
            while let Ok(inbound) = datagrams.try_recv() {
                self.receive(&inbound).await;
            }
        }
    }

    async fn timers(&mut self, now_us: u64) {
        self.announcer.timers(now_us);
        let mut out = Vec::new();
        self.domain.timers(now_us, &mut out);
        self.carry_out(out).await;
        self.renew_one(now_us).await;
    }

    async fn stop(&mut self) {
        self.log.info("Stopping");
        let ending = if self.leave_addresses { Ending::LeaveAddresses } else { Ending::Shutdown };
        let now_us = monotonic_us();
        let mut out = Vec::new();
        for index in 0..self.instances.len() {
            self.domain.step(index, Event::Stop(ending), now_us, &mut out);
        }
        if self.leave_addresses {
            self.make_permanent().await;
        }
        self.carry_out(out).await;
    }

    async fn receive(&mut self, inbound: &Inbound) {
        let datagram = inbound.datagram();
        let vrid = match packet::peek_vrid(&datagram) {
            Ok(vrid) => vrid,
            Err(error) => return self.log.info(&error.to_string()),
        };
        let found = self.instances.iter().position(|instance| {
            instance.model.vrid == vrid
                && instance.port.as_ref().is_some_and(|(channel, _)| **channel == *inbound.channel)
        });
        let Some(index) = found else { return self.unknown_vrid(vrid, &inbound.channel) };
        let Some(instance) = self.instances.get(index) else { return };
        let event = match packet::decode(&datagram, &instance.expectation) {
            Ok(received) => {
                if let (Some(sequence), Some(instance)) =
                    (packet::peek_sequence(&datagram), self.instances.get_mut(index))
                {
                    instance.expectation.sequence = sequence;
                }
                Event::Advert(received)
            }
            Err(error) => Event::Refused(error),
        };
        self.feed(index, event).await;
    }

    fn unknown_vrid(&mut self, vrid: u8, channel: &Channel) {
        if self.config.global.log_unknown_vrids && self.unknown_vrids.insert(vrid) {
            self.log.info(&format!(
                "Unknown VRID({vrid}) received on interface({}). ignoring...",
                channel.interface
            ));
        }
    }

    async fn stimulus(&mut self, stimulus: Stimulus) {
        match stimulus {
            Stimulus::Log(text) => self.log.info(&text),
            Stimulus::Track { instance, tracker, effect } => {
                let named = |candidate: &Instance| candidate.model.name == instance;
                if let Some(index) = self.instances.iter().position(named) {
                    self.feed(index, Event::Track { tracker, effect }).await;
                }
            }
            Stimulus::Announce { instance } => {
                for index in 0..self.instances.len() {
                    let wanted = self.instances.get(index).is_some_and(|candidate| {
                        instance.as_ref().is_none_or(|name| *name == candidate.model.name)
                    });
                    if wanted {
                        self.announce(index, 1);
                    }
                }
            }
        }
    }

    /// One event for one router, and everything that follows.
    pub(super) async fn feed(&mut self, index: usize, event: Event) {
        let mut out = Vec::new();
        self.domain.step(index, event, monotonic_us(), &mut out);
        self.carry_out(out).await;
    }

    /// Carries actions out: all adverts first, the rest in order.
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
        for (index, action) in outcomes {
            match action {
                Action::SendAdvert { .. } => {}
                Action::AddAddresses => self.add_addresses(index).await,
                Action::RemoveAddresses => self.remove_addresses(index).await,
                Action::Announce { repeat } => self.announce(index, repeat),
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
            let message = packet::encode(&advert, auth, cover, source, destination);
            let (id, seal) = (instance.next_id(), instance.next_seal());
            let envelope = instance.envelope(source, destination, id, seal);
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
        let what = match notice {
            Notice::State(state) => What::State(state),
            Notice::Stop => What::Stop,
            Notice::MasterRxLowerPriority => What::MasterRxLowerPriority,
            Notice::Priority(state) => What::Priority(state),
        };
        self.outside.happened(&Happening {
            kind: Kind::Instance,
            name: &instance.model.name,
            what,
            priority,
            scripts: &instance.model.notify,
        });
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
                self.outside.happened(&Happening {
                    kind: Kind::Group,
                    name: &group.name,
                    what: What::State(group.state),
                    priority: 0,
                    scripts: &model.notify,
                });
            }
        }
    }

    fn dump(&mut self, what: crate::status::Dump) {
        if let Err(error) = crate::status::write(what, &self.config, self.domain.routers()) {
            self.log.warning(&format!("cannot write a dump: {error}"));
        }
        if what == crate::status::Dump::ClearStats {
            for index in 0..self.domain.routers().len() {
                if let Some(router) = self.domain.router_mut(index) {
                    router.clear_counters();
                }
            }
        }
    }
}
