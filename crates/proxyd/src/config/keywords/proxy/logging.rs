//! `log`, log formats, tags (configuration manual, section 8 "Logging").

use std::net::SocketAddr;

use hacore::diag::{Diagnostic, Word};
use hacore::units;

use super::{listed, old};
use crate::config::arguments::{self, Purpose};
use crate::config::expression::{self, FormatUse};
use crate::config::keyword::{Item, Keyword, Line, Parsed, Places, Prefix};
use crate::config::loader::Loader;
use crate::model::{
    Address, LogFacility, LogLevel, LogStep, LogSyslogFormat, LogTarget, LogTransport, SampleRange,
};

pub const KEYWORDS: &[Keyword] = &[
    old(
        "log",
        Places::PROXY,
        "global | <target> [len <length>] [format <format>] [sample <ranges>:<size>] [profile <prof>] <facility> [<level> [<minlevel>]]",
        "Where log lines go.",
        log,
    ),
    old("log-format", Places::FRONT, "<fmt>", "The format of log lines.", log_format),
    old("log-format-sd", Places::FRONT, "<fmt>", "The structured data of RFC 5424 log lines.", log_format_sd),
    listed("log-steps", Places::FRONT, "<steps>", "When log lines are written.", log_steps),
    old(
        "error-log-format",
        Places::FRONT,
        "<fmt>",
        "The format of lines about failed connections.",
        error_log_format,
    ),
    old("log-tag", Places::PROXY, "<string>", "The tag of log lines.", log_tag),
    old("unique-id-format", Places::PROXY, "<fmt>", "The format of unique ids.", unique_id_format),
    old(
        "unique-id-header",
        Places::FRONT,
        "<name>",
        "The header that carries the unique id.",
        unique_id_header,
    ),
];

/// The same in the `global` section.
pub const GLOBAL_KEYWORDS: &[Keyword] = &[
    Item::new("log", Places::GLOBAL, "<target> [len <length>] [format <format>] [sample <ranges>:<size>] [profile <prof>] <facility> [<level> [<minlevel>]]", "Where log lines go.", global_log as _).unlisted(),
    Item::new("log-tag", Places::GLOBAL, "<string>", "The tag of log lines.", global_log_tag as _).unlisted(),
    Item::new("log-send-hostname", Places::GLOBAL, "[<string>]", "The host name in log lines.", send_hostname as _).unlisted(),
];

fn log(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.prefix == Prefix::No {
        let draft = loader.draft()?;
        draft.proxy.logs.clear();
        draft.log_global = false;
        return line.end();
    }
    if line.words.peek_str() == Some("global") {
        line.words.next();
        line.end()?;
        loader.draft()?.log_global = true;
        return Ok(());
    }
    let target = target(loader, line)?;
    loader.proxy()?.logs.push(target);
    Ok(())
}

fn global_log(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.prefix == Prefix::No {
        loader.global.logs.clear();
        return line.end();
    }
    if line.words.peek_str() == Some("global") {
        return Err(line.alert("'global' is not supported for a global section."));
    }
    let target = target(loader, line)?;
    loader.global.logs.push(target);
    Ok(())
}

/// Longest log line that `len` may ask for.
const LENGTH_MAX_BYTES: u64 = 65535;
/// Shortest, as in HAProxy.
const LENGTH_MIN_BYTES: u64 = 80;

