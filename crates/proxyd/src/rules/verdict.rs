//! What a rule set decided.

use std::time::Duration;

use super::{Rule, Txn};
use crate::expr;

/// What the data plane does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on: with the next rule, and after the last with the next set.
    Continue,
    /// Go on, but no more rules of this set (`allow`, `accept`).
    Allow,
    /// Send [`super::Txn::reply`]; blocked by a rule (termination state `PR`).
    Deny,
    /// Send [`super::Txn::reply`]; an answer of the proxy's own (`return`, `redirect`: termination state `LR`).
    Return,
    /// Answer with the metrics of the process (`use-service prometheus-exporter`).
    Metrics,
    /// As `Deny` after `timeout tarpit` (termination state `PT`).
    Tarpit,
    /// Close the connection without a word.
    Reject,
    /// Forget the connection without telling the client's kernel.
    SilentDrop,
    /// The answer depends on data that has not arrived: call again with more, or with `is_final`.
    Wait,
    /// `wait-for-body`: call again when this many bytes of the body (all with 0) have arrived, the buffer is full, or
    /// the time is over; then with `wait_expired`.
    WaitForBody { timeout: Duration, at_least_bytes: u64 },
    /// `wait-for-handshake`: call again when the client's handshake is over.
    WaitForHandshake,
    /// A TCP stream goes on as HTTP (`switch-mode http`); on one that is HTTP no more rules of this set.
    SwitchMode,
    /// A rewrite failed in strict mode: 500.
    Failed,
    /// `do-log`: write a line, then call again with the same progress.
    Log,
}

/// Where an interrupted evaluation goes on; a fresh one per set and transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    next: usize,
    /// The condition of the next rule has held already.
    held: bool,
}

/// Runs the rules in order until one of them decides.
///
/// After [`Verdict::WaitForBody`] call it again with the same `progress`: the waiting rule is asked again. After
/// [`Verdict::Wait`] the set starts anew, because earlier conditions may have changed too.
pub fn evaluate(rules: &[Rule], progress: &mut Progress, txn: &mut Txn<'_>) -> Verdict {
    let mut held = std::mem::take(&mut progress.held);
    while let Some(rule) = rules.get(progress.next) {
        // The condition of a rule that waited has held already.
        let asked = std::mem::take(&mut held);
        if !asked && let Some(condition) = &rule.condition {
            match condition.check(&txn.ctx()) {
                expr::Verdict::Pass => {}
                expr::Verdict::Fail => {
                    progress.next += 1;
                    continue;
                }
                expr::Verdict::Wait => {
                    *progress = Progress::default();
                    return Verdict::Wait;
                }
            }
        }
        match rule.action.run(txn) {
            Verdict::Continue => progress.next += 1,
            Verdict::Allow => {
                *progress = Progress::default();
                return Verdict::Allow;
            }
            waiting @ (Verdict::WaitForBody { .. } | Verdict::WaitForHandshake) => {
                progress.held = true;
                return waiting;
            }
            Verdict::Log => {
                progress.next += 1;
                return Verdict::Log;
            }
            Verdict::Wait => {
                *progress = Progress::default();
                return Verdict::Wait;
            }
            decided => {
                *progress = Progress::default();
                return decided;
            }
        }
    }
    *progress = Progress::default();
    Verdict::Continue
}
