//! TLS for every transport: one set of authorities, one crypto provider, one way to say what went wrong.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use domain::connector::ServerTls;
use domain::verdict::FailureReason;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TransportError;

/// Longest time for a handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Makes connections private.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the usual certificate authorities and `extra_roots`, and offers `protocols` to the other side.
    pub(super) fn new(extra_roots: &[CertificateDer<'static>], protocols: &[&[u8]]) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in extra_roots {
            roots.add(root.clone())?;
        }
        Self::trusting(roots, protocols)
    }

    /// Trusts these authorities, in PEM, and nobody else.
    pub(super) fn of_authorities(pem: &str) -> Result<Self, TransportError> {
        let wrong = || TransportError::new(FailureReason::Tls, "the certificate of the authority cannot be read");
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(root.map_err(|_| wrong())?).map_err(|_| wrong())?;
        }
        if roots.is_empty() { Err(wrong()) } else { Self::trusting(roots, &[]).map_err(|_| wrong()) }
    }

    /// What a server is to be spoken to with: this for one with a public certificate, nothing for plain text.
    pub(super) fn for_server(&self, wanted: &ServerTls) -> Result<Option<Self>, TransportError> {
        match wanted {
            ServerTls::Public => Ok(Some(self.clone())),
            ServerTls::Authority(pem) => Self::of_authorities(pem).map(Some),
            ServerTls::None => Ok(None),
        }
    }

    fn trusting(roots: RootCertStore, protocols: &[&[u8]]) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands over a fresh stream with somebody who can prove to be `name`.
    pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        stream: S,
        deadline: Instant,
    ) -> Result<TlsStream<S>, TransportError> {
        let deadline = deadline.min(Instant::now() + HANDSHAKE_MAX);
        match timeout_at(deadline, self.0.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if is_plain(&error) => {
                Err(TransportError::misconfigured(FailureReason::Tls, "what answers at this port does not speak TLS"))
            }
            Ok(Err(error)) => Err(TransportError::new(FailureReason::Tls, in_words(&error))),
            Err(_) => Err(TransportError::new(FailureReason::Tls, SILENT)),
        }
    }

    /// Whether somebody answers a handshake as who speaks TLS does, with a certificate of whatever name.
    pub(super) async fn is_spoken<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        stream: S,
        deadline: Instant,
    ) -> bool {
        let deadline = deadline.min(Instant::now() + HANDSHAKE_MAX);
        match timeout_at(deadline, self.0.connect(name, stream)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                matches!(error, Some(rustls::Error::InvalidCertificate(_)))
            }
            Err(_) => false,
        }
    }
}

/// What is said of somebody who hangs up, as many do who do not understand what a handshake is.
pub(super) const ENDED: &str =
    "the other side ended the TLS handshake; perhaps its port is not for encrypted connections";

/// What is said of somebody who goes on waiting, as others do.
pub(super) const SILENT: &str = "the TLS handshake took too long; perhaps the port is not for encrypted connections";

/// Whether the other side answered with something that is no TLS, which one that speaks it never does.
fn is_plain(error: &std::io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(_)))
}

fn in_words(error: &std::io::Error) -> &'static str {
    use rustls::Error::InvalidCertificate;
    if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) {
        return ENDED;
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "the certificate is for another name",
        Some(InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "the certificate has expired"
        }
        Some(InvalidCertificate(CertificateError::UnknownIssuer)) => "the certificate is not from a known authority",
        Some(InvalidCertificate(_)) => "the certificate is not valid",
        _ => "the TLS handshake failed",
    }
}
