//! The server's own certificate: self-signed, for the names of this machine's loopback, good for less than two weeks.
//!
//! Browsers take such a certificate for WebTransport by its hash (W3C WebTransport, `serverCertificateHashes`), if
//! it is of ECDSA and lasts at most 14 days. It knows neither sockets nor protocols.

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
    pem::{self, PemObject as _},
};
use sha2::{Digest as _, Sha256};
use ticker::clock;

/// Names that clients of this machine call it by.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// A browser's limit is 14 days; clocks differ a little.
const VALID_FOR: Duration = Duration::from_secs(13 * 24 * 3_600);
/// The certificate is valid from a little before it was made, for the same reason.
const VALID_BEFORE: Duration = Duration::from_secs(3_600);

/// A certificate with its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Identity {
    /// Makes a fresh key and signs its certificate with it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn self_signed() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "tickertape");
        let now = std::time::UNIX_EPOCH + Duration::from_nanos(clock::unix_ns());
        params.not_before = (now - VALID_BEFORE).into();
        params.not_after = (now + VALID_FOR).into();
        let certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self { certificate: certificate.into(), key, pem })
    }

    /// A certificate and its key in PEM (RFC 7468), as [`Self::pem_with_key`] writes them; of a chain the first is used.
    ///
    /// # Errors
    /// When either of them is missing.
    pub fn from_pem(text: &str) -> Result<Self, pem::Error> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())?;
        let body = BASE64_STANDARD.encode(&certificate);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        Ok(Self { certificate, key, pem })
    }

    /// The certificate with its key, for another server of the same name. To be kept from others.
    pub fn pem_with_key(&self) -> String {
        let body = BASE64_STANDARD.encode(self.key.secret_der());
        format!("{}-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n", self.pem)
    }

    /// The certificate (X.509, DER).
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Its key (PKCS #8).
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// The certificate as clients' programs take it (RFC 7468).
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the DER, by which a browser recognises it.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The fingerprint in base64 (RFC 4648 section 4), as a page decodes it.
    pub fn fingerprint_base64(&self) -> String {
        BASE64_STANDARD.encode(self.fingerprint())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl fmt::Debug for Identity {
    /// The key stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_its_own_and_reads_back() {
        let (one, other) = (Identity::self_signed().unwrap(), Identity::self_signed().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint_base64().len(), 44);
        assert!(one.pem().starts_with("-----BEGIN CERTIFICATE-----"));
        let again = Identity::from_pem(&one.pem_with_key()).unwrap();
        assert_eq!((again.certificate(), again.key()), (one.certificate(), one.key()));
        assert!(Identity::from_pem(one.pem()).is_err() && Identity::from_pem("").is_err());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(one.certificate()).unwrap();
    }
}