/// One target with its options, to the end of the line.
pub fn target(loader: &mut Loader, line: &mut Line<'_>) -> Result<LogTarget, Diagnostic> {
    let address = line.required("either <address[:port]> and <facility> or 'global' as arguments.")?;
    let transport = transport(loader, line, address)?;
    let mut target = LogTarget {
        transport,
        length_max_bytes: 1024,
        format: None,
        profile: None,
        sample: None,
        facility: LogFacility(0),
        level_max: LogLevel::Debug,
        level_min: LogLevel::Emerg,
    };
    while let Some(word) = line.words.peek() {
        match word.as_str() {
            "len" => {
                line.words.next();
                let length = line.required("a length after 'len'.")?;
                let value = units::parse_size(length.as_str()).unwrap_or(0);
                if !(LENGTH_MIN_BYTES..=LENGTH_MAX_BYTES).contains(&value) {
                    let message = format!(
                        "invalid log length {}, must be between {LENGTH_MIN_BYTES} and {LENGTH_MAX_BYTES}.",
                        length.as_str()
                    );
                    return Err(line.alert_at(length, message));
                }
                target.length_max_bytes = value as usize;
            }
            "format" => {
                line.words.next();
                let word = line.required("a format name after 'format'.")?;
                target.format = Some(syslog_format(line, word)?);
            }
            "sample" => {
                line.words.next();
                let word = line.required("<ranges>:<size> after 'sample'.")?;
                target.sample = Some(sample(line, word)?);
            }
            "profile" => {
                line.words.next();
                target.profile = Some(line.required("a name after 'profile'.")?.as_str().to_owned());
            }
            _ => break,
        }
    }
    let word = line.required("either <address[:port]> and <facility> or 'global' as arguments.")?;
    let facility = FACILITIES.iter().position(|name| *word == *name);
    let Some(facility) = facility else {
        let message = format!("unknown log facility '{}'", word.as_str());
        return Err(super::super::suggest(
            line.alert_at(word, message),
            word.as_str(),
            FACILITIES.iter().copied(),
        ));
    };
    target.facility = LogFacility(facility as u8);
    if let Some(word) = line.words.next() {
        target.level_max = level(line, word, "optional log level")?;
    }
    if let Some(word) = line.words.next() {
        target.level_min = level(line, word, "optional minimum log level")?;
    }
    line.end()?;
    loader.logs.names.push((target.clone(), address.span));
    Ok(target)
}

/// Syslog facilities in the order of their numbers.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

const LEVELS: &[(&str, LogLevel)] = &[
    ("emerg", LogLevel::Emerg),
    ("alert", LogLevel::Alert),
    ("crit", LogLevel::Crit),
    ("err", LogLevel::Err),
    ("warning", LogLevel::Warning),
    ("notice", LogLevel::Notice),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

fn level(line: &Line<'_>, word: &Word, what: &str) -> Result<LogLevel, Diagnostic> {
    LEVELS.iter().find(|(name, _)| *word == *name).map(|(_, level)| *level).ok_or_else(|| {
        let message = format!("unknown {what} '{}'", word.as_str());
        super::super::suggest(
            line.alert_at(word, message),
            word.as_str(),
            LEVELS.iter().map(|(name, _)| *name),
        )
    })
}

/// A format's name.
pub fn syslog_format(line: &Line<'_>, word: &Word) -> Result<LogSyslogFormat, Diagnostic> {
    Ok(match word.as_str() {
        "local" => LogSyslogFormat::Local,
        "rfc3164" => LogSyslogFormat::Rfc3164,
        "rfc5424" => LogSyslogFormat::Rfc5424,
        "priority" => LogSyslogFormat::Priority,
        "short" => LogSyslogFormat::Short,
        "timed" => LogSyslogFormat::Timed,
        "iso" => LogSyslogFormat::Iso,
        "raw" => LogSyslogFormat::Raw,
        other => return Err(line.alert_at(word, format!("unknown log format '{other}'"))),
    })
}

fn sample(line: &Line<'_>, word: &Word) -> Result<(Vec<SampleRange>, u32), Diagnostic> {
    let wrong = || line.alert_at(word, format!("'sample' expects <ranges>:<size>, got '{}'.", word.as_str()));
    let (ranges, size) = word.as_str().split_once(':').ok_or_else(wrong)?;
    let size: u32 = size.parse().map_err(|_| wrong())?;
    let mut list = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) =
            (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if first == 0 || first > last || last > size {
            return Err(wrong());
        }
        list.push(SampleRange { first, last });
    }
    Ok((list, size))
}

