//! A key whose private half the tests know, in the place of one in hardware.

use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::encoding::oaep::Oaep;
use crate::encoding::{pkcs1_encryption, rsa_public, test_bytes as bytes};
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Decryption, HardwareKey, Input, PublicKey, Scheme};

const MODULUS: &str = "a4de50175cab45c2230deccb47a301d4e18fbcd225f9392257c9e9ea5a1763f9\
         9497bd4af8295975bf13f1459ac07aca9cfd82d0591cedc6ea0b91a94b80c365\
         8aed1e810cde7e0c736e4e156044143c15e54833d9292964d2ca0cf3717912c8\
         b8ebce118cf7ae22fba4d2278e2b216e1293dfd0c2442a7fed7c14040f460f45";
const EXPONENT: &str = "45ab24111b39ccfaa2b189b4c50adf054463e718aeaf483379017bf56a28a438\
         9d5019cf8a5a7ed140f37e6b395fc903c19f671dffea37986ce282a515a0cdf0\
         77346be0089c11b2b38bb7d571aa6be065b788ebaaaad6917afa55ce5da2a59e\
         db91835e7312c57c7524316d0cac8089b77f80afe7eb0ca637821d767f66e1c1";

pub struct TestKey {
    public: PublicKey,
    raw: bool,
}

impl TestKey {
    /// An RSA key of 1,024 bits.
    pub fn rsa(raw: bool) -> Self {
        Self {
            public: PublicKey::rsa(&bytes(MODULUS), &[1, 0, 1]).unwrap(),
            raw,
        }
    }

    /// An EC key whose secrets have the bytes of the peer's x coordinate.
    pub fn ec(curve: Curve) -> Self {
        let point = [&[4][..], &vec![9; 2 * curve.field_size()]].concat();
        Self {
            public: PublicKey::ec(curve, &point).unwrap(),
            raw: false,
        }
    }
}

impl HardwareKey for TestKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn uri(&self) -> String {
        "test:".into()
    }

    fn place(&self) -> String {
        "the test".into()
    }

    fn name(&self) -> String {
        "test".into()
    }

    fn allows(&self, _: Option<Digest>) -> Result<()> {
        Ok(())
    }

    fn wants_messages(&self) -> bool {
        false
    }

    fn sign(&self, _: &Scheme, _: Input<'_>, _: &mut [u8]) -> Result<usize> {
        Err(refused())
    }

    fn verify(&self, _: &Scheme, _: &[u8], _: &[u8]) -> Result<bool> {
        Err(refused())
    }

    fn decrypts_raw(&self) -> bool {
        self.raw
    }

    fn rejection_secret(&self) -> Result<Zeroizing<Vec<u8>>> {
        Ok(Zeroizing::new(vec![7; 32]))
    }

    fn decrypt(&self, how: &Decryption, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let encoded = rsa_public::apply(&bytes(MODULUS), &bytes(EXPONENT), input)?;
        let encoded = Zeroizing::new(encoded);
        match how {
            Decryption::Raw if self.raw => Ok(encoded),
            Decryption::Raw => Err(refused()),
            Decryption::Pkcs1 => pkcs1_encryption::decode_openly(&encoded),
            Decryption::Oaep { digest, label } => Oaep {
                digest: *digest,
                mgf1: *digest,
                label,
            }
            .decode(encoded),
        }
    }

    fn derive(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let x = &peer[1..=peer.len() / 2];
        Ok(Zeroizing::new(x.to_vec()))
    }
}

fn refused() -> Error {
    Error::new(Reason::OperationNotAllowed, "not with this key")
}
