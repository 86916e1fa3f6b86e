//! What differs between two configurations: what a reload touches, and what it leaves alone.
//!
//! Where a line stands in its file makes no difference, nor the place of a proxy among the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use serde_json::Value;

use crate::model::{self, Bind, Config, Proxy, ProxyId};

/// Whether a server of the new file is the one of the old file: it is reached at the same address.
pub(super) fn is_same_server(old: &model::Server, new: &model::Server) -> bool {
    let place = |server: &model::Server| {
        let at = (server.address.clone(), server.fqdn.clone(), server.namespace.clone());
        (at, server.tls, server.port_from_client, server.port_offset)
    };
    old.name == new.name && place(old) == place(new)
}

/// Whether both lines need the same socket.
pub fn is_same_place(old: &Bind, new: &Bind) -> bool {
    let place = |bind: &Bind| {
        let at = (bind.address.clone(), bind.interface.clone(), bind.namespace.clone(), bind.shards);
        let socket =
            (bind.backlog, bind.defer_accept, bind.mss, bind.tcp_fast_open, bind.tcp_user_timeout_ms);
        let file = (bind.unix_mode, bind.unix_user, bind.unix_group);
        (at, socket, file, bind.transparent, bind.v4v6, bind.v6only)
    };
    place(old) == place(new)
}

/// Everything that a proxy says, in a form that two configurations can be compared by.
pub fn canonical(config: &Config, proxy: &Proxy) -> Value {
    let mut value = serde_json::to_value(proxy).unwrap_or(Value::Null);
    strip_locations(&mut value);
    let name = |id: ProxyId| config.proxy(id).map_or(Value::Null, |proxy| Value::String(proxy.name.clone()));
    if let Some(fields) = value.as_object_mut() {
        // An automatic number follows the place in the file; what `id` sets is said by the numbers of both anyway.
        fields.remove("numeric_id");
        if let Some(id) = proxy.default_backend {
            fields.insert("default_backend".to_owned(), name(id));
        }
        if let Some(rules) = fields.get_mut("use_backend").and_then(Value::as_array_mut) {
            for (written, rule) in rules.iter_mut().zip(&proxy.use_backend) {
                if let (model::UseBackendTarget::Static(id), Some(fields)) =
                    (&rule.target, written.as_object_mut())
                {
                    fields.insert("target".to_owned(), name(*id));
                }
            }
        }
    }
    value
}

fn strip_locations(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("location");
            fields.values_mut().for_each(strip_locations);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_locations),
        _ => {}
    }
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `+` comes, `-` goes, `~` changes.
    pub sign: char,
    pub text: String,
}

/// What a reload would do, in the order of the new file; what goes comes last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Names of the proxies that stay as they are.
    pub unchanged: HashSet<String>,
    /// Settings that only a restart changes.
    pub restart: Vec<&'static str>,
}

impl Plan {
    /// Compares two configurations.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut plan = Self { restart: restart_only(old, new), ..Self::default() };
        if global_value(old) != global_value(new) {
            plan.add('~', "global".to_owned());
        }
        plan.sections("userlist", &old.userlists, &new.userlists);
        plan.sections("healthcheck", &old.healthchecks, &new.healthchecks);
        for name in new.pattern_files.edited_since(&old.pattern_files) {
            plan.add('~', format!("file {name} (read again)"));
        }
        let (before, after) = (by_name(old), by_name(new));
        // Where numbers mean the same proxies in both, equal models are equal without a closer look.
        let names =
            |config: &Config| config.proxies.iter().map(|proxy| proxy.name.clone()).collect::<Vec<_>>();
        let same_numbers = names(old) == names(new);
        for proxy in &new.proxies {
            match counterpart(&before, proxy) {
                None => plan.whole('+', proxy),
                Some(known) if same_numbers && known == proxy => {
                    plan.unchanged.insert(proxy.name.clone());
                }
                Some(known) => plan.proxy(old, known, new, proxy),
            }
        }
        for proxy in &old.proxies {
            if counterpart(&after, proxy).is_none() {
                plan.whole('-', proxy);
            }
        }
        plan
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn add(&mut self, sign: char, text: String) {
        self.steps.push(Step { sign, text });
    }

