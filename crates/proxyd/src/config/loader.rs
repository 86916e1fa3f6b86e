//! The state of one load: what was read so far, what is being built, what was found wrong.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hacore::diag::{Diagnostic, Diagnostics, FileId, SourceMap, Span, Word};

use super::environment::Environment;
use super::keyword::Places;
use crate::expr::{AclTable, Condition, LoadState, LogFormat};
use crate::model::{Config, Global, Location, Proxy, ProxyKind, Server};
use crate::rules::Rule;

/// How to load.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-dD`: show `.diag` and other doubts.
    pub diagnostic_mode: bool,
    /// `-dr`: names that do not resolve are no error.
    pub ignore_unresolved: bool,
    /// `-W`/`-Ws` on the command line.
    pub master_worker: bool,
    /// `-L`: the local peer's name.
    pub local_peer: Option<String>,
    /// `-dW`: as `zero-warning`.
    pub zero_warning: bool,
    /// `-c`: give hints too.
    pub lints: bool,
    /// The text is a line for a configuration that is in force.
    pub running: Option<Running>,
}

/// What a line that comes at run time finds of TLS.
#[derive(Debug, Clone)]
pub struct Running {
    /// The `global` section's settings.
    pub global: BTreeMap<String, String>,
    pub files: crate::tls::Ready<crate::tls::files::TlsFiles>,
    /// Certificates as they are in memory, whatever their files say by now.
    pub certificates: Vec<Arc<crate::tls::certificate::Certificate>>,
}

/// One `use_backend` line before names were resolved.
#[derive(Debug, Clone)]
pub struct SwitchDraft {
    pub name: Word,
    pub condition: Option<Arc<Condition>>,
    pub location: Location,
    /// Set when the name holds `%[`.
    pub dynamic: Option<Arc<LogFormat>>,
}

/// A proxy or a `defaults` section that is being built.
#[derive(Debug, Clone)]
pub struct Draft {
    pub proxy: Proxy,
    pub span: Span,
    pub is_defaults: bool,
    /// `log global` was given.
    pub log_global: bool,
    pub default_backend: Option<Word>,
    pub switches: Vec<SwitchDraft>,
    /// What `default-server` set.
    pub default_server: Server,
    /// Where each server's name stands, in the order of `proxy.servers`.
    pub server_spans: Vec<Span>,
    /// The first rule or switch that stands late in the evaluation order, for the order warnings.
    pub seen_rules: SeenRules,
    /// Keywords that need HTTP mode, with their place, checked when the mode is known.
    pub http_only: Vec<(&'static str, Span)>,
    /// `errorfiles`: the section's name and the statuses; none are all.
    pub errorfiles: Vec<(Word, Vec<u16>)>,
    /// Names of `use-server`, in the order of `proxy.use_server`.
    pub use_server_names: Vec<Word>,
    /// `redirect` lines; they follow the `http-request` rules at the end.
    pub redirects: Vec<Rule>,
    /// ACLs that conditions here may name.
    pub acls: AclTable,
    /// The `acl` lines of this section itself: name and place.
    pub acl_spans: Vec<(String, Span)>,
}

/// Which kinds of rules were met, because HAProxy warns about an order that is not the one of evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeenRules {
    pub session: bool,
    pub content: bool,
    pub monitor_fail: bool,
    pub http_request: bool,
    pub redirect: bool,
    pub use_backend: bool,
    pub use_server: bool,
}

impl Draft {
    pub fn new(kind: ProxyKind, name: &str, location: Location, span: Span, is_defaults: bool) -> Self {
        let unset = crate::model::Address::Name { host: String::new(), port: 0 };
        Self {
            proxy: Proxy::new(kind, name, location.clone()),
            span,
            is_defaults,
            log_global: false,
            default_backend: None,
            switches: Vec::new(),
            default_server: Server::new("", unset, location),
            server_spans: Vec::new(),
            seen_rules: SeenRules::default(),
            http_only: Vec::new(),
            errorfiles: Vec::new(),
            use_server_names: Vec::new(),
            redirects: Vec::new(),
            acls: AclTable::default(),
            acl_spans: Vec::new(),
        }
    }
}

/// A named or nameless `defaults` section that was read to its end.
#[derive(Debug, Clone)]
pub struct NamedDefaults {
    pub name: String,
    pub location: Location,
    pub draft: Draft,
    /// The kind of the first frontend or backend that began with it; rules allow one kind only.
    pub used_as: std::cell::Cell<Option<crate::model::ProxyKind>>,
}

/// The section that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    pub kind: &'static str,
    pub place: Places,
}

