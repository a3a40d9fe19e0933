//! Where the authorisation value of a TPM's key comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hwkey_tests::{Algorithm, Gateway, PIN, Parent, Run, Said, TpmKey, WRONG_PIN, helper};

const OWNER: Parent = Parent::Hierarchy("o");
const HANDLE: &str = "0x81000010";
const EMPTY: &str = "0x81000011";

/// A machine with the persistent keys [`HANDLE`], whose authorisation value is [`PIN`], and [`EMPTY`],
/// which has none, and with the file `pin`.
fn gateway() -> Gateway {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256);
    gateway.tpm.persist(HANDLE, key.auth(PIN));
    gateway.tpm.persist(EMPTY, key);
    gateway.write_pin(PIN);
    gateway
}

fn sign(gateway: &Gateway, key: &str) -> Run {
    gateway.openssl("dgst -sha256 -sign {} -out s message", &[key])
}

/// The same by a program that answers with `value` when it is asked.
fn sign_asked(gateway: &Gateway, key: &str, value: &str) -> Run {
    gateway.openssl(
        "dgst -sha256 -passin pass:{} -sign {} -out s message",
        &[value, key],
    )
}

#[test]
fn the_value_comes_from_the_uri_or_a_source_that_it_names() {
    let gateway = gateway();
    let file = gateway.path("pin").display().to_string();
    for query in [
        format!("pin-value={PIN}"),
        format!("pin-source=file:{file}"),
        "pin-source=env:THE_VALUE".into(),
    ] {
        for uri in [
            format!("tpm2:handle={HANDLE}?{query}"),
            format!("handle:{HANDLE}?{query}"),
        ] {
            sign(&gateway, &uri).env("THE_VALUE", PIN).ok();
        }
    }
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn the_value_comes_from_openssl_cnf() {
    let gateway = gateway();
    gateway.configure(&gateway.conf_with_pin_file());
    let uri = format!("tpm2:handle={HANDLE}");
    sign(&gateway, &uri).ok();
    gateway.configure(&gateway.conf().option("pin-source", "env:THE_VALUE"));
    sign(&gateway, &uri).env("THE_VALUE", PIN).ok();
    Said::by(sign(&gateway, &uri)).names(
        "PIN source can't be used",
        "loading",
        &["env:THE_VALUE", HANDLE],
    );
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn the_uri_wins_over_openssl_cnf() {
    let gateway = gateway();
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.write_pin(WRONG_PIN);
    sign(&gateway, &format!("tpm2:handle={HANDLE}?pin-value={PIN}")).ok();
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn the_program_is_asked_for_the_value_of_a_key_file() {
    let gateway = gateway();
    let key = TpmKey::new(Algorithm::P256).auth(PIN);
    gateway.tpm.tools_key_file("key.pem", OWNER, key);
    sign_asked(&gateway, "key.pem", PIN).ok();
    Said::by(sign_asked(&gateway, "key.pem", WRONG_PIN)).names(
        "PIN refused",
        "loading",
        &["from the program's prompt", "TPM_RC_AUTH_FAIL"],
    );
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn the_program_is_asked_where_the_uri_says_so_whatever_openssl_cnf_has() {
    let gateway = gateway();
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.write_pin(WRONG_PIN);
    let uri = format!("handle:{HANDLE}?pass");
    sign_asked(&gateway, &uri, PIN).ok();
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn an_askpass_program_is_asked_once_with_the_name_of_the_key() {
    let gateway = gateway();
    let program = gateway.path("askpass");
    let script = format!("#!/bin/sh\necho \"$1\" >>asked\necho {PIN}\n");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let prompt = program.display().to_string();
    let key = TpmKey::new(Algorithm::P256).auth(PIN);
    gateway.tpm.tools_key_file("key.pem", OWNER, key);
    gateway.configure(&gateway.conf().option("pin-prompt", &prompt));
    let outcomes = gateway.take(&["load=key.pem", "sign", "sign"]);
    assert_eq!(outcomes, ["ok", "ok", "ok"]);
    let asked = fs::read_to_string(gateway.path("asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "{asked}");
    assert!(asked.contains("key TSS2 PRIVATE KEY on TPM"), "{asked}");
}

#[test]
fn the_value_that_loaded_a_key_is_kept_unless_pin_keep_says_no() {
    let gateway = gateway();
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.reference(&format!("tpm2:handle={HANDLE}"), "key.pem");
    let restored = format!("write=pin={PIN}\n");
    let steps = [
        "load=key.pem",
        "sign",
        "remove=pin",
        "sign",
        &restored,
        "sign",
    ];
    assert_eq!(gateway.take(&steps), ["ok"; 4]);
    let conf = gateway.conf_with_pin_file();
    gateway.configure(&conf.option("pin-keep", "no"));
    let outcomes = gateway.take(&steps);
    assert!(
        outcomes[2].contains("reading the PIN from file:"),
        "{outcomes:#?}"
    );
    assert_eq!([&outcomes[0], &outcomes[1], &outcomes[3]], ["ok"; 3]);
}

#[test]
fn a_key_without_a_value_needs_no_source_and_spends_no_try() {
    let gateway = gateway();
    let uri = format!("tpm2:handle={EMPTY}");
    sign(&gateway, &uri).ok();
    gateway.reference(&uri, "empty.pem");
    gateway.public_key(&uri, "empty.pub");
    let hammer = gateway.run(helper("hammer"));
    hammer.args(["4", "5", "empty.pem", "empty.pub"]).ok();
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn an_empty_value_in_the_uri_stands_for_a_key_without_one_beside_a_configured_source() {
    let gateway = gateway();
    gateway.configure(&gateway.conf_with_pin_file());
    let uri = format!("tpm2:handle={EMPTY}");
    sign(&gateway, &format!("{uri}?pin-value=")).ok();
    assert_eq!(gateway.tpm.tries_spent(), 0);
    // What is configured is for every key that may have a value.
    Said::by(sign(&gateway, &uri)).names("PIN refused", "loading", &["TPM_RC_AUTH_FAIL"]);
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn a_key_with_a_value_and_no_source_says_what_to_do_and_spends_one_try_at_most() {
    let gateway = gateway();
    let uri = format!("tpm2:handle={HANDLE}");
    for _ in 0..3 {
        Said::by(sign_asked(&gateway, &uri, "")).names(
            "PIN required",
            "loading",
            &["no authorisation value", "pin-source", HANDLE],
        );
    }
    assert!(gateway.tpm.tries_spent() <= 1);
}

#[test]
fn a_wrong_value_of_a_parent_is_sent_once() {
    const PARENT: &str = "0x81000020";
    let gateway = gateway();
    gateway.configure(
        &gateway
            .conf()
            .option("tpm2-parent-pin-source", "env:PARENT"),
    );
    gateway.tpm.persist_parent(PARENT, PIN);
    // tpm2_create asks for it, too.
    gateway
        .tpm
        .tpm2(
            "create -C {} -P {} -G ecc256 -u made.pub -r made.priv",
            &[PARENT, PIN],
        )
        .ok();
    gateway
        .tpm
        .tpm2(
            "encodeobject -C {} -P {} -u made.pub -r made.priv -o child.pem --key-auth",
            &[PARENT, PIN],
        )
        .ok();
    gateway.tpm.tpm2("flushcontext -t", &[]).ok();
    let steps = |parent: &str| {
        let run = gateway.run(helper("steps")).env("PARENT", parent);
        let run = run.args(["load=child.pem", "sign", "load=child.pem"]);
        run.ok()
    };
    assert_eq!(steps(PIN), "ok\nok\nok\n");
    let run = gateway.run(helper("steps")).env("PARENT", WRONG_PIN);
    let outcomes = run.args(["load=child.pem", "load=child.pem"]).ok();
    let outcomes: Vec<&str> = outcomes.lines().collect();
    assert!(outcomes[0].contains("TPM_RC_BAD_AUTH"), "{outcomes:#?}");
    assert!(outcomes[1].contains("was refused before"), "{outcomes:#?}");
    assert_eq!(gateway.tpm.tries_spent(), 0);
    sign(
        &gateway,
        &format!("tpm2:object=child.pem?parent-pin-value={PIN}"),
    )
    .ok();
}