    /// Sections that others refer to by name.
    fn sections<T: serde::Serialize>(
        &mut self,
        kind: &str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
    ) {
        for (name, section) in new {
            match old.get(name) {
                None => self.add('+', format!("{kind} {name}")),
                Some(before) if stripped(before) != stripped(section) => {
                    self.add('~', format!("{kind} {name}"))
                }
                Some(_) => {}
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.add('-', format!("{kind} {name}"));
        }
    }

    fn whole(&mut self, sign: char, proxy: &Proxy) {
        let what = match sign {
            '-' => " (no new connections; the present ones end in their time)",
            _ => "",
        };
        self.add(sign, format!("{} {}{what}", proxy.kind.name(), proxy.name));
        for bind in &proxy.binds {
            self.add(sign, format!("  bind {}", bind.text));
        }
        for server in &proxy.servers {
            self.add(sign, format!("  server {}", server.name));
        }
    }

    fn proxy(&mut self, old: &Config, before: &Proxy, new: &Config, after: &Proxy) {
        let (was, is) = (canonical(old, before), canonical(new, after));
        if was == is {
            self.unchanged.insert(after.name.clone());
            return;
        }
        let mut changed: Vec<&str> = Vec::new();
        if let (Some(was), Some(is)) = (was.as_object(), is.as_object()) {
            let differs = |key: &&String| was.get(*key) != is.get(*key);
            let keys = is.keys().filter(differs).map(String::as_str);
            changed = keys.filter(|key| !matches!(*key, "binds" | "servers")).collect();
        }
        let settings = if changed.is_empty() { String::new() } else { format!(": {}", changed.join(", ")) };
        self.add('~', format!("{} {}{settings}", after.kind.name(), after.name));
        self.binds(before, after);
        self.servers(before, after);
    }

    fn binds(&mut self, before: &Proxy, after: &Proxy) {
        let mut gone: Vec<&Bind> = before.binds.iter().collect();
        for bind in &after.binds {
            match gone.iter().position(|old| is_same_place(old, bind)) {
                None => self.add('+', format!("  bind {}", bind.text)),
                Some(at) => {
                    let old = gone.remove(at);
                    if stripped(old) != stripped(bind) {
                        self.add('~', format!("  bind {} (keeps its socket)", bind.text));
                    }
                }
            }
        }
        for bind in gone {
            self.add('-', format!("  bind {}", bind.text));
        }
    }

    fn servers(&mut self, before: &Proxy, after: &Proxy) {
        for server in &after.servers {
            let name = &server.name;
            match before.servers.iter().find(|old| old.name == *name) {
                None => self.add('+', format!("  server {name}")),
                Some(old) if !is_same_server(old, server) => {
                    self.add(
                        '~',
                        format!("  server {name} (another address: starts anew, the old one drains)"),
                    );
                }
                Some(old) if stripped(old) != stripped(server) => {
                    self.add('~', format!("  server {name} (keeps health and counters)"));
                }
                Some(_) => {}
            }
        }
        for server in &before.servers {
            if !after.servers.iter().any(|new| new.name == server.name) {
                self.add('-', format!("  server {} (drains)", server.name));
            }
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for step in &self.steps {
            writeln!(f, "{} {}", step.sign, step.text)?;
        }
        for name in &self.restart {
            writeln!(f, "! {name} differs and stays as it is until a restart")?;
        }
        let count = |sign| self.steps.iter().filter(|step| step.sign == sign).count();
        let mut summary = String::new();
        write!(summary, "{} to add, {} to change, {} to remove", count('+'), count('~'), count('-'))?;
        writeln!(f, "{summary}; {} proxies unchanged", self.unchanged.len())
    }
}

fn by_name(config: &Config) -> HashMap<&str, Vec<&Proxy>> {
    let mut named: HashMap<&str, Vec<&Proxy>> = HashMap::new();
    for proxy in &config.proxies {
        named.entry(&proxy.name).or_default().push(proxy);
    }
    named
}

fn counterpart<'a>(named: &HashMap<&str, Vec<&'a Proxy>>, proxy: &Proxy) -> Option<&'a Proxy> {
    named.get(proxy.name.as_str())?.iter().copied().find(|other| is_counterpart(other, proxy))
}

fn is_counterpart(old: &Proxy, new: &Proxy) -> bool {
    old.name == new.name
        && (old.kind.is_frontend() && new.kind.is_frontend()
            || old.kind.is_backend() && new.kind.is_backend())
}

fn stripped(item: &impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(item).unwrap_or(Value::Null);
    strip_locations(&mut value);
    value
}

fn global_value(config: &Config) -> Value {
    stripped(&config.global)
}

/// Settings of the process that a reload cannot change.
fn restart_only(old: &Config, new: &Config) -> Vec<&'static str> {
    let (old, new) = (&old.global, &new.global);
    let sockets = |global: &model::Global| stripped(&global.stats_sockets);
    let differs = [
        ("nbthread", old.nbthread != new.nbthread),
        ("cpu-map", old.cpu_map != new.cpu_map),
        ("chroot", old.chroot != new.chroot),
        ("user", old.user != new.user),
        ("group", old.group != new.group),
        ("pidfile", old.pidfile != new.pidfile),
        ("tune.bufsize", old.bufsize_bytes != new.bufsize_bytes),
        ("stats socket", sockets(old) != sockets(new)),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Makes the settings of [`Plan::restart`] what they are now.
pub fn keep_restart_only(old: &Config, new: &mut Config) {
    let (old, new) = (&old.global, &mut new.global);
    new.nbthread = old.nbthread;
    new.cpu_map.clone_from(&old.cpu_map);
    new.chroot.clone_from(&old.chroot);
    new.user.clone_from(&old.user);
    new.group.clone_from(&old.group);
    new.pidfile.clone_from(&old.pidfile);
    new.bufsize_bytes = old.bufsize_bytes;
    new.stats_sockets.clone_from(&old.stats_sockets);
}
