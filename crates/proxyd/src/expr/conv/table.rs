//! Stick-table look-ups by key: `in_table`, `table_…`. The tables answer through the environment.

use super::{Converter, conv};
use crate::expr::fetch::StickQuery;
use crate::expr::{ArgKind, Args, EvalCtx, Sample, SampleType};

const ANY: SampleType = SampleType::Any;
const T: ArgKind = ArgKind::Table;
const I: ArgKind = ArgKind::Int;

const fn fact(name: &'static str) -> Converter {
    conv(name, ANY, SampleType::Int, ask, "a stick table's fact about a key").args(1, &[T])
}

const fn numbered(name: &'static str) -> Converter {
    conv(name, ANY, SampleType::Int, ask, "a stick table's numbered fact about a key").args(2, &[I, T])
}

const fn with_default(name: &'static str) -> Converter {
    conv(name, ANY, SampleType::Int, ask, "a stick table's time about a key").args(1, &[T, I])
}

pub(super) const CONVERTERS: &[Converter] = &[
    conv("in_table", ANY, SampleType::Bool, ask, "the key is in a stick table").args(1, &[T]),
    fact("table_bytes_in_rate"),
    fact("table_bytes_out_rate"),
    fact("table_clr_gpc0"),
    fact("table_clr_gpc1"),
    fact("table_conn_cnt"),
    fact("table_conn_cur"),
    fact("table_conn_rate"),
    fact("table_glitch_cnt"),
    fact("table_glitch_rate"),
    fact("table_gpc0"),
    fact("table_gpc0_rate"),
    fact("table_gpc1"),
    fact("table_gpc1_rate"),
    fact("table_gpt0"),
    fact("table_http_err_cnt"),
    fact("table_http_err_rate"),
    fact("table_http_fail_cnt"),
    fact("table_http_fail_rate"),
    fact("table_http_req_cnt"),
    fact("table_http_req_rate"),
    fact("table_inc_gpc0"),
    fact("table_inc_gpc1"),
    fact("table_kbytes_in"),
    fact("table_kbytes_out"),
    fact("table_server_id"),
    fact("table_sess_cnt"),
    fact("table_sess_rate"),
    fact("table_trackers"),
    numbered("table_clr_gpc"),
    numbered("table_gpc"),
    numbered("table_gpc_rate"),
    numbered("table_gpt"),
    numbered("table_inc_gpc"),
    with_default("table_expire"),
    with_default("table_idle"),
];

fn ask<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    ctx.env.stick_table(&StickQuery { keyword: args.keyword, counter: None, args, key: Some(&sample) })
}
