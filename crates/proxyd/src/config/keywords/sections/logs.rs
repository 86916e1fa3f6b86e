//! `ring`, `log-forward`, `log-profile` (configuration manual, sections 12.5, 12.6 and 8.3.5).
//!
//! Their `server` and `timeout` lines, `maxconn` and `backlog` are those of proxies.

use hacore::addr::Transport;
use hacore::diag::Diagnostic;

use super::word;
use crate::config::arguments::{self, Purpose};
use crate::config::expression::{self, FormatUse};
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix};
use crate::config::keywords::{bind, proxy::logging};
use crate::config::loader::Loader;
use crate::model::{Address, Bind, HostStrategy, LogOverride, LogStep};

pub const KEYWORDS: &[Keyword] = &[
    word("backing-file", Places::RING, "<path>", "Keeps the ring in a file, as text.", backing_file)
        .unlisted(),
    word("format", Places::RING, "<format>", "The format of lines.", format).unlisted(),
    word("maxlen", Places::RING, "<length>", "The longest line.", maxlen).unlisted(),
    word("size", Places::RING, "<size>", "The ring's size.", size).unlisted(),
    word("bind", Places::LOG_FORWARD, "[<address>]:port [param*]", "Where streams arrive.", stream_bind)
        .unlisted(),
    word("dgram-bind", Places::LOG_FORWARD, "<addr> [param*]", "Where datagrams arrive.", datagram_bind)
        .unlisted(),
    word("log", Places::LOG_FORWARD, "<target> ...", "Where lines go.", log).unlisted(),
    word("option assume-rfc6587-ntf", Places::LOG_FORWARD, "", "Lines are never counted.", assume_lines)
        .unlisted(),
    word("option dont-parse-log", Places::LOG_FORWARD, "", "Lines are passed as they are.", dont_parse)
        .unlisted(),
    word(
        "option host",
        Places::LOG_FORWARD,
        "{ replace | fill | keep | append }",
        "What host name is passed on.",
        host,
    )
    .unlisted(),
    word("log-tag", Places::LOG_PROFILE, "<string>", "The tag of log lines.", tag).unlisted(),
    word(
        "on",
        Places::LOG_PROFILE,
        "<step> [drop] [format <fmt>] [sd <sd_fmt>]",
        "What is logged at a step.",
        on,
    )
    .unlisted(),
];

/// The largest ring.
const RING_BYTES_MAX: u64 = 1 << 40;

fn backing_file(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let path = line.required("a file name.")?.as_str().to_owned();
    let path = loader.path(&path);
    loader.ring()?.backing_file = Some(path);
    line.end()
}

fn format(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a format name.")?;
    loader.ring()?.format = logging::syslog_format(line, word)
        .map_err(|_| line.alert_at(word, format!("unknown format '{}'.", word.as_str())))?;
    line.end()
}

fn maxlen(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.size(RING_BYTES_MAX)?;
    if bytes == 0 {
        return Err(line.alert("invalid size '0' for new sink buffer."));
    }
    loader.ring()?.length_max_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    line.end()
}

fn size(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = usize::try_from(line.size(RING_BYTES_MAX)?).unwrap_or(usize::MAX);
    let ring = loader.ring()?;
    if bytes < ring.size_bytes {
        let message = format!(
            "ignoring new size '{bytes}' that is smaller than current size '{}' for ring '{}'.",
            ring.size_bytes, ring.name
        );
        loader.push(line.warning(message));
    } else {
        ring.size_bytes = bytes;
    }
    line.end()
}

fn stream_bind(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let binds = bind::parse(loader, line, bind::Role::Proxy)?;
    if binds.iter().any(|bind| bind.tls) {
        return Err(line.alert("'bind' : 'ssl' is not supported in 'log-forward' sections yet."));
    }
    if binds.iter().any(|bind| bind.accept_proxy) {
        return Err(line.alert("'bind' : 'accept-proxy' is not supported in 'log-forward' sections."));
    }
    loader.log_forward()?.binds.extend(binds);
    Ok(())
}

