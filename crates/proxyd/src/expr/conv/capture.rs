//! `capture-req`, `capture-res`: the value into a declared slot, and on (manual, "capture-req").

use super::{Converter, conv, data};
use crate::expr::{ArgKind, Args, Direction, EvalCtx, Sample, SampleType};

const STR: SampleType = SampleType::Str;

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "capture-req",
        STR,
        STR,
        |s, a, c| capture(s, a, c, Direction::Request),
        "stores the value in a request capture slot",
    )
    .args(1, &[ArgKind::Int]),
    conv(
        "capture-res",
        STR,
        STR,
        |s, a, c| capture(s, a, c, Direction::Response),
        "stores the value in a response capture slot",
    )
    .args(1, &[ArgKind::Int]),
];

/// A slot that does not exist changes nothing.
fn capture<'a>(
    sample: Sample<'a>,
    args: &'a Args,
    ctx: &EvalCtx<'a>,
    direction: Direction,
) -> Option<Sample<'a>> {
    let text = data(sample)?;
    let slot = args.int(0).and_then(|slot| usize::try_from(slot).ok());
    let place = slot.and_then(|slot| {
        let length = ctx.env.capture_length(ctx.session.frontend?, direction, slot)?;
        Some((slot, length, ctx.stream?))
    });
    if let Some((slot, length, stream)) = place {
        let slots = match direction {
            Direction::Request => &stream.request_captures,
            Direction::Response => &stream.response_captures,
        };
        slots.set_by_converter(slot, text.get(..length).unwrap_or(&text));
    }
    Some(Sample::Str(text))
}
