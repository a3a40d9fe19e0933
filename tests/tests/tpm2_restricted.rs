//! Restricted signing keys: they sign only what the TPM itself has hashed.

use std::fs;

use hwkey_tests::{Algorithm, Gateway, Said, Site, Tpm, TpmKey};

/// Of a key of each scheme, its handle and what its signatures are told to be.
const KEYS: [(&str, Algorithm, &str, &str); 4] = [
    ("0x81000020", Algorithm::P256, "ecdsa-sha256", ""),
    ("0x81000021", Algorithm::P384, "ecdsa-sha384", ""),
    ("0x81000022", Algorithm::Rsa2048, "rsassa-sha256", ""),
    (
        "0x81000023",
        Algorithm::Rsa2048,
        "rsapss-sha256",
        "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1",
    ),
];

fn gateway(kind: fn(&std::path::Path) -> Tpm) -> Gateway {
    let gateway = Gateway::with(kind);
    for (handle, algorithm, scheme, _) in KEYS {
        let key = TpmKey::new(algorithm).restricted(scheme);
        gateway.tpm.persist(handle, key);
    }
    gateway
}

fn digest_of(scheme: &str) -> &str {
    scheme.split_once('-').unwrap().1
}

#[test]
fn messages_of_any_length_are_hashed_by_the_tpm() {
    for kind in Tpm::KINDS {
        let gateway = gateway(kind);
        for size in [0, 1, 1023, 1024, 1025, 1_000_000] {
            fs::write(gateway.path("message"), vec![b'x'; size]).unwrap();
            for (handle, _, scheme, options) in KEYS {
                let digest = digest_of(scheme);
                let sign = format!(
                    "dgst -{digest} {options} -sign tpm2:handle={handle} -out signature message"
                );
                gateway.openssl(&sign, &[]).ok();
                let verify = format!(
                    "dgst -{digest} {options} -verify {handle}.pub -signature signature message"
                );
                gateway.software(&verify, &[]).ok();
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn a_message_that_looks_like_the_tpms_own_is_refused() {
    // What the TPM attests to begins so, and nobody else may have it signed.
    let gateway = gateway(Tpm::start);
    fs::write(gateway.path("message"), b"\xffTCG and more").unwrap();
    let sign = "dgst -sha256 -sign tpm2:handle=0x81000020 -out signature message";
    let said = Said::by(gateway.openssl(sign, &[]));
    assert!(said.queue[0].contains("TPM_RC_TICKET"), "{}", said.all);
    gateway.has_nothing_loaded();
}

#[test]
fn a_digest_that_the_program_has_made_is_refused_with_the_reason() {
    let gateway = gateway(Tpm::start);
    for (handle, _, scheme, _) in KEYS {
        let digest = digest_of(scheme);
        let hash = format!("dgst -{digest} -binary -out digest message");
        gateway.software(&hash, &[]).ok();
        let sign = format!(
            "pkeyutl -sign -inkey tpm2:handle={handle} -in digest -out signature \
             -pkeyopt digest:{digest}"
        );
        let said = Said::by(gateway.openssl(&sign, &[]));
        let reason = "operation not allowed for the key";
        let words = "signs only messages that the TPM itself has hashed";
        said.logs("error", reason, &[words, "openssl dgst"]);
    }
}

#[test]
fn another_digest_than_the_keys_own_is_refused() {
    let gateway = gateway(Tpm::start);
    for (handle, _, scheme, options) in KEYS {
        let sign =
            format!("dgst -sha512 {options} -sign tpm2:handle={handle} -out signature message");
        let said = Said::by(gateway.openssl(&sign, &[]));
        let own = digest_of(scheme).replace("sha", "but with SHA2-");
        assert!(said.all.contains("digest not supported"), "{}", said.all);
        assert!(said.all.contains(&own), "{}", said.all);
    }
}

#[test]
fn requests_and_certificates_are_signed() {
    let gateway = gateway(Tpm::start);
    for (handle, _, scheme, options) in KEYS {
        let uri = format!("tpm2:handle={handle}");
        let digest = digest_of(scheme);
        let request = format!("req -new -key {{}} -subj /CN=x -{digest} {options} -out csr");
        gateway.openssl(&request, &[&uri]).ok();
        gateway.software("req -in csr -verify -noout", &[]).ok();
    }
    gateway.certify("tpm2:handle=0x81000020", "x", "crt");
    gateway.software("verify -CAfile crt crt", &[]).ok();
    gateway.has_nothing_loaded();
}
