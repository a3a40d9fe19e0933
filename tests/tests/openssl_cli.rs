//! The `openssl` program with hardware keys; the default provider verifies what hwkey signed.

use hwkey_tests::{Bench, KeyType};

const KEYS: [(KeyType, &str, &str); 3] = [
    (KeyType::P256, "p256", "01"),
    (KeyType::P384, "p384", "02"),
    (KeyType::Rsa2048, "rsa", "03"),
];

const DIGESTS: [&str; 11] = [
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha512-224",
    "sha512-256",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
];

/// A bench with a key of each type, the public half of each in `<label>.pub`.
fn bench() -> Bench {
    let bench = Bench::new("cli");
    bench.make_keys(&KEYS);
    std::fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench
}

#[test]
fn requests_and_certificates_are_signed_and_name_their_curve() {
    let bench = bench();
    for (key, label, _) in KEYS {
        let uri = bench.uri(label);
        bench
            .openssl("req -new -key {} -subj /CN=device -out r.csr", &[&uri])
            .ok();
        bench.openssl("req -in r.csr -verify -noout", &[]).ok();
        bench
            .openssl(
                "req -x509 -new -key {} -subj /CN=ca -days 9 -out ca.crt",
                &[&uri],
            )
            .ok();
        bench
            .openssl(
                "x509 -req -in r.csr -CA ca.crt -CAkey {} -CAcreateserial -out device.crt",
                &[&uri],
            )
            .ok();
        bench.openssl("verify -CAfile ca.crt device.crt", &[]).ok();
        let text = bench.openssl("x509 -in device.crt -noout -text", &[]).ok();
        let curve = match key {
            KeyType::P256 => "NIST CURVE: P-256",
            KeyType::P384 => "NIST CURVE: P-384",
            _ => "Public-Key: (2048 bit)",
        };
        assert!(
            text.contains(curve) && !text.contains("Field Type"),
            "{text}"
        );
    }
}

#[test]
fn every_digest_signs_and_the_default_provider_verifies() {
    let bench = bench();
    for (_, label, _) in KEYS {
        for digest in DIGESTS {
            let sign = format!("dgst -{digest} -sign {{}} -out s message");
            bench.openssl(&sign, &[&bench.uri(label)]).ok();
            let verify = format!("dgst -{digest} -verify {label}.pub -signature s message");
            bench.openssl(&verify, &[]).ok();
        }
    }
}

#[test]
fn rsa_pss_signs_with_every_digest_and_salt() {
    let bench = bench();
    let pss = "-sigopt rsa_padding_mode:pss";
    for digest in DIGESTS {
        for salt in ["digest", "max", "auto", "-1", "11"] {
            let options = format!("{pss} -sigopt rsa_pss_saltlen:{salt}");
            let sign = format!("dgst -{digest} -sign {{}} {options} -out s message");
            bench.openssl(&sign, &[&bench.uri("rsa")]).ok();
            // "auto" reads the salt's length from the signature, the others check it.
            let verify = format!("dgst -{digest} -verify rsa.pub {options} -signature s message");
            bench.openssl(&verify, &[]).ok();
        }
    }
    let options = format!("{pss} -sigopt rsa_mgf1_md:sha256 -sigopt rsa_pss_saltlen:digest");
    let sign = format!("dgst -sha384 -sign {{}} {options} -out s message");
    bench.openssl(&sign, &[&bench.uri("rsa")]).ok();
    let verify = format!("dgst -sha384 -verify rsa.pub {options} -signature s message");
    bench.openssl(&verify, &[]).ok();
}

#[test]
fn a_request_signed_with_pss_verifies() {
    let bench = bench();
    for digest in ["sha256", "sha3-256"] {
        for salt in ["-1", "max"] {
            let line = format!(
                "req -new -{digest} -key {{}} -sigopt rsa_padding_mode:pss \
                 -sigopt rsa_pss_saltlen:{salt} -subj /CN=device -out r.csr"
            );
            bench.openssl(&line, &[&bench.uri("rsa")]).ok();
            bench.openssl("req -in r.csr -verify -noout", &[]).ok();
            let text = bench.openssl("req -in r.csr -noout -text", &[]).ok();
            assert!(text.contains("rsassaPss"), "{text}");
        }
    }
}

