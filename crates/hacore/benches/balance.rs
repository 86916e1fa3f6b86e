//! What one decision costs, by algorithm and number of servers. The aim is O(log n), nanoseconds, no allocation.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hacore::balance::{
    Algorithm, Balancer, Condition, Cost, HashOptions, Load, Loads, Options, RAMP_FULL, RANDOM_DRAWS_DEFAULT,
    Request, RingKey, ServerIndex, ServerSetup,
};
use hacore::hash::Method;

/// Loads as the data plane keeps them: a slot counter for each server.
struct Slots(Vec<std::sync::atomic::AtomicU32>);

impl Loads for Slots {
    fn load(&self, server: ServerIndex) -> Load {
        let served = self.0.get(server.at()).map_or(0, |s| s.load(std::sync::atomic::Ordering::Relaxed));
        Load { served, limit: Some(1_000), ..Load::default() }
    }

    fn backend_served(&self) -> u32 {
        self.0.len() as u32
    }
}

fn setups(count: u32) -> Vec<ServerSetup> {
    let server = |id: u32| {
        let weight = (id % 4 + 1) as u16;
        let condition = Condition { available: true, weight, ramp: RAMP_FULL };
        ServerSetup { id, weight, backup: false, ring_key: RingKey::Id.key(id, None, None), condition }
    };
    (1..=count).map(server).collect()
}

fn decisions(c: &mut Criterion) {
    let hash = |method| Algorithm::Hash(HashOptions { method, shortcut: true });
    let bounded = Options { balance_factor: 150, ..Options::default() };
    let plain = Options::default();
    let algorithms = [
        ("roundrobin", Algorithm::RoundRobin, plain),
        ("static-rr", Algorithm::StaticRr, plain),
        ("leastconn", Algorithm::LeastConn, plain),
        ("first", Algorithm::First, plain),
        ("random", Algorithm::Random { draws: RANDOM_DRAWS_DEFAULT, cost: Cost::Served }, plain),
        ("peak-ewma", Algorithm::Random { draws: RANDOM_DRAWS_DEFAULT, cost: Cost::Latency }, plain),
        ("maglev", hash(Method::Maglev), plain),
        ("map hash", hash(Method::MapBased), plain),
        ("consistent hash", hash(Method::Consistent), plain),
        ("consistent hash, balance factor", hash(Method::Consistent), bounded),
    ];
    for (name, algorithm, options) in algorithms {
        let mut group = c.benchmark_group(name);
        for count in [10, 1_000, 10_000] {
            let mut balancer = Balancer::new(algorithm, options, &setups(count));
            let loads = Slots((0..count).map(|_| 0.into()).collect());
            let mut seed = 0u64;
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| {
                    seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let request = Request { hash: Some((seed >> 32) as u32), avoid: None, seed };
                    let server = balancer.pick(&request, &loads);
                    if let (Algorithm::LeastConn, Some(server)) = (algorithm, server) {
                        // Taking a slot and giving it back are part of its cost.
                        balancer.load_changed(server, 1, 0);
                        balancer.load_changed(server, 0, 0);
                    }
                    server
                });
            });
        }
        group.finish();
    }
}

fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("one of 10000 servers down and up");
    for (name, algorithm) in [
        ("roundrobin", Algorithm::RoundRobin),
        ("static-rr", Algorithm::StaticRr),
        ("consistent hash", Algorithm::Hash(HashOptions { method: Method::Consistent, shortcut: true })),
    ] {
        let mut balancer = Balancer::new(algorithm, Options::default(), &setups(10_000));
        let up = Condition { available: true, weight: 1, ramp: RAMP_FULL };
        group.bench_function(name, |b| {
            b.iter(|| {
                balancer.set_server(ServerIndex(5_000), Condition { available: false, ..up });
                balancer.set_server(ServerIndex(5_000), up);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500));
    targets = decisions, changes
}
criterion_main!(benches);
