//! A backend's `balance` and `hash-type` lines as [`hacore::balance`] takes them, and the key of a hash.

use hacore::balance::key::{KeySource, UriOptions};
use hacore::balance::{
    Algorithm, Balancer, Condition, Cost, HashOptions, Options, RANDOM_DRAWS_DEFAULT, RingKey, ServerSetup,
};
use hacore::hash::{Function, HashType, Method};
use std::sync::Arc;

use crate::expr::Expr;
use crate::model::{self, BalanceAlgorithm, HashFunction, HashKind};

/// What a hash algorithm hashes.
#[derive(Debug, Clone)]
pub struct Key {
    pub source: KeySource,
    /// `balance hash EXPR`.
    pub expression: Option<Arc<Expr>>,
}

/// The key's place, for the algorithms that have one.
pub fn key(algorithm: &BalanceAlgorithm) -> Option<Key> {
    let source = match algorithm {
        BalanceAlgorithm::Source => KeySource::Source,
        BalanceAlgorithm::Uri { length, depth, whole, path_only } => KeySource::Uri(UriOptions {
            len_bytes: *length,
            depth: *depth,
            whole: *whole,
            path_only: *path_only,
        }),
        BalanceAlgorithm::UrlParam { name, .. } => KeySource::UrlParam { name: name.clone() },
        BalanceAlgorithm::Header { name, use_domain_only } => {
            KeySource::Header { name: name.clone(), domain_only: *use_domain_only }
        }
        BalanceAlgorithm::RdpCookie { name } => KeySource::RdpCookie { name: name.clone() },
        BalanceAlgorithm::Hash(expression) => {
            return Some(Key { source: KeySource::Expression, expression: Some(Arc::clone(expression)) });
        }
        BalanceAlgorithm::LogHash(_) => KeySource::Expression,
        BalanceAlgorithm::RoundRobin
        | BalanceAlgorithm::StaticRr
        | BalanceAlgorithm::LeastConn
        | BalanceAlgorithm::First
        | BalanceAlgorithm::Random { .. }
        | BalanceAlgorithm::PeakEwma
        | BalanceAlgorithm::Sticky => return None,
    };
    Some(Key { source, expression: None })
}

/// `hash-type`.
pub fn hash_type(hash: &model::HashType) -> HashType {
    HashType {
        method: match hash.kind {
            HashKind::MapBased => Method::MapBased,
            HashKind::Consistent => Method::Consistent,
            HashKind::Maglev => Method::Maglev,
        },
        function: match hash.function {
            HashFunction::Sdbm => Function::Sdbm,
            HashFunction::Djb2 => Function::Djb2,
            HashFunction::Wt6 => Function::Wt6,
            HashFunction::Crc32 => Function::Crc32,
            HashFunction::None => Function::None,
        },
        avalanche: hash.avalanche,
    }
}

/// `hash-key`: what places the server on a ring.
fn ring_key(server: &model::Server) -> u32 {
    let kind = match server.hash_key.as_deref() {
        Some("addr") => RingKey::Addr,
        Some("addr-port") => RingKey::AddrPort,
        _ => RingKey::Id,
    };
    let address = match &server.address {
        model::Address::Inet(address) => Some((address.ip(), address.port())),
        _ => None,
    };
    kind.key(server.numeric_id, server.guid.as_deref(), address)
}

/// The balancer of a backend whose servers start in these conditions.
pub fn balancer(model: &model::Proxy, conditions: &[Condition]) -> Balancer {
    let setups: Vec<ServerSetup> = model
        .servers
        .iter()
        .zip(conditions)
        .map(|(server, condition)| ServerSetup {
            id: server.numeric_id,
            weight: u16::try_from(server.weight).unwrap_or(u16::MAX),
            backup: server.backup,
            ring_key: ring_key(server),
            condition: *condition,
        })
        .collect();
    let options = Options {
        all_backups: model.options.allbackups,
        balance_factor: model.balance.hash_balance_factor,
        affinity: model.balance.affinity,
        ..Options::default()
    };
    Balancer::new(algorithm(model), options, &setups)
}

fn algorithm(model: &model::Proxy) -> Algorithm {
    let hash = |shortcut| {
        Algorithm::Hash(HashOptions { method: hash_type(&model.balance.hash_type).method, shortcut })
    };
    match &model.balance.algorithm {
        BalanceAlgorithm::RoundRobin => Algorithm::RoundRobin,
        BalanceAlgorithm::StaticRr => Algorithm::StaticRr,
        BalanceAlgorithm::LeastConn => Algorithm::LeastConn,
        BalanceAlgorithm::First => Algorithm::First,
        BalanceAlgorithm::Random { draws } => Algorithm::Random { draws: *draws, cost: Cost::Served },
        BalanceAlgorithm::PeakEwma => Algorithm::Random { draws: RANDOM_DRAWS_DEFAULT, cost: Cost::Latency },
        BalanceAlgorithm::Sticky => Algorithm::Sticky,
        BalanceAlgorithm::UrlParam { .. } | BalanceAlgorithm::RdpCookie { .. } => hash(false),
        BalanceAlgorithm::Source
        | BalanceAlgorithm::Uri { .. }
        | BalanceAlgorithm::Header { .. }
        | BalanceAlgorithm::Hash(_)
        | BalanceAlgorithm::LogHash(_) => hash(true),
    }
}