#[test]
fn pkeyutl_signs_digests_and_raw_messages() {
    let bench = bench();
    bench
        .openssl("dgst -sha256 -binary -out hash message", &[])
        .ok();
    for (_, label, _) in KEYS {
        let public = format!("{label}.pub");
        for (sign, verify) in [
            ("-in hash", "-in hash"),
            (
                "-rawin -digest sha256 -in message",
                "-rawin -digest sha256 -in message",
            ),
            (
                "-pkeyopt digest:sha256 -in hash",
                "-pkeyopt digest:sha256 -in hash",
            ),
        ] {
            let sign = format!("pkeyutl -sign -inkey {{}} {sign} -out s");
            bench.openssl(&sign, &[&bench.uri(label)]).ok();
            let verify = format!("pkeyutl -verify -pubin -inkey {{}} {verify} -sigfile s");
            bench.openssl(&verify, &[&public]).ok();
        }
    }
    // Raw RSA: the caller has padded.
    std::fs::write(bench.path("block"), [1u8; 256]).unwrap();
    bench
        .openssl(
            "rsautl -sign -raw -inkey {} -in block -out s",
            &[&bench.uri("rsa")],
        )
        .ok();
    let recovered = bench
        .openssl(
            "pkeyutl -verifyrecover -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:none -in s -hexdump",
            &[],
        )
        .ok();
    assert!(recovered.contains("00f0 - 01 01 01 01"), "{recovered}");
}

#[test]
fn cms_messages_are_signed() {
    let bench = bench();
    for (_, label, _) in KEYS {
        let (_, certificate) = bench.self_signed(label);
        bench
            .openssl(
                "cms -sign -in message -signer {} -inkey {} -out signed",
                &[&certificate, &bench.uri(label)],
            )
            .ok();
        bench
            .openssl(
                "cms -verify -in signed -CAfile {} -purpose any -out /dev/null",
                &[&certificate],
            )
            .ok();
    }
}

#[test]
fn both_ends_of_tls_12_and_13_use_the_token() {
    let bench = bench();
    for (_, label, _) in KEYS {
        let (key, certificate) = bench.self_signed(label);
        let (port, _server) = bench.demanding_server(&key, &certificate);
        for version in ["tls1_2", "tls1_3"] {
            let line = format!(
                "s_client -connect 127.0.0.1:{port} -{version} -key {{}} -cert {{}} -CAfile {{}} \
                 -verify_return_error -quiet"
            );
            let page = bench
                .openssl(&line, &[&bench.uri(label), &certificate, &certificate])
                .input("GET / HTTP/1.0\r\n\r\n")
                .ok();
            let protocol = version.replace("tls", "TLSv").replace('_', ".");
            assert!(page.contains(&protocol), "{label} {version}: {page}");
            assert!(page.contains("Client certificate"), "{page}");
        }
    }
}

#[test]
fn a_reference_file_loads_as_key_with_its_certificate_behind_it() {
    let bench = bench();
    let (key, certificate) = bench.self_signed("p256");
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    std::fs::write(bench.path("both.pem"), read(&key) + &read(&certificate)).unwrap();
    let uri = bench.uri("p256");
    let public = bench.openssl("pkey -in {} -pubout", &[&uri]).ok();
    for file in [key.as_str(), "both.pem"] {
        let of_file = bench.openssl("pkey -in {} -pubout", &[file]).ok();
        assert_eq!(of_file, public);
    }
    // The certificate behind the reference is still found.
    bench.openssl("x509 -in both.pem -noout -subject", &[]).ok();
    let listing = bench.openssl("storeutl -noout both.pem", &[]).ok();
    assert!(
        listing.contains("0: Pkey") && listing.contains("1: Certificate"),
        "{listing}"
    );
}

#[test]
fn reference_files_hold_the_uri_and_no_pin() {
    let bench = bench();
    let uri = format!("{}?pin-value={}", bench.uri("p256"), hwkey_tests::PIN);
    let pem = bench.openssl("pkey -in {}", &[&uri]).ok();
    assert!(
        pem.contains("\nURI: pkcs11:") && pem.contains("object=p256"),
        "{pem}"
    );
    assert!(
        pem.contains("-----BEGIN PKCS#11 PROVIDER URI-----"),
        "{pem}"
    );
    let body = pem.split("-----").nth(2).unwrap().replace('\n', "");
    let der = bench
        .openssl("base64 -d -A", &[])
        .input(body)
        .finish()
        .stdout;
    for text in [pem, der] {
        assert!(
            !text.contains("pin-") && !text.contains(hwkey_tests::PIN),
            "{text}"
        );
    }
}

#[test]
fn pkey_text_says_where_the_key_lives() {
    let bench = bench();
    for (_, label, _) in KEYS {
        let text = bench
            .openssl("pkey -in {} -noout -text", &[&bench.uri(label)])
            .ok();
        assert!(text.contains("bit) in hardware"), "{text}");
        assert!(text.contains(&format!("object={label}")), "{text}");
        assert!(text.contains("token \"cli\" (SoftHSM project"), "{text}");
    }
}

