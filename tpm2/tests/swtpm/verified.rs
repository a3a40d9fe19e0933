//! Signatures in OpenSSL's eyes.

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use tpm2_abi::{Area, PublicKey, SignScheme};

/// Whether `signature` is one of `digest` (SHA-256) by the key of `area`.
pub fn verifies(area: &Area, scheme: SignScheme, digest: &[u8], signature: &[u8]) -> bool {
    let key = public_key(area);
    let mut context = PkeyCtx::new(&key).unwrap();
    context.verify_init().unwrap();
    context.set_signature_md(openssl::md::Md::sha256()).unwrap();
    let der;
    let signature = match scheme {
        SignScheme::Ecdsa { .. } => {
            let (r, s) = signature.split_at(signature.len() / 2);
            let [r, s] = [r, s].map(|number| BigNum::from_slice(number).unwrap());
            der = EcdsaSig::from_private_components(r, s)
                .unwrap()
                .to_der()
                .unwrap();
            &der[..]
        }
        SignScheme::RsaSsa { .. } => signature,
        SignScheme::RsaPss { .. } => {
            context.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signature
        }
    };
    assert_eq!(digest.len(), MessageDigest::sha256().size());
    context.verify(digest, signature).unwrap_or(false)
}

pub fn public_key(area: &Area) -> PKey<Public> {
    let number = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
    match &area.key {
        PublicKey::Rsa { modulus, exponent } => {
            let exponent = BigNum::from_u32(*exponent).unwrap();
            let key = Rsa::from_public_components(number(modulus), exponent).unwrap();
            PKey::from_rsa(key).unwrap()
        }
        PublicKey::Ecc { x, y, .. } => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            let (x, y) = (number(x), number(y));
            let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
            PKey::from_ec_key(key).unwrap()
        }
        PublicKey::Other(_) => panic!("another kind of key"),
    }
}
