//! What a user reads when a key's URI or the reference file that holds it is malformed, or names what
//! it may not.

use std::fs;

use hwkey_tests::{PIN, SOFTHSM, Said, WRONG_PIN, bench, failed_load, identity, load, reference};

#[test]
fn a_malformed_uri_is_told_with_the_place() {
    let bench = bench("gateway");
    let faults = [
        (
            "pkcs11:token=gateway;objct=device",
            "unknown attribute \"objct\" at character 22",
            "RFC 7512 has token, ",
        ),
        (
            "pkcs11:token=gate%2way;object=device",
            "attribute \"token\": % without two hexadecimal digits at character 18",
            "write %25 for a percent sign",
        ),
        (
            "pkcs11:token=gateway;object=100%",
            "attribute \"object\": % without two hexadecimal digits at character 32",
            "write %25",
        ),
        (
            "pkcs11:token=gateway;object=device;pin-source=/pin",
            "unknown attribute \"pin-source\" at character 36",
            "it belongs behind a \"?\"",
        ),
        (
            "pkcs11:token=a;token=b",
            "attribute \"token\" at character 16 is given twice",
            "",
        ),
        (
            "pkcs11:object=device;type=secret",
            "attribute \"type\" at character 22 must be private, public or cert",
            "",
        ),
        (
            "pkcs11:slot-id=first;object=device",
            "attribute \"slot-id\" at character 8 is not a decimal number",
            "",
        ),
        (
            "pkcs11:token;object=device",
            "attribute \"token\" at character 8 has no value",
            "",
        ),
        (
            "pkcs11:token=%FF;object=device",
            "attribute \"token\" at character 8 is not UTF-8",
            "",
        ),
    ];
    for (uri, problem, cure) in faults {
        failed_load(&bench, uri).names("malformed key URI", "opening a key URI", &[problem, cure]);
    }
    // Neither the value nor the whole URI is repeated: it may be a PIN.
    let uri = format!("{}?pin-value={PIN}%", bench.uri("device"));
    failed_load(&bench, &uri).names(
        "malformed key URI",
        "opening a key URI",
        &["attribute \"pin-value\": % without two hexadecimal digits"],
    );
    // A URI that ends in a separator is harmless.
    load(&bench, &format!("{};", bench.uri("device"))).ok();
}

#[test]
fn a_reference_file_gives_the_same_errors_as_its_uri() {
    let bench = bench("gateway");
    let (key, _) = bench.self_signed("device");
    bench.write_pin(WRONG_PIN);
    Said::by(bench.openssl("pkey -in {} -noout", &[&key])).names(
        "PIN refused",
        "which a reference file names",
        &[
            &format!("logging in to {}", identity(&bench, "gateway")),
            "C_Login: CKR_PIN_INCORRECT",
            "correct the PIN at its source",
        ],
    );
}

#[test]
fn a_damaged_reference_file_is_told_with_the_damage() {
    let bench = bench("gateway");
    let (key, certificate) = bench.self_signed("device");
    let pem = fs::read_to_string(bench.path(&key)).unwrap();
    let body_start = pem.find("URI-----\n").unwrap() + "URI-----\n".len();
    let end = pem.find("-----END").unwrap();
    let cut_in_body = pem[..body_start + 70].to_owned();
    let without_end = pem[..end].to_owned();
    let mut bad_base64 = pem.clone();
    bad_base64.replace_range(body_start..=body_start + 1, "!?");
    let bad_der = reference("pkcs11:token=gateway", |der| {
        der.pop();
    });
    let other_version = reference("pkcs11:token=gateway", |der| {
        let dot = der.iter().position(|byte| *byte == b'.').unwrap();
        der[dot - 1] = b'9';
    });
    let not_utf8 = reference("pkcs11:token=gateway", |der| {
        *der.last_mut().unwrap() = 0xFF;
    });
    let cases = [
        (cut_in_body, "cut short"),
        (without_end, "cut short"),
        (bad_base64, "Base64"),
        (bad_der, "DER"),
        (other_version, "\"PKCS#11 Provider URI v1.0\""),
        (not_utf8, "malformed"),
    ];
    for (text, problem) in cases {
        fs::write(bench.path("damaged.pem"), &text).unwrap();
        let said = failed_load(&bench, "damaged.pem");
        said.logs(
            "error",
            "malformed key reference file",
            &["\"PKCS#11 PROVIDER URI\"", problem],
        );
        let cause = said.queue.first();
        let cause = cause.unwrap_or_else(|| panic!("not in the queue\n{}", said.all));
        for part in [problem, "openssl pkey -in URI -out FILE"] {
            assert!(cause.contains(part), "\"{part}\" is missing in {cause}");
        }
    }
    // A certificate is still found in a file whose reference names nothing that is there.
    let missing = reference("pkcs11:token=nowhere;object=device", |_| {});
    let certificate = fs::read_to_string(bench.path(&certificate)).unwrap();
    fs::write(bench.path("both.pem"), missing + &certificate).unwrap();
    bench.openssl("x509 -in both.pem -noout -subject", &[]).ok();
}

#[test]
fn a_reference_file_may_not_name_files_unless_allowed() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let pin_file = bench.pin_file().display().to_string();
    let cases = [
        ("pin-source", format!("{uri}?pin-source=file:{pin_file}")),
        ("module-path", format!("{uri}?module-path={SOFTHSM}")),
        ("module-name", format!("{uri}?module-name=softhsm2")),
    ];
    for (attribute, uri) in cases {
        fs::write(bench.path("named.pem"), reference(&uri, |_| {})).unwrap();
        bench.configure(&bench.conf());
        failed_load(&bench, "named.pem").names(
            "key URI from a file is not allowed to name files",
            "loading the key that a reference file names",
            &[
                &format!("the URI in the file has {attribute}"),
                "allow-uri-paths = yes",
            ],
        );
        bench.configure(&bench.conf().option("allow-uri-paths", "yes"));
        load(&bench, "named.pem").ok();
    }
}

#[test]
fn a_reference_file_with_a_bad_uri_is_told_as_the_uri_itself() {
    let bench = bench("gateway");
    let uri = "pkcs11:token=gateway;objct=device";
    fs::write(bench.path("bad.pem"), reference(uri, |_| {})).unwrap();
    failed_load(&bench, "bad.pem").names(
        "malformed key URI",
        "loading the key that a reference file names",
        &["unknown attribute \"objct\" at character 22"],
    );
}
