//! Maps and pattern files at run time: `show`, `get`, `add`, `set`, `del`, `clear`, `prepare`, `commit` `map` and `acl`.

use std::sync::Arc;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::expr::{PatternEntry, PatternFile};

/// Which of the two families a command is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Map,
    Acl,
}

use Family::{Acl, Map};

impl Family {
    fn name(self) -> &'static str {
        match self {
            Map => "map",
            Acl => "acl",
        }
    }
}

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "map"],
        "show map [@<version>] [<map>]",
        "list maps, or the entries of one",
        Level::User,
        |c, a| show(c, a, Map),
    ),
    def(
        &["show", "acl"],
        "show acl [@<version>] [<acl>]",
        "list pattern files, or one's patterns",
        Level::User,
        |c, a| show(c, a, Acl),
    ),
    def(&["get", "map"], "get map <map> <key>", "tell what a key is mapped to", Level::User, |c, a| {
        get(c, a, Map)
    }),
    def(&["get", "acl"], "get acl <acl> <value>", "tell which pattern matches", Level::User, |c, a| {
        get(c, a, Acl)
    }),
    def(
        &["add", "map"],
        "add map [@<version>] <map> <key> <value>",
        "add an entry",
        Level::Operator,
        |c, a| add(c, a, Map),
    ),
    def(&["add", "acl"], "add acl [@<version>] <acl> <pattern>", "add a pattern", Level::Operator, |c, a| {
        add(c, a, Acl)
    }),
    def(&["set", "map"], "set map <map> [<key>|#<ref>] <value>", "change an entry", Level::Operator, set_map),
    def(&["del", "map"], "del map <map> [<key>|#<ref>]", "remove an entry", Level::Operator, |c, a| {
        del(c, a, Map)
    }),
    def(&["del", "acl"], "del acl <acl> [<pattern>|#<ref>]", "remove a pattern", Level::Operator, |c, a| {
        del(c, a, Acl)
    }),
    def(&["clear", "map"], "clear map [@<version>] <map>", "remove all entries", Level::Operator, |c, a| {
        clear(c, a, Map)
    }),
    def(&["clear", "acl"], "clear acl [@<version>] <acl>", "remove all patterns", Level::Operator, |c, a| {
        clear(c, a, Acl)
    }),
    def(&["prepare", "map"], "prepare map <map>", "begin a new version", Level::Operator, |c, a| {
        prepare(c, a, Map)
    }),
    def(&["prepare", "acl"], "prepare acl <acl>", "begin a new version", Level::Operator, |c, a| {
        prepare(c, a, Acl)
    }),
    def(
        &["commit", "map"],
        "commit map @<version> <map>",
        "put a version in force",
        Level::Operator,
        |c, a| commit(c, a, Map),
    ),
    def(
        &["commit", "acl"],
        "commit acl @<version> <acl>",
        "put a version in force",
        Level::Operator,
        |c, a| commit(c, a, Acl),
    ),
];

/// Runs a command whose refusals are replies too.
fn either(result: Result<Reply, Reply>) -> Reply {
    result.unwrap_or_else(|refusal| refusal)
}

fn unknown(family: Family) -> Reply {
    match family {
        Map => Reply::error("Unknown map identifier. Please use #<id> or <file>."),
        Acl => Reply::error("Unknown ACL identifier. Please use #<id> or <file>."),
    }
}

/// `#3`, `@0`-prefixed names have been taken off; a file by its number or its path.
fn find(context: &Context<'_>, name: Option<&&str>, family: Family) -> Result<Arc<PatternFile>, Reply> {
    let files = context.snapshot.pattern_files.all();
    let found = name.and_then(|name| {
        let is_family = |file: &&Arc<PatternFile>| file.is_map == (family == Map);
        let mut files = files.iter().filter(is_family);
        match name.strip_prefix('#').map(str::parse::<u32>) {
            Some(Ok(id)) => files.find(|file| file.id == id),
            Some(Err(_)) => None,
            None => files.find(|file| &*file.name == *name || file.name.strip_prefix("file@") == Some(*name)),
        }
    });
    found.cloned().ok_or_else(|| unknown(family))
}

/// `@7` in front of the name.
fn version<'a, 'b>(words: &'b [&'a str]) -> Result<(Option<u32>, &'b [&'a str]), Reply> {
    match words.split_first() {
        Some((first, rest)) if first.starts_with('@') => match first.trim_start_matches('@').parse() {
            Ok(version) => Ok((Some(version), rest)),
            Err(_) => Err(Reply::error("Version number is not a number.")),
        },
        _ => Ok((None, words)),
    }
}

fn show(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    let list = || {
        let mut out = "# id (file) description\n".to_owned();
        for file in context.snapshot.pattern_files.all() {
            if file.is_map != (family == Map) {
                continue;
            }
            let (current, next) = file.versions();
            out.push_str(&format!(
                "{} ({name}) pattern loaded from file '{name}' used by {}. curr_ver={current} next_ver={next} \
                 entry_cnt={}\n",
                file.id,
                family.name(),
                file.len(),
                name = file.name,
            ));
        }
        Reply::Data(out)
    };
    either(version(words).and_then(|(version, words)| {
        if words.is_empty() {
            return Ok(list());
        }
        let file = find(context, words.first(), family)?;
        let entries = match version {
            Some(version) => file.entries_of(version),
            None => file.entries(),
        };
        let mut out = String::new();
        for entry in entries {
            out.push_str(&format!("{:#x} {}", entry.id, String::from_utf8_lossy(&entry.key)));
            if family == Map {
                out.push_str(&format!(" {}", String::from_utf8_lossy(&entry.value)));
            }
            out.push('\n');
        }
        Ok(Reply::Data(out))
    }))
}

