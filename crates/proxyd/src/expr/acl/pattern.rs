//! A set of patterns of one matching method, compiled for lookup; ACLs and maps share it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use regex::bytes::Regex;
use smallvec::SmallVec;

use super::MatchMethod;
use crate::expr::pattern_file::Look;
use crate::expr::sample::ipv6_to_ipv4;
use crate::expr::{Data, Method, Sample, SampleType};

/// Below this many patterns a list is walked; above, exact strings are hashed.
const LINEAR_MAX: usize = 8;

/// Patterns of one method; the order of insertion decides which of several matches counts, except that the longest
/// network or prefix wins.
#[derive(Debug)]
pub(crate) struct PatternSet {
    method: MatchMethod,
    ignore_case: bool,
    /// Case always counts for the methods that HAProxy knows.
    known_methods_exact: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// `found`, `bool`: no patterns.
    None,
    Ranges(Vec<(i64, i64)>),
    Networks(Networks),
    List(Vec<Box<[u8]>>),
    /// Exact strings or prefixes, by length for prefixes.
    Hashed {
        by_text: HashMap<Box<[u8]>, usize>,
        lengths: Vec<usize>,
    },
    Regexes(Vec<Regex>),
}

/// A number range, or an operator's equivalent.
pub(crate) fn parse_range(text: &str, dotted: bool) -> Option<(i64, i64)> {
    let number = |part: &str| -> Option<i64> {
        if !dotted {
            return part.parse().ok();
        }
        let (major, minor) = part.split_once('.').unwrap_or((part, "0"));
        major.parse::<i64>().ok()?.checked_mul(1 << 16)?.checked_add(minor.parse().ok()?)
    };
    match text.split_once(':') {
        None => number(text).map(|n| (n, n)),
        Some((low, high)) => {
            let low = if low.is_empty() { i64::MIN } else { number(low)? };
            let high = if high.is_empty() { i64::MAX } else { number(high)? };
            (low <= high).then_some((low, high))
        }
    }
}

impl PatternSet {
    pub(crate) fn ranges(method: MatchMethod, ranges: Vec<(i64, i64)>) -> Self {
        Self { method, ignore_case: false, known_methods_exact: false, kind: Kind::Ranges(ranges) }
    }