/// Everything that the parsers work on.
pub struct Loader {
    pub options: LoadOptions,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    /// Features that are missing, with the places that need them besides the first, which is told.
    missing: BTreeMap<&'static str, Vec<Span>>,
    pub environment: Environment,
    pub global: Global,
    pub defaults: Vec<NamedDefaults>,
    /// The proxy or defaults being read; moved to `drafts` or `defaults` when the next section begins.
    pub current: Option<Draft>,
    pub drafts: Vec<Draft>,
    /// Names of proxies already begun, with their index in `drafts` (the current one has the next index).
    pub names: HashMap<String, Vec<usize>>,
    pub section: Option<Section>,
    /// The name of the section being read.
    pub section_name: String,
    /// Other sections' plain contents, by kind: `(kind, name)` to the lines.
    pub others: BTreeMap<(String, String), Vec<String>>,
    /// `http-errors` sections.
    pub http_errors: BTreeMap<String, BTreeMap<u16, crate::model::ErrorReply>>,
    /// Certificates by file, each read once.
    pub certificates: crate::tls::store::CertificateStore,
    /// Which notices about keywords without effect were given.
    pub told: HashSet<&'static str>,
    /// Interned names of files.
    pub file_names: Vec<Arc<str>>,
    /// Whether a section needs nothing more than skipping: its start was refused.
    pub skipping: bool,
    /// `default-path`: what relative file names begin with.
    pub default_path: Option<std::path::PathBuf>,
    /// `userlist` sections.
    pub userlists: BTreeMap<String, crate::model::Userlist>,
    /// `healthcheck` sections.
    pub healthchecks: BTreeMap<String, crate::model::Check>,
    /// Where each user of a `userlist` stands: list, user, place.
    pub user_spans: Vec<(String, String, Span)>,
    /// `group … users`: the list's name, the group, its members, checked at the end.
    pub group_members: Vec<(String, Word, Vec<String>)>,
    /// Names and files that expressions use.
    pub expressions: std::rc::Rc<LoadState>,
    /// What lints saw in the lines.
    pub facts: super::lints::Facts,
    /// `ring`, `log-forward` and `log-profile` sections.
    pub logs: LogSections,
}

/// Sections about logs. A ring is built as a backend is, for its servers, a forwarder as a frontend.
#[derive(Default)]
pub struct LogSections {
    pub rings: Vec<(crate::model::Ring, Draft)>,
    pub forwards: Vec<(crate::model::LogForward, Draft)>,
    pub profiles: BTreeMap<String, crate::model::LogProfile>,
    /// Names of log profiles, rings and backends that lines refer to, checked at the end.
    pub names: Vec<(crate::model::LogTarget, Span)>,
}

impl Loader {
    pub fn new(options: LoadOptions, environment: Environment) -> Self {
        let mut global = Global::default();
        let mut certificates = crate::tls::store::CertificateStore::default();
        if let Some(running) = &options.running {
            global.tls.clone_from(&running.global);
            global.tls_files = running.files.clone();
            certificates.preload(&running.certificates);
        }
        Self {
            options,
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            missing: BTreeMap::new(),
            environment,
            global,
            defaults: Vec::new(),
            current: None,
            drafts: Vec::new(),
            names: HashMap::new(),
            section: None,
            section_name: String::new(),
            others: BTreeMap::new(),
            http_errors: BTreeMap::new(),
            certificates,
            told: HashSet::new(),
            file_names: Vec::new(),
            skipping: false,
            default_path: None,
            userlists: BTreeMap::new(),
            healthchecks: BTreeMap::new(),
            user_spans: Vec::new(),
            group_members: Vec::new(),
            expressions: std::rc::Rc::default(),
            facts: super::lints::Facts::default(),
            logs: LogSections::default(),
        }
    }

    /// Whether a `mode log` proxy is being read.
    pub fn is_log_backend(&self) -> bool {
        self.current.as_ref().is_some_and(|draft| draft.proxy.mode == crate::model::Mode::Log)
    }

    /// The ring being read.
    pub fn ring(&mut self) -> Result<&mut crate::model::Ring, Diagnostic> {
        self.logs
            .rings
            .last_mut()
            .map(|(ring, _)| ring)
            .ok_or_else(|| Diagnostic::alert("keyword outside of a ring section"))
    }

    /// The forwarder being read.
    pub fn log_forward(&mut self) -> Result<&mut crate::model::LogForward, Diagnostic> {
        let forward = self.logs.forwards.last_mut().map(|(forward, _)| forward);
        forward.ok_or_else(|| Diagnostic::alert("keyword outside of a log-forward section"))
    }

