//! `show events`: what rings hold.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;

pub(super) const TABLE: &[CommandDef] = &[def(
    &["show", "events"],
    "show events [<sink>] [-n] [-0]",
    "list the event sinks, or show the lines of one",
    Level::Operator,
    show_events,
)];

fn show_events(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let rings = context.snapshot.process.rings.lock().clone();
    let Some((name, options)) = words.split_first() else {
        let mut out = String::from("Supported events sinks are listed below. Add -n(new), -0(zero).\n");
        for (name, doc) in [("stdout", "standard output (fd#1)"), ("stderr", "standard output (fd#2)")] {
            out.push_str(&format!("    {name:<10} : type=fd, 0 dropped, {doc}\n"));
        }
        for ring in rings {
            let line = format!(
                "    {:<10} : type=buffer, {} dropped, {}\n",
                ring.name,
                ring.dropped(),
                ring.description
            );
            out.push_str(&line);
        }
        return Reply::Data(out);
    };
    let Some(ring) = rings.iter().find(|ring| ring.name == *name) else {
        return Reply::error(if matches!(*name, "stdout" | "stderr") {
            "Nothing to report for this sink"
        } else {
            "No such event sink"
        });
    };
    let (mut from, mut end) = (0, '\n');
    for option in options.iter().flat_map(|option| option.strip_prefix('-').unwrap_or("?").chars()) {
        match option {
            'n' => from = ring.end(),
            '0' => end = '\0',
            'w' => return Reply::error("'-w' is not supported: ask again for what came meanwhile."),
            _ => return Reply::error("unknown option"),
        }
    }
    let (bytes, _) = ring.read(from);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Reply::Data(if end == '\n' { text } else { text.replace('\n', "\0") })
}
