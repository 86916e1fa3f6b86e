//! The process: identity, privileges, limits, threads.

use hacore::process::privileges::ProcessCapability;
use hacore::units::TimeUnit;

use super::global;
use crate::config::keyword::{Keyword, Line, Parsed, Prefix, any, none, one};
use crate::config::loader::Loader;
use crate::model::User;

const ONE_PROCESS: &str = "there is one process with threads";
const THREADS: &str = "each thread runs on its own; the kernel places it";
const EPOLL: &str = "epoll is the only poller";

pub const KEYWORDS: &[Keyword] = &[
    global("daemon", "", "Makes the process fork into the background.", daemon),
    global(
        "master-worker",
        "[no-exit-on-failure]",
        "Runs a master process that watches the workers.",
        master_worker,
    ),
    global("mworker-max-reloads", "<number>", "Ends a worker that has survived this many reloads.", one)
        .no_effect("there are no workers to count"),
    global("quiet", "", "Shows no message at start.", quiet),
    global("zero-warning", "", "Refuses to start when there is a warning.", zero_warning),
    global("chroot", "<directory>", "Changes the root directory after start.", chroot),
    global("pidfile", "<file>", "Writes the process id to a file.", pidfile),
    global("user", "<name>", "Changes to this user after start.", user).unlisted(),
    global("uid", "<number>", "Changes to this user id after start.", uid).unlisted(),
    global("group", "<name>", "Changes to this group after start.", group).unlisted(),
    global("gid", "<number>", "Changes to this group id after start.", gid).unlisted(),
    global("setcap", "<name>[,...]", "Keeps these capabilities.", setcap),
    global("maxconn", "<number>", "The most concurrent connections.", maxconn).unlisted(),
    global("maxconnrate", "<number>", "The most connections per second.", maxconnrate).unlisted(),
    global("maxsessrate", "<number>", "The most sessions per second.", maxsessrate).unlisted(),
    global("maxpipes", "<number>", "The most pipes for splicing.", maxpipes).unlisted(),
    global("maxcomprate", "<number>", "Limits the rate of compression.", number)
        .unlisted()
        .later("nothing is compressed"),
    global("maxcompcpuusage", "<number>", "Limits the CPU use of compression.", number)
        .unlisted()
        .later("nothing is compressed"),
    global("maxzlibmem", "<number>", "Limits the memory of zlib.", number)
        .unlisted()
        .later("nothing is compressed"),
    global("ulimit-n", "<number>", "Sets the limit of descriptors.", ulimit_n).unlisted(),
    global("fd-hard-limit", "<number>", "The most descriptors that are ever asked for.", fd_hard_limit)
        .unlisted(),
    global("strict-limits", "", "Refuses to start when a limit cannot be set.", strict_limits).unlisted(),
    global("node", "<name>", "The node's name in statistics.", node).unlisted(),
    global("description", "<text>", "A text for the statistics page.", description).unlisted(),
    global("nbthread", "<number>", "The number of threads.", nbthread),
    global("nbproc", "<number>", "The number of processes; only 1 is possible.", nbproc),
    global(
        "cpu-map",
        "[auto:]<thread-group>[/<thread-set>] <cpu-set>[...]",
        "Binds threads to CPUs.",
        super::cpu_map::cpu_map,
    )
    .unlisted(),
    global("cpu-affinity", "<affinity>", "How threads are bound to CPUs.", any).no_effect(THREADS),
    global("cpu-policy", "<policy>", "How CPUs are chosen.", any).no_effect(THREADS),
    global("cpu-set", "<directive>...", "Which CPUs are used.", any).no_effect(THREADS),
    global("numa-cpu-mapping", "", "Keeps to one NUMA node.", none).unlisted().no_effect(THREADS),
    global("thread-group", "<group> [<thread-range>...]", "Puts threads into a group.", any)
        .no_effect(THREADS),
    global("thread-groups", "<number>", "The number of thread groups.", number).no_effect(THREADS),
    global("thread-hard-limit", "<number>", "The most threads.", number).no_effect(THREADS),
    global("max-threads-per-group", "<number>", "The most threads of a group.", number).no_effect(THREADS),
    global("hard-stop-after", "<time>", "Ends a soft stop after this time.", hard_stop_after),
    global("grace", "<time>", "Keeps listening this long after a soft stop began.", grace),
    global("close-spread-time", "<time>", "Spreads the closing of idle connections on a soft stop.", any)
        .later("idle connections are closed at once on a soft stop"),
    global("spread-checks", "<percent>", "Spreads health checks by up to this many percent.", spread_checks)
        .unlisted(),
    global("max-spread-checks", "<delay>", "The most that checks are spread at start.", max_spread_checks)
        .later("checks begin spread over their own interval")
        .unlisted(),
    global("busy-polling", "", "Polls without sleeping.", none).unlisted().no_effect(EPOLL),
    global("noepoll", "", "Does not use epoll.", none).no_effect(EPOLL),
    global("nopoll", "", "Does not use poll.", none).no_effect(EPOLL),
    global("nokqueue", "", "Does not use kqueue.", none).no_effect(EPOLL),
    global("noevports", "", "Does not use event ports.", none).no_effect(EPOLL),
    global("nogetaddrinfo", "", "Does not use getaddrinfo.", none)
        .unlisted()
        .no_effect("names are resolved by the system's resolver"),
    global("nosplice", "", "Never uses splice().", no_splice).unlisted(),
    global("noreuseport", "", "Does not use SO_REUSEPORT.", no_reuse_port).unlisted(),
    global("noktls", "", "Does not use kernel TLS.", none).no_effect("kernel TLS is not used"),
    global("no-memory-trimming", "", "Does not give memory back on reload.", none)
        .no_effect("the allocator decides"),
    global("set-dumpable", "", "Allows core dumps.", none)
        .unlisted()
        .later("core dumps follow the system's setting"),
    global("insecure-fork-wanted", "", "Allows forking at run time.", none)
        .unlisted()
        .no_effect("external commands are always started by a process of their own"),
    global("insecure-setuid-wanted", "", "Allows set-uid programs at run time.", none)
        .unlisted()
        .later("set-uid programs gain nothing here"),
    global("external-check", "[preserve-env]", "Allows external checks.", external_check).unlisted(),
    global("localpeer", "<name>", "The local peer's name.", local_peer),
    global(
        "default-path",
        "{ current | config | parent | origin <path> }",
        "Where relative paths begin.",
        default_path,
    ),
    global("default-cc-algo", "<algorithm>", "The default congestion control.", one)
        .unlisted()
        .later("the kernel's default congestion control is used"),
    global("dns-accept-family", "<family>[,...]", "Which address families are taken from DNS.", one)
        .later("names are resolved by the system's resolver"),
    global("expose-experimental-directives", "", "Allows experimental keywords.", expose_experimental),
    global("expose-deprecated-directives", "", "Allows deprecated keywords without warning.", none)
        .no_effect("deprecated keywords are always allowed, with their warning"),
    global("force-cfg-parser-pause", "<time>", "Waits after parsing, for tests.", any)
        .no_effect("it is a debugging aid"),
    global(
        "h1-accept-payload-with-any-method",
        "",
        "Accepts bodies with GET, HEAD, DELETE in HTTP/1.0.",
        h1_payload,
    )
    .refused("bodies with every method in HTTP/1.0"),
    global(
        "h1-case-adjust",
        "<from> <to>",
        "Gives a header name this spelling for old programs.",
        h1_case_adjust,
    ),
    global(
        "h1-case-adjust-file",
        "<file>",
        "Reads spellings of header names from a file.",
        h1_case_adjust_file,
    ),
    global(
        "h1-do-not-close-on-insecure-transfer-encoding",
        "",
        "Keeps connections with doubtful framing.",
        none,
    )
    .refused("insecure transfer encodings"),
    global(
        "harden.reject-privileged-ports.tcp",
        "{ on | off }",
        "Refuses clients with ports below 1024.",
        reject_ports,
    )
    .refused("the refusal of clients with privileged ports"),
    global(
        "harden.reject-privileged-ports.quic",
        "{ on | off }",
        "Refuses QUIC clients with ports below 1024.",
        any,
    )
    .no_effect("there is no QUIC"),
    global("http-err-codes", "[+-]<range>[...]", "Which statuses count as errors in stick tables.", any)
        .later("there are no stick tables yet"),
    global("http-fail-codes", "[+-]<range>[...]", "Which statuses count as failures in stick tables.", any)
        .later("there are no stick tables yet"),
    global("pp2-never-send-local", "", "Never sends LOCAL in PROXY v2 headers.", none)
        .later("checks announce themselves as LOCAL"),
    global("prealloc-fd", "", "Allocates the descriptor table at start.", none)
        .no_effect("the kernel grows it"),
    global("profiling.tasks", "{ on | off | auto }", "Profiles tasks.", any)
        .no_effect("it is a debugging aid"),
    global("profiling.memory", "{ on | off }", "Profiles memory.", any)
        .unlisted()
        .no_effect("it is a debugging aid"),
    global("shm-stats-file", "<file>", "Shares counters between processes.", any)
        .refused("shared statistics"),
    global("shm-stats-file-max-objects", "<number>", "The most objects in the shared file.", any)
        .later("counters are not shared between processes"),
    global("stress-level", "<level>", "Simulates failures.", any).no_effect("it is a debugging aid"),
    global("warn-blocked-traffic-after", "<time>", "Warns when a thread was blocked this long.", any)
        .later("blocked threads are not watched"),
    global("limited-quic", "", "Uses QUIC without full TLS support.", none)
        .unlisted()
        .no_effect("there is no QUIC"),
    global("no-quic", "", "Does not use QUIC.", none).unlisted().no_effect("there is no QUIC"),
    global("anonkey", "<key>", "The key of anonymised dumps.", one)
        .unlisted()
        .no_effect("dumps are not anonymised"),
    global("quick-exit", "", "Ends without cleaning up.", none)
        .unlisted()
        .no_effect("the process always ends at once"),
    global("server-state-base", "<directory>", "Where server-state files are.", server_state_base).unlisted(),
    global("server-state-file", "<file>", "The file with the servers' states.", server_state_file).unlisted(),
    global(
        "unix-bind",
        "[prefix <p>] [mode <m>] [user <u>] [uid <n>] [group <g>] [gid <n>]",
        "Defaults of Unix sockets.",
        unix_bind,
    )
    .unlisted(),
    global("wurfl-data-file", "<file>", "The WURFL data file.", any).unlisted().refused("WURFL"),
    global("51degrees-data-file", "<file>", "The 51Degrees data file.", any).unlisted().refused("51Degrees"),
    global("deviceatlas-json-file", "<file>", "The DeviceAtlas data file.", any)
        .unlisted()
        .refused("DeviceAtlas"),
    global("httpclient.resolvers.disabled", "{ on | off }", "Resolver of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.resolvers.id", "<name>", "Resolver of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.resolvers.prefer", "<family>", "Address family of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.retries", "<number>", "Retries of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.ssl.ca-file", "<file>", "Authorities of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.ssl.verify", "{ none | required }", "Verification by the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
    global("httpclient.timeout.connect", "<time>", "Timeout of the internal HTTP client.", any)
        .no_effect("there is no internal HTTP client"),
];

fn number(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.integer(0..=i64::MAX)?;
    line.end()
}

fn daemon(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.daemon = true;
    line.end()
}

fn master_worker(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.words.take_if("no-exit-on-failure");
    loader.global.master_worker = true;
    line.end()
}

fn quiet(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.quiet = true;
    line.end()
}

fn zero_warning(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.options.zero_warning = true;
    line.end()
}

fn chroot(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let directory = line.required("a directory as an argument.")?;
    line.end()?;
    if loader.global.chroot.is_some() {
        return Err(line.alert("'chroot' already specified. Continuing."));
    }
    if let Err(error) = std::fs::metadata(directory.as_str()) {
        let message = format!("'chroot': '{}': {}.", directory.as_str(), crate::config::describe(&error));
        loader.push(line.warning(message).help("the directory must exist when the daemon starts"));
    }
    loader.global.chroot = Some(directory.as_str().into());
    Ok(())
}

fn pidfile(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let file = line.required("a file name as an argument.")?;
    line.end()?;
    if loader.global.pidfile.is_none() {
        loader.global.pidfile = Some(file.as_str().into());
    }
    Ok(())
}

fn user(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a user name as an argument.")?;
    line.end()?;
    if loader.global.user.is_some() {
        return Err(line.alert("user/uid already specified. Continuing."));
    }
    if !matches!(nix::unistd::User::from_name(name.as_str()), Ok(Some(_))) {
        return Err(line.alert_at(name, format!("cannot find user id for '{}' (0:Success)", name.as_str())));
    }
    loader.global.user = Some(User::Name(name.as_str().to_owned()));
    Ok(())
}

fn uid(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let id = line.integer(0..=i64::from(u32::MAX))?;
    line.end()?;
    if loader.global.user.is_some() {
        return Err(line.alert("user/uid already specified. Continuing."));
    }
    loader.global.user = Some(User::Id(id as u32));
    Ok(())
}

fn group(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a group name as an argument.")?;
    line.end()?;
    if loader.global.group.is_some() {
        return Err(line.alert("gid/group was already specified. Continuing."));
    }
    if !matches!(nix::unistd::Group::from_name(name.as_str()), Ok(Some(_))) {
        return Err(line.alert_at(name, format!("cannot find group id for '{}' (0:Success)", name.as_str())));
    }
    loader.global.group = Some(User::Name(name.as_str().to_owned()));
    Ok(())
}

fn gid(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let id = line.integer(0..=i64::from(u32::MAX))?;
    line.end()?;
    if loader.global.group.is_some() {
        return Err(line.alert("gid/group was already specified. Continuing."));
    }
    loader.global.group = Some(User::Id(id as u32));
    Ok(())
}

fn maxconn(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.integer(0..=i64::from(i32::MAX))?;
    line.end()?;
    // The first one counts.
    loader.global.maxconn.get_or_insert(value as u32);
    Ok(())
}

fn maxpipes(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.maxpipes = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn maxconnrate(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_connection_rate = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn maxsessrate(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_session_rate = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn ulimit_n(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.ulimit_n = Some(line.integer(0..=i64::from(i32::MAX))? as u64);
    line.end()
}

fn fd_hard_limit(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.fd_hard_limit = Some(line.integer(0..=i64::from(i32::MAX))? as u64);
    line.end()
}

fn node(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a name as an argument.")?;
    let valid = name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !valid {
        return Err(line.alert_at(name, "'node' valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), hyphen(-) or underscode(_)."));
    }
    loader.global.node = Some(name.as_str().to_owned());
    line.end()
}

fn description(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.words.is_empty() {
        return Err(line.alert("'description' expects a string argument."));
    }
    loader.global.description = Some(line.rest_text());
    Ok(())
}

/// The most threads, as HAProxy's default build has it.
const THREADS_MAX: i64 = 64;

fn nbthread(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.words.next();
    let text = word.map_or("", |word| word.as_str());
    let at = word.map_or(line.span, |word| word.span);
    let Ok(value) = text.parse::<i64>() else {
        let message = format!("'nbthread' passed a missing or unparsable integer value in '{text}'");
        return Err(line.alert(message).at(at));
    };
    if !(1..=THREADS_MAX).contains(&value) {
        let message = format!("'nbthread' value must be between 1 and {THREADS_MAX} (was {value})");
        return Err(line.alert(message).at(at));
    }
    loader.global.nbthread = Some(value as u16);
    line.end()
}

fn nbproc(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.integer(1..=i64::MAX)?;
    if value == 1 {
        return line.end();
    }
    let message = "nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor machines if available.";
    Err(line.alert(message).help(format!("write 'nbthread {value}' or nothing: {ONE_PROCESS}")))
}

fn hard_stop_after(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.hard_stop_after = Some(line.duration(TimeUnit::Milliseconds)?);
    line.end()
}

fn strict_limits(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.strict_limits = line.prefix != Prefix::No;
    line.end()
}

/// Those that HAProxy takes (management manual, `setcap`).
const CAPABILITIES: [(&str, ProcessCapability); 5] = [
    ("cap_net_admin", ProcessCapability::CAP_NET_ADMIN),
    ("cap_net_raw", ProcessCapability::CAP_NET_RAW),
    ("cap_net_bind_service", ProcessCapability::CAP_NET_BIND_SERVICE),
    ("cap_sys_admin", ProcessCapability::CAP_SYS_ADMIN),
    ("none", ProcessCapability::CAP_NET_ADMIN),
];

fn setcap(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a list of capability names.")?;
    for name in word.as_str().split(',') {
        let Some((_, capability)) = CAPABILITIES.iter().find(|(known, _)| *known == name) else {
            return Err(line.alert_at(word, format!("'setcap' : unsupported capability '{name}'.")));
        };
        if name == "none" {
            loader.global.kept_capabilities.clear();
        } else {
            loader.global.kept_capabilities.push(*capability);
        }
    }
    line.end()
}

fn grace(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.grace = Some(line.duration(TimeUnit::Milliseconds)?);
    line.end()
}

fn spread_checks(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.spread_checks = line.integer(0..=50)? as u32;
    line.end()
}

fn max_spread_checks(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_spread_checks = Some(line.duration(TimeUnit::Milliseconds)?);
    line.end()
}

fn no_splice(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.no_splice = true;
    line.end()
}

fn no_reuse_port(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.no_reuse_port = true;
    line.end()
}

fn external_check(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.external_check = true;
    line.words.take_if("preserve-env");
    line.end()
}

fn local_peer(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a name as an argument.")?;
    loader.global.local_peer = name.as_str().to_owned();
    loader.environment.set("HAPROXY_LOCALPEER", name.as_str());
    line.end()
}

fn default_path(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let base = line.required("one of 'current', 'config', 'parent', 'origin' as argument.")?;
    let path = match base.as_str() {
        "current" => None,
        "config" => {
            let file = std::path::Path::new(&*line.location.file);
            file.parent().map(std::path::Path::to_path_buf)
        }
        "parent" => {
            let file = std::path::Path::new(&*line.location.file);
            file.parent().and_then(std::path::Path::parent).map(std::path::Path::to_path_buf)
        }
        "origin" => Some(line.required("a path after 'origin'.")?.as_str().into()),
        other => {
            return Err(line.alert_at(
                base,
                format!(
                    "'default-path' only supports 'current', 'config', 'parent' and 'origin', got '{other}'."
                ),
            ));
        }
    };
    loader.default_path = path;
    line.end()
}

fn expose_experimental(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.experimental = true;
    line.end()
}

fn h1_payload(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.h1_accept_payload_with_any_method = true;
    line.end()
}

fn h1_case_adjust(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let from = line.required("<from> and <to> header names as arguments.")?;
    let to = line.required("<from> and <to> header names as arguments.")?;
    if !from.as_str().eq_ignore_ascii_case(to.as_str()) {
        return Err(line.alert_at(
            to,
            format!("'h1-case-adjust' : '{}' and '{}' must only differ by case.", from.as_str(), to.as_str()),
        ));
    }
    loader.global.h1_case_adjust.insert(from.as_str().to_ascii_lowercase(), to.as_str().to_owned());
    line.end()
}

fn h1_case_adjust_file(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let file = line.required("a file name as an argument.")?;
    line.end()?;
    let text = std::fs::read_to_string(file.as_str()).map_err(|error| {
        let message = format!(
            "'h1-case-adjust-file': failed to open '{}': {}.",
            file.as_str(),
            crate::config::describe(&error)
        );
        line.alert_at(file, message)
    })?;
    for entry in text.lines().map(str::trim).filter(|entry| !entry.is_empty() && !entry.starts_with('#')) {
        if let Some((from, to)) = entry.split_once(char::is_whitespace) {
            loader.global.h1_case_adjust.insert(from.to_ascii_lowercase(), to.trim().to_owned());
        }
    }
    Ok(())
}

fn reject_ports(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.reject_privileged_ports = line.switch()?;
    line.end()
}

fn server_state_base(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.server_state_base = Some(line.required("one argument: a directory path.")?.as_str().into());
    line.end()
}

fn server_state_file(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.server_state_file = Some(line.required("one argument: a file path.")?.as_str().into());
    line.end()
}

fn unix_bind(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    while let Some(word) = line.words.next() {
        let value = line.required(&format!("a value after '{}'.", word.as_str()))?;
        let defaults = &mut loader.global.unix_bind;
        match word.as_str() {
            "prefix" => defaults.prefix = Some(value.as_str().to_owned()),
            "mode" => {
                let mode = u32::from_str_radix(value.as_str(), 8);
                defaults.mode = Some(mode.map_err(|_| line.alert_at(value, "'unix-bind' : invalid mode."))?);
            }
            "user" => defaults.user = Some(super::super::bind::user_id(line, value)?),
            "group" => defaults.group = Some(super::super::bind::group_id(line, value)?),
            "uid" => defaults.user = Some(super::super::bind::numeric_id(line, value)?),
            "gid" => defaults.group = Some(super::super::bind::numeric_id(line, value)?),
            _ => {
                return Err(line.alert_at(
                    word,
                    "'unix-bind' only supports the 'prefix', 'mode', 'user', 'uid', 'group' and 'gid' options.",
                ));
            }
        }
    }
    Ok(())
}
