//! From the words of a `bind … ssl` line to what its handshakes need.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;

use super::certificate::Certificate;
use super::chain::{Ignored, Judge};
use super::files::TlsFiles;
use super::generate::{self, Generator};
use super::pem::PemError;
use super::pinned::Authorities;
use super::server::{self, Certificates, ClientVerification, ServerParameters, Verification};
use super::settings::{Settings, Side};
use super::sni::{Candidate, SniTable};
use super::store::CertificateStore;
use super::tickets::TicketKeys;
use super::trust::Kind;
use super::{Problem, crt_list};
use crate::model::TlsSetting;

/// `tune.ssl.lifetime`: seconds that clients keep a ticket.
const LIFETIME_S: u32 = 300;
/// Early data of one connection: what fits in a buffer, as in HAProxy.
const EARLY_DATA_BYTES: u32 = 15 * 1024;
/// The bounds of rustls for `max_fragment_size`, without the frame that it counts in.
const RECORD_MIN_BYTES: usize = 32;
const RECORD_MAX_BYTES: usize = 16 * 1024;
const RECORD_FRAME_BYTES: usize = 5;

/// The TLS side of a listener, shared by all its connections.
#[derive(Debug)]
pub struct ListenerTls {
    /// Without an entry's own options.
    general: ArcSwap<OwnTls>,
    /// What handshakes choose from; replaceable.
    pub certificates: Arc<Certificates>,
    /// The certificates in the line's order, with the names of their list; changed by `commit ssl cert` only.
    pub loaded: Mutex<Vec<Loaded>>,
    pub strict_sni: bool,
    /// The lists that it serves, even when they are empty by now.
    pub lists: Vec<List>,
    /// `tls-ticket-keys`.
    pub ticket_keys: Option<Arc<TicketKeys>>,
    /// `tune.ssl.capture-buffer-size`: bytes of a client's lists that are kept.
    pub capture_max_bytes: usize,
    /// The line's words and the defaults, for entries that are added later.
    words: Vec<TlsSetting>,
    global: BTreeMap<String, String>,
    files: Arc<TlsFiles>,
}

/// What [`ListenerTls::rebuilt`] made.
#[derive(Debug)]
pub struct Rebuilt {
    general: Arc<OwnTls>,
    /// By place in the list.
    own: Vec<Option<Arc<OwnTls>>>,
}

impl ListenerTls {
    /// What connections get that no entry's own options say otherwise for.
    pub fn general(&self) -> Arc<OwnTls> {
        self.general.load_full()
    }

    fn settings(&self) -> Settings<'_> {
        Settings { global: &self.global, words: &self.words, side: Side::Bind, files: &self.files }
    }

    /// How many of its certificates have to do with this file of authorities or revocations.
    pub fn count_users(&self, kind: Kind, path: &str) -> usize {
        let all = self.settings().names(kind, path);
        let own = |entry: &&Loaded| {
            let Some(origin) = &entry.origin else { return false };
            Settings { words: &origin.options, ..self.settings() }.names(kind, path)
        };
        let loaded = self.loaded.lock();
        if all { loaded.len() } else { loaded.iter().filter(own).count() }
    }

    /// Reads what its words name once more; [`Self::adopt`] takes it.
    ///
    /// # Errors
    /// What is wrong by now, in words.
    pub fn rebuilt(&self) -> Result<Rebuilt, String> {
        let mut problems = Vec::new();
        let settings = self.settings();
        let general = configurations(&settings, &self.certificates, &mut problems);
        let options = self.loaded.lock().iter().map(|entry| entry.own_options().to_vec()).collect::<Vec<_>>();
        let own =
            options.iter().map(|options| own_tls(&settings, options, &self.certificates, &mut problems));
        let own = own.collect();
        match (Problem::first_error(problems), general) {
            (None, Some(general)) => Ok(Rebuilt { general: Arc::new(general), own }),
            (error, _) => Err(error.unwrap_or_default()),
        }
    }

    /// New handshakes go by this from now on; sessions begin anew.
    pub fn adopt(&self, rebuilt: Rebuilt) {
        self.general.store(rebuilt.general);
        let mut loaded = self.loaded.lock();
        loaded.iter_mut().zip(rebuilt.own).for_each(|(entry, own)| entry.own = own);
        self.refresh(&loaded);
    }

    /// Lets changes of `loaded` take effect.
    pub fn refresh(&self, loaded: &[Loaded]) {
        self.certificates.replace(table(loaded, self.strict_sni));
    }

    /// The configurations of an entry with these options.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn own(&self, options: &[TlsSetting]) -> Result<Option<Arc<OwnTls>>, String> {
        let mut problems = Vec::new();
        let own = own_tls(&self.settings(), options, &self.certificates, &mut problems);
        Problem::first_error(problems).map_or(Ok(own), Err)
    }
}

