//! TSS2 PRIVATE KEY files: of hwkey for others and of others for hwkey, and what is wrong with some.

use std::fs;

use hwkey_tests::{
    Algorithm, Gateway, KeyFile, KeyFileKind, PIN, Parent, Said, Tpm, TpmKey, USUAL_KEY_FILE,
};

const OWNER: Parent = Parent::Hierarchy("o");

/// A machine with the key file `key.pem`.
fn with_key() -> Gateway {
    let gateway = Gateway::new();
    gateway.make_key(Algorithm::P256, "tpm2:", "key.pem");
    gateway
}

fn read(gateway: &Gateway, name: &str) -> Vec<u8> {
    fs::read(gateway.path(name)).unwrap()
}

/// Why the key at this URI or in this file is refused.
#[track_caller]
fn refused(gateway: &Gateway, key: &str, reason: &str, part: &str) {
    let said = Said::by(gateway.openssl("pkey -in {} -noout", &[key]));
    said.logs("error", reason, &[part]);
    let queued = format!(":{reason}:");
    assert!(said.queue[0].contains(&queued), "{}", said.all);
    assert!(said.queue[0].contains(part), "{}", said.all);
}

#[test]
fn tpm2_openssl_and_hwkey_use_each_others_files() {
    let gateway = Gateway::new();
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.write_pin(PIN);
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::Rsa2048] {
        for auth in [None, Some(PIN)] {
            gateway.tpm.openssl_key_file("theirs.pem", algorithm, auth);
            let uri = auth.map_or("tpm2:".into(), |auth| format!("tpm2:?pin-value={auth}"));
            gateway.make_key(algorithm, &uri, "ours.pem");
            for file in ["theirs.pem", "ours.pem"] {
                gateway.signs(file);
                let sign = "-sha256 -sign {} -passin pass:{} -out signature message";
                gateway.tpm.openssl("dgst", sign, &[file, PIN]).ok();
                // With the public half that `signs` has written.
                let verify = "dgst -sha256 -verify made.pem -signature signature message";
                gateway.software(verify, &[]).ok();
            }
        }
    }
    gateway.has_nothing_loaded();
}

#[test]
fn files_of_tpm2_tools_load_as_they_are() {
    let gateway = Gateway::new();
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.write_pin(PIN);
    for algorithm in Algorithm::ALL {
        let key = TpmKey::new(algorithm);
        gateway.tpm.tools_key_file("plain.pem", OWNER, key);
        gateway.tpm.tools_key_file("pin.pem", OWNER, key.auth(PIN));
        gateway.signs("plain.pem");
        gateway.signs("pin.pem");
    }
    gateway.has_nothing_loaded();
}

#[test]
fn a_wrong_authorisation_value_is_told_and_an_empty_one_too() {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256).auth(PIN);
    gateway.tpm.tools_key_file("pin.pem", OWNER, key);
    let said = Said::by(gateway.openssl("pkey -in pin.pem -noout -passin pass:", &[]));
    assert!(
        said.queue[0].contains("authorisation value"),
        "{}",
        said.all
    );
    // The empty one: tpm2_encodeobject says of files without a value that they have one.
    assert_eq!(gateway.tpm.tries_spent(), 1);
    let sign = "dgst -sha256 -sign pin.pem -passin pass:{} -out signature message";
    let said = Said::by(gateway.openssl(sign, &["wrong"]));
    assert!(said.queue[0].contains("TPM_RC_AUTH_FAIL"), "{}", said.all);
    assert_eq!(gateway.tpm.tries_spent(), 2);
}

/// Debian 12's writes emptyAuth the wrong way round.
#[test]
fn what_tpm2_encodeobject_says_of_authorisation_values_is_not_believed() {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256);
    gateway.tpm.misleading_key_file("plain.pem", OWNER, key);
    gateway.signs("plain.pem");
    assert_eq!(gateway.tpm.tries_spent(), 0);
    gateway
        .tpm
        .misleading_key_file("pin.pem", OWNER, key.auth(PIN));
    let sign = "dgst -sha256 -sign pin.pem -out signature message";
    let said = Said::by(gateway.openssl(sign, &[]));
    assert!(
        said.queue[0].contains("said to have no authorisation value"),
        "{}",
        said.all
    );
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn the_parent_is_any_hierarchy_or_a_persistent_key() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        for parent in ["owner", "endorsement", "platform", "null"] {
            gateway.make_key(Algorithm::P256, &format!("tpm2:parent={parent}"), parent);
            gateway.signs(parent);
        }
        let handle = "0x81000100";
        gateway.tpm.persist_parent(handle, "");
        let uri = format!("tpm2:parent={handle}");
        gateway.make_key(Algorithm::Rsa2048, &uri, "ours");
        let key = TpmKey::new(Algorithm::P256);
        gateway
            .tpm
            .tools_key_file("theirs", Parent::Handle(handle), key);
        gateway.signs("ours");
        gateway.signs("theirs");
        gateway.tpm.evict(handle);
        let part = "there is no such object in the TPM";
        refused(&gateway, "ours", "no such key", part);
        gateway.has_nothing_loaded();
    }
}

