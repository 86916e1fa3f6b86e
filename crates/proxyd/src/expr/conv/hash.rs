//! Non-cryptographic hashes, the ones of the balancing algorithms among them.

use hacore::hash;

use super::{Converter, conv, data};
use crate::expr::{ArgKind, Args, Sample, SampleType};

const ARG: &[ArgKind] = &[ArgKind::Int];

const fn hashing(name: &'static str, run: super::ConvFn, doc: &'static str) -> Converter {
    conv(name, SampleType::Bin, SampleType::Int, run, doc).args(0, ARG)
}

pub(super) const CONVERTERS: &[Converter] = &[
    hashing("crc32", |s, a, _| hash32(s, a, hash::crc32), "CRC32"),
    hashing("crc32c", |s, a, _| hash32(s, a, hash::crc32c), "CRC32C"),
    hashing("djb2", |s, a, _| hash32(s, a, hash::djb2), "DJB2"),
    hashing("sdbm", |s, a, _| hash32(s, a, hash::sdbm), "SDBM"),
    hashing("wt6", |s, a, _| hash32(s, a, hash::wt6), "WT6"),
    hashing(
        "xxh32",
        |s, a, _| Some(Sample::Int(xxhash_rust::xxh32::xxh32(&data(s)?, seed(a) as u32).into())),
        "xxHash, 32 bits",
    ),
    hashing(
        "xxh64",
        |s, a, _| Some(Sample::Int(xxhash_rust::xxh64::xxh64(&data(s)?, seed(a)) as i64)),
        "xxHash, 64 bits",
    ),
    hashing(
        "xxh3",
        |s, a, _| Some(Sample::Int(xxhash_rust::xxh3::xxh3_64_with_seed(&data(s)?, seed(a)) as i64)),
        "XXH3, 64 bits",
    ),
];

fn hash32<'a>(sample: Sample<'a>, args: &Args, hash: fn(&[u8]) -> u32) -> Option<Sample<'a>> {
    let value = hash(&data(sample)?);
    let value = if args.int(0).unwrap_or(0) != 0 { hash::avalanche(value) } else { value };
    Some(Sample::Int(value.into()))
}

fn seed(args: &Args) -> u64 {
    args.int(0).unwrap_or(0) as u64
}
