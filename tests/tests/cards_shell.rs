//! A shell with a card in its reader, for developers: what `ci/card` starts.

use std::fs;

use hwkey_tests::{Run, helper, wait_until};

fn shell(options: &[&str], script: &str) -> Run {
    let run = Run::new(helper("card_shell")).args(options);
    run.args(["--", "sh", "-euc", script])
}

#[test]
fn keys_are_listed_and_sign_while_the_card_comes_and_goes() {
    const SCRIPT: &str = "\
openssl storeutl -noout pkcs11:
echo message > message
openssl dgst -sha256 -sign 'pkcs11:id=%02' -out signature message
OPENSSL_CONF= openssl dgst -sha256 -verify 9c.pub -signature signature message
card remove
! openssl pkey -in 'pkcs11:id=%01' -noout
card insert
openssl pkey -in 'pkcs11:id=%01' -noout -text
card demand-touch 60
card touch
openssl dgst -sha256 -sign 'pkcs11:id=%01' -out signature message
";
    for (options, shown) in [
        (&[][..], ["PIV%20AUTH%20key", "P-256"]),
        (
            &["--module", "ykcs11", "--rsa"][..],
            ["manufacturer=Yubico", "publicExponent"],
        ),
    ] {
        let said = shell(options, SCRIPT).finish();
        assert!(said.ok, "{}", said.all());
        for text in ["Total found: 12", "Verified OK", "no such token"] {
            assert!(said.all().contains(text), "{text}: {}", said.all());
        }
        for text in shown {
            assert!(said.stdout.contains(text), "{text}: {}", said.all());
        }
    }
}

#[test]
fn a_card_as_it_is_sold_has_no_keys() {
    let status = shell(&["--unused"], "yubico-piv-tool -a status").ok();
    assert!(status.contains("PIN tries left:\t3"), "{status}");
    assert!(!status.contains("Slot "), "{status}");
}

#[test]
fn wrong_words_are_answered_with_the_usage() {
    let said = shell(&["--modul", "opensc"], "true").fails();
    assert!(said.starts_with("usage: ci/card "), "{said}");
    let said = shell(&[], "card pull").fails();
    assert!(said.contains("usage: card remove|insert|"), "{said}");
}

#[test]
fn nothing_is_left_of_it_even_if_it_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let text = || fs::read_to_string(&log).unwrap_or_default();
    let (program, hand) = shell(&[], "cat run/pcscd/pcscd.pid; echo; echo ready; cat")
        .env("TMPDIR", place.path())
        .told(&log);
    wait_until("the shell", || text().lines().any(|line| line == "ready"));
    let pcscd = text()
        .lines()
        .find_map(|line| line.parse::<u32>().ok())
        .expect("a process");
    let runs =
        || fs::read_to_string(format!("/proc/{pcscd}/comm")).is_ok_and(|name| name == "pcscd\n");
    assert!(runs());
    program.signal("KILL");
    drop(hand);
    wait_until("pcscd's end", || !runs());
}
