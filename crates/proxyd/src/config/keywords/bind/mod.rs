//! `bind` lines and `stats socket` lines (configuration manual, section 5.1 "Bind options").

mod tls;

use hacore::addr::Transport;
use hacore::diag::{Diagnostic, Word};
use hacore::units::TimeUnit;

use crate::config::arguments::{self, Purpose};
use crate::config::keyword::{Item, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::{Address, Bind, TlsSetting};

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Proxy,
    StatsSocket,
}

/// A parser of one bind option, whose name was taken already.
pub type BindParser = fn(&mut Bind, &mut Line<'_>) -> Parsed;

/// A word of a `bind` line.
pub type BindKeyword = Item<BindParser>;

const fn bind(
    name: &'static str,
    arguments: &'static str,
    doc: &'static str,
    parse: BindParser,
) -> BindKeyword {
    Item::new(name, Places::FRONT_ONLY, arguments, doc, parse)
}

const NO_PRIORITIES: &str = "a thread serves its sessions in the order of their events";
const UNUSED_QUIC: &str = "there is no QUIC";

pub const KEYWORDS: &[BindKeyword] = &[
    bind("accept-netscaler-cip", "<magic>", "Takes the client's address from a NetScaler header.", skip_one)
        .refused("the NetScaler protocol"),
    bind("accept-proxy", "", "Takes the client's address from a PROXY header.", accept_proxy),
    bind("backlog", "<backlog>", "The length of the accept queue.", backlog),
    bind("cc", "<algorithm>", "Congestion control.", cc),
    bind("defer-accept", "", "Waits for data before accepting.", defer_accept),
    bind("expose-fd", "listeners", "Gives listening sockets to a new process.", expose_fd),
    bind("gid", "<gid>", "Group id of a Unix socket.", gid),
    bind("group", "<group>", "Group of a Unix socket.", group),
    bind("guid-prefix", "<string>", "Begins the listeners' unique names.", skip_one)
        .later("listeners have no unique names"),
    bind("id", "<id>", "The listener's number.", id),
    bind("idle-ping", "<delay>", "Pings idle HTTP/2 clients.", skip_one).later("there is no HTTP/2 yet"),
    bind("interface", "<interface>", "Listens on an interface only.", interface),
    bind("label", "<label>", "A label for tracking.", skip_one).later("listeners have no labels"),
    bind("level", "<level>", "The rights of an admin socket.", level),
    bind("maxconn", "<maxconn>", "The most connections of this listener.", maxconn),
    bind("mode", "<mode>", "The mode of a Unix socket.", mode),
    bind("mss", "<maxseg>", "The largest segment.", mss),
    bind("name", "<name>", "The listener's name.", name),
    bind("namespace", "<name>", "The network namespace.", namespace),
    bind("nbconn", "<nbconn>", "Connections of a reverse HTTP listener.", skip_one).refused("reverse HTTP"),
    bind("nice", "<nice>", "Priority of the listener's tasks.", nice).no_effect(NO_PRIORITIES),
    bind("process", "[all|odd|even|<set>][/[<threads>]]", "Which processes listen.", skip_one)
        .no_effect("there is one process"),
    bind("proto", "<name>", "The protocol that is spoken.", proto),
    bind("quic-cc-algo", "<algorithm>", "QUIC's congestion control.", skip_one).no_effect(UNUSED_QUIC),
    bind("quic-force-retry", "", "QUIC's address validation.", nothing).no_effect(UNUSED_QUIC),
    bind("quic-socket", "<mode>", "QUIC's sockets.", skip_one).no_effect(UNUSED_QUIC),
    bind("severity-output", "<format>", "How an admin socket shows severities.", severity),
    bind("shards", "<number>", "How many sockets share the address.", shards),
    bind("tcp-md5sig", "<password>", "TCP MD5 signatures.", skip_one).refused("TCP MD5 signatures"),
    bind("tcp-ss", "<mode>", "Saves the client's SYN.", skip_one)
        .later("saved SYNs are read by fetches that do not exist yet"),
    bind("tcp-ut", "<delay>", "The TCP user timeout.", tcp_ut),
    bind("tfo", "", "TCP fast open.", tfo),
    bind("thread", "<thread-set>", "Which threads accept.", skip_one).no_effect("every thread accepts"),
    bind("transparent", "", "Listens on addresses that are not the machine's.", transparent),
    bind("uid", "<uid>", "User id of a Unix socket.", uid),
    bind("user", "<user>", "User of a Unix socket.", user),
    bind("v4v6", "", "Takes IPv4 on an IPv6 socket.", v4v6),
    bind("v6only", "", "Takes IPv6 only.", v6only),
];

/// All words of a `bind` line.
pub fn keywords() -> impl Iterator<Item = &'static BindKeyword> {
    KEYWORDS.iter().chain(tls::KEYWORDS)
}

