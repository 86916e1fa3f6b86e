//! Actions of features that this build does not have: each is refused in one line that names the feature.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::LUA;
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
    ActionDef::new("set-bandwidth-limit", STREAM, "Limits the rate of a stream.", bandwidth),
    ActionDef::new("expect-netscaler-cip", ALL, "Expects a NetScaler CIP header.", netscaler),
    ActionDef::new("attach-srv", ALL, "Attaches a reverse connection to a server.", reverse),
    ActionDef::new("pause", STREAM, "Holds a stream for a while.", pause),
];

type Parsed = Result<Arc<dyn Action>, Diagnostic>;

fn refuse(words: &mut ActionWords<'_, '_>, feature: &'static str) -> Parsed {
    Err(Diagnostic::needs(words.name.as_str(), feature).at(words.name.span))
}

fn stick_table(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "stick tables")
}

fn lua(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, LUA)
}

fn spoe(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "SPOE")
}

fn opentracing(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "OpenTracing")
}

fn cache(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "the HTTP cache")
}

fn resolvers(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "run-time DNS resolution")
}

fn bandwidth(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "bandwidth limits")
}

fn netscaler(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "the NetScaler protocol")
}

fn reverse(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "reverse HTTP")
}

fn pause(words: &mut ActionWords<'_, '_>) -> Parsed {
    refuse(words, "timed rules")
}
