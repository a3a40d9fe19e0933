//! Which mechanisms sign: keys that are limited to some, hashing in the token, Ed448.

use std::fs;

use hwkey_tests::{Bench, KeyType, PIN, Python, SOFTHSM, Said, identity, load, spy};

/// A bench with an RSA key `key` that is limited to these mechanisms (pkcs11-tool's names).
fn limited(mechanisms: &str) -> Bench {
    let bench = Bench::new("limited");
    let options = ["--usage-sign", "--allowed-mechanisms", mechanisms];
    bench
        .token
        .make_key_on("limited", KeyType::Rsa2048, "key", "01", &options);
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    let uri = bench.uri("key");
    bench.openssl("pkey -in {} -out key.pem", &[&uri]).ok();
    bench
        .openssl("pkey -in key.pem -pubout -out public.pem", &[])
        .ok();
    bench
}

#[track_caller]
fn signs(bench: &Bench, options: &str) {
    let sign = format!("dgst {options} -sign key.pem -out signature message");
    bench.openssl(&sign, &[]).ok();
    let verify = format!("dgst {options} -verify public.pem -signature signature message");
    bench.openssl(&verify, &[]).ok();
}

/// Both ends of TLS 1.2 and 1.3 have the key and `crt.pem`, and the client says `text` of the server.
#[track_caller]
fn both_ends_of_tls_say(bench: &Bench, key: &str, text: &str) {
    let (port, _server) = bench.demanding_server(key, "crt.pem");
    let address = format!("localhost:{port}");
    for version in ["-tls1_2", "-tls1_3"] {
        let client = format!(
            "s_client {version} -connect {{}} -CAfile crt.pem -key {{}} -cert crt.pem -verify_return_error"
        );
        let said = bench.openssl(&client, &[&address, key]).finish();
        let all = said.all();
        assert!(said.ok && all.contains(text), "{all}");
    }
}

#[test]
fn a_key_that_may_only_do_pss_is_an_rsa_pss_key() {
    let bench = limited("RSA-PKCS-PSS,SHA256-RSA-PKCS-PSS");
    signs(&bench, "-sha256");
    signs(&bench, "-sha384 -sigopt rsa_pss_saltlen:20");
    let pkcs1 = "dgst -sha256 -sigopt rsa_padding_mode:pkcs1 -sign key.pem message";
    let refused = bench.openssl(pkcs1, &[]).fails();
    assert!(refused.contains("the key is an RSA-PSS key"), "{refused}");

    let request = "req -x509 -new -key key.pem -subj /CN=localhost -days 30 -out crt.pem";
    bench.openssl(request, &[]).ok();
    bench.openssl("verify -CAfile crt.pem crt.pem", &[]).ok();
    let text = bench.openssl("x509 -in crt.pem -noout -text", &[]).ok();
    assert!(text.contains("Public Key Algorithm: rsassaPss"), "{text}");

    both_ends_of_tls_say(&bench, "key.pem", "Peer signature type: RSA-PSS");
}

