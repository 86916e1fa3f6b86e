//! Counters that many threads write and an operator reads: one shard a thread, summed on read.
//!
//! A data-plane thread owns its shard and writes it with plain loads and stores; threads without a number
//! ([`set_thread_index`]) share shard 0 and pay for an atomic addition. What this file does not do: decide when something
//! is counted, or how `show stat` names it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::histogram::Histogram;

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(0) };
}

/// Tells the counters which data-plane thread this is: 1..=nbthread. Threads that never call it share shard 0.
pub fn set_thread_index(index: usize) {
    THREAD.with(|cell| cell.set(index));
}

/// The number given to [`set_thread_index`], 0 for threads outside the data plane.
pub fn thread_index() -> usize {
    THREAD.with(Cell::get)
}

/// What is counted. One list serves frontends, listeners, backends and servers: each uses the entries that
/// `show stat` has for its kind. The comments name the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Counter {
    /// `stot`.
    Sessions,
    /// `conn_tot` of frontends.
    Connections,
    /// `req_tot`.
    Requests,
    /// `bin`.
    BytesIn,
    /// `bout`.
    BytesOut,
    /// `dreq`.
    DeniedRequests,
    /// `dresp`.
    DeniedResponses,
    /// `dcon`.
    DeniedConnections,
    /// `dses`.
    DeniedSessions,
    /// `ereq`.
    FailedRequests,
    /// `econ`.
    FailedConnections,
    /// `eresp`.
    FailedResponses,
    /// `eint`.
    InternalErrors,
    /// `wretr`.
    Retries,
    /// `wredis`.
    Redispatches,
    /// `wrew`.
    FailedRewrites,
    /// `lbtot`.
    Balanced,
    /// `cli_abrt`.
    ClientAborts,
    /// `srv_abrt`.
    ServerAborts,
    /// `connect`.
    Connects,
    /// `reuse`.
    Reuses,
    /// `intercepted`.
    Intercepted,
    /// `hrsp_1xx`.
    Responses1xx,
    /// `hrsp_2xx`.
    Responses2xx,
    /// `hrsp_3xx`.
    Responses3xx,
    /// `hrsp_4xx`.
    Responses4xx,
    /// `hrsp_5xx`.
    Responses5xx,
    /// `hrsp_other`.
    ResponsesOther,
    /// `chkfail`.
    FailedChecks,
    /// `chkdown`.
    DownTransitions,
    /// `hanafail`.
    FailedObservations,
    /// `comp_in`.
    CompressionIn,
    /// `comp_out`.
    CompressionOut,
    /// `comp_byp`.
    CompressionBypassed,
    /// `comp_rsp`.
    CompressedResponses,
    /// `h1sess`.
    Http1Sessions,
    /// Bytes that went through pipes: into the process and out of it, on this side.
    SplicedIn,
    SplicedOut,
    /// `h1req`.
    Http1Requests,
    /// `h2sess`.
    Http2Sessions,
    /// `h2req`.
    Http2Requests,
    /// `sess_other`.
    OtherSessions,
    /// `req_other`.
    OtherRequests,
    /// `reqbin`.
    RequestBytesIn,
    /// `reqbout`.
    RequestBytesOut,
    /// `resbin`.
    ResponseBytesIn,
    /// `resbout`.
    ResponseBytesOut,
}

const COUNTERS: usize = Counter::ResponseBytesOut as usize + 1;

/// A time of a request, averaged over the last 1024 and with its maximum, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum RequestTime {
    /// `qtime`, `qtime_max`.
    Queue,
    /// `ctime`, `ctime_max`.
    Connect,
    /// `rtime`, `rtime_max`.
    Response,
    /// `ttime`, `ttime_max`.
    Total,
}

const TIMES: usize = RequestTime::Total as usize + 1;

/// How many samples `qtime` and its kin look back over (configuration manual, "show stat").
const AVERAGE_WINDOW: u64 = 1024;

