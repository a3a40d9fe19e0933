//! Keys whose parent has an authorisation value, keys with a policy, and keys that are imported.

use std::fs;

use hwkey_tests::{
    Algorithm, Gateway, KeyFile, KeyFileKind, PIN, Said, Tpm, USUAL_KEY_FILE, WRONG_PIN,
};

const PARENT: &str = "0x81000100";

/// TPM_CC_PolicyPCR and TPM_CC_PolicyAuthValue.
const PCR: u16 = 0x17f;
const AUTH_VALUE: u16 = 0x16b;

/// A machine with the key file `key.pem`, whose parent has the authorisation value [`PIN`]. So does the
/// file `pin`.
fn with_locked_parent() -> Gateway {
    let gateway = Gateway::new();
    gateway.write_pin(PIN);
    gateway.tpm.persist_parent(PARENT, PIN);
    let uri = format!("tpm2:parent={PARENT}?parent-pin-value={PIN}");
    gateway.make_key(Algorithm::P256, &uri, "key.pem");
    gateway
}

#[test]
fn a_parents_authorisation_value_comes_from_the_uri() {
    let gateway = with_locked_parent();
    gateway.signs(&format!("tpm2:object=key.pem?parent-pin-value={PIN}"));
    let source = gateway.path("pin").display().to_string();
    gateway.signs(&format!(
        "tpm2:object=key.pem?parent-pin-source=file:{source}"
    ));
    gateway.has_nothing_loaded();
}

#[test]
fn a_parents_authorisation_value_comes_from_openssl_cnf() {
    let gateway = with_locked_parent();
    let source = format!("file:{}", gateway.path("pin").display());
    let conf = gateway.conf().option("tpm2-parent-pin-source", &source);
    gateway.configure(&conf);
    gateway.signs("key.pem");
    let uri = format!("tpm2:parent={PARENT}");
    gateway.make_key(Algorithm::Rsa2048, &uri, "rsa.pem");
    gateway.signs("rsa.pem");
}

#[test]
fn a_wrong_or_missing_value_of_the_parent_is_told() {
    let gateway = with_locked_parent();
    let wrong = format!("tpm2:object=key.pem?parent-pin-value={WRONG_PIN}");
    for (uri, command) in [("key.pem", "TPM2_Load"), (&wrong, "TPM2_PolicySecret")] {
        let said = Said::by(gateway.openssl("pkey -in {} -noout", &[uri]));
        said.logs(
            "error",
            "PIN refused",
            &[command, "TPM_RC_", "tpm2-parent-pin-source"],
        );
    }
    // The parents that the tools make have noDA.
    assert_eq!(gateway.tpm.tries_spent(), 0);
    gateway.has_nothing_loaded();
}

#[test]
fn the_owner_may_have_an_authorisation_value() {
    let gateway = Gateway::new();
    gateway.make_key(Algorithm::P256, "tpm2:", "key.pem");
    gateway.tpm.tpm2("changeauth -c owner {}", &[PIN]).ok();
    let said = Said::by(gateway.openssl("pkey -in key.pem -noout", &[]));
    said.logs("error", "PIN refused", &["TPM2_CreatePrimary"]);
    gateway.write_pin(PIN);
    let source = format!("file:{}", gateway.path("pin").display());
    let conf = gateway.conf().option("tpm2-parent-pin-source", &source);
    gateway.configure(&conf);
    gateway.signs("key.pem");
    gateway.make_key(Algorithm::P384, "tpm2:", "other.pem");
    gateway.signs("other.pem");
}

