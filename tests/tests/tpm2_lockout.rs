//! The lockout of a TPM, which too many wrong authorisation values bring about.

use hwkey_tests::{Algorithm, Gateway, PIN, Parent, Run, Said, TpmKey, WRONG_PIN};

/// A machine whose TPM is locked by the second wrong value.
fn gateway() -> Gateway {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256).auth(PIN);
    let parent = Parent::Hierarchy("o");
    gateway.tpm.tools_key_file("key.pem", parent, key);
    gateway.write_pin(PIN);
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.tpm.allow_tries(2);
    gateway
}

fn load(gateway: &Gateway) -> Run {
    gateway.openssl("pkey -in key.pem -noout", &[])
}

#[test]
fn the_last_try_is_spent_only_if_pin_final_try_allows_it() {
    let gateway = gateway();
    gateway.write_pin(WRONG_PIN);
    Said::by(load(&gateway)).names(
        "PIN refused",
        "loading",
        &["TPM_RC_AUTH_FAIL", "one try is left"],
    );
    // Even the right one: nobody knows that it is.
    for value in [WRONG_PIN, PIN] {
        gateway.write_pin(value);
        Said::by(load(&gateway)).names(
            "PIN locked",
            "loading",
            &[
                "only the last try before the TPM's lockout is left",
                "1 of 2 are spent",
                "tpm2_dictionarylockout --clear-lockout",
                "pin-final-try = allow",
            ],
        );
    }
    assert_eq!(gateway.tpm.tries_spent(), 1);

    let conf = gateway.conf_with_pin_file();
    gateway.configure(&conf.option("pin-final-try", "allow"));
    load(&gateway).ok();
    gateway.write_pin(WRONG_PIN);
    Said::by(load(&gateway)).names("PIN refused", "loading", &["locked: 2 wrong tries"]);
    assert_eq!(gateway.tpm.tries_left(), 0);
}

#[test]
fn a_locked_tpm_says_so_and_goes_on_in_the_same_process_when_it_is_unlocked() {
    let gateway = gateway();
    let mut steps = gateway.steps();
    steps.ok("load=key.pem");
    steps.ok("sign");
    lock(&gateway);
    steps.fails("sign", "TPM_RC_LOCKOUT");
    steps.fails("load=key.pem", "the TPM is locked after too many wrong");
    assert!(steps.output().contains("error: PIN locked: "));
    // The value was not refused, the TPM did not look at it.
    gateway.tpm.unlock();
    steps.ok("sign");
    steps.ok("load=key.pem");
    steps.ok("sign");
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn a_lockout_is_explained_with_its_cure() {
    let gateway = gateway();
    lock(&gateway);
    let parts = ["--clear-lockout", "2 of 2 are spent", "86400 seconds"];
    Said::by(load(&gateway)).names("PIN locked", "loading", &parts);
    let conf = gateway.conf_with_pin_file();
    gateway.configure(&conf.option("pin-final-try", "allow"));
    Said::by(load(&gateway)).names(
        "PIN locked",
        "loading",
        &["TPM_RC_LOCKOUT", "locked: 2 wrong tries", "--clear-lockout"],
    );
    assert_eq!(gateway.tpm.tries_spent(), 2);
    gateway.tpm.unlock();
    load(&gateway).ok();
}

#[test]
fn a_lockout_does_not_concern_keys_without_a_value_or_without_protection() {
    let gateway = gateway();
    let key = TpmKey::new(Algorithm::P256);
    let parent = Parent::Hierarchy("o");
    gateway
        .tpm
        .tools_key_file("empty.pem", parent, key.counting_no_tries());
    let noda = key.auth(PIN).counting_no_tries();
    gateway.tpm.tools_key_file("noda.pem", parent, noda);
    lock(&gateway);
    let outcomes = gateway.take(&["load=empty.pem", "sign", "load=noda.pem", "sign"]);
    assert_eq!(outcomes, ["ok"; 4]);
}

/// As somebody else does it, who has no patience.
fn lock(gateway: &Gateway) {
    let wrong = TpmKey::new(Algorithm::P256).auth(PIN);
    gateway.tpm.persist("0x81000030", wrong);
    for _ in 0..2 {
        gateway
            .tpm
            .tpm2("sign -c 0x81000030 -p {} -o sig message", &[WRONG_PIN])
            .fails();
    }
    assert_eq!(gateway.tpm.tries_left(), 0);
}

/// NV indices have values, too, and wrong ones are counted.
#[test]
fn certificates_with_a_value_cost_one_try_and_none_when_they_are_listed() {
    let gateway = Gateway::new();
    let define = "nvdefine 0x01500010 -C o -s 64 -a authread|authwrite -p {}";
    gateway.tpm.tpm2(define, &[PIN]).ok();
    gateway
        .tpm
        .tpm2("nvwrite 0x01500010 -P {} -i message", &[PIN])
        .ok();
    gateway.tpm.allow_tries(3);
    for _ in 0..2 {
        gateway.openssl("storeutl -noout tpm2:", &[]).finish();
    }
    Said::by(gateway.openssl("x509 -in tpm2:nv=0x01500010 -noout", &[])).names(
        "operation not allowed for the key",
        "loading",
        &[
            "wrong authorisation values of this index are counted",
            "?pin-value=",
        ],
    );
    assert_eq!(gateway.tpm.tries_spent(), 0);
    let read = |value: &str| {
        let uri = format!("tpm2:nv=0x01500010?pin-value={value}");
        Said::by(gateway.openssl("x509 -in {} -noout", &[&uri]))
    };
    read("first").names("PIN refused", "loading", &["TPM_RC_AUTH_FAIL"]);
    read("second").names("PIN refused", "loading", &["one try is left"]);
    read("third").names("PIN locked", "loading", &["only the last try"]);
    assert_eq!(gateway.tpm.tries_spent(), 2);
}

#[test]
fn the_last_try_is_not_spent_on_a_parent() {
    let gateway = Gateway::new();
    let primary = "createprimary -C o -G ecc256:aes128cfb -p {} -c parent.ctx -Q \
        -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt";
    gateway.tpm.tpm2(primary, &[PIN]).ok();
    let keep = "evictcontrol -C o -c parent.ctx 0x81000100";
    gateway.tpm.tpm2(keep, &[]).ok();
    gateway.tpm.tpm2("flushcontext -t", &[]).ok();
    gateway.tpm.allow_tries(2);
    let make = |value: &str| {
        let uri = format!("hwkey_uri:tpm2:parent=0x81000100?parent-pin-value={value}");
        let genpkey = "genpkey -propquery provider=hwkey -algorithm EC -out key.pem \
            -pkeyopt ec_paramgen_curve:P-256 -pkeyopt {}";
        Said::by(gateway.openssl(genpkey, &[&uri]))
    };
    make(WRONG_PIN).names("PIN refused", "making a key", &["TPM_RC_AUTH_FAIL"]);
    make(WRONG_PIN).names("PIN locked", "making a key", &["only the last try"]);
    assert_eq!(gateway.tpm.tries_spent(), 1);
}
