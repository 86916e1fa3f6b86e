//! Answers to what is asked on the admin socket, and reloads, from wherever they are asked for.

use std::{rc::Rc, sync::Arc};

use hacore::time::monotonic_us;

use crate::admin::{self, Answer, Command, Question};
use crate::model::{Config, differences};
use crate::net::{Channel, Listener, Transmitter};
use crate::status::{self, Snapshot, View};
use crate::vrrp::{Event, Router, State, Steering};

use super::{
    actor::{Actor, Reading},
    service::{Purpose, Service},
};

/// Names listed in an answer to a wrong one.
const NAMES_SHOWN_MAX: usize = 20;

impl Actor {
    pub(super) async fn answer(&mut self, question: Question, service: &mut Service) {
        if let Some(text) = text_of(&question.command) {
            let snapshot = self.snapshot();
            // Who does not wait for the answer does not want it.
            let told = move || drop(question.answer.send(Ok(text(&snapshot.view()))));
            tokio::task::spawn_blocking(told);
            return;
        }
        let purpose = match question.command {
            _ if service.is_stopping() => None,
            Command::Plan => Some(Purpose::Plan as fn(_) -> _),
            Command::Reload => Some(Purpose::Reload as fn(_) -> _),
            _ => None,
        };
        if let Some(purpose) = purpose {
            return self.want_reading(purpose(question.answer), service);
        }
        let answer = self.answer_to(question.command, service).await;
        // Who does not wait for the answer does not want it.
        let _ = question.answer.send(answer);
    }

    async fn answer_to(&mut self, command: Command, service: &mut Service) -> Answer {
        if service.is_stopping() {
            return Err("the daemon is ending".to_owned());
        }
        match command {
            Command::Help => Ok(admin::help()),
            Command::Status
            | Command::Json
            | Command::Stats
            | Command::Data
            | Command::Metrics
            | Command::Plan
            | Command::Reload => Err("there is no answer".to_owned()),
            Command::Garp(name) => self.announce_by_hand(name.as_deref()),
            Command::Priority(name, priority) => {
                self.steer(Some(&name), Steering::Priority(priority), "priority set").await
            }
            Command::Drain(name) => self.steer(name.as_deref(), Steering::Drained, "drained").await,
            Command::Resume(name) => self.steer(name.as_deref(), Steering::None, "resumed").await,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            config: Arc::clone(&self.config),
            routers: self.domain.routers().to_vec(),
            groups: self.domain.groups().to_vec(),
            conditions: self.conditions.clone(),
            life: self.life.clone(),
            interfaces: self.interfaces.clone(),
            sockets: self.socket_pairs(),
            clocks: status::Clocks::now(),
        }
    }

    fn socket_pairs(&self) -> Vec<status::SocketPair> {
        let pair = |(channel, (shared, listener, transmitter)): (
            &Channel,
            &(Rc<Channel>, Listener, Rc<Transmitter>),
        )| {
            let users = self
                .instances
                .iter()
                .filter(|instance| instance.port.as_ref().is_some_and(|(used, _)| Rc::ptr_eq(used, shared)));
            status::SocketPair {
                channel: channel.clone(),
                fd_in: listener.descriptor(),
                fd_out: transmitter.descriptor(),
                receive_buffer_bytes: self.receive_buffer_bytes(channel),
                instances: users.map(|instance| instance.model.name.clone()).collect(),
            }
        };
        self.listeners.iter().map(pair).collect()
    }

    /// Has the file read; adverts leave and come meanwhile.
    pub(super) fn want_reading(&mut self, purpose: Purpose, service: &mut Service) {
        if service.is_stopping() {
            return;
        }
        if !matches!(purpose, Purpose::Plan(_)) {
            service.reloading();
            self.log.info("Reloading ...");
        }
        service.want_reading(purpose, &self.log);
    }

    /// Makes use of what was read.
    pub(super) async fn have_read(
        &mut self,
        purpose: Purpose,
        reading: Result<Reading, Vec<String>>,
        service: &mut Service,
    ) {
        let (answer, to) = match purpose {
            Purpose::Plan(to) => (self.plan(reading), Some(to)),
            Purpose::Reload(to) => (self.reload_as_read(reading, service).await, Some(to)),
            Purpose::Signal => (self.reload_as_read(reading, service).await, None),
        };
        if let Some(to) = to {
            // Who does not wait for the answer does not want it.
            let _ = to.send(answer);
        }
        service.read_on(&self.log);
    }

    fn plan(&self, reading: Result<Reading, Vec<String>>) -> Answer {
        let reading = reading.map_err(|reasons| reasons.join("\n"))?;
        let changes = differences(&self.as_read, &reading.config);
        Ok(verdict(&reading.messages, &changes, "nothing would change"))
    }

    /// Goes over to what was read; the answer says what changed, or why nothing did.
    async fn reload_as_read(
        &mut self,
        reading: Result<Reading, Vec<String>>,
        service: &mut Service,
    ) -> Answer {
        let answer = match reading {
            Ok(reading) => {
                let changes = differences(&self.as_read, &reading.config);
                self.go_over_to(reading.config, &reading.text)
                    .await
                    .map(|()| verdict(&reading.messages, &changes, "nothing changed"))
            }
            Err(reasons) => {
                self.log.warning("Reload refused: the configuration in use stays");
                Err(reasons.join("\n"))
            }
        };
        let now_us = monotonic_us();
        match &answer {
            Ok(_) => {
                self.life.reloads += 1;
                self.life.read_us = now_us;
                self.life.refused = None;
            }
            Err(reason) => {
                self.life.reloads_refused += 1;
                let first = reason.lines().next().unwrap_or_default().to_owned();
                self.life.refused = Some((now_us, first));
            }
        }
        service.ready(&self.status_line());
        answer.map_err(|reason| format!("reload refused, the configuration in use stays:\n{reason}"))
    }

