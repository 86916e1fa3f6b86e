//! Two to seven routers on a simulated network that loses, delays, partitions and restarts, whose processes die and are
//! continued by others that adopt their addresses, freeze, and see their clocks jump.
//!
//! What is proved for each seed: once the network has been quiet for three adverts and the skew (twice, for
//! the worst interleaving of a preemption), every connected component has exactly one master, the
//! best router of the component, and nobody else holds the addresses. The seed is printed on failure;
//! `VRRP_SIMULATION_SEED` runs a single one.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    fsm_tests::{advert, settings},
    *,
};
use crate::model::Version;

/// SplitMix64: small, seeded, good enough to schedule trouble.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A packet on its way: arrival, order of sending, receiver, sender, priority, interval.
type InFlight = Reverse<(u64, u64, usize, usize, u8, u64)>;

struct Network {
    random: Random,
    now_us: u64,
    routers: Vec<Option<Router>>,
    configured: Vec<Settings>,
    holds: Vec<bool>,
    /// What a process that died left to the next one; its addresses are still there.
    died: Vec<Option<Legacy>>,
    /// How far each router's clock is ahead: a machine that slept sees it jump.
    clock_us: Vec<u64>,
    /// Until when each router does not run.
    frozen_until_us: Vec<u64>,
    /// Side of the partition each router is on.
    side: Vec<u8>,
    loss_percent: u64,
    delay_max_us: u64,
    in_flight: BinaryHeap<InFlight>,
    sent: u64,
    steps: u64,
}

