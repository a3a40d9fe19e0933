//! Signatures of all keys of a TPM, with a resource manager before it and without.

use hwkey_tests::{Algorithm, Gateway, Said, Tpm};

const EC: [Algorithm; 3] = [Algorithm::P256, Algorithm::P384, Algorithm::P521];
const RSA: [Algorithm; 3] = [Algorithm::Rsa1024, Algorithm::Rsa2048, Algorithm::Rsa3072];

/// The key's signature of `message` is a signature to software, with the same options.
#[track_caller]
fn signs(gateway: &Gateway, key: &str, options: &str) {
    let arguments = format!("dgst {options} -sign {{}} -out signature message");
    gateway.openssl(&arguments, &[key]).ok();
    let arguments = format!("dgst {options} -verify {{}} -signature signature message");
    gateway.software(&arguments, &[&format!("{key}.pub")]).ok();
}

#[test]
fn ec_keys_sign_with_every_digest() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (_, key) in gateway.make_keys(&EC) {
            for digest in [
                "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512",
            ] {
                signs(&gateway, &key, &format!("-{digest}"));
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn rsa_keys_sign_pkcs1_with_every_digest() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (_, key) in gateway.make_keys(&RSA) {
            for digest in ["sha1", "sha256", "sha384", "sha512", "sha3-256", "sha3-512"] {
                signs(&gateway, &key, &format!("-{digest}"));
            }
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn rsa_keys_sign_pss_with_every_length_of_the_salt() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (_, key) in gateway.make_keys(&RSA) {
            for (digest, salt) in [
                ("sha1", "digest"),
                ("sha256", "digest"),
                ("sha384", "digest"),
                ("sha3-256", "digest"),
                ("sha256", "max"),
                ("sha256", "0"),
                ("sha256", "20"),
                ("sha512", "32"),
            ] {
                // A number is what the verifier insists on.
                let options = format!(
                    "-{digest} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}"
                );
                signs(&gateway, &key, &options);
            }
            let options = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest \
                           -sigopt rsa_mgf1_md:sha1";
            signs(&gateway, &key, options);
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn digests_that_a_program_has_made_are_signed() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        gateway
            .software("dgst -sha256 -binary -out digest message", &[])
            .ok();
        for (algorithm, key) in gateway.make_keys(&Algorithm::ALL) {
            let public = format!("{key}.pub");
            let more = match algorithm.is_rsa() {
                // Without the name of a digest, as TLS 1.1 did; with it; PSS.
                true => &["", "-pkeyopt digest:sha256", PSS][..],
                false => &[""],
            };
            for options in more {
                let arguments =
                    format!("pkeyutl -sign -inkey {{}} -in digest -out signature {options}");
                gateway.openssl(&arguments, &[&key]).ok();
                let arguments = format!(
                    "pkeyutl -verify -pubin -inkey {{}} -in digest -sigfile signature {options}"
                );
                gateway.software(&arguments, &[&public]).ok();
            }
        }
        gateway.has_nothing_loaded();
    }
}

const PSS: &str =
    "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:-1";

#[test]
fn requests_and_certificates_are_signed_and_verified_with_the_loaded_key() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for (_, key) in gateway.make_keys(&Algorithm::ALL) {
            let request = "req -new -key {} -subj /CN=x -out csr";
            gateway.openssl(request, &[&key]).ok();
            gateway.software("req -in csr -verify -noout", &[]).ok();
            // With the key itself, which verifies here.
            let verify = "dgst -sha256 -prverify {} -signature signature message";
            signs(&gateway, &key, "-sha256");
            gateway.openssl(verify, &[&key]).ok();
            gateway
                .software("dgst -sha512 -out message.digest message", &[])
                .ok();
            let other = "dgst -sha256 -prverify {} -signature signature message.digest";
            gateway.openssl(other, &[&key]).fails();
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn sizes_and_curves_that_the_tpm_has_not_are_refused_by_name() {
    let gateway = Gateway::new();
    for (name, options) in [
        ("ecc224", "EC -pkeyopt group:P-224"),
        ("rsa2048", "RSA -pkeyopt bits:2048"),
        ("rsa4096", "RSA -pkeyopt bits:4096"),
        ("rsa8192", "RSA -pkeyopt bits:8192"),
    ] {
        let make = format!(
            "genpkey -propquery provider=hwkey -algorithm {options} -pkeyopt hwkey_uri:tpm2: -out new.pem"
        );
        let make = gateway.openssl(&make, &[]);
        if gateway.tpm.tpm2("testparms {}", &[name]).finish().ok {
            make.ok();
            continue;
        }
        let said = Said::by(make);
        assert!(
            said.queue[0].contains(":key type not supported:"),
            "{}",
            said.all
        );
        assert!(said.all.contains("TPM"), "{}", said.all);
    }
    gateway.has_nothing_loaded();
}
