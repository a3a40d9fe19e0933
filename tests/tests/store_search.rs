//! Looking for certificates and keys on a token by what is in them.

use hwkey_tests::{Bench, KeyType};

const ROOT: &str = "/C=DE/O=Example Works/CN=Root";

/// A token with a root's key and certificate, a leaf's, which the root has signed, and the files
/// `root.pem` and `leaf.pem`.
fn bench() -> Bench {
    let bench = Bench::new("searched");
    bench.token.make_key(KeyType::P256, "root", "01");
    bench.token.make_key(KeyType::Rsa2048, "leaf", "02");
    let (root, leaf) = (bench.uri("root"), bench.uri("leaf"));
    bench
        .openssl(
            "req -x509 -new -key {} -set_serial 0xff01 -out root.pem -days 30",
            &[&root],
        )
        .args(["-subj", ROOT])
        .ok();
    bench
        .openssl("req -new -key {} -subj /CN=leaf -out leaf.csr", &[&leaf])
        .ok();
    bench
        .openssl(
            "x509 -req -in leaf.csr -CA root.pem -CAkey {} -set_serial 2 -days 30 -out leaf.pem",
            &[&root],
        )
        .ok();
    for (name, id) in [("root", "01"), ("leaf", "02")] {
        bench
            .openssl("x509 -in {}.pem -outform DER -out {}.der", &[name, name])
            .ok();
        let file = bench.path(&format!("{name}.der"));
        bench.token.write_certificate(&file, name, id);
    }
    bench
}

/// What `openssl storeutl` finds on the token with these options.
fn found(bench: &Bench, options: &[&str]) -> String {
    let search = bench.openssl("storeutl -text", &[]).args(options);
    search.arg("pkcs11:token=searched").ok()
}

fn count(printed: &str) -> &str {
    printed.trim_end().rsplit(": ").next().unwrap()
}

#[test]
fn a_certificate_is_found_by_its_subject_however_it_is_spelt() {
    let bench = bench();
    for subject in [ROOT, "/C=de/O=example  works/CN=ROOT"] {
        let printed = found(&bench, &["-certs", "-subject", subject]);
        assert_eq!(count(&printed), "1", "{printed}");
        assert!(printed.contains("Subject: C=DE, O=Example Works, CN=Root"));
    }
    let printed = found(&bench, &["-certs", "-subject", "/CN=Root"]);
    assert_eq!(count(&printed), "0", "{printed}");
}

#[test]
fn a_certificate_is_found_by_its_issuer_and_serial_number() {
    let bench = bench();
    for (serial, subject) in [("0xff01", "CN=Root"), ("2", "CN=leaf")] {
        let printed = found(&bench, &["-certs", "-issuer", ROOT, "-serial", serial]);
        assert_eq!(count(&printed), "1", "{printed}");
        assert!(printed.contains(subject), "{printed}");
    }
    let printed = found(&bench, &["-certs", "-issuer", ROOT, "-serial", "3"]);
    assert_eq!(count(&printed), "0", "{printed}");
}

#[test]
fn certificates_and_keys_are_found_by_fingerprint() {
    let bench = bench();
    let fingerprint = bench
        .openssl("x509 -in leaf.pem -noout -fingerprint -sha256", &[])
        .ok();
    let fingerprint = fingerprint
        .trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "");
    let printed = found(&bench, &["-sha256", "-fingerprint", &fingerprint]);
    assert_eq!(count(&printed), "1", "{printed}");
    assert!(printed.contains("Subject: CN=leaf"), "{printed}");

    // That of the public key: the key, and the certificate that has it.
    bench
        .openssl(
            "pkey -in {} -pubout -outform DER -out leaf.spki",
            &[&bench.uri("leaf")],
        )
        .ok();
    let digest = bench.openssl("dgst -sha256 -r leaf.spki", &[]).ok();
    let digest = digest.split(' ').next().unwrap();
    let printed = found(&bench, &["-sha256", "-fingerprint", digest]);
    assert_eq!(count(&printed), "2", "{printed}");
    assert!(printed.contains("Pkey") && printed.contains("Subject: CN=leaf"));
}

#[test]
fn an_alias_is_the_label() {
    let bench = bench();
    let printed = found(&bench, &["-alias", "root"]);
    assert_eq!(count(&printed), "2", "{printed}");
    let printed = found(&bench, &["-certs", "-alias", "root"]);
    assert_eq!(count(&printed), "1", "{printed}");
    assert_eq!(count(&found(&bench, &["-alias", "nobody"])), "0");
}

#[test]
fn a_chain_is_verified_and_sent_from_the_token() {
    let bench = bench();
    for store in ["pkcs11:token=searched", "pkcs11:"] {
        bench.openssl("verify -CAstore {} leaf.pem", &[store]).ok();
    }
    // All certificates of the token as a file for programs that take files only.
    let chain = bench
        .openssl("storeutl -certs {}", &["pkcs11:token=searched"])
        .ok();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "{chain}");
    let port = hwkey_tests::free_port();
    let _server = bench
        .openssl(
            "s_server -accept {} -key {} -cert {} -cert_chain {} -www",
            &[
                &port.to_string(),
                &bench.uri("leaf"),
                &format!("{};type=cert", bench.uri("leaf")),
                "pkcs11:token=searched;object=root;type=cert",
            ],
        )
        .background(Some(&bench.path("server.log")));
    hwkey_tests::wait_for_port(port);
    let address = format!("localhost:{port}");
    let said = bench
        .openssl(
            "s_client -connect {} -CAfile root.pem -verify_return_error -showcerts",
            &[&address],
        )
        .ok();
    assert_eq!(said.matches("BEGIN CERTIFICATE").count(), 2, "{said}");
}

#[test]
fn certificates_that_break_the_rules_are_found_and_hide_no_others() {
    let bench = bench();
    // More than twenty bytes of serial number (RFC 5280 §4.1.2.2), and a card's padding behind it.
    bench
        .openssl(
            "req -x509 -new -key {} -subj /CN=odd -days 9 -outform DER -out odd.der",
            &[&bench.uri("root")],
        )
        .args([
            "-set_serial",
            "0x123456789abcdef0123456789abcdef0123456789abcdef01234",
        ])
        .ok();
    let mut odd = std::fs::read(bench.path("odd.der")).unwrap();
    odd.extend([0; 16]);
    std::fs::write(bench.path("odd.der"), odd).unwrap();
    bench
        .token
        .write_certificate(&bench.path("odd.der"), "odd", "03");
    for subject in ["/CN=odd", "/CN=leaf"] {
        let printed = found(&bench, &["-certs", "-subject", subject]);
        assert_eq!(count(&printed), "1", "{subject}: {printed}");
    }
    bench
        .openssl("verify -CAstore {} leaf.pem", &["pkcs11:token=searched"])
        .ok();
}

#[test]
fn a_search_for_certificates_asks_for_no_pin() {
    let bench = bench();
    bench.configure(&bench.conf().without("pin-source"));
    let printed = found(&bench, &["-certs", "-subject", "/CN=leaf"]);
    assert_eq!(count(&printed), "1", "{printed}");
}