fn address(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, index as u8 + 1))
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 2 + random.below(6) as usize;
        let version = if random.chance(50) { Version::V2 } else { Version::V3 };
        let interval_us = match version {
            Version::V2 => 1_000_000,
            Version::V3 => [10_000, 100_000, 1_000_000][random.below(3) as usize],
        };
        let equal = random.chance(20);
        let configured: Vec<Settings> = (0..count)
            .map(|index| Settings {
                version,
                advert_interval_us: interval_us,
                hand_over: random.chance(80),
                name: format!("R{index}"),
                ..settings(if equal { 100 } else { 1 + random.below(254) as u8 })
            })
            .collect();
        let mut network = Network {
            random,
            now_us: 0,
            routers: vec![None; count],
            holds: vec![false; count],
            died: vec![None; count],
            clock_us: vec![0; count],
            frozen_until_us: vec![0; count],
            side: vec![0; count],
            configured,
            loss_percent: 0,
            delay_max_us: interval_us / 50,
            in_flight: BinaryHeap::new(),
            sent: 0,
            steps: 0,
        };
        for index in 0..count {
            network.start(index);
        }
        network
    }

    fn start(&mut self, index: usize) {
        self.routers[index] = Some(Router::new(self.configured[index].clone()));
        self.holds[index] = false;
        self.died[index] = None;
        self.give(index, Event::Source(Some(address(index))));
        self.give(index, Event::Start);
    }

    /// The process dies; the kernel keeps what it has. One that was leaving is finished by its supervisor.
    fn crash(&mut self, index: usize) {
        let Some(router) = self.routers[index].take() else { return };
        if router.state() == State::Init {
            self.holds[index] = false;
        } else {
            assert_eq!(router.legacy().holds_addresses, self.holds[index], "the record is true");
            self.died[index] = Some(router.legacy());
        }
    }

    /// The next process takes the place of one that died.
    fn adopt(&mut self, index: usize) {
        let Some(legacy) = self.died[index].take() else { return };
        let (held, was_master) = (self.holds[index], legacy.state == State::Master);
        self.routers[index] = Some(Router::new(self.configured[index].clone()));
        self.give(index, Event::Source(Some(address(index))));
        let mut actions = Vec::new();
        let now_us = self.now_us + self.clock_us[index];
        if let Some(router) = &mut self.routers[index] {
            router.adopt(&legacy, now_us, &mut actions);
        }
        self.steps += 1;
        self.carry_out(index, actions);
        // Nobody sees a change: who had the addresses has them.
        if was_master && held {
            assert!(self.holds[index], "an adopted master keeps its addresses");
        }
    }

    fn give(&mut self, index: usize, event: Event) {
        self.steps += 1;
        let Some(router) = &mut self.routers[index] else { return };
        let mut actions = Vec::new();
        router.step(event, self.now_us + self.clock_us[index], &mut actions);
        self.carry_out(index, actions);
    }

    fn carry_out(&mut self, index: usize, actions: Vec<Action>) {
        let interval_us = self.configured[index].advert_interval_us;
        for action in actions {
            match action {
                Action::SendAdvert { priority } => self.send(index, priority, interval_us),
                Action::AddAddresses => self.holds[index] = true,
                Action::RemoveAddresses => self.holds[index] = false,
                _ => {}
            }
        }
        if self.routers[index].as_ref().is_some_and(Router::is_finished) {
            self.routers[index] = None;
            assert!(!self.holds[index], "a finished router left its addresses");
        }
    }

    fn send(&mut self, from: usize, priority: u8, interval_us: u64) {
        for to in 0..self.routers.len() {
            if to == from || self.random.chance(self.loss_percent) {
                continue;
            }
            self.sent += 1;
            let at_us = self.now_us + self.random.below(self.delay_max_us + 1);
            self.in_flight.push(Reverse((at_us, self.sent, to, from, priority, interval_us)));
        }
    }

    /// Lets time pass up to `until_us`, event by event.
    fn run(&mut self, until_us: u64) {
        loop {
            let packet_us = self.in_flight.peek().map(|Reverse(packet)| packet.0);
            let timer = self
                .routers
                .iter()
                .enumerate()
                .filter_map(|(index, router)| {
                    let own_us = router.as_ref()?.next_deadline_us()?;
                    let at_us = own_us.saturating_sub(self.clock_us[index]);
                    Some((at_us.max(self.frozen_until_us[index]), index))
                })
                .min();
            let next_us = [packet_us, timer.map(|(at_us, _)| at_us)].into_iter().flatten().min();
            let Some(next_us) = next_us.filter(|at_us| *at_us <= until_us) else { break };
            self.now_us = self.now_us.max(next_us);
            if packet_us == Some(next_us) {
                self.deliver();
            } else if let Some((_, index)) = timer {
                self.give(index, Event::Timer);
            }
        }
        self.now_us = until_us;
    }

    fn deliver(&mut self) {
        let Some(Reverse((_, _, to, from, priority, interval_us))) = self.in_flight.pop() else {
            return;
        };
        if self.frozen_until_us[to] > self.now_us {
            // It waits in the socket.
            let at_us = self.frozen_until_us[to];
            self.sent += 1;
            self.in_flight.push(Reverse((at_us, self.sent, to, from, priority, interval_us)));
        } else if self.side[to] == self.side[from] {
            let version = self.configured[to].version;
            self.give(to, advert(version, priority, address(from), interval_us));
        }
    }

    /// Something bad or strange happens.
    fn trouble(&mut self) {
        let index = self.random.below(self.routers.len() as u64) as usize;
        let interval_us = self.configured[index].advert_interval_us;
        match self.random.below(13) {
            0 => self.loss_percent = self.random.below(60),
            1 => {
                for side in &mut self.side {
                    *side = self.random.below(2) as u8;
                }
            }
            2 => self.side.fill(0),
            // Killed: the kernel of the dead machine answers no more.
            3 => {
                self.routers[index] = None;
                self.died[index] = None;
                self.holds[index] = false;
            }
            4 | 5 => {
                if self.routers[index].is_none() && self.died[index].is_none() {
                    self.start(index);
                }
            }
            6 => self.give(index, Event::Stop(Ending::Shutdown)),
            7 => {
                let effect = match self.random.below(3) {
                    0 => Effect::None,
                    1 => Effect::Fault,
                    _ => Effect::Weight(self.random.below(100) as i32 - 50),
                };
                self.give(index, Event::Track { tracker: Tracker::Script("s".into()), effect });
            }
            8 => self.crash(index),
            9 => self.adopt(index),
            10 => self.clock_us[index] += self.random.below(6 * interval_us),
            11 => self.frozen_until_us[index] = self.now_us + self.random.below(5 * interval_us),
            _ => self.give(index, Event::AddressLost),
        }
    }

    /// Time after which a quiet network must have settled.
    fn settling_us(&self) -> u64 {
        let interval_us = self.configured[0].advert_interval_us;
        let down_us = timing::master_down_us(self.configured[0].version, 1, interval_us, 3);
        2 * down_us + interval_us + self.delay_max_us
    }

    fn check(&self, seed: u64) {
        for side in 0..2 {
            let alive: Vec<usize> = (0..self.routers.len())
                .filter(|index| self.side[*index] == side)
                .filter(|index| {
                    let router = self.routers[*index].as_ref();
                    router.is_some_and(|r| matches!(r.state(), State::Backup | State::Master))
                })
                .collect();
            let best = alive.iter().copied().max_by_key(|index| {
                let priority = self.routers[*index].as_ref().map(Router::priority);
                (priority, address(*index))
            });
            let masters: Vec<usize> = alive
                .iter()
                .copied()
                .filter(|index| self.routers[*index].as_ref().is_some_and(|r| r.state() == State::Master))
                .collect();
            let priority = |index: &usize| self.routers[*index].as_ref().map(Router::priority);
            match best {
                None => assert!(masters.is_empty(), "seed {seed}: a master among nobody"),
                Some(best) => {
                    assert_eq!(masters.len(), 1, "seed {seed}: masters {masters:?} of {alive:?}");
                    // Among equals whoever came first stays; RFC 9568 lets addresses decide only between masters.
                    assert_eq!(
                        priority(&masters[0]),
                        priority(&best),
                        "seed {seed}: the best of {alive:?} is {best}"
                    );
                }
            }
        }
        for (index, holds) in self.holds.iter().enumerate() {
            let router = self.routers[index].as_ref();
            let master = router.is_some_and(|router| router.state() == State::Master);
            assert_eq!(*holds, master, "seed {seed}: router {index} holds addresses, master: {master}");
        }
    }
}