/// Configurations of a line, or of one entry of a list where its options differ from the line.
#[derive(Debug)]
pub struct OwnTls {
    pub server: Arc<ServerConfig>,
    /// The same for HTTP proxies, which offer HTTP/2 when the line does not say what to offer.
    pub http: Arc<ServerConfig>,
    /// Who says what was ignored about a client's certificate.
    pub judge: Option<Arc<Judge>>,
}

/// A certificate of a line.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub certificate: Arc<Certificate>,
    pub filters: Vec<String>,
    /// The list or directory that names it.
    pub origin: Option<Origin>,
    pub own: Option<Arc<OwnTls>>,
}

impl Loaded {
    /// What its entry says between brackets.
    fn own_options(&self) -> &[TlsSetting] {
        self.origin.as_ref().map_or(&[], |origin| &origin.options)
    }

    /// Whether its OCSP response is asked for: `ocsp-update` of its entry, of its store, or by default.
    pub fn updates_ocsp(&self, by_default: bool) -> bool {
        let own = self.own_options().iter().rev().find(|word| word.name == "ocsp-update");
        own.map(|word| word.value == "on").or(self.certificate.ocsp_update).unwrap_or(by_default)
    }
}

/// Where in a list an entry stands.
#[derive(Debug, Clone)]
pub struct Origin {
    pub list: Arc<str>,
    /// 0 in directories.
    pub line: u32,
    pub options: Vec<TlsSetting>,
}

/// A `crt-list` file, or a directory that `crt` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub name: Arc<str>,
    pub is_directory: bool,
}

/// Loads what `crt`, `default-crt` and `crt-list` name, whether or not the line has `ssl`: HAProxy does so too.
pub fn certificates(
    settings: &Settings<'_>,
    store: &mut CertificateStore,
    problems: &mut Vec<Problem>,
) -> Vec<Loaded> {
    let mut loaded = Vec::new();
    let words = settings.words.iter();
    // `default-crt` comes first wherever it stands.
    let (defaults, others): (Vec<_>, Vec<_>) = words.partition(|word| word.name == "default-crt");
    for word in defaults.into_iter().chain(others) {
        match word.name.as_str() {
            "crt" | "default-crt" => {
                let (certificates, errors) = store.load(&settings.path("crt-base", &word.value));
                problems.extend(errors.iter().map(|error| Problem::Word(error.to_string())));
                let path = settings.path("crt-base", &word.value);
                let origin = path.is_dir().then(|| Origin {
                    list: crt_list::name(&path.to_string_lossy()).into(),
                    line: 0,
                    options: Vec::new(),
                });
                let plain = |certificate| Loaded {
                    certificate,
                    filters: Vec::new(),
                    origin: origin.clone(),
                    own: None,
                };
                loaded.extend(certificates.into_iter().map(plain));
            }
            "crt-list" => list(settings, &word.value, store, &mut loaded, problems),
            _ => {}
        }
    }
    loaded
}

