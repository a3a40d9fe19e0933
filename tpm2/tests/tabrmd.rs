//! Over a resource manager, tpm2-abrmd on a private bus.

mod swtpm;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openssl::sha::sha256;
use tpm2_abi::{Cause, Created, Input, Object, Outcome, Request, Secret, Task};

use swtpm::{ECDSA, OWNER, P256, Tpm, fork, start, succeeded, verifies, wrapped};

/// Tells the process of its own about the TPM.
const OTHER_TPM: &str = "HWKEY_TEST_TCTI";

const TCTI: &str = "tabrmd:bus_type=session";

#[test]
fn keys_sign_over_tpm2_abrmd_but_not_in_a_forked_child() {
    if std::env::var_os(OTHER_TPM).is_some() {
        return within();
    }
    let tpm = Tpm::start();
    // It starts the TPM up.
    tpm.ask(Task::Describe).unwrap();
    let (bus, address) = bus();
    let _bus = Ended(bus);
    // libtss2 takes the bus' address from the environment only.
    let inner = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "keys_sign_over_tpm2_abrmd_but_not_in_a_forked_child",
        ])
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .env(OTHER_TPM, tpm.tcti())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&inner.stdout);
    assert!(inner.status.success(), "{output}");
}

/// What the test above runs, in a process of its own.
fn within() {
    let manager = manager();
    let keys = [&b""[..], b"auth"].map(|auth| wrapped(&create(auth), auth));
    let digest = sha256(b"message");
    let sign = |key: &Object| {
        ask(Task::Sign {
            object: key.clone(),
            scheme: ECDSA,
            input: Input::Digest(digest.to_vec()),
        })
    };
    let signs = |key| {
        let Ok(Outcome::Inspected { area, .. }) = ask(Task::Inspect {
            object: Object::clone(key),
        }) else {
            panic!("another outcome")
        };
        verifies(&area, ECDSA, &digest, &swtpm::bytes(sign(key).unwrap()))
    };
    // More than the manager has slots for one connection, if they were not given back.
    assert!((0..50).all(|_| keys.iter().all(signs)));
    let child = fork(&|| {
        let failure = sign(&keys[0]).err();
        failure
            .is_some_and(|it| matches!(it.cause, Cause::Told(text) if text.contains("tpm2-abrmd")))
    });
    assert!(succeeded(child));
    assert!(keys.iter().all(signs));
    drop(manager);
    assert!(sign(&keys[0]).is_err());
    let _manager = self::manager();
    assert!(keys.iter().all(signs));
}

fn create(auth: &[u8]) -> Created {
    let created = ask(Task::Create {
        parent: OWNER,
        parent_auth: Secret::default(),
        template: P256,
        auth: Secret::copied(auth),
    });
    match created.unwrap() {
        Outcome::Created(created) => created,
        _ => panic!("another outcome"),
    }
}

/// tpm2-abrmd, when it answers.
fn manager() -> Ended {
    let tcti = std::env::var(OTHER_TPM).unwrap();
    let mut command = Command::new("tpm2-abrmd");
    command
        .args(["--session", "--allow-root", "--tcti", &tcti])
        .env_remove("OPENSSL_CONF")
        .stderr(Stdio::null());
    let manager = Ended(start(command));
    let deadline = Instant::now() + Duration::from_secs(20);
    while ask(Task::Describe).is_err() {
        assert!(Instant::now() < deadline, "tpm2-abrmd does not start");
    }
    manager
}

fn ask(task: Task) -> tpm2_abi::Reply {
    hwkey_tpm2::answer(Request {
        tcti: TCTI.into(),
        task,
    })
}

/// A bus for this test alone, and its address.
fn bus() -> (Child, String) {
    let mut command = Command::new("dbus-daemon");
    command
        .args(["--session", "--nofork", "--print-address=1"])
        .stdout(Stdio::piped());
    let mut bus = start(command);
    let mut address = String::new();
    let output = bus.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut address).unwrap();
    (bus, address.trim().to_owned())
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