    async fn go_over_to(&mut self, config: Config, text: &[u8]) -> Result<(), String> {
        let as_read = Arc::new(config.clone());
        self.save_state(".pre");
        Box::pin(self.reload(config)).await?;
        if let Some(Err(error)) = self.board.as_ref().map(|board| board.write_configuration(text)) {
            self.log.warning(&format!("cannot keep the configuration for after a crash: {error}"));
        }
        self.as_read = as_read;
        self.save_state(".post");
        self.services.open(&self.config.global, &self.questions, &self.log);
        Ok(())
    }

    /// The named instance, or all.
    fn find(&self, name: Option<&str>) -> Result<Vec<usize>, String> {
        let Some(name) = name else { return Ok((0..self.instances.len()).collect()) };
        if let Some(index) = self.instances.iter().position(|instance| instance.model.name == name) {
            return Ok(vec![index]);
        }
        let names: Vec<&str> =
            self.instances.iter().take(NAMES_SHOWN_MAX).map(|i| i.model.name.as_str()).collect();
        let more = if self.instances.len() > NAMES_SHOWN_MAX { ", …" } else { "" };
        Err(format!("there is no instance '{name}'; there are: {}{more}", names.join(", ")))
    }

    fn announce_by_hand(&mut self, name: Option<&str>) -> Answer {
        let mut text = String::new();
        for index in self.find(name)? {
            let Some(instance) = self.instances.get(index) else { continue };
            let (own, repeat) = (instance.model.name.clone(), instance.model.garp.master_repeat.max(1));
            let addresses = instance.model.all_addresses().count();
            if !self.domain.routers().get(index).is_some_and(Router::holds_addresses) {
                if name.is_some() {
                    return Err(format!("{own} does not hold its addresses: nothing to announce"));
                }
                continue;
            }
            self.announce(index, repeat);
            text.push_str(&format!("{own}: announced {addresses} address(es) {repeat} times\n"));
        }
        if text.is_empty() {
            text.push_str("no instance holds its addresses: nothing to announce\n");
        }
        Ok(text)
    }

    /// Steers an instance, or all. A drained member of a sync group takes the others along, because the group moves as
    /// one.
    async fn steer(&mut self, name: Option<&str>, to: Steering, done: &str) -> Answer {
        let mut indices = self.find(name)?;
        if let (Some(name), false) = (name, matches!(to, Steering::Priority(_)))
            && let Some(group) = self.config.sync_group_of(name)
        {
            let member = |index: &usize| {
                self.instances.get(*index).is_some_and(|i| group.members.contains(&i.model.name))
            };
            indices = (0..self.instances.len()).filter(member).collect();
        }
        let now_us = monotonic_us();
        let mut out = Vec::new();
        let mut before = Vec::new();
        for &index in &indices {
            let Some(router) = self.domain.routers().get(index) else { continue };
            before.push((index, router.state(), router.priority()));
            if let Some(instance) = self.instances.get(index) {
                self.log.info(&format!("({}) {done} by hand", instance.model.name));
            }
            self.domain.step(index, Event::Steer(to), now_us, &mut out);
        }
        self.carry_out(out).await;
        let mut text = String::new();
        for (index, state, priority) in before {
            self.record(index);
            let (Some(router), Some(instance)) =
                (self.domain.routers().get(index), self.instances.get(index))
            else {
                continue;
            };
            text.push_str(&format!("{}: {}\n", instance.model.name, outcome(router, state, priority)));
        }
        Ok(text)
    }
}

/// How a question about what is gets its text; `None` for what changes something or reads the file.
fn text_of(command: &Command) -> Option<fn(&View<'_>) -> String> {
    Some(match command {
        Command::Status => status::overview,
        Command::Json => status::json_text,
        Command::Stats => |view| status::stats_text(view.routers),
        Command::Data => status::data_text,
        Command::Metrics => status::metrics,
        _ => return None,
    })
}

/// What steering did to a router.
fn outcome(router: &Router, state: State, priority: u8) -> String {
    let mut text = if router.priority() == priority {
        format!("priority {priority} as before")
    } else {
        format!("priority {priority} -> {}", router.priority())
    };
    text.push_str(&match (state, router.state()) {
        (State::Master, State::Backup) if router.is_handing_over() => {
            ", said good-bye, keeps its addresses until the new master is heard".to_owned()
        }
        (_, now) => format!(", {}", now.name()),
    });
    text
}

/// What a reload comes to, with what was said about the file.
fn verdict(messages: &[String], changes: &[String], nothing: &str) -> String {
    let mut text = String::new();
    for line in messages.iter().chain(changes) {
        text.push_str(line);
        text.push('\n');
    }
    if changes.is_empty() {
        text.push_str(nothing);
        text.push('\n');
    }
    text
}