    /// Compiles text patterns; the error is the end of HAProxy's sentence.
    pub(crate) fn compile<'p>(
        method: MatchMethod,
        ignore_case: bool,
        patterns: impl Iterator<Item = &'p [u8]>,
    ) -> Result<PatternSet, String> {
        let kind = match method {
            MatchMethod::Found | MatchMethod::Bool => Kind::None,
            MatchMethod::Int | MatchMethod::Len => {
                Kind::Ranges(patterns.map(int_pattern).collect::<Result<_, _>>()?)
            }
            MatchMethod::Ip => Kind::Networks(Networks::compile(patterns)?),
            MatchMethod::Bin => Kind::List(patterns.map(hex_pattern).collect::<Result<_, _>>()?),
            MatchMethod::Reg => {
                Kind::Regexes(patterns.map(|p| compile_regex(p, ignore_case)).collect::<Result<_, _>>()?)
            }
            MatchMethod::Str | MatchMethod::Beg => Kind::strings(method, ignore_case, patterns),
            MatchMethod::Dir => Kind::List(patterns.map(|p| trimmed(p, b"/").into()).collect()),
            MatchMethod::Dom => Kind::List(patterns.map(|p| trimmed(p, b"/?.:").into()).collect()),
            MatchMethod::End | MatchMethod::Sub => Kind::List(patterns.map(Box::from).collect()),
        };
        Ok(PatternSet { method, ignore_case, known_methods_exact: false, kind })
    }

    pub(crate) fn for_methods(mut self) -> Self {
        self.known_methods_exact = true;
        self
    }

    /// The index of the pattern that matches.
    pub(crate) fn find(&self, sample: &Sample<'_>) -> Option<usize> {
        match &self.kind {
            Kind::None => self.find_without_patterns(sample),
            Kind::Ranges(ranges) => {
                let value = self.number(sample)?;
                ranges.iter().position(|(low, high)| (*low..=*high).contains(&value))
            }
            Kind::Networks(networks) => networks.find(address(sample)?),
            Kind::List(list) if self.known_methods_exact => match sample {
                Sample::Method(Method::Other(name)) => list.iter().position(|p| self.text_matches(name, p)),
                other => with_text(other, |text| list.iter().position(|p| **p == *text)),
            },
            Kind::List(list) => {
                with_text(sample, |text| list.iter().position(|p| self.text_matches(text, p)))
            }
            Kind::Regexes(list) => with_text(sample, |text| list.iter().position(|p| p.is_match(text))),
            Kind::Hashed { by_text, lengths } => {
                with_text(sample, |text| self.find_hashed(text, by_text, lengths))
            }
        }
    }

    /// Looks a text up, read as the method wants it.
    pub(crate) fn look_up(&self, key: &str) -> Look {
        let sample = match self.method {
            MatchMethod::Ip => crate::expr::sample::parse_ip(key.as_bytes()).map(Sample::ip),
            MatchMethod::Int => key.parse().ok().map(Sample::Int),
            _ => Some(Sample::str(key.as_bytes().to_vec())),
        };
        let found = sample.and_then(|sample| self.find(&sample));
        Look { method: self.method.name(), ignores_case: self.ignore_case, found }
    }

    /// The regex with this index.
    pub(crate) fn regex(&self, index: usize) -> Option<&Regex> {
        match &self.kind {
            Kind::Regexes(list) => list.get(index),
            _ => None,
        }
    }

    fn find_without_patterns(&self, sample: &Sample<'_>) -> Option<usize> {
        match self.method {
            MatchMethod::Found => Some(0),
            _ => match sample.clone().cast(SampleType::Bool)? {
                Sample::Bool(true) => Some(0),
                _ => None,
            },
        }
    }

    fn number(&self, sample: &Sample<'_>) -> Option<i64> {
        if self.method == MatchMethod::Len {
            return with_text(sample, |text| i64::try_from(text.len()).ok());
        }
        match sample {
            Sample::Int(n) => Some(*n),
            other => match other.clone().cast(SampleType::Int)? {
                Sample::Int(n) => Some(n),
                _ => None,
            },
        }
    }

    fn find_hashed(
        &self,
        text: &[u8],
        by_text: &HashMap<Box<[u8]>, usize>,
        lengths: &[usize],
    ) -> Option<usize> {
        let lowered: SmallVec<[u8; 256]>;
        let text = if self.ignore_case {
            lowered = text.iter().map(u8::to_ascii_lowercase).collect();
            &lowered[..]
        } else {
            text
        };
        if self.method == MatchMethod::Str {
            return by_text.get(text).copied();
        }
        lengths.iter().find_map(|length| by_text.get(text.get(..*length)?).copied())
    }

    fn text_matches(&self, text: &[u8], pattern: &[u8]) -> bool {
        let equal = |a: &[u8], b: &[u8]| if self.ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
        match self.method {
            MatchMethod::Beg => text.get(..pattern.len()).is_some_and(|start| equal(start, pattern)),
            MatchMethod::End => {
                let start = text.len().checked_sub(pattern.len());
                start.and_then(|start| text.get(start..)).is_some_and(|end| equal(end, pattern))
            }
            MatchMethod::Sub => contains(text, pattern, self.ignore_case),
            MatchMethod::Dir => delimited(text, pattern, b"/", equal),
            MatchMethod::Dom => delimited(text, pattern, b"/?.:", equal),
            _ => equal(text, pattern),
        }
    }
}