#[repr(align(128))]
#[derive(Debug)]
struct Shard {
    counters: [AtomicU64; COUNTERS],
    /// Sums that decay over [`AVERAGE_WINDOW`] samples.
    times: [AtomicU64; TIMES],
    samples: [AtomicU64; TIMES],
    maxima_ms: [AtomicU64; TIMES],
    /// Of [`RequestTime::Response`] and [`RequestTime::Total`]; made when the first request has ended.
    histograms: OnceLock<Box<[Histogram; 2]>>,
}

impl Default for Shard {
    fn default() -> Self {
        let zeros = || AtomicU64::new(0);
        Self {
            counters: std::array::from_fn(|_| zeros()),
            times: std::array::from_fn(|_| zeros()),
            samples: std::array::from_fn(|_| zeros()),
            maxima_ms: std::array::from_fn(|_| zeros()),
            histograms: OnceLock::new(),
        }
    }
}

/// The counters of one frontend, listener, backend or server.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[Shard]>,
    /// What `clear counters` takes off; the owners of the shards need not be asked.
    cleared: Mutex<[u64; COUNTERS]>,
}

/// Counters of a frontend.
pub type FrontendCounters = Counters;
/// Counters of a backend.
pub type BackendCounters = Counters;
/// Counters of a server.
pub type ServerCounters = Counters;
/// Counters of a listener.
pub type ListenerCounters = Counters;

impl Counters {
    /// Counters for `threads` data-plane threads and all others.
    pub fn new(threads: usize) -> Self {
        Self { shards: (0..=threads).map(|_| Shard::default()).collect(), cleared: Mutex::new([0; COUNTERS]) }
    }

    /// Adds `amount` from the calling thread.
    pub fn add(&self, counter: Counter, amount: u64) {
        let thread = thread_index();
        if let Some(shard) = self.shards.get(thread) {
            add_owned(&shard.counters[counter as usize], amount, thread);
        } else if let Some(shard) = self.shards.first() {
            shard.counters[counter as usize].fetch_add(amount, Relaxed);
        }
    }

