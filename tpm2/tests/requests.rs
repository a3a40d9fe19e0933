//! The requests, to a TPM in software. Others verify what it signs.

mod swtpm;

use std::sync::Barrier;

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use tpm2_abi::{
    Area, Cause, DecryptScheme, Input, Listed, Outcome, PublicKey, SignScheme, Source, Task,
    Template,
};

use swtpm::{ECDSA, P256, SHA256, Tpm, bytes, object, wrapped};

#[test]
fn a_wrapped_key_signs_and_leaves_nothing_in_the_tpm() {
    let tpm = Tpm::start();
    let key = wrapped(&tpm.create(P256, b""), b"");
    let digest = sha256(b"message");
    let area = tpm.inspect(&key);
    for _ in 0..4 {
        let signature = tpm.sign(&key, &digest).unwrap();
        assert!(verifies(&area, &digest, &signature));
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_persistent_key_signs() {
    let tpm = Tpm::start();
    let key = persistent(&tpm, "");
    let digest = sha256(b"message");
    let area = tpm.inspect(&key);
    let signature = tpm.sign(&key, &digest).unwrap();
    assert!(verifies(&area, &digest, &signature));
    let listing = tpm.ask(Task::List).unwrap();
    let Outcome::Listing(listing) = listing else {
        panic!("another outcome")
    };
    let handle = 0x8100_0001;
    assert_eq!(listing, [Listed::Key { handle, area }]);
}

fn persistent(tpm: &Tpm, auth: &str) -> tpm2_abi::Object {
    // It starts the TPM up.
    tpm.ask(Task::Describe).unwrap();
    tpm.tool("tpm2_createprimary -c primary.ctx");
    let auth_option = match auth {
        "" => String::new(),
        auth => format!(" -p {auth}"),
    };
    tpm.tool("tpm2_flushcontext -t");
    tpm.tool(&format!(
        "tpm2_create -C primary.ctx -G ecc256:ecdsa -u key.pub -r key.priv{auth_option}"
    ));
    tpm.tool("tpm2_flushcontext -t");
    tpm.tool("tpm2_load -C primary.ctx -u key.pub -r key.priv -c key.ctx");
    tpm.tool("tpm2_flushcontext -t");
    tpm.tool("tpm2_evictcontrol -c key.ctx 0x81000001");
    tpm.tool("tpm2_flushcontext -t");
    object(Source::Persistent(0x8100_0001), auth.as_bytes())
}

/// Whether the signature is one, in OpenSSL's eyes.
fn verifies(area: &Area, digest: &[u8], signature: &[u8]) -> bool {
    let PublicKey::Ecc { x, y, .. } = &area.key else {
        panic!("another kind of key")
    };
    let [x, y] = [x, y].map(|number| BigNum::from_slice(number).unwrap());
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
    let (r, s) = signature.split_at(signature.len() / 2);
    let [r, s] = [r, s].map(|number| BigNum::from_slice(number).unwrap());
    let signature = EcdsaSig::from_private_components(r, s).unwrap();
    signature.verify(digest, &key).unwrap()
}