#[test]
fn a_key_that_must_hash_by_itself_gets_the_whole_message() {
    let bench = limited("SHA256-RSA-PKCS");
    signs(&bench, "-sha256");
    let token = identity(&bench, "limited");
    let only = "the key's CKA_ALLOWED_MECHANISMS are CKM_SHA256_RSA_PKCS, and none of them";

    // Told at the start, so that libssl takes another digest; not an error in the log therefore.
    let refused = bench
        .openssl("dgst -sha384 -sign key.pem message", &[])
        .fails();
    for part in [
        "digest not supported",
        &token,
        "key \"key\"",
        only,
        "signs over SHA2-384",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let pss = "dgst -sha256 -sigopt rsa_padding_mode:pss -sign key.pem message";
    let digest = "pkeyutl -sign -inkey key.pem -in digest -pkeyopt digest:sha256";
    fs::write(bench.path("digest"), [7; 32]).unwrap();
    for (refused, cure) in [(pss, "SignatureAlgorithms"), (digest, "openssl dgst -sign")] {
        Said::by(bench.openssl(refused, &[])).names(
            "operation not allowed for the key",
            "signing with ",
            &[&token, "key \"key\"", only, cure],
        );
    }
}

#[test]
fn a_pss_only_key_with_a_plain_rsa_certificate_beside_it_is_a_plain_rsa_key() {
    let bench = limited("RSA-PKCS-PSS,SHA224-RSA-PKCS-PSS");
    // An authority that knows no RSASSA-PSS keys made the certificate.
    let uri = bench.uri("key");
    plain_certificate(&bench);
    let der = bench.path("plain.der");
    bench.token.write_certificate(&der, "key", "01");
    let request = "req -x509 -new -key {} -subj /CN=localhost -days 30 -out crt.pem -sigopt \
                   rsa_padding_mode:pss";
    bench.openssl(request, &[&uri]).ok();
    let text = bench.openssl("x509 -in crt.pem -noout -text", &[]).ok();
    assert!(
        text.contains("Public Key Algorithm: rsaEncryption"),
        "{text}"
    );
    both_ends_of_tls_say(&bench, &uri, "Peer signature type: RSA-PSS");
}

#[test]
fn a_certificate_that_is_written_to_the_token_changes_no_loaded_key() {
    let bench = limited("RSA-PKCS-PSS");
    plain_certificate(&bench);
    let request = "req -x509 -new -key key.pem -subj /CN=localhost -days 30 -out crt.pem";
    bench.openssl(request, &[]).ok();
    let python = Python {
        bench,
        key: "key.pem".into(),
        certificate: "crt.pem".into(),
    };
    // Loaded as an RSA-PSS key; then comes the certificate; a child finds the key again.
    let script = "
import subprocess
one, other = with_key(server()), with_key(client())
subprocess.run(sys.argv[3:], check=True, stdout=subprocess.DEVNULL,
    env={**os.environ, 'OPENSSL_CONF': '/dev/null'})
both(one, other)
ended_well(child(lambda: both(one, other)))";
    let write = python.script(script);
    let write = write.args(["pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN]);
    let write = write.args(["--token-label", "limited", "--write-object", "plain.der"]);
    write
        .args(["--type", "cert", "--label", "key", "--id", "01"])
        .ok();
}

/// `plain.der`: a certificate for the modulus of `public.pem`, as an rsaEncryption key.
fn plain_certificate(bench: &Bench) {
    let text = bench
        .openssl(
            "asn1parse -in public.pem -strparse 17 -noout -out rsa.der",
            &[],
        )
        .finish();
    assert!(text.ok, "{}", text.all());
    bench
        .openssl(
            "rsa -RSAPublicKey_in -inform DER -in rsa.der -pubout -out plain.pub",
            &[],
        )
        .ok();
    bench
        .openssl(
            "genpkey -algorithm EC -pkeyopt group:P-256 -out ca.key",
            &[],
        )
        .ok();
    bench
        .openssl(
            "x509 -new -force_pubkey plain.pub -signkey ca.key -subj /CN=localhost -days 9 \
             -outform DER -out plain.der",
            &[],
        )
        .ok();
}

#[test]
fn a_message_without_memory_for_it_is_an_error_not_the_end_of_the_program() {
    let bench = Bench::new("hashing");
    bench.token.make_key(KeyType::P256, "key", "01");
    bench.configure(&bench.conf().option("digest", "token"));
    let message = fs::File::create(bench.path("message")).unwrap();
    message.set_len(400 << 20).unwrap();
    let uri = bench.uri("key");
    let said = bench
        .run("prlimit")
        .args([
            "--as=300000000",
            "openssl",
            "dgst",
            "-sha256",
            "-sign",
            &uri,
        ])
        .args(["-out", "signature", "message"])
        .fails();
    assert!(said.contains("there is no memory for a message"), "{said}");
}

#[test]
fn tls_takes_a_digest_that_the_key_may_sign_over() {
    let bench = limited("SHA384-RSA-PKCS-PSS,SHA384-RSA-PKCS");
    let request = "req -x509 -new -sha384 -key key.pem -subj /CN=localhost -days 30 -out crt.pem";
    bench.openssl(request, &[]).ok();
    both_ends_of_tls_say(&bench, "key.pem", "Peer signing digest: SHA384");
}

#[test]
fn with_digest_token_the_message_is_hashed_in_the_token() {
    for (key, mechanisms) in [
        // SoftHSM has one mechanism for both steps of RSA, and none for those of ECDSA.
        (KeyType::Rsa2048, &["CKM_SHA256_RSA_PKCS"][..]),
        (KeyType::P256, &["CKM_SHA256", "CKM_ECDSA"]),
    ] {
        let bench = Bench::new("hashing");
        bench.token.make_key(key, "key", "01");
        fs::write(bench.path("message"), "to whom it may concern").unwrap();
        let uri = bench.uri("key");
        bench
            .openssl("pkey -in {} -pubout -out public.pem", &[&uri])
            .ok();
        let conf = bench.conf().option("digest", "token");
        bench.configure(&conf.option("pkcs11-module-path", &spy()));
        bench
            .openssl("dgst -sha256 -sign {} -out signature message", &[&uri])
            .env("PKCS11SPY", SOFTHSM)
            .env("PKCS11SPY_OUTPUT", bench.path("spy.log"))
            .ok();
        let verify = "dgst -sha256 -verify public.pem -signature signature message";
        bench.openssl(verify, &[]).ok();
        let record = fs::read(bench.path("spy.log")).unwrap();
        let record = String::from_utf8_lossy(&record);
        // "[in] pMechanism->type = CKM_ECDSA", padded with spaces.
        let used: Vec<&str> = record
            .lines()
            .filter_map(|line| line.split_once("pMechanism->type = "))
            .map(|(_, mechanism)| mechanism.trim_end())
            .collect();
        assert_eq!(used, mechanisms, "{record}");

        let refused = bench.openssl("dgst -sha3-256 -sign {} message", &[&uri]);
        let refused = refused.env("PKCS11SPY", SOFTHSM).fails();
        assert!(refused.contains("digest = host"), "{refused}");
    }
}

#[test]
fn with_digest_token_requests_and_tls_work() {
    for key in KeyType::ALL {
        let bench = Bench::new("hashing");
        bench.token.make_key(key, "key", "01");
        bench.configure(&bench.conf().option("digest", "token"));
        let (key, certificate) = bench.self_signed("key");
        let (port, _server) = bench.demanding_server(&key, &certificate);
        for version in ["-tls1_2", "-tls1_3"] {
            let client = format!(
                "s_client {version} -connect localhost:{port} -CAfile {{}} -key {{}} -cert {{}} \
                 -verify_return_error"
            );
            bench
                .openssl(&client, &[&certificate, &key, &certificate])
                .ok();
        }
    }
}

#[test]
fn ed448_signs_requests_and_messages() {
    let bench = Bench::new("ed448");
    bench
        .openssl("genpkey -algorithm ED448 -out software.pem", &[])
        .ok();
    // No tool here makes an Ed448 key on the token.
    bench
        .token
        .tool("softhsm2-util")
        .args(["--import", "software.pem", "--token", "ed448", "--pin", PIN])
        .args(["--label", "key", "--id", "01"])
        .ok();
    let uri = bench.uri("key");
    load(&bench, &uri).ok();
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench
        .openssl("pkeyutl -sign -rawin -in message -inkey {} -out s", &[&uri])
        .ok();
    let verify = "pkeyutl -verify -rawin -in message -inkey software.pem -sigfile s";
    bench.openssl(verify, &[]).ok();
    bench
        .openssl("req -x509 -new -key {} -subj /CN=x -out crt.pem", &[&uri])
        .ok();
    bench.openssl("verify -CAfile crt.pem crt.pem", &[]).ok();
}