fn list(
    settings: &Settings<'_>,
    file: &str,
    store: &mut CertificateStore,
    loaded: &mut Vec<Loaded>,
    problems: &mut Vec<Problem>,
) {
    let text = match super::pem::read(Path::new(file)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            let reason = crate::config::describe(&error);
            problems.push(Problem::Word(format!("'crt-list' : cannot open file '{file}' : {reason}")));
            return;
        }
    };
    let (entries, errors) = crt_list::parse(&text);
    let bad_line = |(line, problem): &(usize, String)| {
        Problem::Word(format!("'crt-list' : error processing line {line} in file '{file}' : {problem}"))
    };
    problems.extend(errors.iter().map(bad_line));
    for entry in entries {
        let path = settings.path("crt-base", &entry.file);
        // Keys without a base of their own stand where certificates do.
        let has_own = settings.global.contains_key("key-base");
        let under = |base: &str, name: &str| {
            settings.path(if base == "key-base" && !has_own { "crt-base" } else { base }, name)
        };
        if let Some(parts) = crt_list::parts(&entry.options, under).filter(|_| !store.is_loaded(&path))
            && let Err(problem) = store.load_parts(&path, Vec::new(), &parts, None)
        {
            problems.push(Problem::Word(format!("'crt-list' : {problem}")));
            continue;
        }
        let (certificates, errors) = store.load(&path);
        problems.extend(errors.iter().map(|error: &PemError| Problem::Word(format!("'crt-list' : {error}"))));
        let origin = Origin { list: file.into(), line: entry.line, options: entry.options.clone() };
        let named = |certificate| Loaded {
            certificate,
            filters: entry.filters.clone(),
            origin: Some(origin.clone()),
            own: None,
        };
        loaded.extend(certificates.into_iter().map(named));
    }
}

/// The table that a set of certificates makes.
pub fn table(loaded: &[Loaded], strict: bool) -> SniTable {
    let mut table = SniTable::default();
    table.strict = strict;
    for entry in loaded {
        let candidate = Candidate { certificate: Arc::clone(&entry.certificate), own: entry.own.clone() };
        table.add(&candidate, &entry.filters);
    }
    table
}

/// Makes the listener's configuration; nothing when there are problems that forbid it.
pub fn build(
    settings: &Settings<'_>,
    loaded: Vec<Loaded>,
    problems: &mut Vec<Problem>,
) -> Option<ListenerTls> {
    let strict_sni = settings.flag("strict-sni", "no-strict-sni");
    if loaded.is_empty() && !strict_sni && !has_errors(problems) {
        problems.push(Problem::Whole("no SSL certificate specified".to_owned()));
    }
    let generator = generator(settings, problems);
    let certificates = Arc::new(Certificates::generating(generator));
    let made = configurations(settings, &certificates, problems)?;
    let mut loaded = loaded;
    for entry in &mut loaded {
        entry.own = own_tls(settings, entry.own_options(), &certificates, problems);
    }
    tell_timestamps(&loaded, problems);
    if has_errors(problems) {
        return None;
    }
    certificates.replace(table(&loaded, strict_sni));
    Some(ListenerTls {
        general: ArcSwap::from_pointee(made),
        certificates,
        loaded: Mutex::new(loaded),
        strict_sni,
        lists: lists(settings),
        ticket_keys: ticket_keys(settings, problems),
        capture_max_bytes: capture_max_bytes(settings),
        words: settings.words.to_vec(),
        global: settings.global.clone(),
        files: Arc::clone(settings.files),
    })
}

/// `tune.ssl.capture-buffer-size`, or its old name.
fn capture_max_bytes(settings: &Settings<'_>) -> usize {
    let named = ["tune.ssl.capture-buffer-size", "tune.ssl.capture-cipherlist-size"];
    named.iter().find_map(|name| settings.number(name)).unwrap_or(0)
}

/// A list of signed timestamps that stands beside a certificate is not sent: one warning says so.
fn tell_timestamps(loaded: &[Loaded], problems: &mut Vec<Problem>) {
    if let Some(entry) = loaded.iter().find(|entry| entry.certificate.has_timestamps) {
        problems.push(Problem::Warning(format!(
            "'{}.sctl' : signed certificate timestamps are not sent from files; those within certificates are.",
            entry.certificate.path.display()
        )));
    }
}

/// `tls-ticket-keys`.
fn ticket_keys(settings: &Settings<'_>, problems: &mut Vec<Problem>) -> Option<Arc<TicketKeys>> {
    let lifetime_s = settings.number("tune.ssl.lifetime").and_then(|lifetime| u32::try_from(lifetime).ok());
    let keys =
        settings.files.ticket_keys(settings.value("tls-ticket-keys")?, lifetime_s.unwrap_or(LIFETIME_S));
    keys.map_err(|problem| problems.push(Problem::Word(problem))).ok()
}

