//! Keys on less common curves, as far as the token has them: each gives a request, a certificate and
//! a signature that the default provider verifies.

use hwkey_tests::{Bench, KeyType};

const CURVES: [&str; 6] = [
    "secp224r1",
    "secp521r1",
    "secp256k1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
];

/// A bench with a key on `curve`, labelled `key`, and a message.
fn bench(curve: &'static str) -> Bench {
    let bench = Bench::new("curves");
    bench.token.make_key(KeyType::Curve(curve), "key", "01");
    bench
        .openssl("pkey -in {} -pubout -out key.pub", &[&bench.uri("key")])
        .ok();
    std::fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench
}

/// A certificate of the key's own, and a request; both must verify.
fn certify(bench: &Bench) -> (String, String) {
    let files = bench.self_signed("key");
    bench
        .openssl("verify -CAfile {} {}", &[&files.1, &files.1])
        .ok();
    bench
        .openssl(
            "req -new -key {} -subj /CN=x -out r.csr",
            &[&bench.uri("key")],
        )
        .ok();
    bench.openssl("req -in r.csr -verify -noout", &[]).ok();
    files
}

/// Mutual TLS with the key at both ends.
fn connect(bench: &Bench, (key, certificate): &(String, String)) {
    let (port, _server) = bench.demanding_server(key, certificate);
    for version in ["tls1_2", "tls1_3"] {
        let line = format!(
            "s_client -connect 127.0.0.1:{port} -{version} -key {{}} -cert {{}} -CAfile {{}} \
             -verify_return_error -quiet"
        );
        let page = bench
            .openssl(&line, &[&bench.uri("key"), certificate, certificate])
            .input("GET / HTTP/1.0\r\n\r\n")
            .ok();
        assert!(page.contains("Client certificate"), "{version}: {page}");
    }
}

#[test]
fn every_curve_signs_and_certificates_name_it() {
    for curve in CURVES {
        let bench = bench(curve);
        let (key, certificate) = certify(&bench);
        let text = bench
            .openssl("x509 -in {} -noout -text", &[&certificate])
            .ok();
        assert!(text.contains(&format!("ASN1 OID: {curve}")), "{text}");
        // SHA-512 is longer than most of these curves.
        for digest in ["sha256", "sha512"] {
            let sign = format!("dgst -{digest} -sign {{}} -out s message");
            bench.openssl(&sign, &[&key]).ok();
            let verify = format!("dgst -{digest} -verify key.pub -signature s message");
            bench.openssl(&verify, &[]).ok();
        }
        let text = bench.openssl("pkey -in {} -noout -text", &[&key]).ok();
        assert!(text.contains(curve), "{text}");
    }
}

#[test]
fn p521_serves_tls_12_and_13() {
    let bench = bench("secp521r1");
    let files = certify(&bench);
    connect(&bench, &files);
}

#[test]
fn ed25519_signs_requests_messages_and_tls() {
    let bench = bench("edwards25519");
    let files = certify(&bench);
    let text = bench.openssl("x509 -in {} -noout -text", &[&files.1]).ok();
    assert!(text.contains("Signature Algorithm: ED25519"), "{text}");
    bench
        .openssl(
            "pkeyutl -sign -inkey {} -rawin -in message -out s",
            &[&files.0],
        )
        .ok();
    bench
        .openssl(
            "pkeyutl -verify -pubin -inkey key.pub -rawin -in message -sigfile s",
            &[],
        )
        .ok();
    connect(&bench, &files);
}

#[test]
fn ed25519_says_that_it_takes_whole_messages() {
    let bench = bench("edwards25519");
    let said = bench
        .openssl(
            "pkeyutl -sign -inkey {} -in message -out s",
            &[&bench.uri("key")],
        )
        .fails();
    assert!(said.contains("EdDSA signs whole messages only"), "{said}");
}
