//! The `Forwarded` header field (RFC 7239): one element, as `option forwarded` writes it.

use std::net::IpAddr;

/// Who is at one end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Address(IpAddr),
    /// A name that means nothing outside; gets the `_` with which such names begin (§6.3).
    Obfuscated(Vec<u8>),
    Unknown,
}

/// A port, or a name that hides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    Obfuscated(Vec<u8>),
}

/// One element: its parameters in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub proto: Option<&'static str>,
    pub host: Option<Vec<u8>>,
    pub by: Option<(Node, Option<Port>)>,
    pub from: Option<(Node, Option<Port>)>,
}

impl Element {
    /// Appends the field's value.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let next = |out: &mut Vec<u8>, name: &[u8]| {
            if out.len() > start {
                out.push(b';');
            }
            out.extend_from_slice(name);
        };
        if let Some(proto) = self.proto {
            next(out, b"proto=");
            out.extend_from_slice(proto.as_bytes());
        }
        if let Some(host) = &self.host {
            next(out, b"host=");
            quoted(host, out);
        }
        for (name, node) in [(b"by=".as_slice(), &self.by), (b"for=", &self.from)] {
            if let Some((node, port)) = node {
                next(out, name);
                write_node(node, port.as_ref(), out);
            }
        }
    }
}

fn write_node(node: &Node, port: Option<&Port>, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    match node {
        Node::Address(IpAddr::V4(address)) => text.extend_from_slice(address.to_string().as_bytes()),
        Node::Address(IpAddr::V6(address)) => text.extend_from_slice(format!("[{address}]").as_bytes()),
        Node::Obfuscated(name) => obfuscated(name, &mut text),
        Node::Unknown => text.extend_from_slice(b"unknown"),
    }
    if let Some(port) = port {
        text.push(b':');
        match port {
            Port::Number(number) => text.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            Port::Obfuscated(name) => obfuscated(name, &mut text),
        }
    }
    // Colons and brackets are no token characters (§4).
    if text.iter().any(|byte| matches!(byte, b':' | b'[')) {
        quoted(&text, out);
    } else {
        out.extend_from_slice(&text);
    }
}

/// Letters, digits, `.`, `_` and `-` are what such a name may have (§6.3).
fn obfuscated(name: &[u8], out: &mut Vec<u8>) {
    if name.first() != Some(&b'_') {
        out.push(b'_');
    }
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    out.extend(name.iter().copied().filter(fits));
}

fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(element: &Element) -> String {
        let mut out = Vec::new();
        element.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The examples of the manual, "option forwarded".
    #[test]
    fn option_forwarded() {
        let from = |node, port| Some((node, port));
        let v4 = Node::Address([127, 0, 0, 1].into());
        let plain = Element { proto: Some("http"), from: from(v4, None), ..Element::default() };
        assert_eq!(text(&plain), "proto=http;for=127.0.0.1");
        let hashed = Element {
            host: Some(b"haproxy.org".to_vec()),
            from: from(Node::Obfuscated(b"000000007F2F367E".to_vec()), Some(Port::Number(60138))),
            ..Element::default()
        };
        assert_eq!(text(&hashed), "host=\"haproxy.org\";for=\"_000000007F2F367E:60138\"");
        let custom = Element {
            host: Some(b"host.com".to_vec()),
            by: from(Node::Obfuscated(b"_haproxy".to_vec()), None),
            from: from(Node::Address("::1".parse().unwrap()), Some(Port::Number(10))),
            ..Element::default()
        };
        assert_eq!(text(&custom), "host=\"host.com\";by=_haproxy;for=\"[::1]:10\"");
    }
}
