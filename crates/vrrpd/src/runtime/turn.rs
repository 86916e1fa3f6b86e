//! The daemon's life turn by turn: catch up, serve deadlines, wait for the next event.

use std::time::Duration;

use hacore::time::{monotonic_us, wall_us};
use tokio::sync::mpsc;

use crate::admin;
use crate::net::{Channel, Inbound};
use crate::netlink::Monitor;
use crate::packet;
use crate::vrrp::{Ending, Event};

use super::{
    actor::{Actor, Ended, Inbox, Options, StartError},
    instance::Instance,
    outside::Stimulus,
    service::{Purpose, Service},
    signals::{Request, Signals},
    timer::Timer,
};

/// How often packets that are no adverts at all are mentioned, microseconds.
const WRECK_EVERY_US: u64 = 1_000_000;
/// A deadline missed by more than this means that we were busy or frozen, microseconds.
const LATE_US: u64 = 2_000;
/// Rounds of reading before deadlines count anyway, so that a flood cannot hold them up.
const CATCH_UP_ROUNDS_MAX: usize = 16;
/// Datagrams taken in a row before deadlines are looked at again.
const BATCH_MAX: usize = 64;
/// How long notify scripts may run on when the daemon ends.
const SCRIPTS_END_MAX: Duration = Duration::from_secs(5);

impl Actor {
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
        let Inbox { mut datagrams, mut stimuli, mut questions } = inbox;
        let mut timer = Timer::new()?;
        let Options { config_file, admin, reread, on_ready, main_pid } = options;
        let mut service = Service::new(main_pid, reread);
        self.life.config_file = config_file;
        self.services = admin::Services::new(admin);
        self.services.open(&self.config.global, &self.questions, &self.log);
        service.ready(&self.status_line());
        on_ready();
        loop {
            let late_us = self.lateness_us(monotonic_us());
            for line in self.auto_priority.woke_up(late_us) {
                self.log.info(&line);
            }
            if late_us > LATE_US {
                self.catch_up(&mut datagrams).await;
            }
            let now_us = monotonic_us();
            if self.next_deadline_us().is_some_and(|at_us| at_us <= now_us) {
                self.timers(now_us).await;
            }
            if std::mem::take(&mut self.status_is_old) {
                service.status(&self.status_line());
            }
            if service.is_stopping() && self.domain.is_finished() {
                break;
            }
            if let Err(error) = monitor.watch_paths(&self.config) {
                self.log.warning(&format!("Netlink: {error} - removed routes and rules are not noticed"));
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
                Some(stimulus) = stimuli.recv() => match stimulus {
                    Stimulus::Reload => self.want_reading(Purpose::Signal, &mut service),
                    other => self.stimulus(other).await,
                },
                Some(question) = questions.recv() => self.answer(question, &mut service).await,
                (purpose, reading) = service.next_reading() => {
                    self.have_read(purpose, reading, &mut service).await;
                }
                request = signals.next() => match request {
                    Request::Stop => {
                        service.stop();
                        self.stop().await;
                    }
                    // The log has the verdict.
                    Request::Reload => self.want_reading(Purpose::Signal, &mut service),
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
        self.scripts.finished(SCRIPTS_END_MAX).await;
        self.leave_host(self.leave_addresses).await;
        self.log.info("Stopped");
        Ok(Ended::Stopped)
    }

    pub(super) fn status_line(&self) -> String {
        crate::status::summary(self.domain.routers())
    }

    fn next_deadline_us(&self) -> Option<u64> {
        [
            self.domain.next_deadline_us(),
            self.announcer.next_deadline_us(),
            self.next_renewal_us(),
            self.debounce.next_deadline_us(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How long ago the next deadline passed.
    fn lateness_us(&self, now_us: u64) -> u64 {
        self.next_deadline_us().map_or(0, |at_us| now_us.saturating_sub(at_us))
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
        self.debounced_links(now_us).await;
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
            Err(error) => return self.complain_of_wreck(&error),
        };
        let found = self.instances.iter().position(|instance| {
            instance.model.vrid == vrid
                && instance.port.as_ref().is_some_and(|(channel, _)| **channel == *inbound.channel)
        });
        let Some(index) = found else { return self.unknown_vrid(vrid, &inbound.channel) };
        let Some(instance) = self.instances.get_mut(index) else { return };
        if let Some(guard) = &mut instance.expectation.hmac {
            guard.wall_us = wall_us();
        }
        let event = match packet::decode(&datagram, &instance.expectation) {
            Ok(received) => {
                if let Some(sequence) = packet::peek_sequence(&datagram) {
                    instance.expectation.sequence = sequence;
                }
                if received.old_checksum_found && instance.use_old_checksum() {
                    let name = &instance.model.name;
                    self.log.info(&format!("({name}) Setting unicast VRRPv3 checksum to old version"));
                }
                if let (Some(sequence), Some(guard)) =
                    (received.hmac_sequence, &mut instance.expectation.hmac)
                {
                    guard.accepted(received.source, sequence);
                }
                Event::Advert(received)
            }
            Err(error) => Event::Refused(error),
        };
        self.feed(index, event).await;
    }

    /// A packet without even a router id, which belongs to nobody: one line a second is enough.
    fn complain_of_wreck(&mut self, error: &packet::DecodeError) {
        let now_us = monotonic_us();
        if now_us >= self.wreck_said_us + WRECK_EVERY_US {
            self.wreck_said_us = now_us;
            self.log.info(&error.to_string());
        }
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
            Stimulus::Condition { tracker, condition } => {
                self.conditions.insert(tracker, condition);
            }
            Stimulus::Log(text) => self.log.info(&text),
            Stimulus::Reload => {}
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
}
