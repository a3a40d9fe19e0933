//! A PIN is never spent for nothing: what reaches the token, as a PKCS#11 spy between hwkey and
//! SoftHSM records it.

use std::fs;
use std::path::PathBuf;

use hwkey_tests::{Bench, Conf, KeyType, PIN, Run, SOFTHSM, WRONG_PIN, helper, spy};

/// A bench whose openssl.cnf names the spy.
struct Spied(Bench);

impl Spied {
    /// The token has a P-256 and an RSA key, with reference files `p256.pem` and `rsa.pem`.
    fn new(label: &str) -> Self {
        let bench = Bench::new(label);
        for (key, name, id) in [
            (KeyType::P256, "p256", "01"),
            (KeyType::Rsa2048, "rsa", "02"),
        ] {
            bench.token.make_key(key, name, id);
        }
        let spied = Self(bench);
        spied.write_reference("p256");
        spied.write_reference("rsa");
        spied.0.configure(&spied.conf());
        spied
    }

    fn write_reference(&self, label: &str) {
        self.0.configure(&self.0.conf());
        let file = format!("{label}.pem");
        let uri = self.0.uri(label);
        self.0.openssl("pkey -in {} -out {}", &[&uri, &file]).ok();
        self.0.configure(&self.conf());
    }

    fn conf(&self) -> Conf {
        self.0.conf().option("pkcs11-module-path", &spy())
    }

    fn record(&self) -> PathBuf {
        self.0.path("spy.log")
    }

    /// A program whose calls are recorded anew.
    fn run(&self, program: PathBuf) -> Run {
        let _ = fs::remove_file(self.record());
        self.0
            .run(program)
            .env("PKCS11SPY", SOFTHSM)
            .env("PKCS11SPY_OUTPUT", self.record())
    }

    /// Runs `steps`; returns its outcomes, one a line.
    #[track_caller]
    fn steps(&self, steps: &[&str]) -> Vec<String> {
        let said = self.run(helper("steps")).args(steps).ok();
        said.lines().map(str::to_owned).collect()
    }

    /// The recorded calls of `functions`, in their order.
    fn calls(&self, functions: &[&str]) -> Vec<String> {
        let record = fs::read(self.record()).expect("the spy's record");
        let record = String::from_utf8_lossy(&record);
        // "17: C_Login"
        let names = record.lines().filter_map(|line| {
            let (number, name) = line.split_once(": ")?;
            (number.parse::<u32>().is_ok() && functions.contains(&name)).then(|| name.to_owned())
        });
        names.collect()
    }

    /// How many PINs reached the token.
    fn logins(&self) -> usize {
        self.calls(&["C_Login"]).len()
    }
}

#[track_caller]
fn assert_outcomes(outcomes: &[String], expected: &[&str]) {
    let starts = outcomes.len() == expected.len()
        && outcomes
            .iter()
            .zip(expected)
            .all(|(is, start)| is.starts_with(start));
    assert!(starts, "{outcomes:#?}, not {expected:#?}");
}

#[test]
fn a_refused_pin_is_sent_once_and_the_corrected_one_works_in_the_same_process() {
    let spied = Spied::new("pin");
    spied.0.write_pin(WRONG_PIN);
    assert_outcomes(
        &spied.steps(&["load=p256.pem", "load=p256.pem", "load=rsa.pem"]),
        &["failed: ", "failed: ", "failed: "],
    );
    assert_eq!(spied.logins(), 1);

    let corrected = format!("write=pin={PIN}\n");
    let outcomes = spied.steps(&[
        "load=p256.pem",
        "load=p256.pem",
        &corrected,
        "load=p256.pem",
        "sign",
        "load=rsa.pem",
        "sign",
    ]);
    assert_outcomes(&outcomes, &["failed: ", "failed: ", "ok", "ok", "ok", "ok"]);
    assert_eq!(spied.logins(), 2);
    // The first failure has the token's code, the second says why it did not ask the token.
    assert!(outcomes[0].contains("CKR_PIN_INCORRECT"), "{}", outcomes[0]);
    assert!(
        outcomes[1].contains("was refused before, and this process does not send it again"),
        "{}",
        outcomes[1]
    );
}

#[test]
fn a_forked_child_does_not_send_again_what_its_parent_knows_to_be_wrong() {
    let spied = Spied::new("pin");
    spied.0.configure(&spied.0.conf());
    let (key, certificate) = spied.0.self_signed("p256");
    spied.0.configure(&spied.conf());
    spied.0.write_pin(WRONG_PIN);
    let python = "
import os, ssl, sys
def load():
    try:
        ssl.create_default_context().load_cert_chain(*sys.argv[1:])
        sys.exit('loaded with a wrong PIN')
    except OSError:
        pass
load()
child = os.fork()
load()
if child:
    sys.exit(os.waitpid(child, 0)[1])
";
    spied
        .run("python3".into())
        .args(["-c", python, &certificate, &key])
        .ok();
    assert_eq!(spied.logins(), 1);
}