/// Networks that are lived through; `VRRP_SIMULATION_LIVES` wants more, `VRRP_SIMULATION_SEED` picks a single one.
const SEEDS: u64 = 600;

/// One life of a network; returns how many events it saw.
fn live(seed: u64) -> u64 {
    let mut network = Network::new(seed);
    let interval_us = network.configured[0].advert_interval_us;
    for _ in 0..12 {
        for _ in 0..network.random.below(6) {
            network.trouble();
            let pause_us = network.random.below(4 * interval_us);
            network.run(network.now_us + pause_us);
        }
        // Calm: no loss, whatever the partition is; supervisors have started what died, and everybody runs.
        for index in 0..network.routers.len() {
            network.adopt(index);
        }
        let awake_us = network.frozen_until_us.iter().copied().max().unwrap_or_default();
        network.run(awake_us.max(network.now_us));
        network.loss_percent = 0;
        network.run(network.now_us + network.settling_us());
        network.check(seed);
    }
    network.steps
}

#[test]
fn one_master_per_component_the_best_one_after_three_adverts_and_the_skew() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let lives: u64 = number("VRRP_SIMULATION_LIVES").unwrap_or(SEEDS);
    let seeds = match std::env::var("VRRP_SIMULATION_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => 0..lives,
    };
    let mut steps = 0;
    for seed in seeds {
        // A panic inside the machine names its seed, too.
        let outcome = std::panic::catch_unwind(|| live(seed));
        match outcome {
            Ok(count) => steps += count,
            Err(cause) => {
                eprintln!("failing seed: {seed}");
                std::panic::resume_unwind(cause);
            }
        }
    }
    println!("{steps} events in {lives} lives");
}

#[test]
fn a_quiet_network_does_not_flap() {
    for seed in 0..200 {
        let mut network = Network::new(seed);
        network.run(network.settling_us());
        network.check(seed);
        let before: Vec<_> = network.routers.iter().flatten().map(|r| (r.state(), r.since_us())).collect();
        network.run(network.now_us + 100 * network.configured[0].advert_interval_us);
        let after: Vec<_> = network.routers.iter().flatten().map(|r| (r.state(), r.since_us())).collect();
        assert_eq!(before, after, "seed {seed}");
    }
}