/// `generate-certificates` with its `ca-sign-file`.
fn generator(settings: &Settings<'_>, problems: &mut Vec<Problem>) -> Option<Generator> {
    settings.value("generate-certificates")?;
    let Some(file) = settings.value("ca-sign-file") else {
        let problem = "cannot enable certificate generation, no CA certificate File configured";
        problems.push(Problem::Whole(problem.to_owned()));
        return None;
    };
    let path = settings.path("ca-base", file);
    let cached = settings.number("tune.ssl.ssl-ctx-cache-size").unwrap_or(generate::CACHE_DEFAULT);
    match Generator::load(&path, settings.value("ca-sign-pass"), cached) {
        Ok(generator) => Some(generator),
        Err(error) => {
            let (shown, reason) = (path.display(), chain_reason(&error));
            let problem =
                format!("Failed to read CA certificate file '{shown}'. Chain loading failed: {reason}");
            problems.push(Problem::Whole(problem));
            None
        }
    }
}

fn chain_reason(error: &PemError) -> String {
    match error {
        PemError::Stat(path, _) => format!("cannot open the file '{}'.", path.display()),
        other => other.to_string(),
    }
}

/// The lists that the line names.
fn lists(settings: &Settings<'_>) -> Vec<List> {
    let list = |word: &TlsSetting| match word.name.as_str() {
        "crt-list" => Some(List { name: word.value.as_str().into(), is_directory: false }),
        "crt" | "default-crt" => {
            let path = settings.path("crt-base", &word.value);
            path.is_dir()
                .then(|| List { name: crt_list::name(&path.to_string_lossy()).into(), is_directory: true })
        }
        _ => None,
    };
    settings.words.iter().filter_map(list).collect()
}

/// What an entry's options change; nothing without options.
fn own_tls(
    settings: &Settings<'_>,
    options: &[TlsSetting],
    certificates: &Arc<Certificates>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<OwnTls>> {
    if options.iter().all(crt_list::is_about_loading) {
        return None;
    }
    let words: Vec<TlsSetting> = settings.words.iter().chain(options).cloned().collect();
    let settings = Settings { words: &words, ..*settings };
    configurations(&settings, certificates, problems).map(Arc::new)
}

/// The configurations that the words ask for; nothing when there are problems that forbid it.
fn configurations(
    settings: &Settings<'_>,
    certificates: &Arc<Certificates>,
    problems: &mut Vec<Problem>,
) -> Option<OwnTls> {
    let alpn = settings.own_alpn(problems);
    let parameters = ServerParameters {
        versions: settings.versions(problems),
        provider: settings.provider(problems),
        alpn: alpn.clone().unwrap_or_default(),
        verification: verification(settings, problems),
        tickets: !settings.flag("no-tls-tickets", "tls-tickets"),
        prefer_client_ciphers: settings.flag("prefer-client-ciphers", "prefer-server-ciphers"),
        ca_names: settings.value("no-ca-names").is_none(),
        ticket_keys: ticket_keys(settings, problems),
        early_data_max_bytes: if settings.value("allow-0rtt").is_some() { EARLY_DATA_BYTES } else { 0 },
        sessions_max: settings.number("tune.ssl.cachesize").unwrap_or(server::SESSIONS_MAX),
        record_max_bytes: record_max_bytes(settings),
        key_log: settings.is_on("tune.ssl.keylog"),
        signatures: settings.signatures("sigalgs", problems),
        client_signatures: settings.signatures("client-sigalgs", problems),
    };
    if has_errors(problems) {
        return None;
    }
    match server::configuration(&parameters, Arc::clone(certificates)) {
        Ok(server) => {
            let http = if alpn.is_some() { Arc::clone(&server) } else { with_default_alpn(&server) };
            Some(OwnTls { server, http, judge: parameters.verification.judge().cloned() })
        }
        Err(error) => {
            problems.push(Problem::Word(error.to_string()));
            None
        }
    }
}

/// `tune.ssl.maxrecord`, with the room that a record's frame needs; rustls counts it in.
fn record_max_bytes(settings: &Settings<'_>) -> Option<usize> {
    let hard =
        settings.number("tune.ssl.hard-maxrecord").or_else(|| settings.number("tune.ssl.maxrecord"))?;
    (hard > 0).then(|| hard.clamp(RECORD_MIN_BYTES, RECORD_MAX_BYTES) + RECORD_FRAME_BYTES)
}

/// `alpn h2,http/1.1`, as HTTP proxies have it since HAProxy 2.8.
fn with_default_alpn(server: &ServerConfig) -> Arc<ServerConfig> {
    let mut http = server.clone();
    http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(http)
}

fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| !matches!(problem, Problem::Warning(_)))
}

