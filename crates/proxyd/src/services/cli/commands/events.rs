//! `show events`: what rings hold.

use super::super::command::{CommandDef, Context, Level, Reply, Severity};
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
        let mut out =
            String::from("Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop\n");
        for (name, doc) in [("stdout", "standard output (fd#1)"), ("stderr", "standard error (fd#2)")] {
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
        return match *name {
            "stdout" | "stderr" => Reply::Done,
            // Without a line break, as HAProxy writes it.
            _ => Reply::Message(Severity::Error, "No such event sink".to_owned()),
        };
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
