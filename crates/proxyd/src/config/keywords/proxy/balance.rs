//! `balance`, `hash-type`, `hash-balance-factor`.

use hacore::diag::{Diagnostic, Word};

use super::{listed, old};
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places, any};
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
        any,
    )
    .refused("hash affinity modes"),
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
        ("log-hash", _) => BalanceAlgorithm::LogHash,
        ("log-sticky", None) => BalanceAlgorithm::Sticky,
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
        "avalanche" => {
            return Err(line.alert_at(word, "experimental feature 'hash-type avalanche' is not supported anymore, please use 'hash-type map-based sdbm avalanche' instead."));
        }
        _ => return Err(line.alert_at(word, "'hash-type' only supports 'consistent' and 'map-based'.")),
    };
    hash.function = match line.words.next() {
        None => HashFunction::Sdbm,
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

fn factor(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument.")?;
    let value: i64 = word.as_str().parse().unwrap_or(-1);
    if value != 0 && !(101..=i64::from(i32::MAX)).contains(&value) {
        return Err(line.alert_at(word, "'hash-balance-factor' must be 0 or greater than 100."));
    }
    loader.proxy()?.balance.hash_balance_factor = value as u32;
    line.end()
}
