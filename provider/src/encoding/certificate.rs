//! What is read of X.509 certificates.

use der::{Decode, Encode, SliceReader};
use x509_cert::certificate::{CertificateInner, Raw};

/// The certificate in `der`, read as leniently as by OpenSSL: serial numbers of any length, and behind
/// it whatever a card has padded its file with.
pub fn parsed(der: &[u8]) -> Option<CertificateInner<Raw>> {
    let mut reader = SliceReader::new(der).ok()?;
    let certificate = CertificateInner::decode(&mut reader);
    certificate
        .inspect_err(|error| log::info!("a certificate can't be read: {error}"))
        .ok()
}

/// DER of its SubjectPublicKeyInfo.
pub fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = parsed(der)?;
    let public = certificate.tbs_certificate().subject_public_key_info();
    public.to_der().ok()
}
