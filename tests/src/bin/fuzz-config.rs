//! Looks for configuration text that makes the reader panic, hang or grow: `fuzz-config TARGET SECONDS [SEED]`.
//!
//! Mutations of known text and sequences of known words; each case has a seed of its own, which is printed with the text
//! when something is found, so that `fuzz-config TARGET 1 SEED` shows it again. Targets: see [`TARGETS`].

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hacore::diag::FileId;
use proxyd::config::condition::{self, Facts};
use proxyd::config::keywords::{self, bind, server};
use proxyd::config::{Environment, LoadOptions, explain, lexer, load_text, upgrade};
use proxyd::expr::{conv, fetch};
use proxyd::rules::action_defs;

/// One grammar or reader.
struct Target {
    name: &'static str,
    make: fn(&mut Random, &Dictionary) -> Vec<u8>,
    run: fn(&[u8]),
}

const TARGETS: &[Target] = &[
    Target { name: "lines", make: line, run: run_line },
    Target { name: "words", make: keyword_lines, run: run_file },
    Target { name: "conditions", make: condition_text, run: run_condition },
    Target { name: "expressions", make: expressions, run: run_file },
    Target { name: "formats", make: formats, run: run_file },
    Target { name: "loader", make: whole_file, run: run_file },
    Target { name: "tools", make: whole_file, run: run_tools },
];

/// A case that takes longer is a finding; much more than any case needs, for machines that do other things too.
const CASE_TIME_MAX: Duration = Duration::from_secs(20);

/// xorshift64*: small, fast, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() >> 16) as usize % limit }
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }
}

/// Words that mean something.
struct Dictionary {
    keywords: Vec<String>,
    options: Vec<String>,
    actions: Vec<String>,
    fetches: Vec<String>,
    converters: Vec<String>,
    files: Vec<Vec<u8>>,
}

impl Dictionary {
    fn new() -> Self {
        let options = bind::keywords().map(|item| item.name).chain(server::keywords().map(|item| item.name));
        let mut files: Vec<Vec<u8>> = BUILT_IN.iter().map(|text| text.as_bytes().to_vec()).collect();
        for folder in ["etc/proxyd", "../shared/corpus/haproxy"] {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            files.extend(
                entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.extension().is_some_and(|end| end == "cfg"))
                    .filter_map(|path| std::fs::read(path).ok()),
            );
        }
        Self {
            keywords: keywords::tables().map(|keyword| keyword.name.to_owned()).collect(),
            options: options.map(str::to_owned).collect(),
            actions: action_defs().map(|action| action.name.to_owned()).collect(),
            fetches: fetch::all().map(|fetch| fetch.name.to_owned()).collect(),
            converters: conv::all().map(|converter| converter.name.to_owned()).collect(),
            files,
        }
    }
}

const BUILT_IN: &[&str] = &[
    "global\n maxconn 100\n stats socket /x level admin\ndefaults d\n mode http\n timeout client 5s\nfrontend f from d\n bind :80,[::]:81 ssl crt x alpn h2\n acl a path_beg -i /a \"/b c\" '/d'\n http-request deny if a or !{ src 10.0.0.0/8 } || { hdr(x) -m reg ^a(b|c)+$ }\n use_backend b if { ssl_fc }\nbackend b\n balance hash req.hdr(x),lower\n server s 1.1.1.1:80 check inter 2s weight 5\n",
    ".if defined(X) && ( version_atleast(2.4) || !feature(LUA) )\n.elif streq(\"$A\",'b')\n.else\n.notice \"x y\"\n.endif\nlisten l\n log-format \"%{+Q,-E}o %ci:%cp [%tr] %{+X}[src,ipmask(24)] %[var(txn.x),json(utf8)]\"\n",
    "frontend f\n http-request set-var-fmt(txn.x) \"%[req.hdr(a),word(1,',')] ${HOME} \\x41 \\\" \\# $X\"\n redirect location /%[path,regsub(\\\"a(b)\\\",\\1,g)] code 301\n",
];

const PIECES: &[&str] = &[
    "\"",
    "'",
    "\\",
    "\\x4",
    "\\x41",
    "${",
    "}",
    "${A-",
    "${A[*]}",
    "$",
    "#",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u{80}",
    "ä",
    "%[",
    "%{",
    "]",
    "(",
    ")",
    "((((",
    ",",
    "!",
    "{",
    "}",
    "if",
    "unless",
    "or",
    "||",
    "&&",
    "-i",
    "-m",
    "reg",
    "-f",
    "/dev/null",
    "0",
    "-1",
    "99999999999999999999",
    "2147483648",
    "18446744073709551616",
    "1.1.1.1:80",
    "[::1]:+1",
    "*:1-65535",
    "unix@/x",
    "abns@",
    "fd@",
    "1d",
    "1us",
    "10%",
    "0x",
    "..",
    "/",
    "@",
    "<",
    ">",
    "(?P<",
    "[a-",
    "{1000000}",
    "ssl",
    "no",
    "default",
    "from",
    "global",
    "defaults",
    "backend",
    "frontend",
    "listen",
    "userlist",
    "http-errors",
    ".if",
    ".endif",
    ".else",
    "%ci",
    "%{+Q}r",
];