fn verification(settings: &Settings<'_>, problems: &mut Vec<Problem>) -> ClientVerification {
    let mut of = |word: &'static str| {
        let file = settings.value(word)?;
        authorities(settings, file, problems)
    };
    let (named, hidden) = (of("ca-file"), of("ca-verify-file"));
    let method = settings.value("verify").unwrap_or("none");
    if !matches!(method, "none" | "optional" | "required") {
        problems.push(Problem::Word(format!(
            "'verify' : unknown verify method '{method}', only 'none', 'optional', and 'required' are supported"
        )));
    }
    if !matches!(method, "optional" | "required") {
        return ClientVerification::None;
    }
    let all = match (&named, &hidden) {
        (Some(named), Some(hidden)) => named.and(hidden),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => {
            if settings.value("ca-file").is_none() && settings.value("ca-verify-file").is_none() {
                problems.push(Problem::Whole("verify is enabled but no CA file specified".to_owned()));
            }
            return ClientVerification::None;
        }
    };
    let Some(judge) = judge(settings, &all, problems) else { return ClientVerification::None };
    let named = named.unwrap_or_else(|| Authorities::new(Vec::new()));
    let with = Verification { authorities: all, named, judge: Arc::new(judge) };
    if method == "optional" { ClientVerification::Optional(with) } else { ClientVerification::Required(with) }
}

/// `crl-file`, `crt-ignore-err`, `ca-ignore-err`.
fn judge(settings: &Settings<'_>, all: &Authorities, problems: &mut Vec<Problem>) -> Option<Judge> {
    let mut revocations = Vec::new();
    if let Some(file) = settings.value("crl-file") {
        let path = settings.path("ca-base", file);
        match settings.files.trust.revocations(&path.to_string_lossy()) {
            Ok(lists) if !lists.is_empty() => revocations = lists,
            _ => {
                problems.push(Problem::Word(format!("unable to configure CRL file '{}'", path.display())));
                return None;
            }
        }
    }
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let mut judge = Judge::new(all.list().collect(), revocations, algorithms);
    for (word, ignored) in
        [("crt-ignore-err", &mut judge.leaf_ignored), ("ca-ignore-err", &mut judge.authorities_ignored)]
    {
        let Some(list) = settings.value(word) else { continue };
        match Ignored::parse(list) {
            Ok(parsed) => *ignored = parsed,
            Err(unknown) => {
                problems.push(Problem::Word(format!("'{word}' : error ID '{unknown}' is unknown.")));
                return None;
            }
        }
    }
    Some(judge)
}

/// The certificates of a `ca-file`.
pub fn authorities(settings: &Settings<'_>, file: &str, problems: &mut Vec<Problem>) -> Option<Authorities> {
    let path = settings.path("ca-base", file);
    let shown = path.display();
    match settings.files.trust.authorities(&path.to_string_lossy()) {
        Ok(authorities) if authorities.is_empty() => {
            problems.push(Problem::Word(format!("'ca-file' : unable to load {shown}: no certificate in it")));
            None
        }
        Ok(authorities) => Some(authorities),
        Err(error) => {
            let reason = crate::config::describe(&error);
            problems.push(Problem::Word(format!("'ca-file' : unable to load {shown} ({reason})")));
            None
        }
    }
}
