//! Questions about sessions that every data-plane thread answers for its own: `show sess`, `shutdown session`.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::stream::Detail;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Lines about all sessions, or those at least this old.
    List { detail: Detail, older_than_s: u64 },
    /// Everything about one.
    One(u64),
    /// Lines about those on a server.
    OnServer { backend: String, server: String },
    /// End one; the answer is empty if there was none.
    Shut(u64),
}

/// A question on its way through the threads; the last answer completes it.
#[derive(Debug)]
pub struct Question {
    pub about: About,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    missing: usize,
    text: String,
    answer: Option<oneshot::Sender<String>>,
    empty: &'static str,
}

impl Question {
    /// `empty` is answered when no thread has anything to say.
    pub fn new(about: About, threads: usize, empty: &'static str) -> (Self, oneshot::Receiver<String>) {
        let (answer, answered) = oneshot::channel();
        let state = State { missing: threads, text: String::new(), answer: Some(answer), empty };
        (Self { about, state: Mutex::new(state) }, answered)
    }

    /// One thread's answer.
    pub fn answer(&self, text: &str) {
        let mut state = self.state.lock();
        state.text.push_str(text);
        state.missing = state.missing.saturating_sub(1);
        if state.missing == 0
            && let Some(answer) = state.answer.take()
        {
            let text = std::mem::take(&mut state.text);
            // A client that left does not want it.
            let _ = answer.send(if text.is_empty() { state.empty.to_owned() } else { text });
        }
    }
}