/// The table of TLS words, for the dump.
pub fn tls_keywords() -> &'static [BindKeyword] {
    tls::KEYWORDS
}

/// The most listeners of one line: a range of all ports is one too many for a process.
const LISTENERS_MAX: usize = 65536;

/// Reads addresses and options; one result for each address and port.
pub fn parse(loader: &mut Loader, line: &mut Line<'_>, role: Role) -> Result<Vec<Bind>, Diagnostic> {
    let expects = match role {
        Role::Proxy => "{<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.",
        Role::StatsSocket => "an address or a path to a UNIX socket",
    };
    let word = line.required(expects)?;
    let section = loader.section.map_or("", |section| section.kind);
    let intro = match role {
        Role::Proxy => format!("'bind {}' in section '{section}'", word.as_str()),
        Role::StatsSocket => format!("'stats socket {}'", word.as_str()),
    };
    let places = listeners(loader, line, word, role)?;
    let mut template = Bind::new(Address::Fd(-1), word.as_str(), line.location.clone());
    options(loader, line, &mut template, &intro)?;
    tls::finish(loader, line, word, &intro, &mut template)?;
    Ok(places.into_iter().map(|(address, text)| Bind { address, text, ..template.clone() }).collect())
}

fn listeners(
    loader: &mut Loader,
    line: &Line<'_>,
    word: &Word,
    role: Role,
) -> Result<Vec<(Address, String)>, Diagnostic> {
    let mut places = Vec::new();
    let whole = arguments::expand_variables(loader, word.as_str());
    for part in whole.split(',') {
        let alert = |problem: String| line.alert_at(word, format!("'{}' : {problem}", line.name));
        let endpoint = arguments::endpoint(loader, part, Purpose::Listen).map_err(alert)?;
        if endpoint.transport == Transport::Quic {
            return Err(Diagnostic::needs(part, "QUIC").at(word.span));
        }
        if endpoint.transport == Transport::Datagram {
            return Err(alert(format!("stream-type address not acceptable in '{part}'.")));
        }
        let address = match endpoint.address {
            Address::Name { host, port } => match arguments::resolve(&host, port, endpoint.family) {
                Some(address) => Address::Inet(address),
                None => return Err(alert(format!("invalid address: '{host}' in '{part}'"))),
            },
            Address::Unix(path) => Address::Unix(prefixed(loader, path, part, role)),
            other => other,
        };
        match (&address, endpoint.ports) {
            (Address::Inet(socket), Some((first, last))) => {
                if first == 0 && !part.contains("@0") && last == 0 {
                    return Err(alert(format!("port 0 is not permitted in '{part}'")));
                }
                for port in first..=last {
                    let address = std::net::SocketAddr::new(socket.ip(), port);
                    places.push((Address::Inet(address), part.to_owned()));
                }
            }
            _ => places.push((address, part.to_owned())),
        }
        if places.len() > LISTENERS_MAX {
            return Err(alert(format!("more than {LISTENERS_MAX} listeners on one line.")));
        }
    }
    Ok(places)
}

