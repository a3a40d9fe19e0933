//! What can be heard between programs and the TPM: nothing that is secret.

use std::fs;

use hwkey_tests::{Algorithm, Gateway, PIN, Parent, Relay, TpmKey};

const PLAINTEXT: &[u8] = b"a secret that nobody else is to read";

/// A machine whose programs have the TPM by way of a relay that records everything. The keys `ec.pem`
/// and `rsa.pem` have the authorisation value [`PIN`].
fn tapped() -> (Gateway, Relay) {
    let gateway = Gateway::new();
    for (file, algorithm) in [("ec.pem", Algorithm::P256), ("rsa.pem", Algorithm::Rsa2048)] {
        let key = TpmKey::new(algorithm).auth(PIN);
        let parent = Parent::Hierarchy("o");
        gateway.tpm.tools_key_file(file, parent, key);
    }
    let relay = Relay::before(&gateway.tpm);
    gateway.write_pin(PIN);
    let conf = gateway.conf_with_pin_file();
    gateway.configure(&conf.option("tpm2-tcti", &relay.tcti()));
    (gateway, relay)
}

/// The program went through the relay, and the secret did not.
#[track_caller]
fn assert_unheard(relay: &Relay, secret: &[u8]) {
    assert!(relay.amount() > 0, "nothing went through the relay");
    assert!(!relay.has_heard(secret));
}

/// The file `ciphertext`, for the key in this file.
fn encrypt(gateway: &Gateway, key: &str, padding: &str) {
    fs::write(gateway.path("plaintext"), PLAINTEXT).unwrap();
    gateway.public_key(key, "public.pem");
    let padding = format!("rsa_padding_mode:{padding}");
    gateway
        .openssl(
            "pkeyutl -encrypt -pubin -inkey public.pem -in plaintext -out ciphertext -pkeyopt {}",
            &[&padding],
        )
        .ok();
}

#[test]
fn the_relay_hears_what_a_tool_does_not_hide() {
    let (gateway, relay) = tapped();
    let key = TpmKey::new(Algorithm::Rsa2048);
    gateway.tpm.persist("0x81000010", key);
    encrypt(&gateway, "tpm2:handle=0x81000010?pin-value=", "pkcs1");
    assert_unheard(&relay, PLAINTEXT);
    let heard = |arguments: &str| {
        let tool = gateway.tpm.tpm2(arguments, &[]);
        tool.env("TPM2TOOLS_TCTI", relay.tcti()).ok();
    };
    heard("rsadecrypt -c 0x81000010 -s rsaes -o decrypted ciphertext");
    assert!(relay.has_heard(PLAINTEXT));
    heard("createprimary -p value-of-primary");
    assert!(relay.has_heard(b"value-of-primary"));
    heard("getrandom 32 -o numbers");
    let numbers = fs::read(gateway.path("numbers")).unwrap();
    assert!(relay.has_heard(&numbers));
}

#[test]
fn the_value_of_a_key_is_not_heard() {
    let (gateway, relay) = tapped();
    for file in ["ec.pem", "rsa.pem"] {
        let sign = "dgst -sha256 -sign {} -out s message";
        gateway.openssl(sign, &[file]).ok();
    }
    assert_unheard(&relay, PIN.as_bytes());
}

#[test]
fn a_refused_value_is_not_heard() {
    let (gateway, relay) = tapped();
    gateway.write_pin("quite-wrong");
    gateway.openssl("pkey -in ec.pem -noout", &[]).fails();
    assert_eq!(gateway.tpm.tries_spent(), 1);
    assert_unheard(&relay, b"quite-wrong");
}

#[test]
fn the_value_of_a_parent_is_not_heard() {
    let (gateway, relay) = tapped();
    gateway.tpm.persist_parent("0x81000020", "value-of-parent");
    gateway
        .tpm
        .tpm2(
            "create -C 0x81000020 -P {} -G ecc256 -u made.u -r made.r",
            &["value-of-parent"],
        )
        .ok();
    let encode = "encodeobject -C 0x81000020 -P {} -u made.u -r made.r -o child.pem --key-auth";
    gateway.tpm.tpm2(encode, &["value-of-parent"]).ok();
    gateway.tpm.tpm2("flushcontext -t", &[]).ok();
    let uri = "tpm2:object=child.pem?parent-pin-value=value-of-parent";
    let sign = "dgst -sha256 -sign {} -out s message";
    gateway.openssl(sign, &[uri]).ok();
    assert_unheard(&relay, b"value-of-parent");
}

#[test]
fn a_decrypted_text_is_not_heard() {
    let (gateway, relay) = tapped();
    for padding in ["oaep", "pkcs1"] {
        encrypt(&gateway, "rsa.pem", padding);
        let padding = format!("rsa_padding_mode:{padding}");
        let decrypt = "pkeyutl -decrypt -inkey rsa.pem -in ciphertext -out decrypted -pkeyopt {}";
        gateway.openssl(decrypt, &[&padding]).ok();
        assert_eq!(fs::read(gateway.path("decrypted")).unwrap(), PLAINTEXT);
    }
    assert_unheard(&relay, PLAINTEXT);
    assert_unheard(&relay, PIN.as_bytes());
}

#[test]
fn an_agreed_secret_is_not_heard() {
    let (gateway, relay) = tapped();
    gateway
        .openssl(
            "genpkey -algorithm EC -pkeyopt group:P-256 -out peer.key",
            &[],
        )
        .ok();
    gateway.public_key("peer.key", "peer.pub");
    gateway
        .openssl(
            "pkeyutl -derive -inkey ec.pem -peerkey peer.pub -out secret",
            &[],
        )
        .ok();
    gateway.public_key("ec.pem", "ec.pub");
    gateway
        .openssl(
            "pkeyutl -derive -inkey peer.key -peerkey ec.pub -out expected",
            &[],
        )
        .ok();
    let secret = fs::read(gateway.path("secret")).unwrap();
    assert_eq!(secret, fs::read(gateway.path("expected")).unwrap());
    assert_unheard(&relay, &secret);
}

#[test]
fn random_numbers_of_the_tpm_are_not_heard() {
    let (gateway, relay) = tapped();
    let program = gateway.path("numbers");
    hwkey_tests::Run::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/numbers.c"))
        .arg("-lcrypto")
        .ok();
    let numbers = gateway.run(program).ok();
    let numbers = openssl::bn::BigNum::from_hex_str(numbers.trim()).unwrap();
    assert_unheard(&relay, &numbers.to_vec());
}
