//! Decryption and key exchange with all keys of a TPM, with a resource manager before it and without.

use std::fs;

use hwkey_tests::{Algorithm, Gateway, Said, Site, Tpm, TpmKey};

const EC: [Algorithm; 3] = [Algorithm::P256, Algorithm::P384, Algorithm::P521];
const RSA: [Algorithm; 3] = [Algorithm::Rsa1024, Algorithm::Rsa2048, Algorithm::Rsa3072];

/// What software encrypts to the key, the key decrypts.
#[track_caller]
fn decrypts(gateway: &Gateway, key: &str, message: &str, options: &str) {
    encrypt(gateway, key, message, options);
    let arguments = format!("pkeyutl -decrypt -inkey {{}} -in secret -out plain {options}");
    gateway.openssl(&arguments, &[key]).ok();
    let read = |name| fs::read(gateway.path(name)).unwrap();
    assert!(read("plain") == read(message), "{key} {options}");
}

fn encrypt(gateway: &Gateway, key: &str, message: &str, options: &str) {
    let arguments =
        format!("pkeyutl -encrypt -pubin -inkey {{}} -in {message} -out secret {options}");
    gateway.software(&arguments, &[&format!("{key}.pub")]).ok();
}

#[test]
fn rsa_keys_decrypt_with_every_padding() {
    const OAEP: &str = "-pkeyopt rsa_padding_mode:oaep";
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (_, key) in gateway.make_keys(&RSA) {
            for options in [
                "",
                OAEP,
                &format!("{OAEP} -pkeyopt rsa_oaep_md:sha256"),
                // The TPM has no such OAEP: the host unpads it.
                &format!("{OAEP} -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha1"),
                &format!("{OAEP} -pkeyopt rsa_oaep_md:sha3-256"),
                // The TPM's labels end in NUL.
                &format!("{OAEP} -pkeyopt rsa_oaep_label:616200"),
                &format!("{OAEP} -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_oaep_label:6162"),
            ] {
                decrypts(&gateway, &key, "message", options);
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn rsa_keys_decrypt_bare_numbers() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (algorithm, key) in gateway.make_keys(&RSA) {
            let mut full = vec![7; algorithm.bytes()];
            for first in [0, 1] {
                full[0] = first;
                fs::write(gateway.path("full"), &full).unwrap();
                decrypts(&gateway, &key, "full", "-pkeyopt rsa_padding_mode:none");
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn a_wrong_padding_gives_something_else_and_always_the_same() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (algorithm, key) in gateway.make_keys(&RSA) {
            let size = algorithm.bytes();
            let stand_in = |filling: u8| {
                let mut full = vec![filling; size];
                full[0] = 0;
                fs::write(gateway.path("full"), &full).unwrap();
                encrypt(&gateway, &key, "full", "-pkeyopt rsa_padding_mode:none");
                let decrypt = "pkeyutl -decrypt -inkey {} -in secret -out plain";
                gateway.openssl(decrypt, &[&key]).ok();
                fs::read(gateway.path("plain")).unwrap()
            };
            let (one, again, other) = (stand_in(5), stand_in(5), stand_in(6));
            assert!(one == again && one != other, "{key}");
            assert!(one.len().max(other.len()) <= size - 11, "{key}");
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn a_wrong_oaep_padding_or_label_is_an_error_that_tells_no_more() {
    const OAEP: &str = "-pkeyopt rsa_padding_mode:oaep";
    let gateway = Gateway::new();
    for (_, key) in gateway.make_keys(&[Algorithm::Rsa2048]) {
        let failures = ["616200", "6162"].map(|label| {
            encrypt(&gateway, &key, "message", OAEP);
            let arguments = format!(
                "pkeyutl -decrypt -inkey {{}} -in secret {OAEP} -pkeyopt rsa_oaep_label:{label}"
            );
            Said::by(gateway.openssl(&arguments, &[&key]))
        });
        // By the TPM, and by the host.
        let texts = [
            "the data was not encrypted for this key",
            "is not one for this key",
        ];
        for (said, text) in failures.iter().zip(texts) {
            said.logs("warn", "data of the wrong length", &[text]);
        }
    }
    gateway.has_nothing_loaded();
}

#[test]
fn ec_keys_agree_with_a_peer_in_software() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (algorithm, key) in gateway.make_keys(&EC) {
            let make = format!("genpkey -out peer.key {}", algorithm.options());
            gateway.software(&make, &[]).ok();
            let public = "pkey -in peer.key -pubout -out peer.pub";
            gateway.software(public, &[]).ok();
            let ours = "pkeyutl -derive -inkey {} -peerkey peer.pub -out ours";
            gateway.openssl(ours, &[&key]).ok();
            let theirs = "pkeyutl -derive -inkey peer.key -peerkey {} -out theirs";
            gateway.software(theirs, &[&format!("{key}.pub")]).ok();
            let read = |name| fs::read(gateway.path(name)).unwrap();
            assert!(!read("ours").is_empty() && read("ours") == read("theirs"));
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn mail_that_is_encrypted_to_a_certificate_is_read() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (algorithm, key) in gateway.make_keys(&Algorithm::ALL) {
            gateway.certify(&key, "gateway", "crt");
            let more = match algorithm.is_rsa() {
                true => &["", "-keyopt rsa_padding_mode:oaep"][..],
                false => &["", "-keyopt ecdh_kdf_md:sha256", "-aes256-wrap"],
            };
            for options in more {
                let encrypt = format!(
                    "cms -encrypt -binary -aes-256-cbc -in message -out mail -recip crt {options}"
                );
                gateway.software(&encrypt, &[]).ok();
                let decrypt = "cms -decrypt -binary -in mail -inkey {} -recip crt -out plain";
                gateway.openssl(decrypt, &[&key]).ok();
                let read = |name| fs::read(gateway.path(name)).unwrap();
                assert!(read("plain") == read("message"), "{key} {options}");
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn keys_that_only_sign_or_only_decrypt_refuse_the_other_in_plain_words() {
    let gateway = Gateway::new();
    let handles = ["0x81000010", "0x81000011", "0x81000012", "0x81000013"];
    let keys = [Algorithm::Rsa2048, Algorithm::P256].map(TpmKey::new);
    for (handle, key) in handles.iter().zip([
        keys[0].only_signing(),
        keys[0].only_decrypting(),
        keys[1].only_signing(),
        keys[1].only_decrypting(),
    ]) {
        gateway.tpm.persist(handle, key);
    }
    let refuses = |handle: &str, arguments: &str, words: &str| {
        let uri = format!("tpm2:handle={handle}");
        let said = Said::by(gateway.openssl(arguments, &[&uri]));
        let reason = "operation not allowed for the key";
        assert!(said.queue[0].contains(reason), "{}", said.all);
        assert!(said.queue[0].contains(words), "{}", said.all);
    };
    fs::write(gateway.path("secret"), [1; 256]).unwrap();
    let decrypt = "pkeyutl -decrypt -inkey {} -in secret";
    refuses(handles[0], decrypt, "its attribute \"decrypt\" is clear");
    let sign = "dgst -sha256 -sign {} -out signature message";
    for handle in [handles[1], handles[3]] {
        refuses(handle, sign, "attribute \"sign\" is clear");
    }
    let peer = "genpkey -algorithm EC -pkeyopt group:P-256 -out peer.key";
    gateway.software(peer, &[]).ok();
    let public = "pkey -in peer.key -pubout -out peer.pub";
    gateway.software(public, &[]).ok();
    let derive = "pkeyutl -derive -inkey {} -peerkey peer.pub -out secret";
    refuses(handles[2], derive, "attribute \"decrypt\" is clear");
    gateway.has_nothing_loaded();
}