    /// Adds 1 from the calling thread.
    pub fn increment(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts a response by its status' hundreds.
    pub fn count_status(&self, status: u16) {
        self.increment(match status {
            100..=199 => Counter::Responses1xx,
            200..=299 => Counter::Responses2xx,
            300..=399 => Counter::Responses3xx,
            400..=499 => Counter::Responses4xx,
            500..=599 => Counter::Responses5xx,
            _ => Counter::ResponsesOther,
        });
    }

    /// Adds a request's time to the average and the maximum.
    pub fn record_time(&self, time: RequestTime, value_ms: u64) {
        let Some(shard) = self.shards.get(thread_index()) else { return };
        let at = time as usize;
        let samples = shard.samples[at].load(Relaxed).saturating_add(1).min(AVERAGE_WINDOW);
        shard.samples[at].store(samples, Relaxed);
        let sum = shard.times[at].load(Relaxed);
        let decay = if samples < AVERAGE_WINDOW { 0 } else { sum.div_ceil(AVERAGE_WINDOW) };
        shard.times[at].store(sum - decay.min(sum) + value_ms, Relaxed);
        if value_ms > shard.maxima_ms[at].load(Relaxed) {
            shard.maxima_ms[at].store(value_ms, Relaxed);
        }
    }

    /// Counts a request's time in its histogram; of a response and in total only.
    pub fn record_latency(&self, time: RequestTime, value_us: u64) {
        let shard = self.shards.get(thread_index());
        if let (Some(shard), Some(at)) = (shard, histogram_of(time)) {
            shard.histograms.get_or_init(Box::default)[at].record(value_us);
        }
    }

    /// The histogram of all threads; `None` before the first request.
    pub fn histogram(&self, time: RequestTime) -> Option<Histogram> {
        let at = histogram_of(time)?;
        let sum = Histogram::default();
        for shard in self.shards.iter().filter_map(|shard| shard.histograms.get()) {
            sum.merge(&shard[at]);
        }
        (sum.count() > 0).then_some(sum)
    }

    /// The sum over all threads since the start or `clear counters all`.
    pub fn value(&self, counter: Counter) -> u64 {
        self.raw(counter).saturating_sub(self.cleared.lock()[counter as usize])
    }

    /// The average in milliseconds over the last 1024 requests.
    pub fn average_ms(&self, time: RequestTime) -> u64 {
        let at = time as usize;
        let (sum, samples) = self.shards.iter().fold((0u64, 0u64), |(sum, samples), shard| {
            (sum + shard.times[at].load(Relaxed), samples + shard.samples[at].load(Relaxed))
        });
        sum.checked_div(samples).unwrap_or(0)
    }

    /// The longest time in milliseconds.
    pub fn max_ms(&self, time: RequestTime) -> u64 {
        self.shards.iter().map(|shard| shard.maxima_ms[time as usize].load(Relaxed)).max().unwrap_or(0)
    }

    /// `clear counters all`: everything reads as 0 from now on.
    pub fn clear(&self) {
        let mut cleared = self.cleared.lock();
        for (at, base) in cleared.iter_mut().enumerate() {
            *base = self.shards.iter().map(|shard| shard.counters[at].load(Relaxed)).sum();
        }
        drop(cleared);
        self.clear_maxima();
    }

    /// `clear counters`: only the maxima.
    pub fn clear_maxima(&self) {
        for maximum in self.shards.iter().flat_map(|shard| &shard.maxima_ms) {
            maximum.store(0, Relaxed);
        }
    }

    fn raw(&self, counter: Counter) -> u64 {
        self.shards.iter().map(|shard| shard.counters[counter as usize].load(Relaxed)).sum()
    }
}

fn histogram_of(time: RequestTime) -> Option<usize> {
    match time {
        RequestTime::Response => Some(0),
        RequestTime::Total => Some(1),
        RequestTime::Queue | RequestTime::Connect => None,
    }
}

fn add_owned(cell: &AtomicU64, amount: u64, thread: usize) {
    if thread == 0 {
        cell.fetch_add(amount, Relaxed);
    } else {
        cell.store(cell.load(Relaxed).wrapping_add(amount), Relaxed);
    }
}

/// A number that goes up and down and remembers its maximum: current sessions, queue lengths.
#[derive(Debug, Default)]
pub struct Gauge {
    current: AtomicU32,
    max: AtomicU32,
}

impl Gauge {
    pub fn current(&self) -> u32 {
        self.current.load(Relaxed)
    }

    pub fn max(&self) -> u32 {
        self.max.load(Relaxed)
    }

    /// Adds one and gives the new value.
    pub fn increment(&self) -> u32 {
        let now = self.current.fetch_add(1, Relaxed) + 1;
        if now > self.max.load(Relaxed) {
            self.max.fetch_max(now, Relaxed);
        }
        now
    }

    /// Adds one unless the value has reached `limit`; gives the new value.
    pub fn increment_below(&self, limit: u32) -> Option<u32> {
        let before =
            self.current.fetch_update(Relaxed, Relaxed, |now| (now < limit).then(|| now + 1)).ok()?;
        self.max.fetch_max(before + 1, Relaxed);
        Some(before + 1)
    }

    /// Takes one off and gives the new value.
    pub fn decrement(&self) -> u32 {
        let before = self.current.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "more leave than came");
        before.wrapping_sub(1)
    }

    /// `clear counters`: the maximum becomes the current value.
    pub fn clear_max(&self) {
        self.max.store(self.current(), Relaxed);
    }
}

/// Events a second: the current second's count plus what of the previous second is still within the last 1000 ms.
#[derive(Debug)]
pub struct Rate {
    shards: Box<[RateShard]>,
    max: AtomicU32,
    /// Millisecond at which the maximum was last looked at, so that it costs nothing most of the time.
    max_seen_ms: AtomicU64,
}

#[repr(align(64))]
#[derive(Debug, Default)]
struct RateShard {
    second: AtomicU64,
    current: AtomicU32,
    previous: AtomicU32,
}

