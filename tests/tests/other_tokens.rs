//! Tokens that behave otherwise than SoftHSM: cards with a PIN pad or one try left, HSMs with few
//! mechanisms or sessions. Each is a real SoftHSM token behind `front.c`.

use hwkey_tests::{Front, PIN, Said, WRONG_PIN, helper, identity};

/// CKF_PROTECTED_AUTHENTICATION_PATH, CKF_USER_PIN_FINAL_TRY and the like, of CK_TOKEN_INFO.
const PROTECTED_PATH: &str = "0x100";
const LOGIN_REQUIRED: &str = "0x4";
const FINAL_TRY: &str = "0x20000";
const LOCKED: &str = "0x40000";
const TO_BE_CHANGED: &str = "0x80000";

/// CKM_RSA_PKCS and CKM_RSA_PKCS_PSS.
const ALL_BUT_RAW_RSA: &str = "0x1,0xd";

#[test]
fn a_token_with_a_pin_pad_gets_no_pin_and_says_that_it_waits() {
    let front = Front::new(&[("FRONT_SET", PROTECTED_PATH), ("FRONT_PAD_PIN", PIN)]);
    front.configure(|conf| conf.without("pin-source"));
    let said = front
        .openssl("dgst -sha256 -sign ec.pem -out signature message", &[])
        .finish();
    assert!(said.ok, "{}", said.all());
    assert!(said.stderr.contains("waits for its PIN on its own keypad"));
    front.signs("rsa", "");
}

#[test]
fn a_pin_that_is_refused_on_the_pin_pad_is_reported() {
    let front = Front::new(&[("FRONT_SET", PROTECTED_PATH), ("FRONT_PAD_PIN", "00000000")]);
    let load = front.openssl("pkey -in ec.pem -noout", &[]);
    Said::by(load).names(
        "PIN refused",
        "loading ",
        &[
            "with the PIN of its own PIN pad",
            "C_Login: CKR_PIN_INCORRECT",
        ],
    );
}

#[test]
fn a_token_that_asks_for_no_login_gets_none() {
    let front = Front::new(&[("FRONT_CLEAR", LOGIN_REQUIRED), ("FRONT_OPEN_PIN", PIN)]);
    front.configure(|conf| conf.without("pin-source"));
    front.signs("ec", "");
    front.signs("rsa", "");
}

#[test]
fn the_last_try_is_spent_only_if_openssl_cnf_allows_it() {
    let front = Front::new(&[("FRONT_SET", FINAL_TRY)]);
    let load = || front.openssl("pkey -in ec.pem -noout", &[]);
    Said::by(load()).names(
        "PIN locked",
        "loading ",
        &[
            &identity(&front.bench, "front"),
            "only the last try of the PIN is left (CKF_USER_PIN_FINAL_TRY)",
            "pin-final-try = allow",
        ],
    );
    front.configure(|conf| conf.option("pin-final-try", "allow"));
    load().ok();
}

#[test]
fn a_locked_pin_is_not_sent_and_the_way_out_is_told() {
    let front = Front::new(&[("FRONT_SET", LOCKED), ("FRONT_LOGIN_RESULT", "0x6")]);
    let load = front.openssl("pkey -in ec.pem -noout", &[]);
    let said = Said::by(load);
    said.names(
        "PIN locked",
        "loading ",
        &[
            "the PIN is locked (CKF_USER_PIN_LOCKED)",
            "unblock it with the PUK",
        ],
    );
    said.never("C_Login");
}

#[test]
fn a_pin_that_is_to_be_changed_works_with_a_warning_and_an_expired_one_does_not() {
    let front = Front::new(&[("FRONT_SET", TO_BE_CHANGED)]);
    let said = front.openssl("pkey -in ec.pem -noout", &[]).finish();
    assert!(said.ok, "{}", said.all());
    for part in ["hwkey: warn", "CKF_USER_PIN_TO_BE_CHANGED", "--change-pin"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }

    // CKR_PIN_EXPIRED.
    let front = Front::new(&[("FRONT_LOGIN_RESULT", "0xa3")]);
    let load = front.openssl("pkey -in ec.pem -noout", &[]);
    Said::by(load).names(
        "PIN refused",
        "loading ",
        &["C_Login: CKR_PIN_EXPIRED", "set a new PIN", "--change-pin"],
    );
}

#[test]
fn a_token_with_raw_rsa_only_signs_pkcs1_and_pss() {
    let front = Front::new(&[("FRONT_HIDE", ALL_BUT_RAW_RSA)]);
    front.signs("rsa", "");
    front.signs("rsa", "-sigopt rsa_padding_mode:pss");
    front.signs(
        "rsa",
        "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
    );
}

#[test]
fn two_tokens_that_look_alike_get_no_pin() {
    let front = Front::new(&[("FRONT_TWINS", "1")]);
    front.bench.token.add("other");
    // It would be refused if it were sent.
    front.bench.write_pin(WRONG_PIN);
    let load = front.openssl("pkey -in {} -noout", &["pkcs11:object=ec"]);
    Said::by(load).names(
        "several tokens match",
        "loading pkcs11:",
        &["there are two of token ", "the same label, serial number"],
    );
}

#[test]
fn a_token_that_lists_no_mechanisms_signs() {
    // CKR_FUNCTION_FAILED.
    let front = Front::new(&[("FRONT_LIST_RESULT", "0x6")]);
    front.signs("ec", "");
    front.signs("rsa", "");
    front.signs("rsa", "-sigopt rsa_padding_mode:pss");
}

#[test]
fn a_missing_mechanism_is_told_with_its_code() {
    // CKM_ECDSA; and all of RSA.
    for (key, hidden) in [("ec", "0x1041"), ("rsa", "0x1,0x3,0xd")] {
        let front = Front::new(&[("FRONT_HIDE", hidden)]);
        let sign = format!("dgst -sha256 -sign {key}.pem -out signature message");
        Said::by(front.openssl(&sign, &[])).names(
            "operation not allowed for the key",
            "signing with ",
            &[
                &format!("signing on {}", identity(&front.bench, "front")),
                &format!("key \"{key}\""),
                "C_SignInit: CKR_MECHANISM_INVALID",
                "pkcs11-tool --list-mechanisms",
            ],
        );
    }
}

#[test]
fn a_token_with_one_session_serves_eight_threads() {
    let front = Front::new(&[("FRONT_SESSIONS", "1")]);
    for key in ["ec", "rsa"] {
        front
            .openssl("pkey -in {}.pem -pubout -out {}.pub", &[key, key])
            .ok();
    }
    let hammer = front.bench.run(helper("hammer"));
    let hammer = hammer.args(["8", "10", "ec.pem", "ec.pub", "rsa.pem", "rsa.pub"]);
    let said = front.with(hammer).finish();
    assert!(said.ok, "{}", said.all());
}

#[test]
fn a_write_protected_or_full_token_is_told_as_such() {
    for (code, name, cure) in [
        ("0xe2", "CKR_TOKEN_WRITE_PROTECTED", "read-only"),
        ("0x31", "CKR_DEVICE_MEMORY", "memory"),
    ] {
        let front = Front::new(&[("FRONT_SIGN_RESULT", code)]);
        let sign = front.openssl("dgst -sha256 -sign ec.pem -out signature message", &[]);
        let told = format!("C_Sign: {name}");
        Said::by(sign).names("the token failed", "signing with ", &[&told, cure]);
    }
}
