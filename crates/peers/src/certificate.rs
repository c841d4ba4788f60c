//! A certificate for `localhost` and 127.0.0.1, signed by an authority that only this test run knows.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Files for a server, and what a client must trust.
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority_pem: String,
}

impl Certificate {
    /// Writes `server.pem` and `server.key` into a directory.
    pub(crate) fn write(directory: &Path) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        // A certificate whose subject is its issuer's would pass for self-signed.
        authority.distinguished_name.push(DnType::CommonName, "an authority for tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let server_key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)?.signed_by(&server_key, &authority)?;

        let (chain, key) = (directory.join("server.pem"), directory.join("server.key"));
        std::fs::write(&chain, server.pem())?;
        std::fs::write(&key, server_key.serialize_pem())?;
        Ok(Self { chain, key, authority_pem: authority.pem() })
    }
}
