//! Converters (configuration manual, section 7.3.1), one file per noun.

pub(crate) mod encode;
mod number;
mod text;

use std::collections::HashMap;
use std::sync::LazyLock;

use hacore::diag::Span;

use super::args::ArgSpec;
use super::{Args, EvalCtx, ParseScope, Sample, SampleType, VarName};

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

const TABLES: &[&[Converter]] = &[number::CONVERTERS, text::CONVERTERS];

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
    const fn args(mut self, required: usize, kinds: &'static [super::ArgKind]) -> Converter {
        self.args = ArgSpec { required, kinds };
        self
    }

    const fn check(mut self, check: CheckFn) -> Converter {
        self.check = Some(check);
        self
    }
}
