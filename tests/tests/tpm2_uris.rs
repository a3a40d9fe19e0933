//! What URIs name in a TPM: keys by handle, in saved contexts and in files that stand for them,
//! certificates, and everything there is.

use std::fs;

use hwkey_tests::{Algorithm, Gateway, PIN, Parent, Said, Site, Tpm, TpmKey, reference};

const KEY: &str = "tpm2:handle=0x81000010";
const CERTIFICATE: &str = "tpm2:nv=0x01c00002";

/// A machine with a key, and its certificate in the TPM and in the file `crt`.
fn gateway() -> Gateway {
    let gateway = Gateway::new();
    gateway
        .tpm
        .persist("0x81000010", TpmKey::new(Algorithm::P256));
    gateway.certify(KEY, "gateway", "crt");
    gateway
        .software("x509 -in crt -outform DER -out crt.der", &[])
        .ok();
    let der = gateway.path("crt.der");
    gateway.tpm.store_certificate("0x01c00002", &der);
    gateway
}

#[test]
fn keys_have_the_uris_of_tpm2_openssl_too() {
    let gateway = gateway();
    let key = TpmKey::new(Algorithm::Rsa2048);
    let owner = Parent::Hierarchy("o");
    gateway.tpm.tools_key_file("file.pem", owner, key);
    for uri in [
        KEY,
        "handle:0x81000010",
        "object:file.pem",
        "tpm2:object=file.pem",
    ] {
        gateway.signs(uri);
    }
    gateway.has_nothing_loaded();
}

#[test]
fn a_saved_context_is_good_until_the_tpm_starts_anew() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let owner = Parent::Hierarchy("o");
        let key = TpmKey::new(Algorithm::P256);
        gateway.tpm.context_file("key.ctx", owner, key);
        gateway.signs("tpm2:object=key.ctx");
        gateway.signs("object:key.ctx");
        let write = "pkey -in tpm2:object=key.ctx -out never.pem";
        let said = Said::by(gateway.openssl(write, &[]));
        assert!(said.all.contains("tpm2_evictcontrol"), "{}", said.all);
        gateway.has_nothing_loaded();
        gateway.tpm.restart();
        let said = Said::by(gateway.openssl("pkey -in tpm2:object=key.ctx -noout", &[]));
        let words = "a saved context is good until the TPM starts anew";
        said.logs("error", "the key belongs to another TPM", &[words]);
    }
}

#[test]
fn a_reference_to_a_handle_is_written_and_read_back() {
    let gateway = gateway();
    gateway.reference(KEY, "ref.pem");
    let text = fs::read_to_string(gateway.path("ref.pem")).unwrap();
    assert!(text.contains("-----BEGIN HWKEY URI-----"), "{text}");
    // It tells that the key has no authorisation value, so that none is tried.
    assert!(text.contains(&format!("URI: {KEY}?pin-value=\n")), "{text}");
    let wrong = format!("{KEY}?pin-value=wrong");
    gateway.openssl("pkey -in {} -noout", &[&wrong]).fails();
    assert_eq!(gateway.tpm.tries_spent(), 1);
    gateway.signs("ref.pem");
    let again = gateway.openssl("pkey -in ref.pem", &[]).ok();
    assert_eq!(again, text);
}

#[test]
fn a_reference_names_no_files_unless_that_is_allowed() {
    let gateway = gateway();
    gateway.make_key(Algorithm::P256, "tpm2:", "key.pem");
    gateway.write_pin(PIN);
    let pin = gateway.path("pin").display().to_string();
    let file = gateway.path("key.pem").display().to_string();
    for (uri, named) in [
        (format!("tpm2:object={file}"), "tpm2:object"),
        (format!("{KEY}?pin-source=file:{pin}"), "pin-source"),
    ] {
        gateway.configure(&gateway.conf());
        fs::write(gateway.path("ref.pem"), reference(&uri, |_| {})).unwrap();
        let said = Said::by(gateway.openssl("pkey -in ref.pem -noout", &[]));
        let reason = "key URI from a file is not allowed to name files";
        said.logs("error", reason, &[named, "allow-uri-paths"]);
        gateway.configure(&gateway.conf().option("allow-uri-paths", "yes"));
        if named == "tpm2:object" {
            gateway.signs("ref.pem");
        }
    }
}

