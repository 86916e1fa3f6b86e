//! Converters (configuration manual, section 7.3.1), one file per noun.

mod capture;
mod digest;
pub(crate) mod encode;
mod fix;
mod hash;
mod json;
mod jwt;
mod map;
mod mqtt;
pub(crate) mod net;
mod number;
mod packet;
mod protobuf;
mod regsub;
mod strftime;
mod table;
mod text;
mod time;
mod url;
mod variable;
mod when;
mod word;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use hacore::diag::Span;

use super::args::ArgSpec;
use super::{ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType, VarName};

pub type ConvFn = for<'a> fn(Sample<'a>, &'a Args, &EvalCtx<'a>) -> Option<Sample<'a>>;
/// Checks and compiles arguments at load; the error is the end of HAProxy's sentence.
pub type CheckFn = fn(&mut Args, &ParseScope<'_>, Span) -> Result<(), String>;

/// What a check made of the arguments.
#[derive(Debug, Clone, Default)]
pub enum ConverterState {
    #[default]
    None,
    /// A variable named by the arguments.
    Var(VarName),
    /// Per argument, the variable it names, if it names one.
    Vars(Vec<Option<VarName>>),
    Regsub(Arc<regsub::Regsub>),
    Map(Arc<map::Map>),
    JsonPath(Arc<json::JsonPath>),
    Protobuf(Arc<protobuf::Field>),
    SetVar(Arc<variable::SetVar>),
    /// Named ACLs, and whether each is negated.
    Acls(Vec<(Arc<super::acl::Acl>, bool)>),
    When(Box<when::When>),
    /// Per argument the variable it names, and the public key in the file that the last one names.
    Jwt(Vec<Option<VarName>>, Option<Arc<jwt::PublicKey>>),
}

/// One converter.
pub struct Converter {
    pub name: &'static str,
    pub args: ArgSpec,
    pub input: SampleType,
    pub output: SampleType,
    /// One line for `--explain` and the support table.
    pub doc: &'static str,
    pub run: ConvFn,
    pub check: Option<CheckFn>,
}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const TABLES: &[&[Converter]] = &[
    capture::CONVERTERS,
    digest::CONVERTERS,
    encode::CONVERTERS,
    fix::CONVERTERS,
    hash::CONVERTERS,
    json::CONVERTERS,
    jwt::CONVERTERS,
    map::CONVERTERS,
    mqtt::CONVERTERS,
    net::CONVERTERS,
    number::CONVERTERS,
    packet::CONVERTERS,
    protobuf::CONVERTERS,
    regsub::CONVERTERS,
    table::CONVERTERS,
    text::CONVERTERS,
    time::CONVERTERS,
    url::CONVERTERS,
    variable::CONVERTERS,
    when::CONVERTERS,
    word::CONVERTERS,
];

/// Every converter, table by table.
pub fn all() -> impl Iterator<Item = &'static Converter> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The converter with this exact name.
pub fn find(name: &str) -> Option<&'static Converter> {
    static INDEX: LazyLock<HashMap<&'static str, &'static Converter>> =
        LazyLock::new(|| all().map(|converter| (converter.name, converter)).collect());
    INDEX.get(name).copied()
}

/// Names that HAProxy knows and this daemon does not carry out yet; using one is refused by name.
pub(crate) const UNSUPPORTED: &[&str] = &["jwt_decrypt_cert", "jwt_decrypt_jwk", "jwt_decrypt_secret"];

// Short forms for the tables.

const fn conv(
    name: &'static str,
    input: SampleType,
    output: SampleType,
    run: ConvFn,
    doc: &'static str,
) -> Converter {
    Converter { name, args: ArgSpec::NONE, input, output, doc, run, check: None }
}

impl Converter {
    const fn args(mut self, required: usize, kinds: &'static [ArgKind]) -> Converter {
        self.args = ArgSpec { required, kinds };
        self
    }

    const fn check(mut self, check: CheckFn) -> Converter {
        self.check = Some(check);
        self
    }
}

/// The bytes of a `str` or `bin` sample.
fn data(sample: Sample<'_>) -> Option<Data<'_>> {
    match sample {
        Sample::Str(data) | Sample::Bin(data) => Some(data),
        _ => None,
    }
}

fn int(sample: &Sample<'_>) -> Option<i64> {
    match sample {
        Sample::Int(n) => Some(*n),
        Sample::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

/// The value of a variable as bytes.
fn variable_bytes<'a>(ctx: &EvalCtx<'a>, name: &VarName) -> Option<Data<'a>> {
    super::fetch::read_variable(ctx, name)?.into_binary()
}

/// Remembers for each argument the variable it names, for converters that take text or a variable.
fn find_variables(args: &mut Args, _: &ParseScope<'_>, _: Span) -> Result<(), String> {
    let names = (0..args.len()).map(|index| args.text(index).and_then(|text| VarName::parse(text).ok()));
    args.state = ConverterState::Vars(names.collect());
    Ok(())
}

/// Argument `index` as text: the variable's value if it names one (integers in decimal), its own text otherwise.
fn text_or_variable<'a>(args: &'a Args, index: usize, ctx: &EvalCtx<'a>) -> Option<Data<'a>> {
    if let ConverterState::Vars(names) | ConverterState::Jwt(names, _) = &args.state
        && let Some(Some(name)) = names.get(index)
    {
        return super::fetch::read_variable(ctx, name)?.into_text();
    }
    args.bytes(index).map(Data::from)
}
