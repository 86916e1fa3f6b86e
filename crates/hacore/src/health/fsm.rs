//! One server's health: what its checks, its agent, the administrator and a tracked server say, put together.
//!
//! ```text
//!                 healthy                              conditional pass (404)
//!   Stopped ------------------> Starting / Running ------------------------> Stopping
//!      ^                              |   ^                                     |  |
//!      |        not healthy           |   |                pass                 |  |
//!      +------------------------------+   +-------------------------------------+  |
//!      +---------------------------------------------------------------------------+
//! ```
//!
//! "Healthy" is: the check's counter and the agent's both mean up. Maintenance and drain are laid over the operation
//! and do not change it, except that leaving maintenance starts over as up, one failure from down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::agent::AgentAnswer;
use super::check::{CheckResult, CheckStatus, Verdict};
use super::checker::{Checker, renewed};
use super::counter::{InitState, Timing};
use super::observe::{Observation, OnError};
use super::report::{Cause, Change, CheckKind, CheckReport, Transition};
use super::slowstart::SlowStart;
use super::state::{AdminState, Event, ForcedHealth, Operation, Outcome, Settings, Tracked};
use super::status::Totals;
use crate::balance::{Condition, RAMP_FULL, WEIGHT_MAX};

/// One server's health.
#[derive(Clone, Debug)]
pub struct Health {
    pub(super) settings: Settings,
    pub(super) operation: Operation,
    pub(super) forced: AdminState,
    unresolved: bool,
    /// Left out by [`super::outlier`].
    ejected: bool,
    pub(super) tracked: Option<Tracked>,
    pub(super) check: Option<Checker>,
    pub(super) agent: Option<Checker>,
    pub(super) weight: u16,
    pub(super) slow: Option<SlowStart>,
    errors: u32,
    pub(super) totals: Totals,
    pub(super) changed_at: Instant,
    /// The condition last announced by [`Event::ConditionChanged`].
    pub(super) announced: Condition,
}