#[test]
fn a_loaded_key_verifies_its_own_signatures_and_no_others() {
    let bench = bench();
    std::fs::write(bench.path("other"), "to somebody else").unwrap();
    for (_, label, _) in KEYS {
        let uri = bench.uri(label);
        bench
            .openssl("req -new -verify -key {} -subj /CN=x -out r.csr", &[&uri])
            .ok();
        let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
        for options in ["", pss] {
            if label != "rsa" && !options.is_empty() {
                continue;
            }
            let sign = format!("dgst -sha256 {options} -sign {{}} -out s message");
            bench.openssl(&sign, &[&uri]).ok();
            let verify = format!("dgst -sha256 {options} -prverify {{}} -signature s");
            bench.openssl(&format!("{verify} message"), &[&uri]).ok();
            let said = bench.openssl(&format!("{verify} other"), &[&uri]).fails();
            assert!(said.contains("Verification failure"), "{said}");
        }
        bench
            .openssl("dgst -sha256 -binary -out hash message", &[])
            .ok();
        bench
            .openssl("dgst -sha256 -sign {} -out s message", &[&uri])
            .ok();
        let verify = "pkeyutl -verify -inkey {} -pkeyopt digest:sha256 -in hash -sigfile {}";
        bench.openssl(verify, &[&uri, "s"]).ok();
        let said = bench.openssl(verify, &[&uri, "message"]).fails();
        assert!(said.contains("Signature Verification Failure"), "{said}");
    }
}

#[test]
fn the_private_key_is_never_written() {
    let bench = bench();
    let (key, certificate) = bench.self_signed("p256");
    let attempts = [
        format!("pkey -in {key} -outform DER -out leaked"),
        format!("pkey -in {key} -traditional -out leaked"),
        format!("pkcs8 -topk8 -in {key} -nocrypt -out leaked"),
        format!("pkcs8 -topk8 -in {key} -passout pass:secret -out leaked"),
        format!("pkcs12 -export -inkey {key} -in {certificate} -passout pass:secret -out leaked"),
        format!("ec -in {key} -outform DER -out leaked"),
    ];
    for attempt in attempts {
        bench.openssl(&attempt, &[]).fails();
        // Some of OpenSSL's commands create the file before they have the key; it stays empty.
        let size = std::fs::metadata(bench.path("leaked")).map_or(0, |file| file.len());
        assert_eq!(size, 0, "{attempt}");
        let _ = std::fs::remove_file(bench.path("leaked"));
    }
    for form in ["pkey -outform DER", "pkcs12 -export -passout pass:x"] {
        let line = format!("{form} -in {{}} -inkey {{}}");
        let line = line.replace(
            "pkey -outform DER -in {} -inkey {}",
            "pkey -outform DER -in {}",
        );
        let uri = bench.uri("p256");
        let values: Vec<&str> = match line.matches("{}").count() {
            1 => vec![&uri],
            _ => vec![&certificate, &uri],
        };
        let said = bench.openssl(&line, &values).fails();
        assert!(
            said.contains("the private key can't leave its hardware"),
            "{said}"
        );
    }
}

#[test]
fn a_token_is_listed_by_its_uri() {
    let bench = bench();
    let listing = bench.openssl("storeutl pkcs11:token=cli", &[]).ok();
    for (_, label, id) in KEYS {
        assert!(
            listing.contains(&format!("id=%{id};object={label};type=private")),
            "{listing}"
        );
    }
    assert!(listing.contains("Total found: 3"), "{listing}");
}

#[test]
fn certificates_on_the_token_load_beside_their_key() {
    let bench = bench();
    let (_, certificate) = bench.self_signed("p256");
    bench
        .openssl("x509 -in {} -outform DER -out c.der", &[&certificate])
        .ok();
    bench
        .token
        .write_certificate(&bench.path("c.der"), "p256", "01");
    let listing = bench
        .openssl("storeutl -noout {}", &[&bench.uri("p256")])
        .ok();
    assert!(
        listing.contains("Pkey") && listing.contains("Certificate"),
        "{listing}"
    );
    let certs = bench
        .openssl("storeutl -noout -certs {}", &[&bench.uri("p256")])
        .ok();
    assert!(
        certs.contains("0: Certificate") && certs.contains("Total found: 1"),
        "{certs}"
    );
    let of_type = format!("{};type=cert", bench.uri("p256"));
    bench
        .openssl("x509 -in {} -noout -subject", &[&of_type])
        .ok();
    let public = format!("{};type=public", bench.uri("p256"));
    bench.openssl("pkey -pubin -in {} -noout", &[&public]).ok();
}

#[test]
fn the_key_can_be_picked_by_id_or_label_and_the_token_by_anything() {
    let bench = bench();
    let expected = bench
        .openssl("pkey -in {} -pubout", &[&bench.uri("p384")])
        .ok();
    for uri in [
        "pkcs11:token=cli;id=%02",
        "pkcs11:object=p384",
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;object=p384;type=private",
        "pkcs11:library-description=Implementation%20of%20PKCS11;id=%02",
        "pkcs11:library-version=2.6;token=cli;id=%02;object=p384",
    ] {
        assert_eq!(
            bench.openssl("pkey -in {} -pubout", &[uri]).ok(),
            expected,
            "{uri}"
        );
    }
}