fn mutate(random: &mut Random, text: &mut Vec<u8>, changes: usize) {
    for _ in 0..changes {
        let at = random.below(text.len() + 1);
        match random.below(6) {
            0 if !text.is_empty() => {
                let at = at.min(text.len() - 1);
                if let Some(byte) = text.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            1 if !text.is_empty() => {
                let end = (at + random.below(20)).min(text.len());
                text.drain(at.min(end)..end);
            }
            2 => {
                let piece = random.pick(PIECES).copied().unwrap_or_default();
                text.splice(at..at, piece.bytes());
            }
            3 => {
                let end = (at + random.below(60)).min(text.len());
                let copy = text.get(at..end).unwrap_or_default().to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, copy);
            }
            4 => {
                let count = random.below(300);
                let byte = b"(){}[]\"'\\%,!. a0/"[random.below(17)];
                text.splice(at..at, std::iter::repeat_n(byte, count));
            }
            _ => text.truncate(at.max(1)),
        }
    }
}

fn pieces(random: &mut Random, count: usize) -> String {
    let mut out = String::new();
    for _ in 0..count {
        out.push_str(random.pick(PIECES).copied().unwrap_or_default());
        if random.below(3) == 0 {
            out.push(' ');
        }
    }
    out
}

fn line(random: &mut Random, dictionary: &Dictionary) -> Vec<u8> {
    let mut text = match random.pick(&dictionary.files) {
        Some(file) => {
            let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
            random.pick(&lines).map(|line| line.to_vec()).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let changes = random.below(12);
    mutate(random, &mut text, changes);
    text
}

fn expression(random: &mut Random, dictionary: &Dictionary) -> String {
    let mut text = random.pick(&dictionary.fetches).cloned().unwrap_or_default();
    let count = random.below(5);
    for index in 0..=count {
        if random.below(2) == 0 {
            let arguments = random.below(4);
            text.push('(');
            text.push_str(&pieces(random, arguments));
            text.push(')');
        }
        if index < count {
            text.push(',');
            text.push_str(random.pick(&dictionary.converters).map_or("", String::as_str));
        }
    }
    text
}

const SECTIONS: &[&str] =
    &["global", "defaults x", "frontend f", "backend b", "listen l", "userlist u", "peers p", "resolvers r"];

fn keyword_lines(random: &mut Random, dictionary: &Dictionary) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..=random.below(4) {
        text += &format!("{}\n", random.pick(SECTIONS).copied().unwrap_or_default());
        for _ in 0..random.below(8) {
            let keyword = random.pick(&dictionary.keywords).cloned().unwrap_or_default();
            text += &format!(" {keyword}");
            for _ in 0..random.below(6) {
                text.push(' ');
                match random.below(6) {
                    0 => text.push_str(random.pick(&dictionary.options).map_or("", String::as_str)),
                    1 => text.push_str(random.pick(&dictionary.actions).map_or("", String::as_str)),
                    2 => text.push_str(&expression(random, dictionary)),
                    _ => text.push_str(random.pick(PIECES).copied().unwrap_or_default()),
                }
            }
            text.push('\n');
        }
    }
    text.into_bytes()
}

fn condition_text(random: &mut Random, _: &Dictionary) -> Vec<u8> {
    const PARTS: &[&str] = &[
        "defined(",
        "feature(",
        "streq(",
        "strstr(",
        "version_atleast(",
        "enabled(",
        ")",
        "(",
        "!",
        "&&",
        "||",
        " ",
        ",",
        "a",
        "\"",
        "'",
        "1",
        "0",
        "-1",
        "$X",
        "\\",
    ];
    let count = random.below(40);
    let mut text: Vec<u8> = Vec::new();
    for _ in 0..count {
        text.extend_from_slice(random.pick(PARTS).copied().unwrap_or_default().as_bytes());
    }
    let changes = random.below(3);
    mutate(random, &mut text, changes);
    text
}

fn expressions(random: &mut Random, dictionary: &Dictionary) -> Vec<u8> {
    let mut text = String::from("frontend f\n mode http\n");
    for _ in 0..4 {
        let expression = expression(random, dictionary);
        text += &match random.below(4) {
            0 => format!(" http-request set-var(txn.a) {expression}\n"),
            1 => format!(" acl a {expression} {}\n", pieces(random, 3)),
            2 => format!(" http-request deny if {{ {expression} {} }}\n", pieces(random, 2)),
            _ => format!(" http-request set-header a \"%[{expression}]\"\n"),
        };
    }
    text.into_bytes()
}

fn formats(random: &mut Random, _: &Dictionary) -> Vec<u8> {
    let count = random.below(20);
    let format = pieces(random, count).replace(['\n', '\0'], "");
    format!("frontend f\n mode http\n log-format \"{format}\"\n unique-id-format {format}\n http-request return lf-string '{format}'\n")
        .into_bytes()
}

fn whole_file(random: &mut Random, dictionary: &Dictionary) -> Vec<u8> {
    let mut text = random.pick(&dictionary.files).cloned().unwrap_or_default();
    let changes = 1 + random.below(20);
    mutate(random, &mut text, changes);
    text
}

fn run_line(text: &[u8]) {
    let variable = |name: &str| (name.len() < 3).then(|| "a b  c".to_owned());
    let _ = lexer::split(text, FileId(0), 1, &variable);
}

fn run_condition(text: &[u8]) {
    let facts = Facts { variable: &|_| Some("x".to_owned()), enabled: &|_| true };
    let _ = condition::evaluate(&String::from_utf8_lossy(text), &facts);
}

fn run_file(text: &[u8]) {
    let options =
        LoadOptions { lints: true, diagnostic_mode: true, ignore_unresolved: true, ..LoadOptions::default() };
    let text = without_names(&String::from_utf8_lossy(text));
    let loaded = load_text("fuzz.cfg", &text, options, Environment::default());
    let style = proxyd::diagnose::HaproxyStyle { pid: 1 };
    for diagnostic in &loaded.diagnostics {
        let _ = hacore::diag::render::render(&style, diagnostic, &loaded.sources, true);
    }
    if let Some(config) = loaded.config {
        let _ = serde_json::to_string(&config);
    }
}

/// Host names would ask the network's name servers, which are not what is looked at: addresses become a fixed one.
fn without_names(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut words: Vec<&str> = line.split(' ').collect();
        let first = words.iter().position(|word| !word.trim().is_empty()).unwrap_or(0);
        let address = match words.get(first).map_or("", |word| word.trim()) {
            "server" => 2,
            "server-template" => 3,
            word if ["bind", "log", "source", "peer", "nameserver", "dispatch", "mailer"].contains(&word) => {
                1
            }
            "stats" => 2,
            _ => {
                out.push_str(line);
                continue;
            }
        };
        if let Some(word) = words.get_mut(first + address) {
            *word = "127.0.0.1:80";
        }
        // Others on the line may be names too (`source`, `addr`, `usesrc`).
        out.push_str(&words.join(" ").replace("source", "maxconn").replace("addr", "weight"));
    }
    out
}

