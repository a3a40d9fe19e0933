//! curl with a client certificate whose key is in the token.

use hwkey_tests::{Background, Bench, KeyType, free_port, wait_for_port};

/// An HTTPS server with a software key that insists on the client certificate `client`.
fn server(bench: &Bench, client: &str) -> (u16, Background) {
    bench
        .openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key \
             -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 9",
            &[],
        )
        .ok();
    let port = free_port();
    let server = bench
        .openssl(
            "s_server -accept {} -key server.key -cert server.crt -CAfile {} -Verify 1 \
             -verify_return_error -www",
            &[&port.to_string(), client],
        )
        .background(Some(&bench.path("server.log")));
    wait_for_port(port);
    (port, server)
}

/// curl's arguments up to the client's key.
fn curl(bench: &Bench, port: u16) -> hwkey_tests::Run {
    bench
        .run("curl")
        .args(["--silent", "--show-error", "--cacert", "server.crt"])
        .arg(format!("https://localhost:{port}/"))
}

#[test]
fn curl_shows_a_client_certificate_over_tls_12_and_13() {
    let bench = Bench::new("curl");
    for (key, label, id) in [
        (KeyType::P256, "p256", "01"),
        (KeyType::P384, "p384", "02"),
        (KeyType::Rsa2048, "rsa", "03"),
    ] {
        bench.token.make_key(key, label, id);
        let (key, certificate) = bench.self_signed(label);
        let (port, _server) = server(&bench, &certificate);
        for (protocol, options) in [
            ("TLSv1.2", ["--tlsv1.2", "--tls-max", "1.2"]),
            ("TLSv1.3", ["--tlsv1.3", "--tls-max", "1.3"]),
        ] {
            let page = curl(&bench, port)
                .args(["--key", &key, "--cert", &certificate])
                .args(options)
                .ok();
            assert!(page.contains(&format!("Protocol  : {protocol}")), "{page}");
            assert!(page.contains("Client certificate"), "{page}");
        }
    }
}

#[test]
fn curl_finds_the_key_behind_the_certificate_in_one_file() {
    let bench = Bench::new("curl");
    bench.token.make_key(KeyType::P256, "p256", "01");
    let (key, certificate) = bench.self_signed("p256");
    let (port, _server) = server(&bench, &certificate);
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    for (name, text) in [
        ("certificate-first.pem", read(&certificate) + &read(&key)),
        ("key-first.pem", read(&key) + &read(&certificate)),
    ] {
        std::fs::write(bench.path(name), text).unwrap();
        let page = curl(&bench, port).args(["--cert", name]).ok();
        assert!(page.contains("Client certificate"), "{name}: {page}");
    }
}

#[test]
fn the_server_refuses_curl_without_the_certificate() {
    let bench = Bench::new("curl");
    bench.token.make_key(KeyType::P256, "p256", "01");
    let (_, certificate) = bench.self_signed("p256");
    let (port, _server) = server(&bench, &certificate);
    let said = curl(&bench, port).fails();
    assert!(said.contains("certificate required"), "{said}");
}

#[test]
fn curl_says_why_a_key_does_not_load() {
    let bench = Bench::new("curl");
    bench.token.make_key(KeyType::P256, "p256", "01");
    bench.token.make_key(KeyType::P256, "other", "02");
    let (key, certificate) = bench.self_signed("p256");
    let (other, _) = bench.self_signed("other");
    let (port, _server) = server(&bench, &certificate);
    let with_key = |key: &str| {
        curl(&bench, port)
            .args(["--key", key, "--cert", &certificate])
            .fails()
    };

    // Of another certificate's key curl says no more than of a software key.
    let said = with_key(&other);
    assert!(said.contains("unable to set private key file"), "{said}");
    assert!(!said.contains("hwkey"), "{said}");

    bench.write_pin("11112222");
    let said = with_key(&key);
    assert!(said.contains("PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
    bench.write_pin(hwkey_tests::PIN);

    bench
        .token
        .pkcs11_tool("curl")
        .args(["--delete-object", "--type", "privkey", "--label", "p256"])
        .ok();
    let said = with_key(&key);
    assert!(said.contains("no such key"), "{said}");
    // What there is instead.
    assert!(said.contains("id=%02;object=other"), "{said}");
}
