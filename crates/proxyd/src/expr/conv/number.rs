//! Integers and booleans.

use super::{Converter, conv};
use crate::expr::{Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[conv(
    "neg",
    SampleType::Int,
    SampleType::Int,
    |s, _, _| int(s).map(|n| Sample::Int(n.wrapping_neg())),
    "the opposite",
)];

fn int(sample: Sample<'_>) -> Option<i64> {
    match sample {
        Sample::Int(n) => Some(n),
        _ => None,
    }
}
