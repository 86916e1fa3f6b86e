//! Request and response heads from bytes.

use super::super::head::{Method, RequestHead, ResponseHead};
use super::{Limits, Parsed};

/// Reads a request head from the start of `bytes` into `head` (which it clears first) and decides its framing.
pub fn parse_request(head: &mut RequestHead, bytes: &[u8], limits: &Limits) -> Parsed {
    let _ = (bytes, limits);
    head.clear();
    Parsed::Incomplete
}

/// Reads a response head; the request's method decides about its body (HEAD, CONNECT).
pub fn parse_response(
    head: &mut ResponseHead,
    bytes: &[u8],
    request_method: Method,
    limits: &Limits,
) -> Parsed {
    let _ = (bytes, limits, request_method);
    head.clear();
    Parsed::Incomplete
}