impl Kind {
    fn strings<'p>(method: MatchMethod, ignore_case: bool, patterns: impl Iterator<Item = &'p [u8]>) -> Kind {
        let list: Vec<Box<[u8]>> = patterns.map(Box::from).collect();
        if list.len() <= LINEAR_MAX {
            return Kind::List(list);
        }
        let mut by_text = HashMap::with_capacity(list.len());
        let mut lengths = Vec::new();
        for (index, mut pattern) in list.into_iter().enumerate() {
            if ignore_case {
                pattern.make_ascii_lowercase();
            }
            if method == MatchMethod::Beg {
                lengths.push(pattern.len());
            }
            by_text.entry(pattern).or_insert(index);
        }
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Kind::Hashed { by_text, lengths }
    }
}

/// Runs `f` on the sample's bytes; numbers and addresses are written out first.
fn with_text<R>(sample: &Sample<'_>, f: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    match sample {
        Sample::Str(data) | Sample::Bin(data) => f(data),
        other => f(&other.clone().into_text().unwrap_or(Data::Borrowed(b""))),
    }
}

fn address(sample: &Sample<'_>) -> Option<IpAddr> {
    match sample {
        Sample::Ipv4(address) => Some(IpAddr::V4(*address)),
        Sample::Ipv6(address) => Some(IpAddr::V6(*address)),
        other => match other.clone().cast(SampleType::Addr)? {
            Sample::Ipv4(address) => Some(IpAddr::V4(address)),
            Sample::Ipv6(address) => Some(IpAddr::V6(address)),
            _ => None,
        },
    }
}

fn int_pattern(pattern: &[u8]) -> Result<(i64, i64), String> {
    let text = String::from_utf8_lossy(pattern);
    parse_range(&text, false).ok_or_else(|| range_error(&text))
}

/// HAProxy's words for a number or range that is none.
pub(crate) fn range_error(text: &str) -> String {
    if text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '-') {
        format!("'{text}' is not a valid number range")
    } else {
        format!("'{text}' is not a number")
    }
}

fn hex_pattern(pattern: &[u8]) -> Result<Box<[u8]>, String> {
    let error = || format!("an hex digit is expected (found '{}')", String::from_utf8_lossy(pattern));
    if pattern.len() % 2 == 1 {
        return Err("the second hex digit is missing".to_owned());
    }
    let digit = |b: u8| (b as char).to_digit(16);
    pattern
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .map(Vec::into_boxed_slice)
        .ok_or_else(error)
}

/// Compiles a PCRE-like regex for bytes; look-around and back-references are refused with the reason.
pub(crate) fn compile_regex(pattern: &[u8], ignore_case: bool) -> Result<Regex, String> {
    const SIZE_MAX_BYTES: usize = 16 << 20;
    let text = String::from_utf8_lossy(pattern);
    let reason = if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| text.contains(look)) {
        Some("look-around assertions cannot be matched in linear time and are not supported")
    } else if has_back_reference(pattern) {
        Some("back-references cannot be matched in linear time and are not supported")
    } else {
        None
    };
    let build = || {
        regex::bytes::RegexBuilder::new(&text)
            .case_insensitive(ignore_case)
            .unicode(false)
            .size_limit(SIZE_MAX_BYTES)
            .build()
    };
    build().map_err(|error| {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("regex '{text}' is invalid (error={})", reason.unwrap_or(last))
    })
}

fn has_back_reference(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && bytes.next().is_some_and(|next| (b'1'..=b'9').contains(next)) {
            return true;
        }
    }
    false
}

fn contains(text: &[u8], pattern: &[u8], ignore_case: bool) -> bool {
    if pattern.is_empty() {
        return true;
    }
    if !ignore_case {
        return memchr::memmem::find(text, pattern).is_some();
    }
    text.windows(pattern.len()).any(|window| window.eq_ignore_ascii_case(pattern))
}

fn trimmed<'p>(pattern: &'p [u8], delimiters: &[u8]) -> &'p [u8] {
    let keep = |b: &u8| !delimiters.contains(b);
    let start = pattern.iter().position(keep).unwrap_or(pattern.len());
    let end = pattern.iter().rposition(keep).map_or(start, |last| last + 1);
    pattern.get(start..end).unwrap_or_default()
}

