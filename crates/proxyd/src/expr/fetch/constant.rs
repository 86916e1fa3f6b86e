//! Constants, variables and the environment: `str`, `int`, `bool`, `bin`, `ipv4`, `ipv6`, `meth`, `var`, `env`.

use super::{Fetch, fetch};
use crate::expr::conv::ConverterState;
use crate::expr::vars::Scope;
use crate::expr::{
    Arg, ArgKind, Args, Contexts, EvalCtx, FetchState, Method, ParseScope, Sample, SampleType, VarName,
};

const ALL: Contexts = Contexts::EVERYWHERE;

pub(super) const FETCHES: &[Fetch] = &[
    fetch("always_true", SampleType::Bool, ALL, |_, _, _| Some(Sample::Bool(true)), "always true"),
    fetch("always_false", SampleType::Bool, ALL, |_, _, _| Some(Sample::Bool(false)), "always false"),
    fetch("str", SampleType::Str, ALL, str, "the string itself").args(1, &[ArgKind::Str]),
    fetch("int", SampleType::Int, ALL, |args, _, _| args.int(0).map(Sample::Int), "the integer itself")
        .args(1, &[ArgKind::Int])
        .check(int_is_given),
    fetch(
        "bool",
        SampleType::Bool,
        ALL,
        |args, _, _| args.int(0).map(|n| Sample::Bool(n != 0)),
        "the boolean itself",
    )
    .args(1, &[ArgKind::Str])
    .check(check_bool),
    fetch(
        "bin",
        SampleType::Bin,
        ALL,
        |args, _, _| Some(Sample::bin(args.bytes(0).unwrap_or_default())),
        "bytes given in hexadecimal",
    )
    .args(1, &[ArgKind::Str])
    .check(check_bin),
    fetch("ipv4", SampleType::Ipv4, ALL, address, "the IPv4 address itself").args(1, &[ArgKind::Ipv4]),
    fetch("ipv6", SampleType::Ipv6, ALL, address, "the IPv6 address itself").args(1, &[ArgKind::Ipv6]),
    fetch("meth", SampleType::Method, ALL, method, "the method itself").args(1, &[ArgKind::Str]),
    fetch("var", SampleType::Any, ALL, variable, "a variable's value, or a default")
        .args(1, &[ArgKind::Str, ArgKind::Str])
        .check(check_variable),
    fetch(
        "env",
        SampleType::Str,
        ALL,
        |args, ctx, _| Some(Sample::Str(ctx.env.environment_variable(args.text(0)?)?)),
        "an environment variable",
    )
    .args(1, &[ArgKind::Str]),
];

fn str<'a>(args: &'a Args, _: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    Some(Sample::str(args.bytes(0).unwrap_or_default()))
}

fn address<'a>(args: &'a Args, _: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    match args.list.first()? {
        Arg::Ipv4(address) => Some(Sample::Ipv4(*address)),
        Arg::Ipv6(address) => Some(Sample::Ipv6(*address)),
        _ => None,
    }
}

fn method<'a>(args: &'a Args, _: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    Some(Sample::Method(Method::parse(args.bytes(0)?.into())))
}

fn int_is_given(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    args.int(0).map(|_| ()).ok_or_else(|| "expects an integer".to_owned())
}

fn check_bool(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let value = match args.text(0).unwrap_or_default().to_ascii_lowercase().as_str() {
        "true" | "1" => 1,
        "false" | "0" => 0,
        _ => return Err("Expects 'false', 'true', '0' or '1'".to_owned()),
    };
    args.list = vec![Arg::Int(value)];
    Ok(())
}

fn check_bin(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let digits = args.bytes(0).unwrap_or_default();
    let bytes = crate::expr::conv::encode::hex_decode(digits).ok_or("Invalid hexa format")?;
    args.list = vec![Arg::Str(bytes.into())];
    Ok(())
}

fn check_variable(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    args.state = ConverterState::Var(VarName::parse(args.text(0).unwrap_or_default())?);
    Ok(())
}

fn variable<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let ConverterState::Var(name) = &args.state else { return None };
    read_variable(ctx, name).or_else(|| match args.list.get(1)? {
        Arg::Str(default) => Some(Sample::str(&**default)),
        _ => None,
    })
}

/// A variable of any scope.
pub(crate) fn read_variable<'a>(ctx: &EvalCtx<'a>, name: &VarName) -> Option<Sample<'a>> {
    match name.scope {
        Scope::Process => ctx.env.process_variable(name),
        _ => ctx.vars?.get(name),
    }
}
