//! A wrong authorisation value is sent to the TPM once, and the right one in its place is enough.

use hwkey_tests::{Algorithm, Gateway, PIN, Parent, Said, Site, TpmKey, WRONG_PIN, helper, script};

const OWNER: Parent = Parent::Hierarchy("o");

/// A machine whose keys `ec.pem` and `rsa.pem` have the authorisation value [`PIN`], which the file
/// `pin` holds.
fn gateway() -> Gateway {
    let gateway = Gateway::new();
    for (file, algorithm) in [("ec.pem", Algorithm::P256), ("rsa.pem", Algorithm::Rsa2048)] {
        let key = TpmKey::new(algorithm).auth(PIN);
        gateway.tpm.tools_key_file(file, OWNER, key);
    }
    gateway.write_pin(PIN);
    gateway.configure(&gateway.conf_with_pin_file());
    gateway
}

#[test]
fn a_wrong_value_is_told_with_the_tpms_code_and_the_tries_that_are_left() {
    let gateway = gateway();
    gateway.write_pin(WRONG_PIN);
    gateway.tpm.allow_tries(10);
    let load = gateway.openssl("pkey -in ec.pem -noout", &[]);
    Said::by(load).names(
        "PIN refused",
        "loading",
        &[
            "TPM_RC_AUTH_FAIL",
            "9 tries are left",
            "from file:",
            "correct the authorisation value at its source",
        ],
    );
    assert_eq!(gateway.tpm.tries_left(), 9);
}