/// `unix-bind prefix` goes before every path of a Unix socket.
fn prefixed(loader: &Loader, path: std::path::PathBuf, _text: &str, role: Role) -> std::path::PathBuf {
    match &loader.global.unix_bind.prefix {
        Some(prefix) if role == Role::Proxy => format!("{prefix}{}", path.display()).into(),
        _ => path,
    }
}

fn options(loader: &mut Loader, line: &mut Line<'_>, template: &mut Bind, intro: &str) -> Parsed {
    let defaults = &loader.global.unix_bind;
    (template.unix_mode, template.unix_user, template.unix_group) =
        (defaults.mode, defaults.user, defaults.group);
    let keyword_name = line.name;
    while let Some(word) = line.words.next() {
        let Some(keyword) = keywords().find(|keyword| *word == keyword.name) else {
            line.name = keyword_name;
            let diagnostic = line.alert_at(word, format!("{intro}: unknown keyword '{}'", word.as_str()));
            let names = keywords().map(|keyword| keyword.name).chain(["ssl"]);
            if *word == "ssl" {
                template.tls = true;
                continue;
            }
            return Err(super::suggest(diagnostic, word.as_str(), names));
        };
        line.name = keyword.name;
        let parsed = (keyword.parse)(template, line).map_err(|mut diagnostic| {
            diagnostic.message = format!("{intro} : {}", diagnostic.message);
            diagnostic
        });
        parsed?;
        // TLS words are judged with `ssl` as a whole.
        if !tls::KEYWORDS.iter().any(|tls| std::ptr::eq(tls, keyword)) {
            crate::config::section::tell_support(loader, keyword.name, keyword.support, line)?;
        }
    }
    line.name = keyword_name;
    Ok(())
}

fn nothing(_: &mut Bind, _: &mut Line<'_>) -> Parsed {
    Ok(())
}

fn skip_one(_: &mut Bind, line: &mut Line<'_>) -> Parsed {
    line.required("an argument.").map(|_| ())
}

fn accept_proxy(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.accept_proxy = true;
    Ok(())
}

fn cc(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.congestion_control = Some(line.required("an algorithm.")?.as_str().to_owned());
    Ok(())
}

fn backlog(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.backlog = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
    Ok(())
}

fn defer_accept(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.defer_accept = true;
    Ok(())
}

fn expose_fd(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'listeners' as argument.")?;
    if *word != "listeners" {
        return Err(line.alert_at(word, "'expose-fd' : unknown value, only 'listeners' is supported."));
    }
    bind.expose_listeners = true;
    Ok(())
}

/// The id of a user by its name.
pub fn user_id(line: &Line<'_>, word: &Word) -> Result<u32, Diagnostic> {
    match nix::unistd::User::from_name(word.as_str()) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(line.alert_at(word, format!("'{}' : unknown user name '{}'.", line.name, word.as_str()))),
    }
}

/// The id of a group by its name.
pub fn group_id(line: &Line<'_>, word: &Word) -> Result<u32, Diagnostic> {
    match nix::unistd::Group::from_name(word.as_str()) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(line.alert_at(word, format!("'{}' : unknown group name '{}'.", line.name, word.as_str()))),
    }
}

/// A user or group id as a number.
pub fn numeric_id(line: &Line<'_>, word: &Word) -> Result<u32, Diagnostic> {
    word.as_str().parse().map_err(|_| {
        line.alert_at(word, format!("'{}' expects a number, got '{}'.", line.name, word.as_str()))
    })
}

fn gid(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a group id.")?;
    bind.unix_group = Some(numeric_id(line, word)?);
    Ok(())
}

fn group(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a group name.")?;
    bind.unix_group = Some(group_id(line, word)?);
    Ok(())
}

