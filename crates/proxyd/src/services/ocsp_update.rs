//! `ocsp-update`: asks responders for OCSP responses and staples what they say (configuration manual, section 12.7.1 "ocsp-update").
//!
//! One task of the services thread, one request at a time, never on a thread that moves traffic. What is due is computed anew from
//! the configuration in force whenever that or a list changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot, watch};

use crate::expr::logformat::date::Civil;
use crate::proxy::Snapshot;
use crate::proxy::process::wall_us;
use crate::services::cli::command::Admin;
use crate::tls::certificate::Certificate;
use crate::tls::chain::Judge;
use crate::tls::ocsp::{self, CertificateId, Response};
use crate::tls::replace::Users;

/// `ocsp-update.mindelay` and `ocsp-update.maxdelay`, in seconds.
const DELAY_MIN_S: i64 = 300;
const DELAY_MAX_S: i64 = 3600;
/// The whole of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer of a responder, head and all.
const ANSWER_MAX_BYTES: u64 = 256 * 1024;
/// Questions of admin sockets that may wait.
const ASKED_MAX: usize = 64;

/// How an update ended; number and words are HAProxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    #[error("Unknown")]
    Unknown = 0,
    #[error("Update successful")]
    Success = 1,
    #[error("HTTP error")]
    Http = 2,
    #[error("Missing \"ocsp-response\" header")]
    NoResponse = 3,
    #[error("OCSP response check failure")]
    Check = 4,
    #[error("Error during insertion")]
    Insertion = 5,
}

/// What is known of one response that is asked for.
#[derive(Debug, Clone)]
struct Entry {
    certificate: Arc<Certificate>,
    next_s: i64,
    last_s: Option<i64>,
    successes: u32,
    failures: u32,
    outcome: Outcome,
}

/// A question of an admin socket and where its answer goes.
struct Asked {
    certificate: Arc<Certificate>,
    answer: oneshot::Sender<String>,
}

/// The responses that are asked for; shared by the task and the admin sockets.
#[derive(Default)]
pub struct Updates {
    entries: Mutex<BTreeMap<CertificateId, Entry>>,
    asked: Mutex<Vec<Asked>>,
    changed: Notify,
}

impl Updates {
    /// The certificates whose responses are asked for.
    pub fn paths(&self) -> BTreeSet<PathBuf> {
        self.entries.lock().values().map(|entry| entry.certificate.path.clone()).collect()
    }

    /// Lists changed: what has to be asked for may be something else by now.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }

    /// Asks for one response now; `None` when nobody can be asked.
    pub fn ask(&self, certificate: Arc<Certificate>) -> Option<oneshot::Receiver<String>> {
        ocsp::responder(certificate.key.cert.first()?)?;
        let (answer, receiver) = oneshot::channel();
        let mut asked = self.asked.lock();
        if asked.len() < ASKED_MAX {
            asked.push(Asked { certificate, answer });
        }
        self.changed.notify_one();
        Some(receiver)
    }

    /// `show ssl ocsp-updates`.
    pub fn shown(&self) -> String {
        let mut text = "OCSP Certid | Path | Next Update | Last Update | Successes | Failures | \
                        Last Update Status | Last Update Status (str)\n"
            .to_owned();
        let entries = self.entries.lock();
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by_key(|(_, entry)| entry.next_s);
        let date = |at_s: i64| Civil::from_unix(at_s).log_text() + " +0000";
        for (id, entry) in sorted {
            let (path, outcome) = (entry.certificate.path.display(), entry.outcome);
            let last = entry.last_s.map_or_else(|| "-".to_owned(), date);
            let (next, key) = (date(entry.next_s), id.key());
            let (successes, failures, status) = (entry.successes, entry.failures, outcome as u8);
            text += &format!(
                "{key} | {path} | {next} | {last} | {successes} | {failures} | {status} | {outcome}\n"
            );
        }
        text
    }