/// `dgram-bind ADDRESS…`: words that concern UDP are carried out, other words of `bind` lines mean nothing here.
fn datagram_bind(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("{addr}:port[-end] as arguments.")?;
    let mut interface = None;
    while let Some(option) = line.words.next() {
        match option.as_str() {
            "interface" => interface = Some(line.required("an interface name.")?.as_str().to_owned()),
            "name" => {
                line.required("a name.")?;
            }
            "namespace" | "transparent" => {
                let message = format!("'dgram-bind' : '{}' is not supported.", option.as_str());
                return Err(line.alert_at(option, message));
            }
            other => {
                let message = format!("'dgram-bind {}' unknown keyword '{other}'.", word.as_str());
                return Err(line.alert_at(option, message).did_you_mean(other, ["interface", "name"]));
            }
        }
    }
    let whole = arguments::expand_variables(loader, word.as_str());
    for part in whole.split(',') {
        let alert = |problem: String| line.alert_at(word, format!("'dgram-bind' : {problem}"));
        let endpoint = arguments::endpoint(loader, part, Purpose::Listen).map_err(alert)?;
        if endpoint.transport == Transport::Stream {
            return Err(alert(format!("dgram-type address not acceptable in '{part}'.")));
        }
        let address = match endpoint.address {
            Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
                Some(address) => Address::Inet(address),
                None => return Err(alert(format!("invalid address: '{host}' in '{part}'"))),
            },
            address @ (Address::Inet(_) | Address::Fd(_)) => address,
            _ => return Err(alert(format!("'{part}' is no address of datagrams."))),
        };
        let (first, last) = endpoint.ports.unwrap_or_default();
        for port in first..=last {
            let mut address = address.clone();
            if let Address::Inet(address) = &mut address {
                address.set_port(port);
            }
            let bind =
                Bind { interface: interface.clone(), ..Bind::new(address, part, line.location.clone()) };
            loader.log_forward()?.datagram_binds.push(bind);
        }
    }
    Ok(())
}

fn log(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.prefix == Prefix::No {
        loader.log_forward()?.logs.clear();
        loader.draft()?.log_global = false;
        return line.end();
    }
    if line.words.take_if("global") {
        loader.draft()?.log_global = true;
        return line.end();
    }
    let target = logging::target(loader, line)?;
    loader.log_forward()?.logs.push(target);
    Ok(())
}

fn assume_lines(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.log_forward()?.assume_lines = line.prefix != Prefix::No;
    line.end()
}

fn dont_parse(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.log_forward()?.parse = line.prefix == Prefix::No;
    line.end()
}

fn host(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    const STRATEGIES: [(&str, HostStrategy); 4] = [
        ("replace", HostStrategy::Replace),
        ("fill", HostStrategy::Fill),
        ("keep", HostStrategy::Keep),
        ("append", HostStrategy::Append),
    ];
    let word = line.required("'replace', 'fill', 'keep' or 'append'.")?;
    let known = STRATEGIES.iter().find(|(name, _)| *word == *name);
    let (_, strategy) = known.ok_or_else(|| -> Diagnostic {
        let message = format!(
            "'option host' expects one of 'replace', 'fill', 'keep' or 'append', got '{}'.",
            word.as_str()
        );
        line.alert_at(word, message).did_you_mean(word.as_str(), STRATEGIES.iter().map(|(name, _)| *name))
    })?;
    loader.log_forward()?.host = *strategy;
    line.end()
}

fn tag(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let tag = line.required("a tag for use in syslog.")?.as_str().to_owned();
    loader.logs.profiles.entry(loader.section_name.clone()).or_default().tag = Some(tag);
    line.end()
}

fn on(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a logging step.")?;
    let known = LogStep::ALL.iter().find(|(name, _)| *word == *name);
    let Some((_, step)) = known else {
        let list: Vec<&str> = LogStep::ALL.iter().map(|(name, _)| *name).collect();
        let message = format!("'on' expects a logging step ({}), got '{}'.", list.join(", "), word.as_str());
        return Err(line.alert_at(word, message).did_you_mean(word.as_str(), list));
    };
    let mut found = LogOverride { step: *step, drop: false, format: None, structured_data: None };
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "drop" => found.drop = true,
            "format" => {
                let text = line.required("a format after 'format'.")?;
                found.format = Some(expression::log_format(loader, line, text, FormatUse::Log)?);
            }
            "sd" => {
                let text = line.required("a format after 'sd'.")?;
                found.structured_data = Some(expression::log_format(loader, line, text, FormatUse::Log)?);
            }
            other => {
                let message = format!("'on' expects 'drop', 'format' or 'sd', got '{other}'.");
                return Err(line.alert_at(word, message).did_you_mean(other, ["drop", "format", "sd"]));
            }
        }
    }
    loader.logs.profiles.entry(loader.section_name.clone()).or_default().overrides.push(found);
    Ok(())
}
