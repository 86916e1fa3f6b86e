//! Actions that only decide: `allow`, `accept`, `reject`, `silent-drop`, `expect-proxy`, `strict-mode`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::rules::action_def::{ActionDef, ActionWords, HTTP, TCP};
use crate::rules::{Action, RuleSet, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new(
        "allow",
        HTTP,
        "Stops the evaluation of this set's rules and lets the message pass.",
        |_| Ok(Arc::new(Decide(Verdict::Allow))),
    ),
    ActionDef::new(
        "accept",
        TCP,
        "Stops the evaluation of this set's rules and lets the connection pass.",
        |_| Ok(Arc::new(Decide(Verdict::Allow))),
    ),
    ActionDef::new(
        "reject",
        &[
            RuleSet::TcpRequestConnection,
            RuleSet::TcpRequestSession,
            RuleSet::TcpRequestContent,
            RuleSet::TcpResponseContent,
            RuleSet::HttpRequest,
        ],
        "Closes the connection without a reply.",
        |_| Ok(Arc::new(Decide(Verdict::Reject))),
    ),
    ActionDef::new(
        "close",
        &[RuleSet::TcpResponseContent],
        "Closes the connection to the server and ends the stream.",
        |_| Ok(Arc::new(Decide(Verdict::Reject))),
    ),
    ActionDef::new(
        "silent-drop",
        &[
            RuleSet::TcpRequestConnection,
            RuleSet::TcpRequestSession,
            RuleSet::TcpRequestContent,
            RuleSet::TcpResponseContent,
            RuleSet::HttpRequest,
            RuleSet::HttpResponse,
        ],
        "Makes the connection vanish on our side without telling the client.",
        silent_drop,
    ),
    ActionDef::new(
        "expect-proxy",
        &[RuleSet::TcpRequestConnection],
        "Expects a PROXY protocol header on connections that match.",
        expect_proxy,
    ),
    ActionDef::new(
        "switch-mode",
        &[RuleSet::TcpRequestContent],
        "Goes on as HTTP with what came on a TCP connection.",
        switch_mode,
    ),
    ActionDef::new(
        "strict-mode",
        HTTP,
        "Whether a failed rewrite in the rules that follow is an internal error.",
        strict_mode,
    ),
    ActionDef::new(
        "wait-for-handshake",
        &[RuleSet::HttpRequest],
        "Waits for the end of a TLS handshake whose early data brought the request.",
        |_| Ok(Arc::new(WaitForHandshake)),
    ),
];

#[derive(Debug)]
struct Decide(Verdict);

impl Action for Decide {
    fn run(&self, _txn: &mut Txn<'_>) -> Verdict {
        self.0
    }
}

#[derive(Debug)]
struct WaitForHandshake;

impl Action for WaitForHandshake {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        if txn.session.early_pending { Verdict::WaitForHandshake } else { Verdict::Continue }
    }
}

#[derive(Debug)]
struct SilentDrop {
    reset_ttl: Option<u8>,
}

impl Action for SilentDrop {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.reset_ttl = self.reset_ttl;
        Verdict::SilentDrop
    }
}

fn silent_drop(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let mut reset_ttl = None;
    if words.words.take_if("rst-ttl") {
        let word = words.required("'rst-ttl' expects a number between 1 and 255.")?;
        let ttl = word.as_str().parse().ok().filter(|&ttl: &u8| ttl > 0);
        let ttl = ttl.ok_or_else(|| {
            Diagnostic::alert("'rst-ttl' expects a number between 1 and 255.").at(word.span)
        })?;
        reset_ttl = Some(ttl);
    }
    Ok(Arc::new(SilentDrop { reset_ttl }))
}

fn expect_proxy(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects 'layer4'.")?;
    if word != "layer4" {
        return Err(Diagnostic::alert("expects 'layer4'.").at(word.span));
    }
    Ok(Arc::new(ExpectProxy))
}

#[derive(Debug)]
struct ExpectProxy;

impl Action for ExpectProxy {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.expect_proxy = true;
        Verdict::Continue
    }
}

fn switch_mode(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects 'http'.")?;
    if word != "http" {
        return Err(Diagnostic::alert("expects 'http'.").at(word.span));
    }
    let http1_only = words.words.take_if("proto");
    if http1_only {
        let word = words.required("'proto' expects a MUX protocol.")?;
        if word != "h1" {
            let message = format!("'proto' : '{}' is not supported here, only 'h1'.", word.as_str());
            return Err(Diagnostic::alert(message).at(word.span));
        }
    }
    Ok(Arc::new(SwitchMode { http1_only }))
}

#[derive(Debug)]
struct SwitchMode {
    http1_only: bool,
}

impl Action for SwitchMode {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.http1_only = self.http1_only;
        Verdict::SwitchMode
    }
}

#[derive(Debug)]
struct StrictMode {
    strict: bool,
}

impl Action for StrictMode {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.lenient = !self.strict;
        Verdict::Continue
    }
}

fn strict_mode(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects exactly 1 arguments.")?;
    let strict = match word.as_str() {
        "on" => true,
        "off" => false,
        other => {
            let message = format!("Unexpected value '{other}'. Only 'on' and 'off' are supported.");
            return Err(Diagnostic::alert(message).at(word.span));
        }
    };
    Ok(Arc::new(StrictMode { strict }))
}
