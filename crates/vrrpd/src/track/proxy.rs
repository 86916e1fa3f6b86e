//! `track_proxy`: asks a proxy's admin socket (`show stat`) how many servers of a backend are up.
//!
//! ```text
//!            enough up                    fall bad answers in a row
//!   Unknown ───────────▶ Good ◀─────────▶ Bad       (rise good answers back)
//!      └──────────── too few, no answer ───▲
//! ```
//! As with scripts the first answer counts at once. A proxy that does not answer in time has no capacity.

use std::{io, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::model::TrackedProxy;
use crate::runtime::outside::Stimulus;
use crate::vrrp::priority::effect;
use crate::vrrp::{Effect, Tracker};

use super::Condition;

/// The longest answer that is read; thousands of servers fit.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long an answer may take at most, whatever the interval is.
const PATIENCE_MAX: Duration = Duration::from_secs(5);

/// What is known of a backend. Answers go in, log lines come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProxyState {
    proxy: TrackedProxy,
    condition: Condition,
    /// Answers in a row that contradict [`Self::condition`].
    against: u32,
}

impl ProxyState {
    pub(super) fn new(proxy: TrackedProxy) -> Self {
        Self { proxy, condition: Condition::Unknown, against: 0 }
    }

    /// The number of servers that are up, or why that is not known; a line for the log when it changes something.
    fn answer(&mut self, answer: &Result<u32, String>) -> Option<String> {
        let good = answer.as_ref().is_ok_and(|up| *up >= self.proxy.min_up);
        let (now, needed) = match (self.condition, good) {
            (Condition::Good, true) | (Condition::Bad, false) => {
                self.against = 0;
                return None;
            }
            (Condition::Good, false) => (Condition::Bad, self.proxy.fall),
            (Condition::Bad, true) => (Condition::Good, self.proxy.rise),
            (_, true) => (Condition::Good, 1),
            (_, false) => (Condition::Bad, 1),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.condition = now;
        let (name, min_up) = (self.proxy.name(), self.proxy.min_up);
        Some(match answer {
            Ok(up) if good => format!("Proxy {name}: {up} up, enough (min_up {min_up})"),
            Ok(up) => format!("Proxy {name}: {up} up, too few (min_up {min_up})"),
            Err(reason) => format!("Proxy {name}: {reason}"),
        })
    }

    /// The effect on an instance, for the actor.
    pub(super) fn stimulus(&self, instance: &str) -> Stimulus {
        let (weight, reverse) = (self.proxy.weight, self.proxy.reverse);
        let effect = match self.condition {
            Condition::Good => effect(weight, reverse, true),
            Condition::Bad => effect(weight, reverse, false),
            _ if weight == 0 => Effect::Pending,
            _ => Effect::None,
        };
        Stimulus::Track { instance: instance.to_owned(), tracker: self.tracker(), effect }
    }

    fn tracker(&self) -> Tracker {
        Tracker::Proxy(self.proxy.name())
    }
}

/// Asks now and every interval until the task is aborted or the actor is gone.
pub(super) async fn follow_forever(proxy: TrackedProxy, instances: Vec<String>, stimuli: Sender<Stimulus>) {
    let interval = Duration::from_micros(proxy.interval_us.max(1000));
    let patience = interval.min(PATIENCE_MAX);
    let mut ticks = interval_at(Instant::now(), interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut state = ProxyState::new(proxy.clone());
    loop {
        ticks.tick().await;
        let answer = match timeout(patience, ask(&proxy.socket)).await {
            Ok(Ok(text)) => servers_up(&text, &proxy.backend),
            Ok(Err(error)) => Err(format!("cannot ask: {error}")),
            Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
        };
        let Some(line) = state.answer(&answer) else { continue };
        let condition = Stimulus::Condition { tracker: state.tracker(), condition: state.condition };
        let effects = instances.iter().map(|instance| state.stimulus(instance));
        for stimulus in [Stimulus::Log(line), condition].into_iter().chain(effects) {
            if stimuli.send(stimulus).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(socket: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"show stat\n").await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Servers of a backend whose status is `UP…` or `no check`, in the CSV of `show stat`.
fn servers_up(text: &str, backend: &str) -> Result<u32, String> {
    let mut lines = text.lines();
    let header: Vec<&str> =
        lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default().split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (Some(proxy), Some(server), Some(status)) = (column("pxname"), column("svname"), column("status"))
    else {
        return Err("its answer to 'show stat' is not what it should be".to_owned());
    };
    let (mut found, mut up) = (false, 0);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        if field(proxy) != backend || field(server) == "FRONTEND" {
            continue;
        }
        found = true;
        let is_up = field(status).starts_with("UP") || field(status) == "no check";
        if field(server) != "BACKEND" && is_up {
            up += 1;
        }
    }
    if found { Ok(up) } else { Err(format!("it has no backend '{backend}'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "# pxname,svname,qcur,status,weight,\n\
        web,FRONTEND,,OPEN,,\nweb,a,0,UP,1,\nweb,b,0,DOWN 1/2,1,\nweb,c,0,UP 1/3,1,\nweb,d,0,no check,1,\nweb,e,0,MAINT,1,\n\
        web,f,0,DRAIN,1,\nweb,BACKEND,0,UP,3,\napi,a,0,UP,1,\n\n";

    fn proxy(min_up: u32) -> TrackedProxy {
        TrackedProxy {
            socket: "/run/proxyd/admin.sock".into(),
            backend: "web".into(),
            min_up,
            weight: -20,
            reverse: false,
            interval_us: 10_000,
            rise: 1,
            fall: 2,
        }
    }

    #[test]
    fn servers_that_take_traffic_count() {
        assert_eq!(servers_up(STAT, "web"), Ok(3));
        assert_eq!(servers_up(STAT, "api"), Ok(1));
        assert_eq!(servers_up(STAT, "none").unwrap_err(), "it has no backend 'none'");
        assert!(servers_up("Unknown command.\n", "web").is_err() && servers_up("", "web").is_err());
    }

    #[test]
    fn the_first_answer_counts_at_once_and_later_ones_by_rise_and_fall() {
        let mut state = ProxyState::new(proxy(2));
        let effect_of = |state: &ProxyState| match state.stimulus("VI_1") {
            Stimulus::Track { effect, .. } => effect,
            other => panic!("{other:?}"),
        };
        assert_eq!(effect_of(&state), Effect::None);
        let line = state.answer(&Ok(1)).unwrap();
        assert_eq!(line, "Proxy web@/run/proxyd/admin.sock: 1 up, too few (min_up 2)");
        assert_eq!(effect_of(&state), Effect::Weight(-20));
        assert!(state.answer(&Ok(2)).unwrap().ends_with("2 up, enough (min_up 2)"));
        assert_eq!(effect_of(&state), Effect::None);
        assert_eq!(state.answer(&Ok(0)), None);
        assert!(state.answer(&Err("cannot ask: gone".into())).unwrap().ends_with("cannot ask: gone"));
    }

    #[tokio::test]
    async fn a_socket_is_asked_every_interval() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut line = [0; 10];
                stream.read_exact(&mut line).await.unwrap();
                assert_eq!(&line, b"show stat\n");
                stream.write_all(STAT.as_bytes()).await.unwrap();
            }
        });
        let proxy = TrackedProxy { socket: path.display().to_string(), interval_us: 5_000_000, ..proxy(3) };
        let (sender, mut stimuli) = tokio::sync::mpsc::channel(8);
        let task = tokio::spawn(follow_forever(proxy, vec!["VI_1".into()], sender));
        let Some(Stimulus::Log(line)) = stimuli.recv().await else { panic!("no line") };
        assert!(line.ends_with("3 up, enough (min_up 3)"), "{line}");
        task.abort();
    }
}