    /// Takes over what the configuration wants: new responses are due at once if there is none to staple.
    fn follow(&self, snapshot: &Snapshot, delays: Delays, now_s: i64) {
        let wanted = wanted(snapshot);
        let mut entries = self.entries.lock();
        entries.retain(|id, _| wanted.contains_key(id));
        for (id, certificate) in wanted {
            match entries.get_mut(&id) {
                Some(entry) => entry.certificate = certificate,
                None => {
                    let stapled = certificate.key.ocsp.as_deref().and_then(|der| Response::parse(der).ok());
                    let next_s = stapled.map_or(now_s, |response| delays.after_success(&response, now_s));
                    let (last_s, outcome) = (None, Outcome::Unknown);
                    entries.insert(
                        id,
                        Entry { certificate, next_s, last_s, successes: 0, failures: 0, outcome },
                    );
                }
            }
        }
    }

    /// What is due now, and when the next one is.
    fn due(&self, now_s: i64) -> Result<(CertificateId, Arc<Certificate>), Option<i64>> {
        let entries = self.entries.lock();
        let Some((id, entry)) = entries.iter().min_by_key(|(_, entry)| entry.next_s) else {
            return Err(None);
        };
        if entry.next_s > now_s {
            return Err(Some(entry.next_s));
        }
        Ok((id.clone(), Arc::clone(&entry.certificate)))
    }

    /// Counts how an update ended, and gives the numbers of failures and successes so far.
    fn note(
        &self,
        id: &CertificateId,
        outcome: Outcome,
        next: impl FnOnce(u32) -> i64,
        now_s: i64,
    ) -> (u32, u32) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(id) else {
            return if outcome == Outcome::Success { (0, 1) } else { (1, 0) };
        };
        if outcome == Outcome::Success {
            entry.successes += 1;
            entry.last_s = Some(now_s);
        } else {
            entry.failures += 1;
        }
        entry.outcome = outcome;
        entry.next_s = next(entry.failures);
        (entry.failures, entry.successes)
    }
}

/// `ocsp-update.mindelay`, `ocsp-update.maxdelay`.
#[derive(Debug, Clone, Copy)]
struct Delays {
    min_s: i64,
    max_s: i64,
}

impl Delays {
    fn of(snapshot: &Snapshot) -> Self {
        let setting = |name: &str| snapshot.global.tls.get(name).and_then(|value| value.parse::<i64>().ok());
        let min_s = setting("ocsp-update.mindelay").unwrap_or(DELAY_MIN_S);
        Self { min_s, max_s: setting("ocsp-update.maxdelay").unwrap_or(DELAY_MAX_S).max(min_s) }
    }

    /// Before the response expires, but neither too soon nor too late.
    fn after_success(self, response: &Response, now_s: i64) -> i64 {
        let expires_s = response.next_update_s.unwrap_or(now_s);
        now_s.saturating_add((expires_s - now_s).clamp(self.min_s, self.max_s))
    }

    /// Twice as long after each failure.
    fn after_failure(self, failures: u32, now_s: i64) -> i64 {
        let factor = 1i64 << failures.saturating_sub(1).min(16);
        now_s.saturating_add(self.min_s.saturating_mul(factor).clamp(self.min_s, self.max_s))
    }
}

/// The certificates of listeners whose responses are to be asked for, by identity.
fn wanted(snapshot: &Snapshot) -> BTreeMap<CertificateId, Arc<Certificate>> {
    let is_on = |name: &str| snapshot.global.tls.get(name).is_some_and(|value| value == "on");
    let mut found = BTreeMap::new();
    if is_on("ocsp-update.disable") {
        return found;
    }
    let by_default = is_on("ocsp-update.mode");
    for listener in snapshot.frontends().flat_map(|frontend| &frontend.listeners) {
        let Some(tls) = listener.model.tls_listener.0.as_deref() else { continue };
        for entry in tls.loaded.lock().iter().filter(|entry| entry.updates_ocsp(by_default)) {
            let certificate = &entry.certificate;
            let has_responder =
                certificate.key.cert.first().is_some_and(|leaf| ocsp::responder(leaf).is_some());
            if let (true, Some(id)) = (has_responder, certificate.ocsp_id()) {
                found.entry(id).or_insert_with(|| Arc::clone(certificate));
            }
        }
    }
    found
}