    /// Keeps a finding; a word of a hundred megabytes in its message is cut, and nothing in it drives a terminal.
    /// A missing feature is told once.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        if let Some(feature) = diagnostic.needs {
            match self.missing.entry(feature) {
                Entry::Occupied(others) => {
                    others.into_mut().extend(diagnostic.span);
                    return;
                }
                Entry::Vacant(place) => {
                    place.insert(Vec::new());
                }
            }
        }
        const MESSAGE_BYTES_MAX: usize = 4096;
        let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        if diagnostic.message.len() > MESSAGE_BYTES_MAX {
            let end = diagnostic.message.floor_char_boundary(MESSAGE_BYTES_MAX);
            diagnostic.message.truncate(end);
            diagnostic.message.push_str("...");
        }
        if diagnostic.message.contains(is_odd) {
            diagnostic.message = diagnostic.message.replace(is_odd, "?");
        }
        self.diagnostics.push(diagnostic);
    }

    /// A file's position as the model keeps it.
    pub fn location(&self, file: FileId, line: u32) -> Location {
        let name = self.file_names.get(file.0 as usize).cloned().unwrap_or_default();
        Location { file: name, line }
    }

    /// A file's name as `default-path` wants it.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        match &self.default_path {
            Some(base) => base.join(name),
            None => name.into(),
        }
    }

    /// The proxy or defaults being read.
    ///
    /// Errors: none is, which only a keyword table with wrong places can cause.
    pub fn draft(&mut self) -> Result<&mut Draft, Diagnostic> {
        self.current.as_mut().ok_or_else(|| Diagnostic::alert("keyword outside of a proxy section"))
    }

    /// The model of the proxy or defaults being read.
    pub fn proxy(&mut self) -> Result<&mut Proxy, Diagnostic> {
        self.draft().map(|draft| &mut draft.proxy)
    }

    /// The check of the proxy or `healthcheck` section being read.
    pub fn check(&mut self) -> Result<&mut crate::model::Check, Diagnostic> {
        let in_section = self.section.is_some_and(|section| section.place == Places::HEALTHCHECK);
        match in_section {
            true => Ok(self.healthchecks.entry(self.section_name.clone()).or_default()),
            false => self.proxy().map(|proxy| &mut proxy.check),
        }
    }

    /// Puts the section that was being read where it belongs.
    pub fn finish_section(&mut self) {
        if let Some(draft) = self.current.take() {
            let place = self.section.map_or(Places::NONE, |section| section.place);
            if place == Places::RING {
                if let Some((_, kept)) = self.logs.rings.last_mut() {
                    *kept = draft;
                }
            } else if place == Places::LOG_FORWARD {
                if let Some((_, kept)) = self.logs.forwards.last_mut() {
                    *kept = draft;
                }
            } else if draft.is_defaults {
                let (name, location) = (draft.proxy.name.clone(), draft.proxy.location.clone());
                self.defaults.push(NamedDefaults { name, location, draft, used_as: Default::default() });
            } else {
                self.drafts.push(draft);
            }
        }
    }

    /// Adds to each alert about a missing feature which other lines need it.
    fn tell_repeated_needs(&mut self) {
        /// Lines that are named; the others are counted.
        const NAMED_MAX: usize = 8;
        for diagnostic in self.diagnostics.iter_mut() {
            let others = diagnostic.needs.and_then(|feature| self.missing.get_mut(feature));
            let (Some(others), Some(at)) = (others, diagnostic.span) else { continue };
            others.retain(|other| (other.file, other.line) != (at.file, at.line));
            others.dedup_by_key(|other| (other.file, other.line));
            let named: Vec<String> = others
                .iter()
                .take(NAMED_MAX)
                .map(|other| match other.file == at.file {
                    true => other.line.to_string(),
                    false => format!("{}:{}", self.sources.name(other.file), other.line),
                })
                .collect();
            let more = match others.len() - named.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            match named.as_slice() {
                [] => {}
                [line] => diagnostic.message.push_str(&format!(" So does line {line}.")),
                lines => diagnostic.message.push_str(&format!(" So do lines {}{more}.", lines.join(", "))),
            }
        }
    }

    /// What came of it, after all checks.
    pub fn into_parts(mut self, config: Config) -> (Option<Config>, Diagnostics, SourceMap) {
        self.tell_repeated_needs();
        let config = (!self.diagnostics.has_alerts()).then_some(config);
        (config, self.diagnostics, self.sources)
    }
}
