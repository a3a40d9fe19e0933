//! The TPM's random numbers: for who asks for them in openssl.cnf, and nobody else.

use std::fs;

use hwkey_tests::{Algorithm, Gateway, Said, Tpm};

/// openssl.cnf with these lines in the section of OpenSSL's random numbers.
fn configure(gateway: &Gateway, lines: &str) {
    let text = gateway.conf().text();
    let section = "[openssl_init]\nrandom = random_sect\n";
    let text = text.replacen("[openssl_init]\n", section, 1);
    let text = format!("{text}[random_sect]\n{lines}\n");
    fs::write(gateway.path("openssl.cnf"), text).unwrap();
}

/// What `openssl rand` gives, which is not twice the same.
fn draws(gateway: &Gateway, bytes: usize) {
    let draw = || {
        let arguments = format!("rand -hex {bytes}");
        gateway.openssl(&arguments, &[]).ok()
    };
    let (one, other) = (draw(), draw());
    assert_eq!(one.trim().len(), 2 * bytes);
    assert!(one != other, "{one}");
}

/// Without the TPM it fails, and says why.
#[track_caller]
fn needs_the_tpm(gateway: &Gateway) {
    gateway.tpm.stop();
    let said = Said::by(gateway.openssl("rand -hex 16", &[]));
    let words = ["random numbers", "start it, or correct host and port"];
    said.logs("error", "TPM can't be used", &words);
    gateway.tpm.go_on();
    draws(gateway, 16);
}

#[test]
fn all_random_numbers_can_be_the_tpms() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        configure(&gateway, "random = TPM2-RAND");
        for bytes in [1, 16, 64, 1000, 10_000] {
            draws(&gateway, bytes);
        }
        let make = "genpkey -algorithm EC -pkeyopt group:P-256 -out soft.pem";
        gateway.openssl(make, &[]).ok();
        gateway.make_key(Algorithm::P256, "tpm2:", "key.pem");
        gateway.signs("key.pem");
        gateway.has_nothing_loaded();
    }
}

#[test]
fn all_random_numbers_of_the_tpm_are_missing_without_it() {
    let gateway = Gateway::new();
    configure(&gateway, "random = TPM2-RAND");
    draws(&gateway, 16);
    needs_the_tpm(&gateway);
}

#[test]
fn openssls_own_generator_can_be_seeded_by_the_tpm() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        configure(&gateway, "seed = TPM2-RAND");
        draws(&gateway, 100_000);
        let make = "genpkey -algorithm RSA -pkeyopt bits:2048 -out soft.pem";
        gateway.openssl(make, &[]).ok();
        gateway.make_key(Algorithm::P256, "tpm2:", "key.pem");
        gateway.signs("key.pem");
        gateway.has_nothing_loaded();
    }
}

#[test]
fn a_generator_that_the_tpm_should_seed_is_not_seeded_otherwise() {
    let gateway = Gateway::new();
    configure(&gateway, "seed = TPM2-RAND");
    draws(&gateway, 16);
    needs_the_tpm(&gateway);
}

#[test]
fn nobody_else_needs_the_tpm_for_random_numbers() {
    let gateway = Gateway::new();
    gateway.tpm.stop();
    let conf = gateway.conf();
    let first = conf.clone().listing(&["hwkey", "default"]);
    for conf in [conf, first] {
        gateway.configure(&conf);
        draws(&gateway, 64);
        let make = "genpkey -algorithm RSA -pkeyopt bits:2048 -out soft.pem";
        gateway.openssl(make, &[]).ok();
        let request = "req -x509 -new -key soft.pem -subj /CN=x -out crt";
        gateway.openssl(request, &[]).ok();
    }
}