/// Keeps the responses up to date for as long as it is polled; `log` sends a line to the logs of the `global` section.
pub async fn run(admin: Arc<Admin>, mut configurations: watch::Receiver<Arc<Snapshot>>, log: impl Fn(&str)) {
    loop {
        let snapshot = Arc::clone(&configurations.borrow_and_update());
        let delays = Delays::of(&snapshot);
        let now_s = now_s();
        admin.ocsp.follow(&snapshot, delays, now_s);
        let asked = {
            let mut asked = admin.ocsp.asked.lock();
            if asked.is_empty() { None } else { Some(asked.remove(0)) }
        };
        let (certificate, answer) = match (asked, admin.ocsp.due(now_s)) {
            (Some(asked), _) => (asked.certificate, Some(asked.answer)),
            (None, Ok((_, certificate))) => (certificate, None),
            (None, Err(next_s)) => {
                let pause =
                    next_s.map(|next_s| Duration::from_secs(u64::try_from(next_s - now_s).unwrap_or(1)));
                tokio::select! {
                    () = admin.ocsp.changed.notified() => {}
                    () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)) => {}
                    changed = configurations.changed() => if changed.is_err() { return },
                }
                continue;
            }
        };
        let text = update(&admin, &snapshot, delays, &certificate, &log).await;
        if let Some(answer) = answer {
            // Whoever asked may be gone.
            let _ = answer.send(text);
        }
    }
}

fn now_s() -> i64 {
    i64::try_from(wall_us() / 1_000_000).unwrap_or(i64::MAX)
}

/// One update from question to staple; gives what `update ssl ocsp-response` shows.
async fn update(
    admin: &Admin,
    snapshot: &Snapshot,
    delays: Delays,
    certificate: &Arc<Certificate>,
    log: &impl Fn(&str),
) -> String {
    let Some(id) = certificate.ocsp_id() else { return String::new() };
    let proxy = snapshot.global.tls.get("ocsp-update.httpproxy").map(String::as_str);
    let fetched = tokio::time::timeout(REQUEST_TIMEOUT, fetch(certificate, &id, proxy)).await;
    let now_s = now_s();
    let response =
        fetched.unwrap_or(Err(Outcome::Http)).and_then(|der| checked(certificate, &id, &der, now_s));
    let outcome = match &response {
        Ok(response) => {
            let listeners = snapshot.frontends().flat_map(|frontend| &frontend.listeners);
            let listeners =
                listeners.filter_map(|listener| listener.model.tls_listener.0.as_deref()).collect();
            let users = Users { listeners, ..Users::default() };
            match admin.certificates.lock().staple(&id, &response.der, &users) {
                0 => Outcome::Insertion,
                _ => Outcome::Success,
            }
        }
        Err(outcome) => *outcome,
    };
    let next = |failures| match &response {
        Ok(response) if outcome == Outcome::Success => delays.after_success(response, now_s),
        _ => delays.after_failure(failures, now_s),
    };
    let (failures, successes) = admin.ocsp.note(&id, outcome, next, now_s);
    let (path, status) = (certificate.path.display(), outcome as u8);
    log(&format!("<OCSP-UPDATE> {path} {status} \"{outcome}\" {failures} {successes}"));
    match response {
        Ok(response) if outcome == Outcome::Success => response.text() + "\n",
        _ => format!("{outcome}.\n\n"),
    }
}

/// The response if it is about this certificate, valid now, and signed by who may sign it.
fn checked(
    certificate: &Certificate,
    id: &CertificateId,
    der: &[u8],
    now_s: i64,
) -> Result<Response, Outcome> {
    let response = Response::parse(der).map_err(|_| Outcome::Check)?;
    response.check(now_s).map_err(|_| Outcome::Check)?;
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let judge = Judge::new(Vec::new(), Vec::new(), algorithms);
    let issuer = certificate.issuer.as_ref().ok_or(Outcome::Check)?;
    if response.id == *id && response.is_signed_for(issuer, &judge) {
        Ok(response)
    } else {
        Err(Outcome::Check)
    }
}

