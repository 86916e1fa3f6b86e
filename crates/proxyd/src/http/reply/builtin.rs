//! The error pages that HAProxy has built in, byte for byte.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::StaticReply;

/// Status, reason, whether the page closes the connection, sentence.
type Page = (u16, &'static str, bool, &'static str);

const PAGES: [Page; 19] = [
    (200, "OK", false, "Service ready."),
    (400, "Bad request", true, "Your browser sent an invalid request."),
    (401, "Unauthorized", false, "You need a valid user and password to access this content."),
    (403, "Forbidden", false, "Request forbidden by administrative rules."),
    (404, "Not Found", false, "The resource could not be found."),
    (
        405,
        "Method Not Allowed",
        false,
        "A request was made of a resource using a request method not supported by that resource",
    ),
    (407, "Unauthorized", false, "You need a valid user and password to access this content."),
    (408, "Request Time-out", true, "Your browser didn't send a complete request in time."),
    (410, "Gone", false, "The resource is no longer available and will not be available again."),
    (413, "Payload Too Large", false, "The request entity exceeds the maximum allowed."),
    (421, "Misdirected Request", false, "Request sent to a non-authoritative server."),
    (422, "Unprocessable Content", false, "The server cannot process the contained instructions."),
    (425, "Too Early", false, "Your browser sent early data."),
    (429, "Too Many Requests", false, "You have sent too many requests in a given amount of time."),
    (500, "Internal Server Error", false, "An internal server error occurred."),
    (
        501,
        "Not Implemented",
        false,
        ".The server does not support the functionality required to fulfill the request.",
    ),
    (502, "Bad Gateway", false, "The server returned an invalid or incomplete response."),
    (503, "Service Unavailable", false, "No server is available to handle this request."),
    (504, "Gateway Time-out", false, "The server didn't respond in time."),
];

/// Statuses for which `errorfile`, `errorloc` and `http-error` may be given: those with a built-in page.
pub fn has_page(status: u16) -> bool {
    PAGES.iter().any(|page| page.0 == status)
}

/// The built-in page of a status; statuses without one get that of 500.
pub fn builtin(status: u16) -> &'static Arc<StaticReply> {
    static REPLIES: OnceLock<BTreeMap<u16, Arc<StaticReply>>> = OnceLock::new();
    static FALLBACK: OnceLock<Arc<StaticReply>> = OnceLock::new();
    let replies = REPLIES.get_or_init(|| PAGES.iter().map(|page| (page.0, Arc::new(reply(page)))).collect());
    replies
        .get(&status)
        .unwrap_or_else(|| FALLBACK.get_or_init(|| replies.get(&500).cloned().unwrap_or_default()))
}

fn reply((status, reason, closes, sentence): &Page) -> StaticReply {
    let body = format!("<html><body><h1>{status} {reason}</h1>\n{sentence}\n</body></html>\n");
    let close = if *closes { "Connection: close\r\n" } else { "" };
    let length = body.len();
    let raw = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-length: {length}\r\nCache-Control: no-cache\r\n{close}\
         Content-Type: text/html\r\n\r\n{body}"
    );
    StaticReply::parse(raw.into_bytes()).unwrap_or_default()
}
