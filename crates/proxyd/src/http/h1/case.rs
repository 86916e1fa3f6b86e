//! `h1-case-adjust`: header names in the case that a peer insists on (`option h1-case-adjust-bogus-client|server`).
//!
//! Works on the encoded head, so that the usual path pays nothing for it.

use std::collections::HashMap;

/// Names in lower case and how they are to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderCase {
    names: HashMap<Box<[u8]>, Box<[u8]>>,
}

impl HeaderCase {
    /// `h1-case-adjust FROM TO`; `false` when they are not the same name in another case.
    pub fn add(&mut self, from: &[u8], to: &[u8]) -> bool {
        let lower: Box<[u8]> = from.to_ascii_lowercase().into();
        let fits = !from.is_empty() && from.eq_ignore_ascii_case(to);
        if fits {
            self.names.insert(lower, to.into());
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Changes the names of an encoded head (start line first) in place.
    pub fn adjust(&self, head: &mut [u8]) {
        for line in head.split_mut(|&byte| byte == b'\n').skip(1) {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let Some(name) = line.get_mut(..colon) else { continue };
            if let Some(cased) = self.names.get(&*name) {
                name.copy_from_slice(cased);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_case_adjust() {
        let mut case = HeaderCase::default();
        assert!(case.add(b"content-length", b"Content-Length"));
        assert!(!case.add(b"content-length", b"Content-Type"));
        let mut head = *b"GET /content-length: HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n";
        case.adjust(&mut head);
        assert_eq!(&head, b"GET /content-length: HTTP/1.1\r\nhost: a\r\nContent-Length: 2\r\n\r\n");
    }
}
