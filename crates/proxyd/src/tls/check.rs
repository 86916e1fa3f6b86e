//! TLS for health checks: what a probe uses to speak it.

use std::io;
use std::sync::Arc;

use hacore::probe::{Io, Secured, TlsClient, TlsHandshake};
use rustls::{CertificateError, ClientConfig, Error};
use tokio_rustls::TlsConnector;

use super::backend::{BackendTls, server_name};

/// Shakes hands as the server's traffic does.
#[derive(Debug)]
pub struct CheckTls {
    /// Asked anew for each check: what it is made of may be replaced.
    server: Arc<BackendTls>,
}

impl CheckTls {
    /// Checks that do not say otherwise speak HTTP/1, whatever traffic may agree on.
    pub fn new(server: Arc<BackendTls>) -> Self {
        Self { server }
    }
}

impl TlsClient for CheckTls {
    fn handshake<'a>(
        &'a self,
        stream: Box<dyn Io>,
        sni: Option<&'a str>,
        alpn: &'a [String],
    ) -> TlsHandshake<'a> {
        let mut own = ClientConfig::clone(&self.server.client());
        if alpn.is_empty() {
            own.alpn_protocols.retain(|name| name != b"h2");
        } else {
            own.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        }
        let client = Arc::new(own);
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
