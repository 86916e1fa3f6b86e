//! What only the loop needs: whom to tell how it goes, and readings of the configuration that are under way.

use std::collections::VecDeque;

use hacore::process::sd_notify::Notifier;
use tokio::sync::oneshot;

use crate::admin::{Answer, QUESTIONS_MAX};
use crate::logging::Log;

use super::actor::{Read, Reading, Reread};

/// Why the configuration is read.
#[derive(Debug)]
pub(super) enum Purpose {
    /// SIGHUP.
    Signal,
    /// `ctl reload`.
    Reload(oneshot::Sender<Answer>),
    /// `ctl plan`.
    Plan(oneshot::Sender<Answer>),
}

/// Service manager and reader.
pub(super) struct Service {
    notifier: Option<Notifier>,
    main_pid: u32,
    reread: Reread,
    /// The reading under way.
    reading: Option<(Purpose, Read)>,
    /// Those that come after it: the file may have changed since it began.
    waiting: VecDeque<Purpose>,
    stopping: bool,
}

impl Service {
    pub(super) fn new(main_pid: u32, reread: Reread) -> Self {
        let notifier = Notifier::from_env();
        Service { notifier, main_pid, reread, reading: None, waiting: VecDeque::new(), stopping: false }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Begins to read, or will when the reading under way is over. One more signal that waits changes nothing; more
    /// questions than fit get no answer.
    pub(super) fn want_reading(&mut self, purpose: Purpose, log: &Log) {
        let is_signal = |purpose: &Purpose| matches!(purpose, Purpose::Signal);
        if self.reading.is_none() {
            self.reading = Some((purpose, (self.reread)(log.clone())));
        } else if self.waiting.len() < QUESTIONS_MAX
            && !(is_signal(&purpose) && self.waiting.iter().any(is_signal))
        {
            self.waiting.push_back(purpose);
        }
    }

    /// The next finished reading; never, when none is under way. Cancel safe.
    pub(super) async fn next_reading(&mut self) -> (Purpose, Result<Reading, Vec<String>>) {
        let Some((_, reading)) = &mut self.reading else { return std::future::pending().await };
        let outcome = reading.await;
        match self.reading.take() {
            Some((purpose, _)) => (purpose, outcome),
            None => std::future::pending().await,
        }
    }

    /// After a reading was made use of.
    pub(super) fn read_on(&mut self, log: &Log) {
        if let (None, Some(purpose)) = (&self.reading, self.waiting.pop_front()) {
            self.want_reading(purpose, log);
        }
    }

    pub(super) fn reloading(&self) {
        if let Some(notifier) = &self.notifier {
            notifier.reloading();
        }
    }

    pub(super) fn ready(&self, status: &str) {
        if let Some(notifier) = &self.notifier {
            notifier.ready_as(self.main_pid, status);
        }
    }

    pub(super) fn status(&self, status: &str) {
        if let Some(notifier) = &self.notifier {
            notifier.status(status);
        }
    }

    /// Nothing is read any more.
    pub(super) fn stop(&mut self) {
        if let Some(notifier) = self.notifier.as_ref().filter(|_| !self.stopping) {
            notifier.stopping();
        }
        self.stopping = true;
        self.reading = None;
        self.waiting.clear();
    }
}
