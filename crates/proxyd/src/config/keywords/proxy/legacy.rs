//! Words that HAProxy had once: refused as it refuses them, with the line to write instead.

use super::old;
use crate::config::keyword::{Keyword, Line, Parsed, Places, any};
use crate::config::loader::Loader;

const fn gone(name: &'static str, places: Places, instead: &'static str) -> Keyword {
    old(name, places, "", "Removed from HAProxy.", any).removed(instead)
}

pub const KEYWORDS: &[Keyword] = &[
    gone("reqadd", Places::PROXY, "write 'http-request add-header <name> <value>' instead"),
    gone("reqallow", Places::PROXY, "write 'http-request allow if { path_reg <regex> }' instead"),
    gone("reqiallow", Places::PROXY, "write 'http-request allow if { path_reg -i <regex> }' instead"),
    gone("reqdel", Places::PROXY, "write 'http-request del-header <name>' instead"),
    gone("reqidel", Places::PROXY, "write 'http-request del-header <name>' instead"),
    gone("reqdeny", Places::PROXY, "write 'http-request deny if { path_reg <regex> }' instead"),
    gone("reqideny", Places::PROXY, "write 'http-request deny if { path_reg -i <regex> }' instead"),
    gone("reqpass", Places::PROXY, "remove it"),
    gone("reqipass", Places::PROXY, "remove it"),
    gone(
        "reqrep",
        Places::PROXY,
        "write 'http-request replace-path', 'replace-uri' or 'replace-header' instead",
    ),
    gone(
        "reqirep",
        Places::PROXY,
        "write 'http-request replace-path', 'replace-uri' or 'replace-header' instead",
    ),
    gone("reqtarpit", Places::PROXY, "write 'http-request tarpit' instead"),
    gone("reqitarpit", Places::PROXY, "write 'http-request tarpit' instead"),
    gone("rspadd", Places::PROXY, "write 'http-response add-header <name> <value>' instead"),
    gone("rspdel", Places::PROXY, "write 'http-response del-header <name>' instead"),
    gone("rspidel", Places::PROXY, "write 'http-response del-header <name>' instead"),
    gone("rspdeny", Places::PROXY, "write 'http-response deny' instead"),
    gone("rspideny", Places::PROXY, "write 'http-response deny' instead"),
    gone("rsprep", Places::PROXY, "write 'http-response replace-header' instead"),
    gone("rspirep", Places::PROXY, "write 'http-response replace-header' instead"),
    gone("block", Places::PROXY, "write 'http-request deny' instead"),
    gone("appsession", Places::PROXY, "write 'cookie <name> insert' or a stick table instead"),
    gone("redisp", Places::PROXY, "write 'option redispatch' instead"),
    gone("redispatch", Places::PROXY, "write 'option redispatch' instead"),
    old("transparent", Places::PROXY, "", "Old form of 'option transparent'.", transparent),
    old(
        "bind-process",
        Places::PROXY,
        "[ all | odd | even | <process_num> ]",
        "Which processes run the proxy.",
        any,
    )
    .no_effect("there is one process"),
    gone("grace", Places::PROXY, "write 'hard-stop-after' or 'grace' in the 'global' section instead"),
];

fn transparent(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    loader.push(line.warning("'transparent' is deprecated.").help("write 'option transparent' instead"));
    loader.proxy()?.options.transparent = true;
    Ok(())
}
