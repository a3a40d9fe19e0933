//! What is read of X.509 certificates.

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, SliceReader};
use x509_cert::certificate::{CertificateInner, Raw};

use super::public_key::RSA_ENCRYPTION;

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

/// Whether its key is one of RSA for any use.
pub fn is_rsa_encryption(der: &[u8]) -> bool {
    let algorithm = |certificate: CertificateInner<Raw>| -> ObjectIdentifier {
        let public = certificate.tbs_certificate().subject_public_key_info();
        public.algorithm.oid
    };
    parsed(der).map(algorithm) == Some(RSA_ENCRYPTION)
}
