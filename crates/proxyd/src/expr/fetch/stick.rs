//! Stick counters: `sc_…`, `sc0_…` to `sc2_…`, `src_…`. The tables answer through the environment.

use std::sync::LazyLock;

use super::{Fetch, StickQuery, fetch};
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, Sample, SampleType};

const T: ArgKind = ArgKind::Table;
const N: ArgKind = ArgKind::Int;

/// What may follow `sc_`, and whether it takes the number of a general-purpose element first.
const FACTS: &[(&str, bool)] = &[
    ("bytes_in_rate", false),
    ("bytes_out_rate", false),
    ("clr_gpc", true),
    ("clr_gpc0", false),
    ("clr_gpc1", false),
    ("conn_cnt", false),
    ("conn_cur", false),
    ("conn_rate", false),
    ("get_gpc", true),
    ("get_gpc0", false),
    ("get_gpc1", false),
    ("get_gpt", true),
    ("get_gpt0", false),
    ("glitch_cnt", false),
    ("glitch_rate", false),
    ("gpc_rate", true),
    ("gpc0_rate", false),
    ("gpc1_rate", false),
    ("http_err_cnt", false),
    ("http_err_rate", false),
    ("http_fail_cnt", false),
    ("http_fail_rate", false),
    ("http_req_cnt", false),
    ("http_req_rate", false),
    ("inc_gpc", true),
    ("inc_gpc0", false),
    ("inc_gpc1", false),
    ("kbytes_in", false),
    ("kbytes_out", false),
    ("sess_cnt", false),
    ("sess_rate", false),
    ("tracked", false),
    ("trackers", false),
    ("key", false),
];

/// All spellings; names live as long as the program.
pub(super) static FETCHES: LazyLock<Vec<Fetch>> = LazyLock::new(|| {
    let mut list = Vec::new();
    for (fact, numbered) in FACTS {
        for prefix in ["sc", "sc0", "sc1", "sc2"] {
            // `sc1_clr_gpc` is the one numbered element with a counter in its name.
            if prefix.len() == 2 || !numbered || (prefix, *fact) == ("sc1", "clr_gpc") {
                list.push(counter(prefix, fact, *numbered));
            }
        }
        if !matches!(*fact, "tracked" | "trackers" | "key") {
            list.push(by_source(fact, *numbered));
        }
    }
    list.push(by_source("updt_conn_cnt", false));
    list.push(
        fetch("table_cnt", SampleType::Int, Contexts::INTERNAL, ask, "entries of a stick table")
            .args(1, &[T]),
    );
    list.push(
        fetch("table_avl", SampleType::Int, Contexts::INTERNAL, ask, "free entries of a stick table")
            .args(1, &[T]),
    );
    list
});

fn counter(prefix: &str, fact: &str, numbered: bool) -> Fetch {
    let name: &'static str = Box::leak(format!("{prefix}_{fact}").into_boxed_str());
    let (output, contexts) = match fact {
        "tracked" => (SampleType::Bool, Contexts::INTERNAL),
        "key" => (SampleType::Any, Contexts::INTERNAL),
        "kbytes_in" | "kbytes_out" => (SampleType::Int, Contexts::CLIENT),
        _ => (SampleType::Int, Contexts::INTERNAL),
    };
    let item = fetch(name, output, contexts, ask, "a stick counter's fact");
    match (prefix, numbered, fact) {
        ("sc", _, "key") => item.args(1, &[N]),
        (_, _, "key") => item,
        ("sc", true, _) => item.args(2, &[N, N, T]),
        ("sc", false, _) => item.args(1, &[N, T]),
        (_, true, _) => item.args(1, &[N, T]),
        (_, false, _) => item.args(0, &[T]),
    }
}

fn by_source(fact: &str, numbered: bool) -> Fetch {
    let name: &'static str = Box::leak(format!("src_{fact}").into_boxed_str());
    let item = fetch(name, SampleType::Int, Contexts::CLIENT, ask, "a stick table's fact about the client");
    if numbered { item.args(2, &[N, T]) } else { item.args(1, &[T]) }
}

/// `sc0_fact` and `sc_fact(0)` ask the same question.
fn ask<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let keyword = args.keyword;
    let counter = match keyword.as_bytes() {
        [b's', b'c', digit @ b'0'..=b'9', b'_', ..] => Some(u32::from(digit - b'0')),
        [b's', b'c', b'_', ..] => Some(u32::try_from(args.int(0)?).ok()?),
        _ => None,
    };
    ctx.env.stick_table(&StickQuery { keyword, counter, args, key: None })
}
