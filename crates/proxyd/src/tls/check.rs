//! TLS for health checks: what a probe uses to speak it.

use std::io;
use std::sync::Arc;

use hacore::probe::{Io, Secured, TlsClient, TlsHandshake};
use rustls::{CertificateError, ClientConfig, Error};
use tokio_rustls::TlsConnector;

use super::backend::server_name;

/// Shakes hands as the server's traffic does.
#[derive(Debug)]
pub struct CheckTls {
    client: Arc<ClientConfig>,
}

impl CheckTls {
    /// Checks that do not say otherwise speak HTTP/1, whatever traffic may agree on.
    pub fn new(client: Arc<ClientConfig>) -> Self {
        let mut own = ClientConfig::clone(&client);
        own.alpn_protocols.retain(|name| name != b"h2");
        Self { client: Arc::new(own) }
    }
}

impl TlsClient for CheckTls {
    fn handshake<'a>(
        &'a self,
        stream: Box<dyn Io>,
        sni: Option<&'a str>,
        alpn: &'a [String],
    ) -> TlsHandshake<'a> {
        let client = if alpn.is_empty() {
            Arc::clone(&self.client)
        } else {
            let mut own = ClientConfig::clone(&self.client);
            own.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(own)
        };
        let name = server_name(sni, None);
        Box::pin(async move {
            let stream = TlsConnector::from(client).connect(name, stream).await.map_err(told)?;
            let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            Ok(Secured { io: Box::new(stream), alpn })
        })
    }
}

/// HAProxy's words for a failed handshake, with the reason.
fn told(error: io::Error) -> io::Error {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match reason {
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => io::Error::other("Server presented an SSL certificate different from the configured one"),
        Some(reason) => io::Error::other(format!("SSL handshake failure ({reason})")),
        None => io::Error::other("Connection closed during SSL handshake"),
    }
}
