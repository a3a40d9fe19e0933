//! What a user reads when a token or a key is not there, is there twice, or can't do what it is asked.

use std::fs;

use hwkey_tests::{Bench, KeyType, SOFTHSM, Said, WRONG_PIN, bench, failed_load, identity, load};

#[test]
fn a_missing_token_is_named_with_those_that_are_there() {
    let bench = bench("gateway");
    bench.token.add("spare");
    failed_load(&bench, "pkcs11:token=gatewya;object=device").names(
        "no such token",
        "loading pkcs11:token=gatewya;object=device",
        &[
            "looking for pkcs11:token=gatewya;object=device",
            "no token matches",
            &identity(&bench, "gateway"),
            &identity(&bench, "spare"),
        ],
    );
}

#[test]
fn a_missing_key_is_named_with_those_that_are_there() {
    let bench = Bench::new("gateway");
    let missing = bench.uri("devcie");
    let token = identity(&bench, "gateway");
    let reason = "no such key";
    let stopped = format!("loading {missing}");
    let attempted = format!("looking for {missing} on {token}: nothing matches; there ");

    failed_load(&bench, &missing).names(
        reason,
        &stopped,
        &[&format!("{attempted}is nothing of the kind")],
    );
    bench.token.make_key(KeyType::P256, "key-0", "10");
    failed_load(&bench, &missing).names(reason, &stopped, &[&format!("{attempted}is \"key-0\"")]);
    for number in 1..10 {
        let (label, id) = (format!("key-{number}"), format!("1{number}"));
        bench.token.make_key(KeyType::P256, &label, &id);
    }
    let said = failed_load(&bench, &missing);
    said.names(
        reason,
        &stopped,
        &[&format!("{attempted}are \""), " and 2 more"],
    );
    assert_eq!(said.queue[0].matches("\"key-").count(), 8, "{}", said.all);
}

#[test]
fn several_keys_that_match_are_told_apart() {
    let bench = Bench::new("gateway");
    let uri = bench.uri("device");
    let token = identity(&bench, "gateway");
    let stopped = format!("loading {uri}");
    // With the ninth the message must still end with its cure.
    for (keys, count) in [(1..3, 2), (3..10, 9)] {
        for number in keys {
            let id = format!("0{number}");
            bench.token.make_key(KeyType::P256, "device", &id);
        }
        let more = match count {
            9 => " and 1 more",
            _ => "",
        };
        failed_load(&bench, &uri).names(
            "several keys match",
            &stopped,
            &[
                &format!("looking for {uri} on {token}"),
                "id=%0",
                more,
                "; add id= ",
            ],
        );
    }
    load(&bench, "pkcs11:token=gateway;object=device;id=%02").ok();
}

#[test]
fn when_several_tokens_match_none_gets_a_pin() {
    let bench = bench("gateway");
    bench.token.add("spare");
    bench
        .token
        .make_key_on("spare", KeyType::P256, "device", "01", &["--usage-sign"]);
    // It would be refused if it were sent.
    bench.write_pin(WRONG_PIN);
    failed_load(&bench, "pkcs11:object=device").names(
        "several tokens match",
        "loading pkcs11:object=device",
        &[
            "looking for pkcs11:object=device",
            &identity(&bench, "gateway"),
            &identity(&bench, "spare"),
            "add token= or serial=",
        ],
    );
    let slots = bench
        .token
        .tool("pkcs11-tool")
        .args(["--module", SOFTHSM, "--list-token-slots"])
        .ok();
    assert!(!slots.contains("PIN count low"), "{slots}");
}

#[test]
fn a_public_key_left_over_from_a_deleted_key_is_never_taken_for_its_own() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let renew = |key: KeyType, label: &str, id: &str| {
        let delete = bench.token.pkcs11_tool("gateway");
        delete
            .args(["--delete-object", "--type", "privkey", "--id", id])
            .ok();
        bench.token.make_key(key, label, id);
    };
    renew(KeyType::P256, "device", "01");
    failed_load(&bench, &uri).names(
        "several keys match",
        &format!("loading {uri}"),
        &[
            "the private key \"device\"",
            &identity(&bench, "gateway"),
            "several public keys with its id",
            "pkcs11-tool --delete-object --type pubkey",
        ],
    );
    // An RSA key has its modulus in the private half.
    bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
    renew(KeyType::Rsa2048, "rsa", "02");
    let request = "req -x509 -new -key {} -subj /CN=x -out x.crt";
    bench.openssl(request, &[&bench.uri("rsa")]).ok();
    bench
        .openssl("verify -check_ss_sig -CAfile x.crt x.crt", &[])
        .ok();
}

/// As after an import of a private key with its certificate.
#[test]
fn a_private_key_without_its_public_half_is_used_by_its_certificate() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    bench.token.make_key(KeyType::P256, "other", "09");
    let certify = |key: &str, id: &str| {
        bench
            .openssl(
                "req -x509 -new -key {} -subj /CN=gateway -days 9 -outform DER -out {}.der",
                &[&bench.uri(key), key],
            )
            .ok();
        let file = bench.path(&format!("{key}.der"));
        bench.token.write_certificate(&file, key, id);
    };
    certify("device", "01");
    let public = bench.openssl("pkey -in {} -pubout", &[&uri]).ok();
    let delete = bench.token.pkcs11_tool("gateway");
    delete
        .args(["--delete-object", "--type", "pubkey", "--id", "01"])
        .ok();
    assert_eq!(bench.openssl("pkey -in {} -pubout", &[&uri]).ok(), public);
    bench
        .openssl(
            "req -x509 -new -key {} -subj /CN=x -days 9 -out x.crt",
            &[&uri],
        )
        .ok();
    bench
        .openssl("verify -check_ss_sig -CAfile x.crt x.crt", &[])
        .ok();
    certify("other", "01");
    failed_load(&bench, &uri).names(
        "several keys match",
        &format!("loading {uri}"),
        &[
            "the private key \"device\"",
            "certificates with several keys",
        ],
    );
}