#[test]
fn a_certificate_in_the_tpm_is_read_by_its_index() {
    let gateway = gateway();
    for uri in [CERTIFICATE, "handle:0x1c00002"] {
        let read = "x509 -in {} -outform DER -out read.der";
        gateway.openssl(read, &[uri]).ok();
        let read = |name| fs::read(gateway.path(name)).unwrap();
        assert_eq!(read("read.der"), read("crt.der"));
    }
    let said = Said::by(gateway.openssl("x509 -in tpm2:nv=0x01c00003 -noout", &[]));
    said.logs("error", "no such key", &["0x01c00003"]);
}

#[test]
fn what_there_is_is_listed_with_uris_that_load() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let empty = gateway.openssl("storeutl -noout tpm2:", &[]).finish();
        let cure = "no certificates in TPM";
        assert!(empty.all().contains(cure), "{}", empty.all());
        for (_, key) in gateway.make_keys(&Algorithm::ALL) {
            gateway.signs(&key);
        }
        gateway.certify("tpm2:handle=0x81000000", "gateway", "crt");
        gateway
            .software("x509 -in crt -outform DER -out crt.der", &[])
            .ok();
        let der = gateway.path("crt.der");
        gateway.tpm.store_certificate("0x01c00002", &der);
        let listed = gateway.openssl("storeutl -noout tpm2:", &[]).ok();
        let names = listed
            .lines()
            .filter_map(|line| line.split_once(": Name: "));
        let uris: Vec<&str> = names.map(|(_, uri)| uri).collect();
        assert_eq!(uris.len(), Algorithm::ALL.len() + 1, "{listed}");
        for uri in uris {
            let load = gateway.openssl("storeutl -noout {}", &[uri]).ok();
            assert!(load.contains("Total found: 1"), "{uri}: {load}");
        }
        gateway.has_nothing_loaded();
    }
}

#[test]
fn certificates_and_keys_are_found_by_what_they_are() {
    let gateway = gateway();
    let digest = "x509 -in crt -noout -fingerprint -sha256";
    let fingerprint = gateway.software(digest, &[]).ok();
    let (_, fingerprint) = fingerprint.trim().split_once('=').unwrap();
    for (search, value) in [
        ("-certs -subject", "/CN=gateway"),
        // (Without the digest's name OpenSSL crashes.)
        ("-certs -sha256 -fingerprint", &fingerprint.replace(':', "")),
        ("-keys -alias", KEY),
        ("-certs -alias", CERTIFICATE),
    ] {
        let arguments = format!("storeutl -noout {search} {{}} tpm2:");
        let found = gateway.openssl(&arguments, &[value]).ok();
        assert!(found.contains("Total found: 1"), "{search}: {found}");
    }
    let other = "storeutl -noout -certs -subject /CN=other tpm2:";
    let found = gateway.openssl(other, &[]).finish();
    assert!(found.all().contains("Total found: 0"), "{}", found.all());
}

#[test]
fn nothing_else_is_ever_written_of_a_private_key() {
    let gateway = gateway();
    gateway.make_key(Algorithm::Rsa2048, "tpm2:", "key.pem");
    for key in [KEY, "key.pem"] {
        for arguments in [
            "pkey -in {} -outform DER -out out",
            "pkcs8 -topk8 -nocrypt -in {} -outform DER -out out",
            "pkey -in {} -traditional -out out",
            "pkcs12 -export -nocerts -inkey {} -in crt -passout pass:x -out out",
        ] {
            gateway.openssl(arguments, &[key]).fails();
            let written = fs::read(gateway.path("out")).unwrap_or_default();
            assert_eq!(written, b"", "{arguments}");
        }
        let text = gateway.openssl("pkey -in {} -noout -text", &[key]).ok();
        assert!(!text.contains("priv:"), "{text}");
    }
}

#[test]
fn a_handle_that_is_not_there_is_told_with_those_that_are() {
    let gateway = Gateway::new();
    for number in 1..=10 {
        let handle = format!("0x810000{number:02}");
        gateway.tpm.persist(&handle, TpmKey::new(Algorithm::P256));
    }
    let said = Said::by(gateway.openssl("pkey -in tpm2:handle=0x81000099 -noout", &[]));
    let there = "TPM_RC_HANDLE (0x18b, handle 1); there is no such object in the TPM; there are \
        0x81000001, 0x81000002, ";
    assert!(said.queue[0].contains(there), "{}", said.all);
    assert!(said.queue[0].ends_with("and 2 more"), "{}", said.all);
    // Nor does tss2 tell of it.
    assert!(!said.all.contains("ERROR:esys"), "{}", said.all);
}