impl Health {
    /// The health of a server before its first check.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let check = settings.check.map(|timing| Checker::new(timing, settings.init));
        let agent = settings.agent_inter.map(|inter| Checker::new(Timing::agent(inter), InitState::Up));
        let up = check.as_ref().is_none_or(Checker::allows);
        let mut health = Health {
            operation: if up { Operation::Running } else { Operation::Stopped },
            forced: if settings.disabled { AdminState::Maintenance } else { AdminState::Ready },
            unresolved: false,
            ejected: false,
            tracked: None,
            check,
            agent,
            weight: settings.weight.min(WEIGHT_MAX),
            slow: None,
            errors: 0,
            totals: Totals::default(),
            changed_at: now,
            announced: Condition { available: false, weight: 0, ramp: RAMP_FULL },
            settings,
        };
        health.announced = health.condition(now);
        health
    }

    /// Takes a health check's result.
    pub fn on_check(&mut self, result: CheckResult, now: Instant) -> Outcome {
        if self.admin() == AdminState::Maintenance {
            return Vec::new();
        }
        self.step(now, |health, events| health.count(CheckKind::Health, result, now, events))
    }

    /// Takes an agent's answer, or the result of not reaching it, which changes nothing.
    pub fn on_agent(&mut self, answer: AgentAnswer, now: Instant) -> Outcome {
        self.step(now, |health, events| {
            if let Some(percent) = answer.weight_percent {
                let weight = u64::from(health.settings.weight) * u64::from(percent) / 100;
                health.weight = u16::try_from(weight).unwrap_or(WEIGHT_MAX).min(WEIGHT_MAX);
            }
            if let Some(maxconn) = answer.maxconn {
                events.push(Event::Maxconn(maxconn));
            }
            if let Some(admin) = answer.admin {
                health.change_admin(now, events, |h| h.forced = admin);
            }
            health.count(CheckKind::Agent, answer.result, now, events);
        })
    }

    /// Takes what traffic showed; see `observe`.
    pub fn on_traffic(&mut self, observation: Observation, now: Instant) -> Outcome {
        let Some(observe) = self.settings.observe else { return Vec::new() };
        match observation.counts(observe.layer) {
            None => return Vec::new(),
            Some(false) => {
                self.errors = 0;
                return Vec::new();
            }
            Some(true) => self.errors += 1,
        }
        if self.errors < observe.error_limit.max(1) || self.admin() == AdminState::Maintenance {
            return Vec::new();
        }
        let description =
            format!("Detected {} consecutive errors, last one was: {}", self.errors, observation.sentence());
        self.errors = 0;
        let result =
            CheckResult::new(CheckStatus::HealthAnalyze, Duration::ZERO).with_description(description);
        self.step(now, |health, events| {
            health.totals.observed_failures += 1;
            match observe.on_error {
                OnError::FastInter => {}
                OnError::FailCheck => health.count(CheckKind::Health, result, now, events),
                OnError::SuddenDeath => {
                    health.count(CheckKind::Health, result, now, events);
                    if let Some(check) = &mut health.check
                        && check.counter.is_up()
                    {
                        check.counter.set_barely_up();
                    }
                }
                OnError::MarkDown => {
                    if let Some(check) = &mut health.check {
                        check.counter.set_barely_up();
                    }
                    health.count(CheckKind::Health, result, now, events);
                }
            }
            events.push(Event::CheckSooner);
        })
    }

    /// Lets time pass: the steps of the slow start. To be called at [`Health::next_tick_at`].
    pub fn on_tick(&mut self, now: Instant) -> Outcome {
        self.step(now, |health, events| {
            if health.slow.is_some_and(|slow| slow.is_over(now)) {
                health.slow = None;
                if health.operation == Operation::Starting {
                    health.operation = Operation::Running;
                    events.push(health.change(Transition::Up, Cause::None, true));
                }
            }
        })
    }

    /// When [`Health::on_tick`] is next to be called; none: not needed.
    pub fn next_tick_at(&self, now: Instant) -> Option<Instant> {
        self.slow.map(|slow| slow.next_step_at(now))
    }

    /// `set server … state`.
    pub fn set_admin(&mut self, admin: AdminState, now: Instant) -> Outcome {
        self.step(now, |health, events| health.change_admin(now, events, |h| h.forced = admin))
    }

    /// The server's name does not resolve (any more), or does again.
    pub fn set_unresolved(&mut self, unresolved: bool, now: Instant) -> Outcome {
        self.step(now, |health, events| health.change_admin(now, events, |h| h.unresolved = unresolved))
    }

    /// Leaves it out of balancing, or takes it in again, whatever its checks say.
    pub fn set_ejected(&mut self, ejected: bool, now: Instant) -> Outcome {
        self.step(now, |health, _| health.ejected = ejected)
    }

    /// Whether it is left out for failing traffic.
    pub fn is_ejected(&self) -> bool {
        self.ejected
    }

    /// `set server … health`.
    pub fn set_health(&mut self, health: ForcedHealth, now: Instant) -> Outcome {
        self.step(now, |this, events| {
            if let Some(check) = &mut this.check {
                match health {
                    ForcedHealth::Up | ForcedHealth::Stopping => check.counter.set_top(),
                    ForcedHealth::Down => check.counter.set_zero(),
                }
            }
            match (health, this.operation) {
                (ForcedHealth::Down, Operation::Stopped) => {}
                (ForcedHealth::Down, _) => this.stop(Cause::Cli, now, events),
                (ForcedHealth::Up, Operation::Stopped | Operation::Stopping) => {
                    this.start(Cause::Cli, now, events)
                }
                (ForcedHealth::Up, _) => {}
                (ForcedHealth::Stopping, Operation::Stopping) => {}
                (ForcedHealth::Stopping, _) => this.soft_stop(Cause::Cli, events),
            }
        })
    }

    /// `set server … agent`.
    pub fn set_agent_health(&mut self, up: bool, now: Instant) -> Outcome {
        self.step(now, |health, events| {
            let Some(agent) = health.agent.as_mut().filter(|a| a.enabled) else { return };
            if up {
                agent.counter.set_top();
            } else {
                agent.counter.set_zero();
            }
            health.settle(Cause::Cli, now, events);
        })
    }

    /// `enable health` and `disable health`.
    pub fn enable_check(&mut self, enabled: bool) {
        if let Some(check) = &mut self.check {
            check.enabled = enabled;
        }
    }

    /// `enable agent` and `disable agent`.
    pub fn enable_agent(&mut self, enabled: bool) {
        if let Some(agent) = &mut self.agent {
            agent.enabled = enabled;
            agent.counter.set_top();
        }
    }

    /// Changes the weight, 0..=256.
    pub fn set_weight(&mut self, weight: u16, now: Instant) -> Outcome {
        self.step(now, |health, _| health.weight = weight.min(WEIGHT_MAX))
    }

    /// Takes the state of the tracked server.
    pub fn set_tracked(&mut self, tracked: Tracked, now: Instant) -> Outcome {
        self.step(now, |health, events| {
            let operation = tracked.operation;
            let cause = Cause::Tracked(tracked.via.clone());
            health.change_admin(now, events, |h| h.tracked = Some(tracked));
            match (operation, health.operation) {
                (Operation::Stopped, Operation::Stopped) | (Operation::Stopping, Operation::Stopping) => {}
                (Operation::Stopped, _) => health.stop(cause, now, events),
                (Operation::Stopping, _) => health.soft_stop(cause, events),
                (_, Operation::Stopped | Operation::Stopping) => health.start(cause, now, events),
                _ => {}
            }
        })
    }

    /// What servers that track this one are to be told. `via` is this server as `backend/server`.
    pub fn as_tracked(&self, via: Arc<str>) -> Tracked {
        let check = self.check.as_ref().filter(|c| c.enabled);
        Tracked {
            via,
            operation: self.operation,
            admin: self.admin(),
            checked: check.is_some() || self.tracked.as_ref().is_some_and(|t| t.checked),
            progress: check.and_then(|c| c.counter.suffix()),
        }
    }

    /// What the balancer has to know now.
    pub fn condition(&self, now: Instant) -> Condition {
        let up = matches!(self.operation, Operation::Starting | Operation::Running);
        let available = up && self.admin() == AdminState::Ready && !self.ejected;
        Condition { available, weight: self.weight, ramp: self.slow.map_or(RAMP_FULL, |slow| slow.ramp(now)) }
    }

    /// How far the slow start is in percent; none: not in one. It bounds `maxconn` and is shown as `throttle`.
    pub fn slowstart_percent(&self, now: Instant) -> Option<u8> {
        self.slow.filter(|_| self.operation == Operation::Starting).map(|slow| slow.percent(now))
    }

    /// Whether it may serve requests bound to it by persistence: not stopped and not in maintenance.
    pub fn may_serve(&self) -> bool {
        self.operation != Operation::Stopped && self.admin() != AdminState::Maintenance
    }

    /// Whether it is not stopped, whatever the administrator wants. See also [`Health::may_serve`].
    pub fn is_up(&self) -> bool {
        self.operation != Operation::Stopped
    }

    /// How it operates.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// What the administrator wants, directly or through the tracked server.
    pub fn admin(&self) -> AdminState {
        let inherited = self.tracked.as_ref().map_or(AdminState::Ready, |t| t.admin);
        if self.unresolved || [self.forced, inherited].contains(&AdminState::Maintenance) {
            return AdminState::Maintenance;
        }
        if [self.forced, inherited].contains(&AdminState::Drain) {
            AdminState::Drain
        } else {
            AdminState::Ready
        }
    }

    /// What was set on this very server.
    pub fn forced_admin(&self) -> AdminState {
        self.forced
    }

    /// Whether it is in maintenance because its name does not resolve.
    pub fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// The weight as set, 0..=256, without slow start.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// Goes on with other settings: what was found out and what the administrator wanted stays, unless the settings
    /// themselves say otherwise than before.
    pub fn reconfigure(&mut self, settings: Settings, now: Instant) {
        let init = if self.operation == Operation::Stopped { InitState::FullyDown } else { InitState::Up };
        let agent = settings.agent_inter.map(Timing::agent);
        self.check = renewed(self.check.take(), settings.check, init);
        self.agent = renewed(self.agent.take(), agent, InitState::Up);
        let allowed = self.check.as_ref().is_none_or(Checker::allows)
            && self.agent.as_ref().is_none_or(Checker::allows);
        if self.operation == Operation::Stopped && self.check.is_none() && !settings.tracking && allowed {
            self.operation = Operation::Running;
        }
        if settings.weight != self.settings.weight {
            self.weight = settings.weight.min(WEIGHT_MAX);
        }
        if settings.disabled != self.settings.disabled {
            self.forced = if settings.disabled { AdminState::Maintenance } else { AdminState::Ready };
        }
        if !settings.tracking {
            self.tracked = None;
        }
        self.settings = settings;
        self.announced = self.condition(now);
    }

    /// What the configuration says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The pause until the next check; none: no check is to be run now.
    pub fn check_interval(&self) -> Option<Duration> {
        let check = self.check.as_ref().filter(|c| c.enabled && self.admin() != AdminState::Maintenance)?;
        Some(check.counter.interval())
    }

    /// The pause until the agent is next asked; none: not to be asked now. Maintenance does not stop it, as it may be
    /// the agent's own.
    pub fn agent_interval(&self) -> Option<Duration> {
        self.agent.as_ref().filter(|a| a.enabled).map(|a| a.counter.interval())
    }

    /// When the operation or the administrator's wish last changed.
    pub fn changed_at(&self) -> Instant {
        self.changed_at
    }

    /// Runs one input and adds [`Event::ConditionChanged`] if it changed the condition.
    fn step(&mut self, now: Instant, input: impl FnOnce(&mut Self, &mut Outcome)) -> Outcome {
        let before = (self.operation, self.admin());
        let mut events = Vec::new();
        input(self, &mut events);
        let changed = before != (self.operation, self.admin());
        if changed {
            self.changed_at = now;
        }
        let condition = self.condition(now);
        if changed || self.announced != condition {
            self.announced = condition;
            events.push(Event::ConditionChanged);
        }
        events
    }

    fn count(&mut self, kind: CheckKind, result: CheckResult, now: Instant, events: &mut Outcome) {
        let checker = match kind {
            CheckKind::Health => &mut self.check,
            CheckKind::Agent => &mut self.agent,
        };
        let Some(checker) = checker.as_mut().filter(|c| c.enabled) else { return };
        let mut report = checker.status() != result.status;
        let verdict = result.status.verdict();
        match verdict {
            Verdict::Unknown => report = false,
            Verdict::Passed | Verdict::ConditionallyPassed => report |= checker.counter.pass(),
            // An agent that cannot be reached or understood says nothing; only "down" does (see the manual).
            Verdict::Failed if kind == CheckKind::Agent && result.status != CheckStatus::Layer7Status => {
                report = false;
            }
            Verdict::Failed => {
                if checker.counter.is_up() {
                    report = true;
                    if kind == CheckKind::Health {
                        self.totals.failed_checks += 1;
                    }
                }
                checker.counter.fail();
            }
        }
        if kind == CheckKind::Health
            && result.status != CheckStatus::HealthAnalyze
            && verdict != Verdict::Failed
        {
            self.errors = 0;
        }
        checker.last = Some(result.clone());
        if report {
            let progress = checker.counter.progress();
            events.push(Event::Report(CheckReport { kind, result: result.clone(), progress }));
        }
        self.settle_after(kind, verdict, Cause::Check(result), now, events);
    }

    fn settle_after(
        &mut self,
        kind: CheckKind,
        verdict: Verdict,
        cause: Cause,
        now: Instant,
        events: &mut Outcome,
    ) {
        let running = matches!(self.operation, Operation::Starting | Operation::Running);
        match (kind, verdict) {
            (_, Verdict::Unknown) => {}
            (CheckKind::Health, Verdict::ConditionallyPassed) if running => self.soft_stop(cause, events),
            (CheckKind::Health, Verdict::Passed) if self.operation == Operation::Stopping => {
                self.start(cause, now, events);
            }
            _ => self.settle(cause, now, events),
        }
    }

    /// Follows the counters.
    fn settle(&mut self, cause: Cause, now: Instant, events: &mut Outcome) {
        let healthy = [&self.check, &self.agent].into_iter().flatten().all(Checker::allows);
        match (self.operation, healthy) {
            (Operation::Stopped, true) => self.start(cause, now, events),
            (Operation::Starting | Operation::Running | Operation::Stopping, false) => {
                self.stop(cause, now, events)
            }
            _ => {}
        }
    }

    fn start(&mut self, cause: Cause, now: Instant, events: &mut Outcome) {
        self.restart(now);
        self.tell(Transition::Up, cause, false, events);
    }

    /// Up, in a slow start if there is one.
    fn restart(&mut self, now: Instant) {
        self.slow = SlowStart::new(self.settings.slowstart, now);
        self.operation = if self.slow.is_some() { Operation::Starting } else { Operation::Running };
        self.totals.end_downtime(now);
    }

    fn stop(&mut self, cause: Cause, now: Instant, events: &mut Outcome) {
        let usable = self.is_usable();
        self.operation = Operation::Stopped;
        self.slow = None;
        self.totals.downs += 1;
        self.totals.begin_downtime(now);
        self.tell(Transition::Down, cause, usable, events);
        if self.admin() == AdminState::Drain {
            events.push(self.change(Transition::RemainsInDrain, Cause::None, false));
        }
    }

    fn soft_stop(&mut self, cause: Cause, events: &mut Outcome) {
        let usable = self.is_usable();
        self.operation = Operation::Stopping;
        self.slow = None;
        self.tell(Transition::Stopping, cause, usable, events);
    }

    fn is_usable(&self) -> bool {
        matches!(self.operation, Operation::Starting | Operation::Running)
            && self.admin() == AdminState::Ready
            && self.weight > 0
    }

    /// Announces a change of operation. In maintenance nobody uses the server, and it is not told.
    fn tell(&self, to: Transition, cause: Cause, was_usable: bool, events: &mut Outcome) {
        if self.admin() != AdminState::Maintenance {
            events.push(self.change(to, cause, was_usable));
        }
    }

    fn change(&self, to: Transition, cause: Cause, was_usable: bool) -> Event {
        Event::Changed(Change { to, cause, was_usable })
    }

    fn change_admin(&mut self, now: Instant, events: &mut Outcome, set: impl FnOnce(&mut Self)) {
        let (before, usable, forced) = (self.admin(), self.is_usable(), self.forced);
        set(self);
        let after = self.admin();
        if before == after {
            return;
        }
        let inherited = || match (&self.tracked, self.forced == after) {
            (Some(tracked), false) => Cause::Tracked(tracked.via.clone()),
            _ => Cause::None,
        };
        let cause = inherited();
        match (before, after) {
            (_, AdminState::Maintenance) if self.operation == Operation::Stopped => {
                events.push(self.change(Transition::DownEntersMaintenance, cause, false));
            }
            (_, AdminState::Maintenance) => {
                self.slow = None;
                events.push(self.change(Transition::EntersMaintenance, cause, usable));
            }
            (AdminState::Maintenance, _) => {
                self.leave_maintenance(now);
                let up = self.operation != Operation::Stopped;
                let drain = after == AdminState::Drain;
                let was_forced = forced == AdminState::Maintenance;
                events.push(self.change(
                    Transition::LeavesMaintenance { was_forced, up, drain },
                    Cause::None,
                    false,
                ));
                if drain {
                    events.push(self.change(Transition::RemainsInDrain, cause, false));
                }
            }
            (_, AdminState::Drain) => events.push(self.change(Transition::EntersDrain, cause, usable)),
            (_, AdminState::Ready) => {
                let up = self.operation != Operation::Stopped;
                events.push(self.change(Transition::LeavesDrain { up }, Cause::None, false));
            }
        }
    }

    /// Nobody knows the state after a maintenance: up, and the first failure takes it down.
    fn leave_maintenance(&mut self, now: Instant) {
        if let Some(check) = &mut self.check {
            check.counter.set_barely_up();
        }
        let agent_says_down = self.agent.as_ref().is_some_and(|a| !a.allows());
        let tracked_down = self.tracked.as_ref().is_some_and(|t| t.operation == Operation::Stopped);
        if agent_says_down || tracked_down {
            return;
        }
        self.restart(now);
    }
}
