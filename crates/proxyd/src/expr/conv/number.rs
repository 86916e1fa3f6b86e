//! Integers and booleans: arithmetic, bits, comparisons.

use hacore::diag::Span;

use super::{Converter, ConverterState, conv, int};
use crate::expr::sample::int_prefix;
use crate::expr::{Arg, ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType, VarName};

const INT: SampleType = SampleType::Int;
const BOOL: SampleType = SampleType::Bool;

const fn operator(name: &'static str, run: super::ConvFn, doc: &'static str) -> Converter {
    conv(name, INT, INT, run, doc).args(1, &[ArgKind::Str]).check(check_operand)
}

pub(super) const CONVERTERS: &[Converter] = &[
    operator("add", |s, a, c| apply(s, a, c, i64::saturating_add), "plus a value"),
    operator("sub", |s, a, c| apply(s, a, c, i64::saturating_sub), "minus a value"),
    operator("mul", |s, a, c| apply(s, a, c, i64::saturating_mul), "times a value"),
    operator("div", |s, a, c| apply(s, a, c, divide), "divided by a value"),
    operator("mod", |s, a, c| apply(s, a, c, remainder), "the remainder of a division"),
    operator("and", |s, a, c| apply(s, a, c, |x, y| x & y), "bits that are set in both"),
    operator("or", |s, a, c| apply(s, a, c, |x, y| x | y), "bits that are set in one"),
    operator("xor", |s, a, c| apply(s, a, c, |x, y| x ^ y), "bits that differ"),
    conv("neg", INT, INT, |s, _, _| Some(Sample::Int(int(&s)?.wrapping_neg())), "the opposite"),
    conv("cpl", INT, INT, |s, _, _| Some(Sample::Int(!int(&s)?)), "all bits flipped"),
    conv("bool", INT, BOOL, |s, _, _| Some(Sample::Bool(int(&s)? != 0)), "true if not zero"),
    conv("not", INT, BOOL, |s, _, _| Some(Sample::Bool(int(&s)? == 0)), "true if zero"),
    conv("even", INT, BOOL, |s, _, _| Some(Sample::Bool(int(&s)? & 1 == 0)), "true if even"),
    conv("odd", INT, BOOL, |s, _, _| Some(Sample::Bool(int(&s)? & 1 == 1)), "true if odd"),
    conv(
        "htonl",
        INT,
        SampleType::Bin,
        |s, _, _| Some(Sample::bin((int(&s)? as u32).to_be_bytes().to_vec())),
        "32 bits in network order",
    ),
    conv("iif", BOOL, SampleType::Str, iif, "one of two strings").args(2, &[ArgKind::Str, ArgKind::Str]),
];

fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { i64::MAX } else { a.checked_div(b).unwrap_or(i64::MAX) }
}

fn remainder(a: i64, b: i64) -> i64 {
    a.checked_rem(b).unwrap_or(0)
}

/// A number, or a variable's name.
fn check_operand(args: &mut Args, _: &ParseScope<'_>, _: Span) -> Result<(), String> {
    let text = args.text(0).unwrap_or_default();
    if let Ok(name) = VarName::parse(text) {
        args.state = ConverterState::Var(name);
        return Ok(());
    }
    let number = text.parse().map_err(|_| "expects an integer or a variable name".to_owned())?;
    args.list = vec![Arg::Int(number)];
    Ok(())
}

fn apply<'a>(
    sample: Sample<'a>,
    args: &Args,
    ctx: &EvalCtx<'a>,
    op: fn(i64, i64) -> i64,
) -> Option<Sample<'a>> {
    let operand = match &args.state {
        ConverterState::Var(name) => match crate::expr::fetch::read_variable(ctx, name)? {
            Sample::Str(text) => int_prefix(&text)?,
            other => match other.cast(SampleType::Int)? {
                Sample::Int(n) => n,
                _ => return None,
            },
        },
        _ => args.int(0)?,
    };
    Some(Sample::Int(op(int(&sample)?, operand)))
}

fn iif<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let index = if sample == Sample::Bool(true) { 0 } else { 1 };
    Some(Sample::Str(args.bytes(index).map_or(Data::Borrowed(b""), Data::from)))
}
