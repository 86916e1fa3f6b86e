//! Typed samples and the casts between their types (configuration manual, section 7.1, matrix, and 7.3.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Data;

/// What a fetch or converter takes or gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// Any type (input), or the type that came in (output).
    Any,
    /// Output only: the type that came in.
    Same,
    Bool,
    Int,
    /// Either address family.
    Addr,
    Ipv4,
    Ipv6,
    Str,
    Bin,
    Method,
}

impl SampleType {
    /// The name in keyword lists and messages.
    pub fn name(self) -> &'static str {
        match self {
            SampleType::Any => "any",
            SampleType::Same => "same",
            SampleType::Bool => "bool",
            SampleType::Int => "sint",
            SampleType::Addr => "addr",
            SampleType::Ipv4 => "ipv4",
            SampleType::Ipv6 => "ipv6",
            SampleType::Str => "str",
            SampleType::Bin => "bin",
            SampleType::Method => "meth",
        }
    }

    /// Whether a value of this type may be cast to `to` at all.
    pub fn casts_to(self, to: SampleType) -> bool {
        use SampleType::*;
        match (self, to) {
            (Any | Same, _) | (_, Any | Same) => true,
            (from, to) if from == to => true,
            (Bool, Int | Str | Bin) => true,
            (Int, Bool | Addr | Ipv4 | Ipv6 | Str | Bin) => true,
            (Addr, Int | Ipv4 | Ipv6 | Str | Bin) => true,
            (Ipv4, Bool | Int | Addr | Ipv6 | Str | Bin) => true,
            (Ipv6, Bool | Addr | Ipv4 | Str | Bin) => true,
            (Str, Bool | Int | Addr | Ipv4 | Ipv6 | Bin | Method) => true,
            (Bin, Str) => true,
            (Method, Str | Bin) => true,
            _ => false,
        }
    }
}

/// A request method: one that is known by number, or any other word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method<'a> {
    Options,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Trace,
    Connect,
    Other(Data<'a>),
}

impl<'a> Method<'a> {
    /// Method names are case-sensitive (RFC 9110 §9.1).
    pub fn parse(name: Data<'a>) -> Method<'a> {
        match &*name {
            b"OPTIONS" => Method::Options,
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other(name),
        }
    }

    pub fn into_data(self) -> Data<'a> {
        Data::Borrowed(match self {
            Method::Options => b"OPTIONS",
            Method::Get => b"GET",
            Method::Head => b"HEAD",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Delete => b"DELETE",
            Method::Trace => b"TRACE",
            Method::Connect => b"CONNECT",
            Method::Other(name) => return name,
        })
    }
}

