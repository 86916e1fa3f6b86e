//! Which backend and which server: `use_backend`, `default_backend`, `use-server`, `monitor …`.

use super::{listed, old};
use crate::config::expression::{self, FormatUse};
use crate::config::keyword::{Keyword, Line, Parsed, Places, any};
use crate::config::loader::{Loader, SwitchDraft};
use crate::model::ServerSwitch;

pub const KEYWORDS: &[Keyword] = &[
    old("default_backend", Places::FRONT, "<backend>", "The backend when no rule chooses one.", default_backend),
    old("use_backend", Places::FRONT_ONLY, "<backend> [{if | unless} <condition>]", "Chooses a backend.", use_backend),
    listed("be-unpublished", Places::BACK_ONLY, "", "Hides the backend from switching rules.", unpublished),
    listed("force-be-switch", Places::FRONT_ONLY, "{ if | unless } <condition>", "When unpublished backends may be chosen.", force_switch),
    old("use-server", Places::BACK_ONLY, "<server> { if | unless } <condition>", "Chooses a server.", use_server),
    old("monitor-uri", Places::FRONT, "<uri>", "Answers this URI itself.", monitor_uri),
    old("monitor fail", Places::FRONT_ONLY, "{ if | unless } <condition>", "When the monitor URI fails.", monitor_fail),
    old("monitor-net", Places::FRONT, "<source>", "Old form of a monitoring network.", any)
        .removed("write 'http-request return status 200 if { src <net> }' or 'tcp-request connection reject if { src <net> }' instead"),
];

fn default_backend(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a backend name.")?;
    loader.draft()?.default_backend = Some(name.clone());
    line.end()
}

fn use_backend(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a backend name.")?.clone();
    let condition = expression::condition(loader, line)?;
    let dynamic = if name.as_str().contains('%') {
        Some(expression::log_format(loader, line, &name, FormatUse::Name)?)
    } else {
        None
    };
    let draft = loader.draft()?;
    draft.seen_rules.use_backend = true;
    draft.switches.push(SwitchDraft { name, condition, location: line.location.clone(), dynamic });
    Ok(())
}

fn unpublished(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.unpublished = true;
    line.end()
}

fn force_switch(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !matches!(line.words.peek_str(), Some("if" | "unless")) {
        return Err(line.alert("'force-be-switch' requires either 'if' or 'unless' followed by a condition."));
    }
    let condition = expression::condition(loader, line)?;
    loader.proxy()?.force_switch.extend(condition);
    Ok(())
}

fn use_server(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a server name.")?;
    if !matches!(line.words.peek_str(), Some("if" | "unless")) {
        return Err(line.alert("'use-server' requires either 'if' or 'unless' followed by a condition."));
    }
    let format = expression::log_format(loader, line, name, FormatUse::Name)?;
    let condition = expression::condition(loader, line)?;
    let location = line.location.clone();
    let draft = loader.draft()?;
    draft.seen_rules.use_server = true;
    draft.proxy.use_server.push(ServerSwitch { name: format, condition, location });
    draft.use_server_names.push(name.clone());
    Ok(())
}

fn monitor_uri(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.monitor_uri = Some(line.required("an URI.")?.as_str().to_owned());
    line.end()
}

fn monitor_fail(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !matches!(line.words.peek_str(), Some("if" | "unless")) {
        return Err(line.alert("'monitor fail' requires either 'if' or 'unless' followed by a condition."));
    }
    let condition = expression::condition(loader, line)?;
    let draft = loader.draft()?;
    draft.seen_rules.monitor_fail = true;
    draft.proxy.monitor_fail.extend(condition);
    Ok(())
}