#[test]
fn keys_that_are_alike_want_another_name() {
    let bench = bench("gateway");
    bench.token.make_key(KeyType::P256, "device", "01");
    failed_load(&bench, &bench.uri("device")).names(
        "several keys match",
        "loading ",
        &[
            "id=%01;object=device, id=%01;object=device",
            "the same label and id",
            "--set-id",
        ],
    );
}

#[test]
fn two_tokens_with_one_label_are_told_apart_by_their_serial_numbers() {
    let bench = bench("gateway");
    bench.token.add("gateway");
    let list = bench.openssl("storeutl -noout pkcs11:token=gateway;type=private", &[]);
    let parts = ["it fits 2 tokens", "no PIN was sent", "serial="];
    let said = list.finish();
    assert!(
        parts.iter().all(|part| said.all().contains(part)),
        "{}",
        said.all()
    );
    let said = failed_load(&bench, &bench.uri("unknown"));
    said.names("several tokens match", "loading ", &["; add serial= to it"]);
}

#[test]
fn what_is_there_instead_is_told_for_certificates_and_ids() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    Said::by(bench.openssl("x509 -in {} -noout", &[&uri])).names(
        "no such key",
        "loading ",
        &["nothing of the kind, but ", "private key \"device\""],
    );
    for id in ["01", "0x01"] {
        let uri = format!("pkcs11:token=gateway;id={id}");
        failed_load(&bench, &uri).names("no such key", "loading ", &["id=%01;", "id=%01?"]);
    }
}

#[test]
fn a_key_that_may_not_sign_is_told_with_its_attribute() {
    let bench = Bench::new("gateway");
    bench.token.make_key(KeyType::Rsa2048, "sealing", "01");
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    forbid_signing(&bench);
    let uri = bench.uri("sealing");
    load(&bench, &uri).ok();
    let sign = bench.openssl("dgst -sha256 -sign {} -out s message", &[&uri]);
    Said::by(sign).names(
        "operation not allowed for the key",
        "",
        &[
            &format!("signing on {}", identity(&bench, "gateway")),
            "key \"sealing\"",
            "CKA_SIGN is false",
            "make a key with usage \"sign\"",
        ],
    );
}

#[test]
fn a_key_on_an_unsupported_curve_is_told_with_its_name() {
    let bench = Bench::new("gateway");
    bench
        .token
        .pkcs11_tool("gateway")
        .args(["--keypairgen", "--key-type", "EC:secp192r1"])
        .args(["--label", "device", "--id", "01", "--usage-sign"])
        .ok();
    let uri = bench.uri("device");
    failed_load(&bench, &uri).names(
        "key type not supported",
        &format!("loading {uri}"),
        &[
            "key \"device\"",
            &identity(&bench, "gateway"),
            "P-192",
            "EC (P-224 to P-521, secp256k1, Brainpool)",
        ],
    );
}

#[test]
fn percent_signs_in_labels_are_only_text() {
    let bench = Bench::new("100%s%n");
    bench.token.make_key(KeyType::P256, "%n%s%d", "01");
    let token = identity(&bench, "100%s%n");
    let missing = bench.uri("%25n");
    failed_load(&bench, &missing).names(
        "no such key",
        &format!("loading {missing}"),
        &[&token, "there is \"%n%s%d\""],
    );
    let uri = bench.uri("%25n%25s%25d");
    let text = bench.openssl("pkey -in {} -noout -text", &[&uri]).ok();
    assert!(
        text.contains(&token) && text.contains("object=%25n%25s%25d"),
        "{text}"
    );
    bench.write_pin(WRONG_PIN);
    failed_load(&bench, &uri).names("PIN refused", &format!("loading {uri}"), &[&token]);
}

/// Sets CKA_SIGN of the token's private key to false. No tool can make such a key on SoftHSM, so it
/// is done in SoftHSM's own file: attribute type, kind (1 is a truth value), value.
fn forbid_signing(bench: &Bench) {
    const CKA_SIGN: u64 = 0x108;
    const TRUTH_VALUE: u64 = 1;
    let attribute = [CKA_SIGN.to_be_bytes(), TRUTH_VALUE.to_be_bytes()].concat();
    let token = fs::read_dir(bench.path("tokens")).unwrap().next().unwrap();
    let mut changed = 0;
    for file in fs::read_dir(token.unwrap().path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes.windows(16).position(|window| window == attribute);
        if let Some(at) = found {
            changed += usize::from(bytes[at + 16] != 0);
            bytes[at + 16] = 0;
            fs::write(&path, bytes).unwrap();
        }
    }
    assert_eq!(changed, 1, "one private key that may sign");
}