#[test]
fn any_number_of_loads_in_one_process_spends_one_try() {
    let gateway = gateway();
    gateway.write_pin(WRONG_PIN);
    let outcomes = gateway.take(&["load=ec.pem", "load=ec.pem", "load=ec.pem", "load=ec.pem"]);
    assert!(outcomes[0].contains("TPM_RC_AUTH_FAIL"), "{outcomes:#?}");
    for outcome in &outcomes[1..] {
        let reason = "was refused before, and this process does not send it again";
        assert!(outcome.contains(reason), "{outcome}");
    }
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn eight_threads_that_start_cold_spend_one_try() {
    let gateway = gateway();
    gateway.public_key("ec.pem", "ec.pub");
    gateway.write_pin(WRONG_PIN);
    let hammer = gateway.run(helper("hammer"));
    let said = hammer.args(["8", "5", "ec.pem", "ec.pub"]).fails();
    assert!(said.contains("40 of 40 failed"), "{said}");
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn forked_children_do_not_send_again_what_their_parent_knows_to_be_wrong() {
    let gateway = gateway();
    gateway.certify("ec.pem", "x", "ec.crt");
    gateway.write_pin(WRONG_PIN);
    let then = "
def load():
    try:
        with_key(server())
    except OSError:
        return
    raise SystemExit('loaded with a wrong value')

load()
for pid in [child(load) for _ in range(4)]:
    ended_well(pid)
load()";
    script(&gateway, then, "ec.pem", "ec.crt").ok();
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn siblings_share_what_one_of_them_finds_out() {
    let gateway = gateway();
    gateway.certify("ec.pem", "x", "ec.crt");
    let then = "
one, other = with_key(server()), with_key(client())
both(one, other)
with open('pin', 'w') as pin:
    pin.write(os.environ['WRONG'])
for pid in [child(lambda: refused(one, other)) for _ in range(4)]:
    ended_well(pid)
refused(one, other)";
    let program = script(&gateway, then, "ec.pem", "ec.crt");
    program.env("WRONG", WRONG_PIN).ok();
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn with_the_right_value_in_its_place_the_same_process_goes_on() {
    let gateway = gateway();
    gateway.write_pin(WRONG_PIN);
    let mut steps = gateway.steps();
    steps.fails("load=ec.pem", "TPM_RC_AUTH_FAIL");
    steps.fails("load=ec.pem", "was refused before");
    gateway.write_pin(PIN);
    steps.ok("load=ec.pem");
    steps.ok("sign");
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn a_wrong_value_in_the_file_of_a_loaded_key_spends_one_try_until_it_is_corrected() {
    let gateway = gateway();
    let mut steps = gateway.steps();
    for (file, spent) in [("ec.pem", 1), ("rsa.pem", 2)] {
        gateway.write_pin(PIN);
        steps.ok(&format!("load={file}"));
        steps.ok("sign");
        gateway.write_pin(WRONG_PIN);
        steps.fails("sign", "TPM_RC_AUTH_FAIL");
        for _ in 0..3 {
            steps.fails("sign", "was refused before");
        }
        assert_eq!(gateway.tpm.tries_spent(), spent);
        gateway.write_pin(PIN);
        steps.ok("sign");
        steps.ok(&format!("load={file}"));
        steps.ok("sign");
        assert_eq!(gateway.tpm.tries_spent(), spent);
    }
}

#[test]
fn a_value_that_is_changed_in_the_tpm_under_a_running_program_spends_one_try() {
    const HANDLE: &str = "0x81000010";
    const CHANGED: &str = "another-good-one";
    let gateway = gateway();
    gateway
        .tpm
        .persist_child(HANDLE, TpmKey::new(Algorithm::P256).auth(PIN));
    gateway.reference(&format!("tpm2:handle={HANDLE}"), "kept.pem");
    let mut steps = gateway.steps();
    steps.ok("load=kept.pem");
    steps.ok("sign");
    gateway.tpm.change_auth(HANDLE, PIN, CHANGED);
    steps.fails("sign", "TPM_RC_AUTH_FAIL");
    steps.fails("sign", "was refused before");
    steps.fails("load=kept.pem", "was refused before");
    assert_eq!(gateway.tpm.tries_spent(), 1);
    // With the key that was loaded before, and loaded anew.
    gateway.write_pin(CHANGED);
    steps.ok("sign");
    steps.ok("load=kept.pem");
    steps.ok("sign");
    assert_eq!(gateway.tpm.tries_spent(), 1);
}

#[test]
fn wrong_values_of_a_key_without_lockout_protection_cost_nothing() {
    let gateway = gateway();
    let key = TpmKey::new(Algorithm::P256).auth(PIN).counting_no_tries();
    gateway.tpm.tools_key_file("noda.pem", OWNER, key);
    gateway.write_pin(WRONG_PIN);
    let mut steps = gateway.steps();
    steps.fails("load=noda.pem", "TPM_RC_BAD_AUTH");
    steps.fails("load=noda.pem", "was refused before");
    assert_eq!(gateway.tpm.tries_spent(), 0);
    gateway.write_pin(PIN);
    steps.ok("load=noda.pem");
    steps.ok("sign");
    gateway.write_pin("another-wrong-one");
    let refused = steps.take("sign");
    assert!(refused.contains("TPM_RC_BAD_AUTH"), "{refused}");
    assert!(!refused.contains("tries are left"), "{refused}");
    gateway.write_pin(PIN);
    steps.ok("sign");
    assert_eq!(gateway.tpm.tries_spent(), 0);
}

#[test]
fn nothing_that_is_written_shows_a_value() {
    let gateway = gateway();
    for (value, works) in [(PIN, true), (WRONG_PIN, false)] {
        gateway.write_pin(value);
        for arguments in [
            "dgst -sha256 -sign ec.pem -out s message",
            "pkeyutl -sign -inkey rsa.pem -in message -rawin -digest sha256 -out s",
        ] {
            let run = gateway.openssl(arguments, &[]).env("HWKEY_LOG", "trace");
            let finished = run.finish();
            assert_eq!(finished.ok, works, "{}", finished.all());
            assert!(finished.stderr.contains("hwkey: "), "{}", finished.all());
            for secret in [PIN, WRONG_PIN] {
                assert!(!finished.all().contains(secret), "{}", finished.all());
                assert!(!finished.all().contains(&in_hex(secret)));
            }
        }
    }
}

fn in_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
