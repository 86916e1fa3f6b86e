//! What this program says it is: the HAProxy dialect that it speaks, its own version, its features.

use std::cmp::Ordering;

/// The HAProxy dialect; the first component of everything that tools parse.
pub const DIALECT: &str = "3.2.0";

/// The date in `-v`, year first as HAProxy has it.
pub const DATE: &str = "2026/11/22";

/// The TLS library's name as `ssllib_name_startswith` sees it.
pub const TLS_LIBRARY: &str = "rustls";

/// The OpenSSL whose protocol features a configuration may count on: TLS 1.3 and its suites.
pub const OPENSSL_LEVEL: &str = "1.1.1";

/// Features in the order and form of `-vv`; `true` is a `+`.
pub const FEATURES: &[(&str, bool)] = &[
    ("51DEGREES", false),
    ("ACCEPT4", true),
    ("BACKTRACE", true),
    ("CLOSEFROM", false),
    ("CPU_AFFINITY", false),
    ("CRYPT_H", false),
    ("DEVICEATLAS", false),
    ("DL", false),
    ("EPOLL", true),
    ("EVPORTS", false),
    ("GETADDRINFO", true),
    ("KQUEUE", false),
    ("LIBCRYPT", false),
    ("LINUX_SPLICE", true),
    ("LINUX_TPROXY", true),
    ("LUA", false),
    ("MEMORY_PROFILING", false),
    ("NETFILTER", false),
    ("NS", false),
    ("OPENSSL", true),
    ("OPENSSL_AWSLC", true),
    ("OT", false),
    ("PCRE", false),
    ("PCRE2", false),
    ("POLL", false),
    ("PRCTL", true),
    ("PROMEX", true),
    ("QUIC", false),
    ("RT", false),
    ("SLZ", false),
    ("SYSTEMD", true),
    ("TFO", true),
    ("THREAD", true),
    ("THREAD_DUMP", false),
    ("TPROXY", true),
    ("WURFL", false),
    ("ZLIB", false),
];

/// Whether `feature(name)` is true.
pub fn has_feature(name: &str) -> bool {
    FEATURES.iter().any(|&(known, present)| present && known == name)
}

/// The version that conditions compare with: [`DIALECT`], or what `PROXYD_CC_VERSION` says for a test run.
pub fn claimed() -> String {
    std::env::var("PROXYD_CC_VERSION").unwrap_or_else(|_| DIALECT.to_owned())
}

/// The version as `show info`, `-v` and `-vq` print it.
pub fn full() -> String {
    format!("{DIALECT}-proxyd{}", env!("CARGO_PKG_VERSION"))
}

/// The first line of `-v`.
pub fn banner() -> String {
    format!(
        "HAProxy version {} {DATE} - https://haproxy.org/ (proxyd, an independent implementation)",
        full()
    )
}

/// Everything that `-v` prints.
pub fn short() -> String {
    format!("{}\nStatus: development, speaks the dialect of HAProxy 3.2\n{}", banner(), running_on())
}

fn running_on() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => format!(
            "Running on: {} {} {} {}\n",
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy(),
            name.version().to_string_lossy(),
            name.machine().to_string_lossy()
        ),
        Err(_) => String::new(),
    }
}

/// What `-vv` prints.
pub fn long() -> String {
    let features: Vec<String> = FEATURES
        .iter()
        .map(|(name, present)| format!("{}{name}", if *present { '+' } else { '-' }))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{}Build options : \n  TARGET  = linux-glibc\n  CC      = rustc\n  OPTIONS = \n  DEBUG   = {}\n\n\
         Feature list : {}\n\nDefault settings :\n  bufsize = 16384, maxrewrite = 1024, maxpollevents = 200\n\n\
         Built with multi-threading support (MAX_THREADS=64, default={threads}).\n\
         Built without OpenSSL: TLS is {TLS_LIBRARY}'s.\n\
         Built with transparent proxy support using: IP_TRANSPARENT IPV6_TRANSPARENT IP_FREEBIND\n\
         Encrypted password support via crypt(3): no\n\n\
         Available polling systems :\n      epoll : pref=300,  test result OK\nTotal: 1 (1 usable), will use epoll.\n\n\
         Available multiplexer protocols :\n\
         (protocols marked as <default> cannot be specified using 'proto' keyword)\n\
         \u{20}        h2 : mode=HTTP  side=FE|BE  mux=H2    flags=HTX|HOL_RISK|NO_UPG\n\
         \u{20} <default> : mode=HTTP  side=FE|BE  mux=H1    flags=HTX\n\
         \u{20}        h1 : mode=HTTP  side=FE|BE  mux=H1    flags=HTX|NO_UPG\n\
         \u{20} <default> : mode=TCP   side=FE|BE  mux=PASS  flags=\n\
         \u{20}      none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG\n\n\
         Available services : none\nAvailable filters : none\n\n",
        short(),
        if cfg!(debug_assertions) { "debug assertions" } else { "" },
        features.join(" "),
    )
}

/// Compares two versions such as `2.4-dev19`, `3.2.0-proxyd0.1.0`; missing parts are zero, a development version
/// comes before its release.
pub fn compare(a: &str, b: &str) -> Ordering {
    parts(a).cmp(&parts(b))
}

/// Major, minor, patch, then the development number, where a release is higher than any.
fn parts(version: &str) -> ([u32; 3], u32) {
    let (numbers, suffix) = version.split_once('-').unwrap_or((version, ""));
    let mut split = numbers.split('.').map(|part| part.parse().unwrap_or(0));
    let numbers = [split.next().unwrap_or(0), split.next().unwrap_or(0), split.next().unwrap_or(0)];
    let development = suffix.strip_prefix("dev").map_or(u32::MAX, |n| {
        n.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("").parse().unwrap_or(0)
    });
    (numbers, development)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_versions_come_before_their_release() {
        assert!(compare("2.4-dev19", "2.4").is_lt());
        assert!(compare("2.4-dev19", "2.4-dev3").is_gt());
        assert!(compare("3.2.0-proxyd0.1.0", "3.2").is_eq());
        assert!(compare("3.10", "3.9").is_gt());
    }
}