fn transport(loader: &mut Loader, line: &Line<'_>, word: &Word) -> Result<LogTransport, Diagnostic> {
    match word.as_str() {
        "stdout" => return Ok(LogTransport::Fd(1)),
        "stderr" => return Ok(LogTransport::Fd(2)),
        _ => {}
    }
    let refused = |feature: &'static str| Diagnostic::needs(word.as_str(), feature).at(word.span);
    if let Some(name) = word.as_str().strip_prefix("ring@") {
        return Ok(LogTransport::Ring(name.to_owned()));
    }
    if let Some(name) = word.as_str().strip_prefix("backend@") {
        return Ok(LogTransport::Backend(name.to_owned()));
    }
    let endpoint = arguments::endpoint(loader, word.as_str(), Purpose::Log)
        .map_err(|problem| line.alert_at(word, format!("'log' : {problem}")))?;
    if endpoint.transport == hacore::addr::Transport::Stream {
        return Ok(LogTransport::Stream(match endpoint.address {
            Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
                Some(address) => Address::Inet(address),
                None => {
                    return Err(line.alert_at(word, format!("'log' : could not resolve address '{host}'.")));
                }
            },
            address @ (Address::Inet(_) | Address::Unix(_) | Address::Abstract(_)) => address,
            Address::Fd(_) | Address::SocketPair(_) => return Err(refused("this kind of log address")),
        }));
    }
    Ok(match endpoint.address {
        Address::Inet(address) => LogTransport::Udp(address),
        Address::Unix(path) => LogTransport::Unix(path),
        Address::Fd(fd) => LogTransport::Fd(fd),
        Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
            Some(address) => LogTransport::Udp(address),
            None if loader.options.ignore_unresolved => {
                LogTransport::Udp(SocketAddr::from(([0, 0, 0, 0], port)))
            }
            None => return Err(line.alert_at(word, format!("'log' : could not resolve address '{host}'."))),
        },
        Address::Abstract(_) | Address::SocketPair(_) => return Err(refused("this kind of log address")),
    })
}

fn log_format(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an argument.")?;
    let format = expression::log_format(loader, line, word, FormatUse::Log)?;
    loader.proxy()?.log_format = Some(format);
    line.end()
}

fn log_format_sd(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an argument.")?;
    let format = expression::log_format(loader, line, word, FormatUse::Log)?;
    loader.proxy()?.log_format_sd = Some(format);
    line.end()
}

fn log_steps(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'all' or a list of steps.")?;
    let mut steps = 0;
    for name in word.as_str().split(',') {
        let known = LogStep::OF_STREAMS.iter().find(|(known, _)| *known == name);
        match known {
            Some((_, step)) => steps |= step.bit(),
            None if name == "all" => {
                steps |= LogStep::OF_STREAMS.iter().fold(0, |all, (_, step)| all | step.bit());
            }
            None => {
                let names = LogStep::OF_STREAMS.iter().map(|(name, _)| *name);
                let message = format!("'log-steps' : unknown step '{name}'.");
                return Err(line.alert_at(word, message).did_you_mean(name, names));
            }
        }
    }
    loader.proxy()?.log_steps = Some(steps);
    line.end()
}

fn error_log_format(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an argument.")?;
    let format = expression::log_format(loader, line, word, FormatUse::Log)?;
    loader.proxy()?.error_log_format = Some(format);
    line.end()
}

fn unique_id_format(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an argument.")?;
    let format = expression::log_format(loader, line, word, FormatUse::UniqueId)?;
    loader.proxy()?.unique_id_format = Some(format);
    line.end()
}

fn unique_id_header(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.unique_id_header = Some(line.required("an argument.")?.as_str().to_owned());
    line.end()
}

fn log_tag(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.log_tag = Some(line.required("a tag for use in syslog.")?.as_str().to_owned());
    line.end()
}

fn global_log_tag(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.log_tag = Some(line.required("a tag for use in syslog.")?.as_str().to_owned());
    line.end()
}

fn send_hostname(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.log_send_hostname = Some(line.words.next().map_or("", Word::as_str).to_owned());
    line.end()
}