/// One typed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample<'a> {
    Bool(bool),
    Int(i64),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Str(Data<'a>),
    Bin(Data<'a>),
    Method(Method<'a>),
}

impl<'a> Sample<'a> {
    pub fn str(data: impl Into<Data<'a>>) -> Self {
        Sample::Str(data.into())
    }

    pub fn bin(data: impl Into<Data<'a>>) -> Self {
        Sample::Bin(data.into())
    }

    pub fn ip(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Sample::Ipv4(address),
            IpAddr::V6(address) => Sample::Ipv6(address),
        }
    }

    pub fn sample_type(&self) -> SampleType {
        match self {
            Sample::Bool(_) => SampleType::Bool,
            Sample::Int(_) => SampleType::Int,
            Sample::Ipv4(_) => SampleType::Ipv4,
            Sample::Ipv6(_) => SampleType::Ipv6,
            Sample::Str(_) => SampleType::Str,
            Sample::Bin(_) => SampleType::Bin,
            Sample::Method(_) => SampleType::Method,
        }
    }

    /// The value as `to`; `None` when it has no meaning there (text that is no number or address).
    pub fn cast(self, to: SampleType) -> Option<Sample<'a>> {
        match to {
            SampleType::Any | SampleType::Same => Some(self),
            SampleType::Bool => self.into_bool().map(Sample::Bool),
            SampleType::Int => self.into_int().map(Sample::Int),
            SampleType::Addr => match self {
                Sample::Ipv4(_) | Sample::Ipv6(_) => Some(self),
                Sample::Int(n) => Some(Sample::Ipv4(Ipv4Addr::from_bits(n as u32))),
                Sample::Str(text) => parse_ip(&text).map(Sample::ip),
                _ => None,
            },
            SampleType::Ipv4 => self.into_ipv4().map(Sample::Ipv4),
            SampleType::Ipv6 => self.into_ipv6().map(Sample::Ipv6),
            SampleType::Str => self.into_text().map(Sample::Str),
            SampleType::Bin => self.into_binary().map(Sample::Bin),
            SampleType::Method => match self {
                Sample::Method(_) => Some(self),
                Sample::Str(text) => Some(Sample::Method(Method::parse(text))),
                _ => None,
            },
        }
    }

    fn into_bool(self) -> Option<bool> {
        match self {
            Sample::Bool(b) => Some(b),
            other => other.into_int().map(|n| n != 0),
        }
    }

    fn into_int(self) -> Option<i64> {
        match self {
            Sample::Bool(b) => Some(i64::from(b)),
            Sample::Int(n) => Some(n),
            Sample::Ipv4(address) => Some(i64::from(address.to_bits())),
            Sample::Str(text) => int_prefix(&text),
            _ => None,
        }
    }

    fn into_ipv4(self) -> Option<Ipv4Addr> {
        match self {
            Sample::Ipv4(address) => Some(address),
            Sample::Ipv6(address) => ipv6_to_ipv4(address),
            Sample::Int(n) => Some(Ipv4Addr::from_bits(n as u32)),
            Sample::Str(text) => match parse_ip(&text)? {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            },
            _ => None,
        }
    }

    fn into_ipv6(self) -> Option<Ipv6Addr> {
        match self {
            Sample::Ipv4(address) => Some(address.to_ipv6_mapped()),
            Sample::Ipv6(address) => Some(address),
            Sample::Int(n) => Some(Ipv4Addr::from_bits(n as u32).to_ipv6_mapped()),
            Sample::Str(text) => match parse_ip(&text)? {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            },
            _ => None,
        }
    }

    /// The value as text: numbers in decimal, `bin` up to its first NUL.
    pub fn into_text(self) -> Option<Data<'a>> {
        Some(match self {
            Sample::Bool(b) => Data::Borrowed(if b { b"1" } else { b"0" }),
            Sample::Int(n) => Data::Owned(itoa::Buffer::new().format(n).as_bytes().to_vec()),
            Sample::Ipv4(address) => address.to_string().into(),
            Sample::Ipv6(address) => ipv6_text(address).into(),
            Sample::Str(text) => text,
            Sample::Bin(bytes) => {
                let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
                bytes.slice(0, end)
            }
            Sample::Method(method) => method.into_data(),
        })
    }

    /// The value as bytes: integers as 8 bytes and addresses as 4 or 16, in network order.
    pub fn into_binary(self) -> Option<Data<'a>> {
        Some(match self {
            Sample::Bool(b) => Data::Owned(i64::from(b).to_be_bytes().to_vec()),
            Sample::Int(n) => Data::Owned(n.to_be_bytes().to_vec()),
            Sample::Ipv4(address) => Data::Owned(address.octets().to_vec()),
            Sample::Ipv6(address) => Data::Owned(address.octets().to_vec()),
            Sample::Str(bytes) | Sample::Bin(bytes) => bytes,
            Sample::Method(method) => method.into_data(),
        })
    }

    /// The value without borrowed parts, for variables.
    pub fn into_static(self) -> Sample<'static> {
        match self {
            Sample::Bool(b) => Sample::Bool(b),
            Sample::Int(n) => Sample::Int(n),
            Sample::Ipv4(address) => Sample::Ipv4(address),
            Sample::Ipv6(address) => Sample::Ipv6(address),
            Sample::Str(text) => Sample::Str(Data::Shared(text.into_shared())),
            Sample::Bin(bytes) => Sample::Bin(Data::Shared(bytes.into_shared())),
            Sample::Method(Method::Other(name)) => {
                Sample::Method(Method::Other(Data::Shared(name.into_shared())))
            }
            Sample::Method(method) => Sample::Method(Method::parse(match method.into_data() {
                Data::Borrowed(name) => Data::Owned(name.to_vec()),
                other => Data::Shared(other.into_shared()),
            })),
        }
    }

    /// What the value counts towards a memory limit, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Sample::Str(data) | Sample::Bin(data) | Sample::Method(Method::Other(data)) => data.len(),
            _ => 0,
        }
    }
}

/// The number at the start of `text`, as HAProxy casts strings: an optional sign and digits, the rest ignored.
/// Text without a digit is 0, and empty text no number.
pub fn int_prefix(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    Some(value)
}

/// What `hdr_val` and its kin make of text: like C's oldest conversions it wraps at 64 bits, and takes every byte
/// below `:` for a digit, so that `.` counts as -2.
pub fn int_wrapping(text: &[u8]) -> i64 {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let digits = digits.iter().map(|b| i64::from(*b as i8) - i64::from(b'0')).take_while(|digit| *digit <= 9);
    let value = digits.fold(0_i64, |value, digit| value.wrapping_mul(10).wrapping_add(digit));
    if negative { value.wrapping_neg() } else { value }
}

/// An address in its usual notation.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    const LENGTH_MAX: usize = 45;
    if text.len() > LENGTH_MAX {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The IPv4 address inside a mapped (`::ffff:a.b.c.d`), compatible or 6to4 address.
pub fn ipv6_to_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let o = address.octets();
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    if o[..12] == [0; 12] || o[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0] {
        return Some(Ipv4Addr::new(o[12], o[13], o[14], o[15]));
    }
    if o[..2] == [0x20, 0x02] {
        return Some(Ipv4Addr::new(o[2], o[3], o[4], o[5]));
    }
    None
}

/// As `inet_ntop` writes it.
pub fn ipv6_text(address: Ipv6Addr) -> String {
    let o = address.octets();
    // Compatible addresses (::a.b.c.d) are the one case where Rust and libc differ.
    if o[..12] == [0; 12] && (o[12] != 0 || o[13] != 0) {
        return format!("::{}.{}.{}.{}", o[12], o[13], o[14], o[15]);
    }
    address.to_string()
}

pub fn hex_upper(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}
