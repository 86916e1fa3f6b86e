//! Lua in the `global` section: refused, with one line.

use super::global;
use crate::config::keyword::{Keyword, any, one};
use crate::expr::LUA;

const UNUSED: &str = "there is no Lua";

pub const KEYWORDS: &[Keyword] = &[
    global("lua-load", "<file> [<arg>...]", "Loads a Lua script.", any).refused(LUA),
    global("lua-load-per-thread", "<file> [<arg>...]", "Loads a Lua script into each thread.", any)
        .refused(LUA),
    global("lua-prepend-path", "<string> [<type>]", "Where Lua looks for modules.", any).no_effect(UNUSED),
    global("tune.lua.bool-sample-conversion", "{ normal | pre-3.1-bug }", "How Lua sees booleans.", one)
        .no_effect(UNUSED),
    global("tune.lua.burst-timeout", "<time>", "Longest run of Lua code.", one).no_effect(UNUSED),
    global("tune.lua.forced-yield", "<number>", "Instructions between yields of Lua code.", one)
        .no_effect(UNUSED),
    global("tune.lua.log.loggers", "{ on | off }", "Whether Lua logs to the loggers.", one).no_effect(UNUSED),
    global("tune.lua.log.stderr", "{ on | auto | off }", "Whether Lua logs to stderr.", one)
        .no_effect(UNUSED),
    global("tune.lua.maxmem", "<number>", "Memory of Lua.", one).no_effect(UNUSED),
    global("tune.lua.openlibs", "<list>", "Which libraries Lua has.", one).no_effect(UNUSED),
    global("tune.lua.service-timeout", "<time>", "Timeout of Lua services.", one).no_effect(UNUSED),
    global("tune.lua.session-timeout", "<time>", "Timeout of Lua sessions.", one).no_effect(UNUSED),
    global("tune.lua.task-timeout", "<time>", "Timeout of Lua tasks.", one).no_effect(UNUSED),
];
