//! `balance`, `hash-type`, `hash-balance-factor`.

use hacore::balance::Affinity;
use hacore::balance::retry_budget::RetryBudgetSettings;
use hacore::diag::{Diagnostic, Word};
use hacore::health::outlier::OutlierSettings;
use hacore::units::TimeUnit;

use super::{listed, old};
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix};
use crate::config::loader::Loader;
use crate::model::{BalanceAlgorithm, HashFunction, HashKind};

pub const KEYWORDS: &[Keyword] = &[
    old("balance", Places::BACK, "<algorithm> [ <arguments> ]", "How a server is chosen.", balance),
    old("hash-type", Places::BACK, "<method> <function> <modifier>", "How hashes map to servers.", hash_type),
    old(
        "hash-balance-factor",
        Places::BACK,
        "<factor>",
        "The most load of a server with consistent hashing, in percent.",
        factor,
    ),
    listed(
        "hash-preserve-affinity",
        Places::BACK,
        "{ always | maxconn | maxqueue }",
        "What happens when the hashed server is full.",
        affinity,
    ),
    listed(
        "option outlier-ejection",
        Places::BACK,
        "[ errors <count> ] [ time <delay> ] [ max <percent> ] [ panic <percent> ]",
        "Ours alone: leaves servers out whose requests fail in a row.",
        outlier,
    ),
    listed(
        "retry-budget",
        Places::BACK,
        "<percent> [ min <count> ]",
        "Ours alone: the most retries, in percent of the requests, besides a few each second.",
        retry_budget,
    ),
];

const SUPPORTED: &str = "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', 'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'log-sticky' options.";

fn balance(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let algorithm = match line.words.next() {
        None => BalanceAlgorithm::RoundRobin,
        Some(word) => algorithm(loader, line, word)?,
    };
    loader.proxy()?.balance.algorithm = algorithm;
    line.end()
}

fn algorithm(loader: &mut Loader, line: &mut Line<'_>, word: &Word) -> Result<BalanceAlgorithm, Diagnostic> {
    let (name, argument) = parenthesised(word.as_str());
    Ok(match (name, argument) {
        ("roundrobin", None) => BalanceAlgorithm::RoundRobin,
        ("static-rr", None) => BalanceAlgorithm::StaticRr,
        ("leastconn", None) => BalanceAlgorithm::LeastConn,
        ("first", None) => BalanceAlgorithm::First,
        ("peak-ewma", None) => BalanceAlgorithm::PeakEwma,
        ("source", None) => BalanceAlgorithm::Source,
        ("random", None) => BalanceAlgorithm::Random { draws: 2 },
        ("random", Some(argument)) => {
            let draws = argument.parse().ok().filter(|draws| *draws >= 1);
            let draws =
                draws.ok_or_else(|| line.alert_at(word, "'random' supports an integer argument >= 1."))?;
            BalanceAlgorithm::Random { draws }
        }
        ("uri", None) => uri(line)?,
        ("url_param", None) => url_param(line, word)?,
        ("hdr", argument) => {
            let name = argument.unwrap_or_default();
            if name.is_empty() {
                return Err(line
                    .alert_at(word, "'hdr' requires an http header field name.")
                    .help("write 'balance hdr(User-Agent)', with the header's name in parentheses"));
            }
            let use_domain_only = line.words.take_if("use_domain_only");
            BalanceAlgorithm::Header { name: name.to_owned(), use_domain_only }
        }
        ("rdp-cookie", argument) => {
            let name = match argument {
                None => "mstshash",
                Some("") => {
                    return Err(line.alert_at(word, "'rdp-cookie' : missing cookie's name."));
                }
                Some(name) => name,
            };
            BalanceAlgorithm::RdpCookie { name: name.to_owned() }
        }
        ("hash", None) => BalanceAlgorithm::Hash(expression::expression(loader, line)?),
        ("hash", Some(_)) => return Err(line.alert_at(word, SUPPORTED)),
        ("log-hash", None) => {
            let converters = line.required("a list of converters after 'log-hash'.")?;
            BalanceAlgorithm::LogHash(expression::line_converters(loader, line, converters)?)
        }
        ("sticky" | "log-sticky", None) => BalanceAlgorithm::Sticky,
        _ => {
            let names = [
                "roundrobin",
                "static-rr",
                "leastconn",
                "first",
                "source",
                "uri",
                "url_param",
                "random",
                "hash",
                "hdr(name)",
                "peak-ewma",
            ];
            return Err(line.alert_at(word, SUPPORTED).did_you_mean(word.as_str(), names));
        }
    })
}

/// `name(argument)` in two parts.
fn parenthesised(word: &str) -> (&str, Option<&str>) {
    match word.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
        None => (word, None),
    }
}