#[test]
fn a_good_pin_is_sent_once_however_many_keys_are_loaded() {
    let spied = Spied::new("pin");
    let outcomes = spied.steps(&[
        "load=p256.pem",
        "sign",
        "load=rsa.pem",
        "sign",
        "load=p256.pem",
        "sign",
        "sign",
    ]);
    assert_outcomes(&outcomes, &["ok"; 7]);
    assert_eq!(spied.logins(), 1);
}

#[test]
fn eight_threads_that_start_cold_send_the_pin_once() {
    let spied = Spied::new("pin");
    let hammer = || {
        spied
            .run(helper("hammer"))
            .args(["8", "5", "p256.pem", "p256.pub"])
    };
    spied
        .0
        .openssl("pkey -in {} -pubout -out p256.pub", &["p256.pem"])
        .env("PKCS11SPY", SOFTHSM)
        .ok();
    hammer().ok();
    assert_eq!(spied.logins(), 1);

    spied.0.write_pin(WRONG_PIN);
    let said = hammer().fails();
    assert!(said.contains("40 of 40 failed"), "{said}");
    assert_eq!(spied.logins(), 1);
}

#[test]
fn a_key_that_always_authenticates_gets_the_pin_at_every_signature() {
    let spied = Spied::new("pin");
    let options = ["--usage-sign", "--always-auth"];
    let make = |key, label, id| {
        spied.0.token.make_key_on("pin", key, label, id, &options);
        spied.write_reference(label);
    };
    make(KeyType::P256, "always-ec", "09");
    make(KeyType::Rsa2048, "always-rsa", "0a");
    for file in ["load=always-ec.pem", "load=always-rsa.pem"] {
        let outcomes = spied.steps(&[file, "sign", "sign", "sign"]);
        assert_outcomes(&outcomes, &["ok"; 4]);
        let signature = ["C_SignInit", "C_Login", "C_Sign"];
        let calls = spied.calls(&signature);
        assert_eq!(
            calls,
            [&["C_Login"][..], &signature, &signature, &signature].concat()
        );
        let record = fs::read(spied.record()).unwrap();
        let context_logins = String::from_utf8_lossy(&record)
            .matches("userType = CKU_CONTEXT_SPECIFIC")
            .count();
        assert_eq!(context_logins, 3);
    }
}

#[test]
fn the_pin_that_loaded_a_key_is_kept_unless_pin_keep_says_no() {
    let spied = Spied::new("pin");
    spied.0.token.make_key_on(
        "pin",
        KeyType::P256,
        "always",
        "09",
        &["--usage-sign", "--always-auth"],
    );
    spied.write_reference("always");
    let restored = format!("write=pin={PIN}\n");
    let steps = [
        "load=always.pem",
        "sign",
        "remove=pin",
        "sign",
        &restored,
        "sign",
    ];
    // Like an nginx worker, which can't read the file that root could.
    assert_outcomes(&spied.steps(&steps), &["ok"; 4]);

    spied.0.configure(&spied.conf().option("pin-keep", "no"));
    let outcomes = spied.steps(&steps);
    assert_outcomes(&outcomes, &["ok", "ok", "failed: ", "ok"]);
    assert!(
        outcomes[2].contains("reading the PIN from file:"),
        "{}",
        outcomes[2]
    );
}

#[test]
fn a_pin_goes_to_no_token_when_several_match() {
    let spied = Spied::new("pin");
    spied.0.token.add("other");
    spied
        .0
        .token
        .make_key_on("other", KeyType::P256, "p256", "01", &["--usage-sign"]);
    for uri in ["pkcs11:object=p256", "pkcs11:id=%01", "pkcs11:"] {
        let run = spied.run("openssl".into());
        run.args(["pkey", "-noout", "-in", uri]).fails();
        assert_eq!(spied.logins(), 0, "{uri}");
    }
}

#[test]
fn no_pin_is_sent_for_what_everybody_may_see() {
    let spied = Spied::new("pin");
    let public = format!("{};type=public", spied.0.uri("p256"));
    let run = spied.run("openssl".into());
    run.args(["pkey", "-pubin", "-noout", "-in", &public]).ok();
    assert_eq!(spied.logins(), 0);
}