/// Whether `pattern` stands in `text` between delimiters or its ends.
fn delimited(text: &[u8], pattern: &[u8], delimiters: &[u8], equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    if pattern.is_empty() || pattern.len() > text.len() {
        return false;
    }
    let is_edge = |at: Option<usize>| at.and_then(|at| text.get(at)).is_none_or(|b| delimiters.contains(b));
    (0..=text.len() - pattern.len()).any(|at| {
        is_edge(at.checked_sub(1))
            && is_edge(Some(at + pattern.len()))
            && text.get(at..at + pattern.len()).is_some_and(|part| equal(part, pattern))
    })
}

/// Networks of both families, longest prefix first.
#[derive(Debug, Default)]
struct Networks {
    v4: Vec<(u32, HashMap<u32, usize>)>,
    v6: Vec<(u32, HashMap<u128, usize>)>,
    /// Masks that are no prefix length: address, mask, index.
    odd_v4: Vec<(u32, u32, usize)>,
}

impl Networks {
    fn compile<'p>(patterns: impl Iterator<Item = &'p [u8]>) -> Result<Networks, String> {
        let mut this = Networks::default();
        for (index, pattern) in patterns.enumerate() {
            let text = String::from_utf8_lossy(pattern);
            if this.add(&text, index).is_none() {
                return Err(format!("'{text}' is not a valid IPv4 or IPv6 address"));
            }
        }
        this.v4.sort_unstable_by_key(|(length, _)| std::cmp::Reverse(*length));
        this.v6.sort_unstable_by_key(|(length, _)| std::cmp::Reverse(*length));
        Ok(this)
    }

    fn add(&mut self, text: &str, index: usize) -> Option<()> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        if address.contains(':') {
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            let length = mask.map_or(Some(128), |m| m.parse::<u32>().ok().filter(|l| *l <= 128))?;
            let key = address.to_bits() & mask6(length);
            by_length(&mut self.v6, length).entry(key).or_insert(index);
            return Some(());
        }
        let address = abbreviated_ipv4(address)?.to_bits();
        let mask = mask.map_or(Some(u32::MAX), |m| crate::expr::args::ipv4_mask(m).map(Ipv4Addr::to_bits))?;
        if mask.leading_ones() + mask.trailing_zeros() == 32 || mask == 0 {
            by_length(&mut self.v4, mask.leading_ones()).entry(address & mask).or_insert(index);
        } else {
            self.odd_v4.push((address & mask, mask, index));
        }
        Some(())
    }

    fn find(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(v4) => self.find_v4(v4).or_else(|| self.find_v6(v4.to_ipv6_mapped().to_bits())),
            IpAddr::V6(v6) => self.find_v6(v6.to_bits()).or_else(|| self.find_v4(ipv6_to_ipv4(v6)?)),
        }
    }

    fn find_v4(&self, address: Ipv4Addr) -> Option<usize> {
        let bits = address.to_bits();
        let prefix = self.v4.iter().find_map(|(length, map)| map.get(&(bits & mask4(*length))).copied());
        prefix.or_else(|| {
            self.odd_v4.iter().find(|(net, mask, _)| bits & mask == *net).map(|(_, _, index)| *index)
        })
    }

    fn find_v6(&self, bits: u128) -> Option<usize> {
        self.v6.iter().find_map(|(length, map)| map.get(&(bits & mask6(*length))).copied())
    }
}

fn by_length<K>(lists: &mut Vec<(u32, HashMap<K, usize>)>, length: u32) -> &mut HashMap<K, usize> {
    let at = lists.iter().position(|(l, _)| *l == length).unwrap_or_else(|| {
        lists.push((length, HashMap::new()));
        lists.len() - 1
    });
    &mut lists[at].1
}

fn mask4(length: u32) -> u32 {
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn mask6(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// `10.12` is 10.0.0.12: left-out bytes before the last are zero (manual, section 7.1.6).
fn abbreviated_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u8> = text.split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let mut octets = [0; 4];
    octets.get_mut(..first.len()).filter(|o| o.len() < 4)?.copy_from_slice(first);
    octets[3] = *last;
    Some(Ipv4Addr::from(octets))
}