impl Rate {
    /// A rate for `threads` data-plane threads and all others.
    pub fn new(threads: usize) -> Self {
        Self {
            shards: (0..=threads).map(|_| RateShard::default()).collect(),
            max: AtomicU32::new(0),
            max_seen_ms: AtomicU64::new(0),
        }
    }

    /// Counts one event at `now_ms` of the process's monotonic clock.
    pub fn tick(&self, now_ms: u64) {
        let Some(shard) = self.shards.get(thread_index()) else { return };
        let second = now_ms / 1000;
        let seen = shard.second.load(Relaxed);
        if seen == second {
            shard.current.store(shard.current.load(Relaxed).wrapping_add(1), Relaxed);
        } else {
            // The second that ended may have had a burst since its maximum was last looked at.
            self.note_max(end_of(seen));
            let previous = if seen + 1 == second { shard.current.load(Relaxed) } else { 0 };
            shard.previous.store(previous, Relaxed);
            shard.current.store(1, Relaxed);
            shard.second.store(second, Relaxed);
        }
        if self.max_seen_ms.load(Relaxed) != now_ms {
            self.max_seen_ms.store(now_ms, Relaxed);
            self.note_max(now_ms);
        }
    }

    /// Events within the last second.
    pub fn per_second(&self, now_ms: u64) -> u32 {
        let second = now_ms / 1000;
        let left = 1000 - now_ms % 1000;
        let mut current = 0u64;
        let mut previous = 0u64;
        for shard in &self.shards {
            let seen = shard.second.load(Relaxed);
            if seen == second {
                current += u64::from(shard.current.load(Relaxed));
                previous += u64::from(shard.previous.load(Relaxed));
            } else if seen + 1 == second {
                previous += u64::from(shard.current.load(Relaxed));
            }
        }
        u32::try_from(current + previous * left / 1000).unwrap_or(u32::MAX)
    }

    /// The highest rate seen.
    pub fn max(&self, now_ms: u64) -> u32 {
        self.note_max(now_ms);
        let last = self.shards.iter().map(|shard| shard.second.load(Relaxed)).max().unwrap_or(0);
        self.note_max(end_of(last).min(now_ms));
        self.max.load(Relaxed)
    }

    /// `clear counters`.
    pub fn clear_max(&self) {
        self.max.store(0, Relaxed);
    }

    fn note_max(&self, now_ms: u64) {
        let rate = self.per_second(now_ms);
        if rate > self.max.load(Relaxed) {
            self.max.fetch_max(rate, Relaxed);
        }
    }
}

/// The last millisecond of a second.
fn end_of(second: u64) -> u64 {
    second * 1000 + 999
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_sum_over_threads_and_clear() {
        let counters = Counters::new(2);
        counters.add(Counter::BytesIn, 5);
        std::thread::scope(|scope| {
            for thread in 1..=2 {
                let counters = &counters;
                scope.spawn(move || {
                    set_thread_index(thread);
                    for _ in 0..1000 {
                        counters.increment(Counter::BytesIn);
                    }
                });
            }
        });
        assert_eq!(counters.value(Counter::BytesIn), 2005);
        counters.clear();
        assert_eq!(counters.value(Counter::BytesIn), 0);
        counters.increment(Counter::BytesIn);
        assert_eq!(counters.value(Counter::BytesIn), 1);
    }

    #[test]
    fn rate_fades_over_the_following_second() {
        let rate = Rate::new(0);
        for _ in 0..100 {
            rate.tick(5_000);
        }
        assert_eq!(rate.per_second(5_999), 100);
        assert_eq!(rate.per_second(6_500), 50);
        assert_eq!(rate.per_second(7_000), 0);
        assert_eq!(rate.max(7_000), 100);
    }

    #[test]
    fn average_counts_only_what_was_seen() {
        let counters = Counters::new(0);
        counters.record_time(RequestTime::Total, 10);
        counters.record_time(RequestTime::Total, 20);
        assert_eq!(counters.average_ms(RequestTime::Total), 15);
        assert_eq!(counters.max_ms(RequestTime::Total), 20);
    }
}
