//! `show info`, `show stat`, `show schema json`.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::services::report::{Content, Report, Table};
use crate::services::stats::encode::{self, Encoding};
use crate::services::stats::info;
use crate::services::stats::walk::Filter;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "info"],
        "show info [desc|json|typed|float]*",
        "tell about the process",
        Level::User,
        show_info,
    ),
    def(
        &["show", "stat"],
        "show stat [desc|json|no-maint|typed|up]*",
        "tell the counters of every proxy and server",
        Level::User,
        show_stat,
    ),
];

/// The words that choose an encoding; the others are left to the command.
fn encoding(words: &[&str]) -> (Encoding, bool) {
    let mut encoding = Encoding::Plain;
    for word in words {
        match *word {
            "typed" => encoding = Encoding::Typed,
            "json" => encoding = Encoding::Json,
            _ => {}
        }
    }
    (encoding, words.contains(&"desc"))
}

fn show_info(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (encoding, with_description) = encoding(words);
    let fields = info::collect(context.snapshot, &context.admin.program);
    let mut out = String::new();
    encode::info(&fields, encoding, with_description, &mut out);
    Reply::Data(out)
}

/// `show stat [domain proxy] [<iid>|<proxy> <type> <sid>] [typed|json] [desc] [up] [no-maint]`; unknown words are skipped.
fn show_stat(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let mut words = words;
    match words {
        ["domain", "proxy", rest @ ..] => words = rest,
        ["domain", "resolvers" | "dns", ..] => {
            return Reply::error("No counters: resolvers are not supported yet.");
        }
        ["domain", ..] => return Reply::error("Invalid statistics domain."),
        _ => {}
    }
    let mut filter = Filter {
        only_up: words.contains(&"up"),
        without_maintenance: words.contains(&"no-maint"),
        with_legends: context.settings.level >= Level::Operator,
        ..Filter::default()
    };
    if let [proxy, kinds, object, ..] = words
        && let (Ok(kinds), Ok(object)) = (kinds.parse::<i32>(), object.parse::<i32>())
    {
        filter.proxy_number = match proxy_number(context, proxy) {
            Ok(number) => number,
            Err(refusal) => return refusal,
        };
        // -1 is every bit, or every number.
        filter.kinds = kinds as u32;
        filter.object_number = u32::try_from(object).ok();
    }
    let (encoding, with_description) = encoding(words);
    Reply::Report(Report::new(
        context.snapshot,
        Content::Table(Table::new(filter, encoding, with_description)),
    ))
}

/// A proxy by number (-1: all) or by name.
fn proxy_number(context: &Context<'_>, word: &str) -> Result<Option<u32>, Reply> {
    if let Ok(number) = word.parse::<i64>() {
        return Ok(u32::try_from(number).ok());
    }
    let named = context.snapshot.proxies.iter().find(|proxy| proxy.name == word);
    named.map(|proxy| Some(proxy.numeric_id)).ok_or_else(|| Reply::error("No such proxy."))
}
