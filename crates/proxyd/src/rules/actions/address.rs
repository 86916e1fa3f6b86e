//! `set-src`, `set-src-port`, `set-dst`, `set-dst-port`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::{Expr, Sample, SampleType};
use crate::rules::action_def::{ActionDef, ActionWords};
use crate::rules::{Action, RuleSet, Txn, Verdict};
use crate::txn::Endpoint;

const SETS: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::HttpRequest,
];

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new("set-src", SETS, "Replaces the client's address; the port stays.", |words| {
        parse(words, false, false)
    }),
    ActionDef::new("set-src-port", SETS, "Replaces the client's port.", |words| parse(words, false, true)),
    ActionDef::new("set-dst", SETS, "Replaces the destination address; the port stays.", |words| {
        parse(words, true, false)
    }),
    ActionDef::new("set-dst-port", SETS, "Replaces the destination port.", |words| parse(words, true, true)),
];

#[derive(Debug)]
struct SetAddress {
    expr: Expr,
    is_destination: bool,
    is_port: bool,
}

fn parse(
    words: &mut ActionWords<'_, '_>,
    is_destination: bool,
    is_port: bool,
) -> Result<Arc<dyn Action>, Diagnostic> {
    Ok(Arc::new(SetAddress { expr: words.expression()?, is_destination, is_port }))
}

impl Action for SetAddress {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let old = if self.is_destination { &txn.session.destination } else { &txn.session.source };
        let unspecified = IpAddr::from([0, 0, 0, 0]);
        let (ip, port) = (old.ip().unwrap_or(unspecified), old.port().unwrap_or(0));
        let new = if self.is_port {
            match self.expr.eval_as(&txn.ctx(), SampleType::Int) {
                Some(Sample::Int(port)) => u16::try_from(port).ok().map(|port| SocketAddr::new(ip, port)),
                _ => None,
            }
        } else {
            match self.expr.eval_as(&txn.ctx(), SampleType::Addr) {
                Some(Sample::Ipv4(ip)) => Some(SocketAddr::new(ip.into(), port)),
                Some(Sample::Ipv6(ip)) => Some(SocketAddr::new(ip.into(), port)),
                _ => None,
            }
        };
        if let Some(new) = new {
            txn.session.set_end(!self.is_destination, Endpoint::Inet(new));
        }
        Verdict::Continue
    }
}
