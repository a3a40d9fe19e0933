//! curl with a client certificate whose key is in the token: the system's with a reference file, a
//! newer one with the URI too.

use hwkey_tests::{Background, Bench, KeyType, Run, SOFTHSM, free_port, module, wait_for_port};

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
fn curl(bench: &Bench, port: u16) -> Run {
    ask(bench.run("curl"), port)
}

/// A curl that takes keys of providers by their URI: 8.12 or newer.
fn new_curl(bench: &Bench, port: u16) -> Run {
    let program = std::env::var("HWKEY_TEST_CURL").unwrap_or_default();
    assert!(
        !program.is_empty(),
        "set HWKEY_TEST_CURL to a curl from 8.12 on; ci/test takes it from Debian's backports"
    );
    ask(bench.run(program), port)
}

fn ask(curl: Run, port: u16) -> Run {
    curl.args(["--silent", "--show-error", "--cacert", "server.crt"])
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

/// curl has an OpenSSL context of its own for this, which reads no openssl.cnf: the module is found
/// by its name, and the URI says the rest.
#[test]
fn a_new_curl_takes_the_uri() {
    let bench = Bench::new("curl");
    std::fs::create_dir(bench.path("modules")).unwrap();
    std::os::unix::fs::symlink(module(), bench.path("modules/hwkey.so")).unwrap();
    let rest = format!(
        "pin-source=file:{}&module-path={SOFTHSM}",
        bench.pin_file().display()
    );
    for (key, label, id) in [
        (KeyType::P256, "p256", "01"),
        (KeyType::Rsa2048, "rsa", "02"),
    ] {
        bench.token.make_key(key, label, id);
        let (_, certificate) = bench.self_signed(label);
        let (port, _server) = server(&bench, &certificate);
        let uri = format!("{}?{rest}", bench.uri(label));
        for version in ["1.2", "1.3"] {
            let page = new_curl(&bench, port)
                .env("OPENSSL_MODULES", bench.path("modules"))
                .args(["--engine", "hwkey", "--key-type", "PROV", "--key", &uri])
                .args(["--cert", &certificate, "--tls-max", version])
                .ok();
            assert!(
                page.contains(&format!("Protocol  : TLSv{version}")),
                "{page}"
            );
            assert!(page.contains("Client certificate"), "{page}");
        }
    }
}

#[test]
fn a_new_curl_takes_the_reference_too() {
    let bench = Bench::new("curl");
    bench.token.make_key(KeyType::P256, "p256", "01");
    let (key, certificate) = bench.self_signed("p256");
    let (port, _server) = server(&bench, &certificate);
    let page = new_curl(&bench, port)
        .args(["--key", &key, "--cert", &certificate])
        .ok();
    assert!(page.contains("Client certificate"), "{page}");
}
