//! DNS checks: a question over UDP, and whether the server answers it without error (keepalived's `DNS_CHECK`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::{Verdict, datagram};
use crate::health::{CheckResult, CheckStatus};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsCheck {
    /// The name; `.` is the root.
    pub name: String,
    /// The record type's number (RFC 1035 §3.2.2), such as 1 for A, 6 for SOA, 28 for AAAA.
    pub record_type: u16,
}

/// Why a name cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsNameError {
    /// A label is empty or has more than 63 bytes.
    #[error("a label of a name has 1 to 63 bytes")]
    Label,
    /// The name has more than 255 bytes.
    #[error("a name has at most 255 bytes")]
    Name,
}

impl DnsCheck {
    /// The number of a record type's name.
    pub fn record_type(name: &str) -> Option<u16> {
        const TYPES: [(&str, u16); 10] = [
            ("A", 1),
            ("NS", 2),
            ("CNAME", 5),
            ("SOA", 6),
            ("MX", 15),
            ("TXT", 16),
            ("AAAA", 28),
            ("RRSIG", 46),
            ("DNSKEY", 48),
            ("ANY", 255),
        ];
        TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
    }

    /// The query with this id: recursion desired, one question.
    ///
    /// Errors: the name is none.
    pub fn query(&self, id: u16) -> Result<Vec<u8>, DnsNameError> {
        let mut query = id.to_be_bytes().to_vec();
        query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        let start = query.len();
        for label in self.name.trim_end_matches('.').split('.').filter(|_| self.name != ".") {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
            query.push(length.ok_or(DnsNameError::Label)?);
            query.extend_from_slice(label.as_bytes());
        }
        query.push(0);
        if query.len() - start > 255 {
            return Err(DnsNameError::Name);
        }
        query.extend_from_slice(&self.record_type.to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        Ok(query)
    }
}

/// One DNS check. `id` is to be random, so that nobody else can answer.
pub async fn dns(
    check: &DnsCheck,
    target: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
    id: u16,
) -> CheckResult {
    let start = Instant::now();
    let verdict = match check.query(id) {
        Err(error) => Verdict::new(CheckStatus::SocketError, error.to_string()),
        Ok(query) => match datagram::ask(target, source, &query, start + timeout).await {
            Ok(Some(answer)) => judge(&query, &answer),
            Ok(None) => Verdict::new(CheckStatus::Layer7Timeout, ""),
            Err(verdict) => verdict,
        },
    };
    verdict.into_result(start)
}

/// RFC 1035 §4.1.1: the id and question are ours, it is an answer, its code is 0.
fn judge(query: &[u8], answer: &[u8]) -> Verdict {
    let invalid = |text: &str| Verdict::new(CheckStatus::Layer7Response, text);
    let Some(header) = answer.first_chunk::<12>() else { return invalid("a truncated DNS header") };
    if query.get(..2) != Some(&header[..2]) {
        return invalid("another query's id");
    }
    if header[2] & 0x80 == 0 {
        return invalid("a question for an answer");
    }
    let code = u32::from(header[3] & 0x0f);
    let name = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => "error",
    };
    let status = if code == 0 { CheckStatus::Layer7Ok } else { CheckStatus::Layer7Status };
    Verdict { status, code: Some(code), description: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_as_rfc_1035_has_it() {
        let check = DnsCheck { name: "example.org.".to_owned(), record_type: 1 };
        let query = check.query(0x1234).unwrap();
        assert_eq!(query, *b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01");
        let root = DnsCheck { name: ".".to_owned(), record_type: 6 };
        assert_eq!(root.query(0).unwrap()[12..], [0, 0, 6, 0, 1]);
        let bad = |name: &str| DnsCheck { name: name.to_owned(), record_type: 1 }.query(0);
        assert_eq!(bad("a..b"), Err(DnsNameError::Label));
        assert_eq!(bad(&"a".repeat(64)), Err(DnsNameError::Label));
        assert_eq!(bad(&"abc.".repeat(70)), Err(DnsNameError::Name));
        assert_eq!(DnsCheck::record_type("aaaa"), Some(28));
    }

    proptest! {
        #[test]
        fn any_answer_is_judged(answer in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = judge(b"\x12\x34", &answer);
        }
    }
}