fn run_tools(text: &[u8]) {
    let upgraded = upgrade::upgrade(text).text;
    let lines = upgraded.iter().filter(|byte| **byte == b'\n').count() as u32;
    for line in [1, lines / 3, lines / 2, lines] {
        let _ = explain::explain(&upgraded, line.max(1));
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let found = arguments.first().and_then(|name| TARGETS.iter().find(|target| target.name == name.as_str()));
    let seconds = arguments.get(1).and_then(|text| text.parse().ok());
    let (Some(target), Some(seconds)) = (found, seconds) else {
        let names = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join("|");
        say(&format!("usage: fuzz-config {names} SECONDS [SEED]"));
        return ExitCode::FAILURE;
    };
    let dictionary = Dictionary::new();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let first = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(clock.as_nanos() as u64);
    say(&format!("{}: first seed {first}", target.name));
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let (mut cases, mut seed) = (0_u64, first);
    while start.elapsed() < Duration::from_secs(seconds) {
        let text = (target.make)(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), &dictionary);
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&text)));
        let took = begin.elapsed();
        if outcome.is_err() || took > CASE_TIME_MAX {
            let what = if outcome.is_err() { "panic" } else { "slow" };
            say(&format!("{what} ({took:?}) with seed {seed}:\n{}", String::from_utf8_lossy(&text)));
            return ExitCode::FAILURE;
        }
        cases += 1;
        seed = seed.wrapping_add(1);
    }
    say(&format!("{}: {cases} cases in {seconds} s without a finding", target.name));
    ExitCode::SUCCESS
}
