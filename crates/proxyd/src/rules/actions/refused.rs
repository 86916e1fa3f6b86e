//! Actions of features that this build does not have: each is refused in one line that names the feature.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::rules::Action;
use crate::rules::action_def::{ALL, ActionDef, ActionWords, STREAM};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::prefix("track-sc", ALL, "Tracks a stick-table entry.", stick_table),
    ActionDef::prefix("sc-", ALL, "Changes a tracked entry's counters.", stick_table),
    ActionDef::prefix("lua.", ALL, "Runs a Lua function.", lua),
    ActionDef::new("send-spoe-group", STREAM, "Sends messages to an SPOE agent.", spoe),
    ActionDef::new("ot-group", STREAM, "OpenTracing.", opentracing),
    ActionDef::new("cache-use", STREAM, "Serves from the cache.", cache),
    ActionDef::new("cache-store", STREAM, "Stores into the cache.", cache),
    ActionDef::new("do-resolve", STREAM, "Resolves a name.", resolvers).with_argument(),
    ActionDef::new("set-bandwidth-limit", STREAM, "Limits the rate of a stream.", filters),
    ActionDef::new("expect-netscaler-cip", ALL, "Expects a NetScaler CIP header.", netscaler),
    ActionDef::new("attach-srv", ALL, "Attaches a reverse connection to a server.", reverse),
    ActionDef::new("pause", STREAM, "Holds a stream for a while.", pause),
];

type Parsed = Result<Arc<dyn Action>, Diagnostic>;

fn refuse(words: &mut ActionWords<'_, '_>, feature: &str) -> Parsed {
    let message = format!("'{}' is not supported: it needs {feature}.", words.name.as_str());
    Err(Diagnostic::alert(message).at(words.name.span))
}

fn stick_table(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "stick tables, which this version does not have yet")
}

fn lua(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "Lua, which this version does not have")
}

fn spoe(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "SPOE, which this version does not have yet")
}

fn opentracing(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "OpenTracing, which HAProxy itself has removed")
}

fn cache(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "the cache, which this version does not have yet")
}

fn resolvers(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "resolvers, which this version does not have yet")
}

fn filters(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "filters, which this version does not have yet")
}

fn netscaler(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "the NetScaler client IP protocol, which this version does not have")
}

fn reverse(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "reverse HTTP, which this version does not have")
}

fn pause(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "timed rules, which this version does not have yet")
}