fn get(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    let Some(key) = words.get(1) else {
        return Reply::error(match family {
            Map => "Missing map identifier and/or key.",
            Acl => "Missing ACL identifier and/or key.",
        });
    };
    either(find(context, words.first(), family).map(|file| {
        let entries = file.entries();
        let mut out = String::new();
        for look in file.look_up(key) {
            let case = if look.ignores_case { "insensitive" } else { "sensitive" };
            let found = look.found.and_then(|at| entries.get(at));
            out.push_str(&format!("type={}, case={case}, ", look.method));
            let idx = if matches!(look.method, "str" | "beg" | "ip") { "tree" } else { "list" };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match (found, family) {
                (None, Map) => out.push_str("found=no\n"),
                (None, Acl) => out.push_str("match=no\n"),
                (Some(entry), Map) => out.push_str(&format!(
                    "found=yes, idx={idx}, key=\"{}\", value=\"{}\", type=\"str\"\n",
                    text(&entry.key),
                    text(&entry.value)
                )),
                (Some(entry), Acl) => {
                    out.push_str(&format!("match=yes, idx={idx}, pattern=\"{}\"\n", text(&entry.key)));
                }
            }
        }
        Reply::Data(out)
    }))
}

/// Adds one entry, or those of the payload.
fn add(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    let usage = || {
        Reply::error(match family {
            Map => {
                "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload"
            }
            Acl => {
                "'add acl' expects two parameters: ACL identifier and pattern, or one parameter: ACL identifier and a payload."
            }
        })
    };
    let payload = context.payload;
    either(version(words).and_then(|(version, words)| {
        let fresh: Vec<PatternEntry> = match (payload, words, family) {
            (Some(text), [_], _) => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                let entry = |line: &str| match family {
                    Map => {
                        let (key, value) =
                            line.trim_start().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
                        PatternEntry::new(key.as_bytes(), value.trim().as_bytes(), 0)
                    }
                    Acl => PatternEntry::new(line.trim_end().as_bytes(), *b"", 0),
                };
                lines.map(entry).collect()
            }
            (None, [_, key, value], Map) => vec![PatternEntry::new(key.as_bytes(), value.as_bytes(), 0)],
            (None, [_, pattern], Acl) => vec![PatternEntry::new(pattern.as_bytes(), *b"", 0)],
            _ => return Err(usage()),
        };
        let file = find(context, words.first(), family)?;
        if file.len() + fresh.len() > PatternFile::ENTRIES_MAX {
            return Err(Reply::error("Too many entries."));
        }
        change(&file, version, |entries| entries.extend(fresh))
    }))
}

fn change(
    file: &PatternFile,
    version: Option<u32>,
    change: impl FnOnce(&mut Vec<PatternEntry>),
) -> Result<Reply, Reply> {
    let outcome = match version {
        Some(version) => file.update_version(version, change),
        None => file.update(change),
    };
    outcome.map(|()| Reply::Done).map_err(|why| Reply::error(why.trim_end_matches('.').to_owned() + "."))
}

/// Whether an entry is the one that a word names: `#0x10`, or its key.
fn is_named(entry: &PatternEntry, word: &str) -> bool {
    let reference = word.strip_prefix('#').map(|id| id.trim_start_matches("0x"));
    match reference.map(|id| u64::from_str_radix(id, 16)) {
        Some(Ok(id)) => entry.id == id,
        _ => &*entry.key == word.as_bytes(),
    }
}

fn set_map(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let [name, key, value] = words else {
        return Reply::error("'set map' expects three parameters: map identifier, key and value.");
    };
    either(find(context, Some(name), Map).and_then(|file| {
        if !file.entries().iter().any(|entry| is_named(entry, key)) {
            return Err(Reply::error("entry not found."));
        }
        change(&file, None, |entries| {
            for entry in entries.iter_mut().filter(|entry| is_named(entry, key)) {
                entry.value = value.as_bytes().into();
            }
        })
    }))
}

fn del(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    let (Some(name), Some(key)) = (words.first(), words.get(1)) else {
        return Reply::error(match family {
            Map => "This command expects two parameters: map identifier and key.",
            Acl => "This command expects two parameters: ACL identifier and key.",
        });
    };
    either(find(context, Some(name), family).and_then(|file| {
        if !file.entries().iter().any(|entry| is_named(entry, key)) {
            return Err(Reply::error("Key not found."));
        }
        change(&file, None, |entries| entries.retain(|entry| !is_named(entry, key)))
    }))
}

fn clear(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    either(version(words).and_then(|(version, words)| {
        if words.is_empty() {
            return Err(Reply::error(match family {
                Map => "Missing map identifier.",
                Acl => "Missing ACL identifier.",
            }));
        }
        let file = find(context, words.first(), family)?;
        change(&file, version, Vec::clear)
    }))
}

fn prepare(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    either(find(context, words.first(), family).map(|file| match file.prepare() {
        Ok(version) => Reply::info(format!("New version created: {version}")),
        Err(error) => Reply::error(error.to_string()),
    }))
}

fn commit(context: &mut Context<'_>, words: &[&str], family: Family) -> Reply {
    either(version(words).and_then(|(version, words)| {
        let Some(version) = version else { return Err(Reply::error("Missing version number.")) };
        let file = find(context, words.first(), family)?;
        file.commit(version).map(|()| Reply::Done).map_err(Reply::error)
    }))
}
