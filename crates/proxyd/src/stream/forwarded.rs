//! `option forwarded`: the Forwarded header of a request on its way to a server.

use super::session::Session;
use super::state::Stream;
use crate::expr::{EvalCtx, Sample};
use crate::http::forwarded::{Element, Node, Port};
use crate::model::{Forwarded, ForwardedValue};
use crate::runtime::Core;
use crate::txn::Endpoint;

impl Stream {
    /// Appends the field that this backend asks for; false when the head is full.
    pub(super) fn add_forwarded(&mut self, session: &Session, core: &Core, option: &Forwarded) -> bool {
        let context = self.context(session, core);
        let (source, destination) = (&session.info.source, &session.info.destination);
        let host = option.host.as_ref().and_then(|value| match value {
            ForwardedValue::Own => self.request.headers.find(b"host").map(<[u8]>::to_vec),
            ForwardedValue::Expression(expression) => {
                expression.eval(&context)?.into_text().map(|text| text.to_vec())
            }
        });
        let element = Element {
            proto: option.proto.then_some(if session.info.tls { "https" } else { "http" }),
            host,
            by: node(option.by.as_ref(), option.by_port.as_ref(), destination, &context),
            from: node(option.from.as_ref(), option.from_port.as_ref(), source, &context),
        };
        let mut value = Vec::new();
        element.write(&mut value);
        self.request.headers.add(b"forwarded", &value).is_ok()
    }
}

fn node(
    name: Option<&ForwardedValue>,
    port: Option<&ForwardedValue>,
    own: &Endpoint,
    context: &EvalCtx<'_>,
) -> Option<(Node, Option<Port>)> {
    let node = match name? {
        ForwardedValue::Own => own.ip().map_or(Node::Unknown, Node::Address),
        ForwardedValue::Expression(expression) => match expression.eval(context) {
            Some(Sample::Ipv4(address)) => Node::Address(address.into()),
            Some(Sample::Ipv6(address)) => Node::Address(address.into()),
            Some(other) => other.into_text().map_or(Node::Unknown, |text| from_text(&text[..])),
            None => Node::Unknown,
        },
    };
    let port = port.and_then(|port| match port {
        ForwardedValue::Own => own.port().map(Port::Number),
        ForwardedValue::Expression(expression) => match expression.eval(context)? {
            Sample::Int(number) => u16::try_from(number).ok().map(Port::Number),
            other => {
                let text = other.into_text()?;
                let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                Some(number.map_or_else(|| Port::Obfuscated(text.to_vec()), Port::Number))
            }
        },
    });
    Some((node, port))
}

fn from_text(text: &[u8]) -> Node {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    address.map_or_else(|| Node::Obfuscated(text.to_vec()), Node::Address)
}