/// A machine whose key `key.pem` asks for these commands of tpm2-tools, with or without an
/// authorisation value of its own.
fn with_policy(commands: &[&str], auth: &[&str], file: &KeyFile) -> Gateway {
    let gateway = Gateway::with(Tpm::managed);
    let tpm2 = |arguments: &str| gateway.tpm.tpm2(arguments, &[]).ok();
    let primary = gateway.tpm.make_primary("o", "");
    assert_eq!(primary, "primary.ctx");
    tpm2("startauthsession -S session.ctx");
    for command in commands {
        tpm2(&format!("{command} -S session.ctx -L policy"));
    }
    tpm2("flushcontext session.ctx");
    let create = "create -C primary.ctx -G ecc256 -u key.u -r key.r -L policy \
                  -a fixedtpm|fixedparent|sensitivedataorigin|sign";
    gateway.tpm.tpm2(create, &[]).args(auth).ok();
    let [public, private] = ["key.u", "key.r"].map(|name| gateway.path(name));
    fs::write(gateway.path("key.pem"), file.pem(&public, &private)).unwrap();
    gateway
}

#[test]
fn a_policy_of_pcrs_holds_until_they_change() {
    // An empty digest, and PCR 16 of the SHA-256 bank.
    let pcrs = [0, 0, 0, 0, 0, 1, 0, 0x0b, 3, 0, 0, 1].to_vec();
    let policy = [(PCR, pcrs)];
    let file = KeyFile {
        policy: &policy,
        ..USUAL_KEY_FILE
    };
    let gateway = with_policy(&["policypcr -l sha256:16"], &[], &file);
    gateway.signs("key.pem");
    let extend = format!("pcrextend 16:sha256={}", "11".repeat(32));
    gateway.tpm.tpm2(&extend, &[]).ok();
    let sign = "dgst -sha256 -sign key.pem -out signature message";
    let said = Said::by(gateway.openssl(sign, &[]));
    let words = ["TPM_RC_POLICY_FAIL", "PCR values are others"];
    said.logs("error", "operation not allowed for the key", &words);
    gateway.has_nothing_loaded();
}

#[test]
fn a_policy_can_ask_for_the_authorisation_value() {
    let policy = [(AUTH_VALUE, Vec::new())];
    let file = KeyFile {
        policy: &policy,
        empty_auth: false,
        ..USUAL_KEY_FILE
    };
    let gateway = with_policy(&["policyauthvalue"], &["-p", PIN], &file);
    gateway.signs(&format!("tpm2:object=key.pem?pin-value={PIN}"));
    gateway.configure(&gateway.conf_with_pin_file());
    gateway.write_pin(PIN);
    gateway.signs("key.pem");
    gateway.write_pin(WRONG_PIN);
    let sign = "dgst -sha256 -sign key.pem -out signature message";
    let said = Said::by(gateway.openssl(sign, &[]));
    said.logs("error", "PIN refused", &["TPM_RC_AUTH_FAIL"]);
    gateway.has_nothing_loaded();
}

#[test]
fn a_key_for_import_is_imported_at_each_use() {
    let gateway = Gateway::with(Tpm::managed);
    let tpm2 = |arguments: &str| gateway.tpm.tpm2(arguments, &[]).ok();
    gateway.tpm.make_primary("o", "");
    let only_duplicate = "policycommandcode -S session.ctx TPM2_CC_Duplicate -L policy";
    tpm2("startauthsession -S session.ctx");
    tpm2(only_duplicate);
    tpm2("flushcontext session.ctx");
    tpm2(
        "create -C primary.ctx -G ecc256 -u key.u -r key.r -L policy -c key.ctx \
         -a sensitivedataorigin|userwithauth|sign|decrypt",
    );
    tpm2("startauthsession -S session.ctx --policy-session");
    tpm2(only_duplicate);
    tpm2(
        "duplicate -C primary.ctx -c key.ctx -G null -p session:session.ctx -r key.wrapped \
         -s key.seed",
    );
    tpm2("flushcontext session.ctx");
    let file = KeyFile {
        kind: KeyFileKind::Importable,
        secret: Some(fs::read(gateway.path("key.seed")).unwrap()),
        ..USUAL_KEY_FILE
    };
    let [public, private] = ["key.u", "key.wrapped"].map(|name| gateway.path(name));
    fs::write(gateway.path("key.pem"), file.pem(&public, &private)).unwrap();
    gateway.signs("key.pem");
    gateway.has_nothing_loaded();
}
