//! Variables: `set-var`, `unset-var`, `concat`, `add_item`.

use std::sync::Arc;

use super::{Converter, ConverterState, conv, data};
use crate::expr::vars::Scope;
use crate::expr::{ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType, VarName};

const STR: SampleType = SampleType::Str;
const ANY: SampleType = SampleType::Any;
const S: ArgKind = ArgKind::Str;

pub(super) const CONVERTERS: &[Converter] = &[
    conv("set-var", ANY, ANY, set_var, "stores the value in a variable")
        .args(1, &[S, S, S, S, S])
        .check(check_set),
    conv("unset-var", ANY, ANY, unset_var, "removes a variable").args(1, &[S]).check(check_unset),
    conv("concat", STR, STR, concat, "appends text and a variable").args(1, &[S, S, S]).check(check_second),
    conv("add_item", STR, STR, add_item, "appends a delimiter, a variable and text")
        .args(2, &[S, S, S])
        .check(check_item),
];

/// A condition on setting a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCondition {
    Exists,
    NotExists,
    Empty,
    NotEmpty,
    Set,
    NotSet,
    Greater,
    Less,
}

impl SetCondition {
    /// `ifexists` and its kin.
    pub fn parse(word: &str) -> Option<SetCondition> {
        Some(match word {
            "ifexists" => SetCondition::Exists,
            "ifnotexists" => SetCondition::NotExists,
            "ifempty" => SetCondition::Empty,
            "ifnotempty" => SetCondition::NotEmpty,
            "ifset" => SetCondition::Set,
            "ifnotset" => SetCondition::NotSet,
            "ifgt" => SetCondition::Greater,
            "iflt" => SetCondition::Less,
            _ => return None,
        })
    }

    /// Whether `value` may be stored over `old`.
    pub fn holds(self, old: Option<&Sample<'_>>, value: &Sample<'_>) -> bool {
        let is_empty = matches!(value, Sample::Str(data) | Sample::Bin(data) if data.is_empty());
        match self {
            SetCondition::Exists | SetCondition::Set => old.is_some(),
            SetCondition::NotExists | SetCondition::NotSet => old.is_none(),
            SetCondition::Empty => is_empty,
            SetCondition::NotEmpty => !is_empty,
            SetCondition::Greater | SetCondition::Less => match (old, value) {
                (Some(Sample::Int(old)), Sample::Int(new)) => {
                    if self == SetCondition::Greater {
                        old > new
                    } else {
                        old < new
                    }
                }
                _ => true,
            },
        }
    }
}

/// A variable and the conditions on setting it.
#[derive(Debug)]
pub struct SetVar {
    pub name: VarName,
    pub conditions: Vec<SetCondition>,
}

impl SetVar {
    /// Stores the value if all conditions hold.
    pub fn store(&self, ctx: &EvalCtx<'_>, value: Sample<'_>) {
        let old = if self.conditions.is_empty() {
            None
        } else {
            crate::expr::fetch::read_variable(ctx, &self.name)
        };
        if self.conditions.iter().all(|condition| condition.holds(old.as_ref(), &value)) {
            write(ctx, &self.name, Some(value));
        }
    }
}

/// Sets or removes a variable of any scope.
pub(crate) fn write(ctx: &EvalCtx<'_>, name: &VarName, value: Option<Sample<'_>>) {
    match (name.scope, ctx.vars, value) {
        (Scope::Process, _, value) => ctx.env.set_process_variable(name, value.map(Sample::into_static)),
        (_, Some(vars), Some(value)) => {
            vars.set(name, value);
        }
        (_, Some(vars), None) => vars.unset(name),
        (_, None, _) => {}
    }
}

fn check_set(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let name = VarName::parse(args.text(0).unwrap_or_default())?;
    let conditions = (1..args.len())
        .map(|index| {
            let word = args.text(index).unwrap_or_default();
            SetCondition::parse(word).ok_or_else(|| format!("invalid condition '{word}'"))
        })
        .collect::<Result<_, _>>()?;
    args.state = ConverterState::SetVar(Arc::new(SetVar { name, conditions }));
    Ok(())
}

fn check_unset(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    args.state = ConverterState::Var(VarName::parse(args.text(0).unwrap_or_default())?);
    Ok(())
}

fn set_var<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    if let ConverterState::SetVar(set) = &args.state {
        set.store(ctx, sample.clone());
    }
    Some(sample)
}

fn unset_var<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    if let ConverterState::Var(name) = &args.state {
        write(ctx, name, None);
    }
    Some(sample)
}

fn check_second(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if let Some(text) = args.text(1) {
        args.state = ConverterState::Var(VarName::parse(text.trim())?);
    }
    Ok(())
}

fn check_item(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    if args.bytes(1).is_none() && args.bytes(2).is_none() {
        return Err("one of the optional arguments has to be nonempty".to_owned());
    }
    check_second(args, scope, span)
}

fn second<'a>(args: &Args, ctx: &EvalCtx<'a>) -> Option<Data<'a>> {
    match &args.state {
        ConverterState::Var(name) => crate::expr::fetch::read_variable(ctx, name)?.into_text(),
        _ => None,
    }
}

fn concat<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let mut out = data(sample)?.into_vec();
    out.extend_from_slice(args.bytes(0).unwrap_or_default());
    out.extend_from_slice(&second(args, ctx).unwrap_or(Data::Borrowed(b"")));
    out.extend_from_slice(args.bytes(2).unwrap_or_default());
    Some(Sample::str(out))
}

fn add_item<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let mut out = data(sample)?.into_vec();
    let variable = second(args, ctx);
    let suffix = args.bytes(2).unwrap_or_default();
    if !out.is_empty() && (variable.as_ref().is_some_and(|v| !v.is_empty()) || !suffix.is_empty()) {
        out.extend_from_slice(args.bytes(0).unwrap_or_default());
    }
    out.extend_from_slice(&variable.unwrap_or(Data::Borrowed(b"")));
    out.extend_from_slice(suffix);
    Some(Sample::str(out))
}