fn uri(line: &mut Line<'_>) -> Result<BalanceAlgorithm, Diagnostic> {
    let (mut length, mut depth, mut whole, mut path_only) = (None, None, false, false);
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "len" | "depth" => {
                let value = line.words.next().and_then(|value| value.as_str().parse::<u32>().ok());
                let Some(value) = value else {
                    let message = format!("'balance uri {}' : expects a positive integer.", word.as_str());
                    return Err(line.alert_at(word, message));
                };
                if *word == "len" { length = Some(value) } else { depth = Some(value) }
            }
            "whole" => whole = true,
            "path-only" => path_only = true,
            other => {
                let message = format!(
                    "'balance uri' only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{other}')."
                );
                return Err(line.alert_at(word, message));
            }
        }
    }
    Ok(BalanceAlgorithm::Uri { length, depth, whole, path_only })
}

fn url_param(line: &mut Line<'_>, at: &Word) -> Result<BalanceAlgorithm, Diagnostic> {
    let Some(name) = line.words.next().filter(|name| !name.as_str().is_empty()) else {
        return Err(line
            .alert_at(at, "'balance url_param' requires an URL parameter name.")
            .help("write for example 'balance url_param userid'"));
    };
    let check_post = line.words.take_if("check_post");
    if check_post && line.words.peek().is_some_and(|word| word.as_str().bytes().all(|b| b.is_ascii_digit())) {
        line.words.next();
    }
    Ok(BalanceAlgorithm::UrlParam { name: name.as_str().to_owned(), check_post })
}

fn hash_type(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'consistent' or 'map-based' as argument.")?;
    let mut hash = loader.proxy()?.balance.hash_type;
    hash.kind = match word.as_str() {
        "consistent" => HashKind::Consistent,
        "map-based" => HashKind::MapBased,
        "maglev" => HashKind::Maglev,
        "avalanche" => {
            return Err(line.alert_at(word, "experimental feature 'hash-type avalanche' is not supported anymore, please use 'hash-type map-based sdbm avalanche' instead."));
        }
        _ => return Err(line.alert_at(word, "'hash-type' only supports 'consistent' and 'map-based'.")),
    };
    hash.function = match line.words.next() {
        None => {
            // Consistent hashing without a function named mixes the hash (manual, "hash-type").
            hash.function = HashFunction::Sdbm;
            hash.avalanche = hash.kind != HashKind::MapBased;
            loader.proxy()?.balance.hash_type = hash;
            return line.end();
        }
        Some(word) => match word.as_str() {
            "sdbm" => HashFunction::Sdbm,
            "djb2" => HashFunction::Djb2,
            "wt6" => HashFunction::Wt6,
            "crc32" => HashFunction::Crc32,
            "none" => HashFunction::None,
            _ => {
                return Err(line.alert_at(
                    word,
                    "'hash-type' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions.",
                ));
            }
        },
    };
    hash.avalanche = match line.words.next() {
        None => false,
        Some(word) if *word == "avalanche" => true,
        Some(word) => {
            return Err(line
                .alert_at(word, "'hash-type' only supports 'avalanche' as a modifier for hash functions."));
        }
    };
    loader.proxy()?.balance.hash_type = hash;
    line.end()
}

fn affinity(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'always', 'maxconn' or 'maxqueue' as argument.")?;
    loader.proxy()?.balance.affinity = match word.as_str() {
        "always" => Affinity::Always,
        "maxconn" => Affinity::Maxconn,
        "maxqueue" => Affinity::Maxqueue,
        other => {
            let message = format!("'{}' : unknown mode '{other}'.", line.name);
            return Err(line.alert_at(word, message).did_you_mean(other, ["always", "maxconn", "maxqueue"]));
        }
    };
    line.end()
}

fn outlier(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut settings = OutlierSettings::default();
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "errors" => settings.errors = line.integer(1..=1_000_000)? as u32,
            "max" => settings.max_percent = line.integer(0..=100)? as u32,
            "panic" => settings.panic_percent = line.integer(0..=100)? as u32,
            "time" => {
                let delay = line.required("a delay as argument.")?;
                settings.time = line.duration_of(delay, TimeUnit::Milliseconds)?;
            }
            other => {
                return Err(line
                    .alert_at(word, format!("'option outlier-ejection' does not know '{other}'."))
                    .did_you_mean(other, ["errors", "time", "max", "panic"]));
            }
        }
    }
    loader.proxy()?.outlier = (line.prefix == Prefix::None).then_some(settings);
    Ok(())
}

fn retry_budget(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut settings = RetryBudgetSettings { percent: line.integer(0..=100)? as u32, min_per_second: 10 };
    if line.words.take_if("min") {
        settings.min_per_second = line.integer(0..=1_000_000)? as u32;
    }
    loader.proxy()?.retry_budget = Some(settings);
    line.end()
}

fn factor(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument.")?;
    let value: i64 = word.as_str().parse().unwrap_or(-1);
    if value != 0 && !(101..=i64::from(i32::MAX)).contains(&value) {
        return Err(line.alert_at(word, "'hash-balance-factor' must be 0 or greater than 100."));
    }
    loader.proxy()?.balance.hash_balance_factor = value as u32;
    line.end()
}