fn uid(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a user id.")?;
    bind.unix_user = Some(numeric_id(line, word)?);
    Ok(())
}

fn user(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a user name.")?;
    bind.unix_user = Some(user_id(line, word)?);
    Ok(())
}

fn id(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.id = Some(line.integer(1..=i64::from(i32::MAX))? as u32);
    Ok(())
}

fn interface(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.interface = Some(line.required("an interface name.")?.as_str().to_owned());
    Ok(())
}

fn level(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'user', 'operator' or 'admin'.")?;
    bind.level = Some(match word.as_str() {
        "user" => "user",
        "operator" => "operator",
        "admin" => "admin",
        other => {
            let message = format!("'level' only supports 'user', 'operator', and 'admin' (got '{other}')");
            return Err(line.alert_at(word, message));
        }
    });
    Ok(())
}

fn maxconn(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.maxconn = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
    Ok(())
}

fn mode(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an octal mode.")?;
    let mode = u32::from_str_radix(word.as_str(), 8).map_err(|_| {
        line.alert_at(
            word,
            format!("'mode' : missing or invalid mode '{}' (octal integer expected)", word.as_str()),
        )
    })?;
    bind.unix_mode = Some(mode);
    Ok(())
}

fn mss(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.mss = Some(line.integer(-65535..=65535)? as i32);
    Ok(())
}

fn name(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.name = Some(line.required("a name.")?.as_str().to_owned());
    Ok(())
}

fn namespace(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a namespace id.")?;
    if !crate::net::namespace::exists(word.as_str()) {
        return Err(line.alert_at(word, format!("Cannot open namespace '{}'.", word.as_str())));
    }
    bind.namespace = Some(word.as_str().to_owned());
    Ok(())
}

fn nice(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.nice = line.integer(-1024..=1024)? as i32;
    Ok(())
}

fn proto(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a MUX name.")?;
    if !matches!(word.as_str(), "h1" | "none" | "h2") {
        return Err(line.alert_at(word, format!("'proto' :  unknown MUX protocol '{}'.", word.as_str())));
    }
    bind.protocol = Some(word.as_str().to_owned());
    Ok(())
}

fn severity(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'none', 'number' or 'string'.")?;
    if !matches!(word.as_str(), "none" | "number" | "string") {
        return Err(
            line.alert_at(word, format!("'{}' only supports 'none', 'number', and 'string'.", line.name))
        );
    }
    bind.severity_output = Some(word.as_str().to_owned());
    Ok(())
}

fn shards(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a number, 'by-thread' or 'by-group'.")?;
    bind.shards = match word.as_str() {
        "by-thread" | "by-group" => None,
        number => Some(
            number
                .parse()
                .ok()
                .filter(|n| (1..=64).contains(n))
                .ok_or_else(|| line.alert_at(word, format!("'shards' : invalid number '{number}'.")))?,
        ),
    };
    Ok(())
}

fn tcp_ut(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.tcp_user_timeout_ms = Some(line.duration(TimeUnit::Milliseconds)?.as_millis() as u64);
    Ok(())
}

fn tfo(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.tcp_fast_open = true;
    Ok(())
}

fn transparent(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.transparent = true;
    Ok(())
}

fn v4v6(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.v4v6 = true;
    Ok(())
}

fn v6only(bind: &mut Bind, _: &mut Line<'_>) -> Parsed {
    bind.v6only = true;
    Ok(())
}

/// Keeps a TLS word and its argument for the TLS layer.
fn setting(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    let value = line.required("an argument.")?.as_str().to_owned();
    bind.tls_settings.push(TlsSetting { name: line.name.to_owned(), value });
    Ok(())
}

/// Keeps a TLS word without argument.
fn flag(bind: &mut Bind, line: &mut Line<'_>) -> Parsed {
    bind.tls_settings.push(TlsSetting { name: line.name.to_owned(), value: String::new() });
    Ok(())
}
