//! Text.

use super::{Converter, conv};
use crate::expr::{Data, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "lower",
        SampleType::Str,
        SampleType::Str,
        |s, _, _| change(s, u8::make_ascii_lowercase),
        "in lower case",
    ),
    conv(
        "upper",
        SampleType::Str,
        SampleType::Str,
        |s, _, _| change(s, u8::make_ascii_uppercase),
        "in upper case",
    ),
];

fn change<'a>(sample: Sample<'a>, f: fn(&mut u8)) -> Option<Sample<'a>> {
    let Sample::Str(data) = sample else { return None };
    let mut bytes = data.into_vec();
    bytes.iter_mut().for_each(f);
    Some(Sample::Str(Data::Owned(bytes)))
}