#[test]
fn an_rsa_key_can_be_the_parent() {
    let gateway = Gateway::with(Tpm::managed);
    let attributes =
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt|noda";
    let primary = "createprimary -C o -G rsa2048:aes128cfb -a {} -c primary.ctx";
    gateway.tpm.tpm2(primary, &[attributes]).ok();
    let create = "create -C primary.ctx -G ecc256 -u key.u -r key.r";
    gateway.tpm.tpm2(create, &[]).ok();
    let [public, private] = ["key.u", "key.r"].map(|name| gateway.path(name));
    for rsa_parent in [true, false] {
        let file = KeyFile {
            rsa_parent,
            ..USUAL_KEY_FILE
        };
        fs::write(gateway.path("key.pem"), file.pem(&public, &private)).unwrap();
        gateway.signs("key.pem");
    }
    let keep = "evictcontrol -C o -c primary.ctx 0x81000100";
    gateway.tpm.tpm2(keep, &[]).ok();
    let key = TpmKey::new(Algorithm::Rsa2048);
    gateway
        .tpm
        .tools_key_file("key.pem", Parent::Handle("0x81000100"), key);
    gateway.signs("key.pem");
}

#[test]
fn der_is_read_by_its_uri_and_by_openssl() {
    let gateway = with_key();
    let [public, private] = ["key.u", "key.r"].map(|name| gateway.path(name));
    let primary = gateway.tpm.make_primary("o", "");
    let create = "create -C {} -G ecc256 -u key.u -r key.r";
    gateway.tpm.tpm2(create, &[&primary]).ok();
    gateway.tpm.tpm2("flushcontext -t", &[]).ok();
    let der = USUAL_KEY_FILE.der(&public, &private);
    fs::write(gateway.path("key.der"), der).unwrap();
    gateway.signs("tpm2:object=key.der");
    gateway.signs("object:key.der");
    gateway.signs("key.der");
}

#[test]
fn certificates_may_follow_the_key_and_text_may_be_around_it() {
    let gateway = with_key();
    let request = "req -x509 -new -key key.pem -subj /CN=gateway -out crt";
    gateway.openssl(request, &[]).ok();
    let (key, certificate) = (read(&gateway, "key.pem"), read(&gateway, "crt"));
    let both = [
        b"some text\n",
        &key[..],
        b"more of it\n",
        &certificate,
        &certificate,
    ]
    .concat();
    fs::write(gateway.path("both.pem"), both).unwrap();
    gateway.signs("both.pem");
    gateway.signs("tpm2:object=both.pem");
    let shown = gateway
        .openssl("x509 -in both.pem -noout -subject", &[])
        .ok();
    assert!(shown.contains("gateway"), "{shown}");
    let listed = gateway.openssl("storeutl -noout both.pem", &[]).ok();
    assert!(listed.contains("Total found: 3"), "{listed}");
}

#[test]
fn damaged_files_are_called_so_in_plain_words() {
    let gateway = with_key();
    let primary = gateway.tpm.make_primary("o", "");
    let create = "create -C {} -G ecc256 -u key.u -r key.r";
    gateway.tpm.tpm2(create, &[&primary]).ok();
    let [public, private] = ["key.u", "key.r"].map(|name| gateway.path(name));
    let good = USUAL_KEY_FILE.pem(&public, &private);
    let of_kind = |kind| {
        let file = KeyFile {
            kind,
            ..USUAL_KEY_FILE
        };
        file.pem(&public, &private)
    };
    let other_parent = KeyFile {
        parent: 0x0102_0304,
        ..USUAL_KEY_FILE
    };
    for (file, problem) in [
        (good[..200].to_owned(), "the file was cut short"),
        (good.replacen("MI", "M!", 1), "PEM"),
        (of_kind(KeyFileKind::Importable), "without its secret"),
        (of_kind(KeyFileKind::Sealed), "sealed data"),
        (of_kind(KeyFileKind::Unknown), "none of a TPM 2.0 key"),
        (
            other_parent.pem(&public, &private),
            "neither a hierarchy nor a persistent handle",
        ),
    ] {
        fs::write(gateway.path("bad.pem"), &file).unwrap();
        refused(&gateway, "bad.pem", "malformed key reference file", problem);
        refused(
            &gateway,
            "tpm2:object=bad.pem",
            "malformed key reference file",
            "",
        );
    }
}

#[test]
fn a_key_of_another_tpm_is_called_so() {
    let gateway = with_key();
    gateway.signs("key.pem");
    let other = Gateway::new();
    fs::write(other.path("key.pem"), read(&gateway, "key.pem")).unwrap();
    let words = "take the file to its TPM, or make a new key";
    refused(&other, "key.pem", "the key belongs to another TPM", words);
    refused(
        &other,
        "tpm2:object=key.pem",
        "the key belongs to another TPM",
        words,
    );
    other.has_nothing_loaded();
}