/// Asks the certificate's responder.
async fn fetch(
    certificate: &Certificate,
    id: &CertificateId,
    proxy: Option<&str>,
) -> Result<Vec<u8>, Outcome> {
    let uri = certificate.key.cert.first().and_then(|leaf| ocsp::responder(leaf)).ok_or(Outcome::Http)?;
    let target = Target::parse(&uri).ok_or(Outcome::Http)?;
    let (address, wanted) = match proxy {
        Some(proxy) if proxy.contains(':') => (proxy.to_owned(), uri.as_str()),
        Some(proxy) => (format!("{proxy}:80"), uri.as_str()),
        None => (target.address(), target.path),
    };
    let body = ocsp::request(id);
    let head = format!(
        "POST {wanted} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/ocsp-request\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        target.authority,
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange.await.map_err(|_| Outcome::Http)?;
    body_of(&answer)
}

/// The body of a successful answer that says that it is a response.
fn body_of(answer: &[u8]) -> Result<Vec<u8>, Outcome> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n").ok_or(Outcome::Http)?;
    let (head, body) = answer.split_at_checked(end + 4).ok_or(Outcome::Http)?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    if status != Some("200") {
        return Err(Outcome::Http);
    }
    let field = |name: &str| {
        let mut values = lines.clone().filter_map(|line| line.split_once(':'));
        values.find(|(known, _)| *known == name).map(|(_, value)| value.trim().to_owned())
    };
    if !field("content-type").is_some_and(|kind| kind.starts_with("application/ocsp-response")) {
        return Err(Outcome::NoResponse);
    }
    match field("content-length").map(|length| length.parse::<usize>()) {
        None => Ok(body.to_vec()),
        Some(Ok(length)) => body.get(..length).map(<[u8]>::to_vec).ok_or(Outcome::Http),
        Some(Err(_)) => Err(Outcome::Http),
    }
}

/// `http://HOST[:PORT]/PATH`.
struct Target<'a> {
    authority: &'a str,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let rest = uri.strip_prefix("http://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let printable = uri.bytes().all(|byte| byte.is_ascii_graphic());
        (printable && !authority.is_empty())
            .then_some(Self { authority, path: if path.is_empty() { "/" } else { path } })
    }

    fn address(&self) -> String {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { self.authority.to_owned() } else { format!("{}:80", self.authority) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ocsp::tests::pki;

    #[test]
    fn the_body_of_an_answer_must_say_what_it_is() {
        let answer = |head: &str| body_of(format!("{head}\r\n\r\nbody").as_bytes());
        let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response";
        assert_eq!(answer(ok).unwrap(), b"body");
        assert_eq!(answer(&format!("{ok}\r\nContent-Length: 2")).unwrap(), b"bo");
        assert_eq!(answer(&format!("{ok}\r\nContent-Length: 5")), Err(Outcome::Http), "cut off");
        assert_eq!(answer("HTTP/1.1 404 Not Found"), Err(Outcome::Http));
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Type: text/html"), Err(Outcome::NoResponse));
        assert_eq!(body_of(b"garbage"), Err(Outcome::Http));
    }

    #[test]
    fn a_responder_is_addressed_with_its_port_and_path() {
        let target = |uri| Target::parse(uri).map(|target| (target.address(), target.path.to_owned()));
        assert_eq!(target("http://o.example"), Some(("o.example:80".to_owned(), "/".to_owned())));
        assert_eq!(target("http://o.example:8080/a"), Some(("o.example:8080".to_owned(), "/a".to_owned())));
        assert_eq!(target("https://o.example/"), None);
        assert_eq!(target("http://o.example/a b"), None, "a blank would end the request line");
    }

    #[test]
    fn delays_are_between_the_least_and_the_most() {
        let delays = Delays { min_s: 300, max_s: 3600 };
        let response = |next: &str| Response::parse(&pki().response(false, "20260101000000Z", next)).unwrap();
        let now_s = 1_767_225_600;
        assert_eq!(delays.after_success(&response("20260101000001Z"), now_s), now_s + 300);
        assert_eq!(delays.after_success(&response("20260101002000Z"), now_s), now_s + 1200);
        assert_eq!(delays.after_success(&response("20260108000000Z"), now_s), now_s + 3600);
        let failures: Vec<i64> = (1..7).map(|failures| delays.after_failure(failures, 0)).collect();
        assert_eq!(failures, [300, 600, 1200, 2400, 3600, 3600]);
    }
}
