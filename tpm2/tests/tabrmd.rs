//! Over a resource manager, tpm2-abrmd on a private bus.

mod swtpm;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openssl::sha::sha256;
use tpm2_abi::{Cause, Input, Outcome, Request, Secret, Task};

use swtpm::{ECDSA, OWNER, P256, Tpm, fork, start, succeeded, verifies, wrapped};

const TCTI: &str = "tabrmd:bus_type=session";

#[test]
fn a_key_signs_over_tpm2_abrmd_but_not_in_a_forked_child() {
    let tpm = Tpm::start();
    // It starts the TPM up.
    tpm.ask(Task::Describe).unwrap();
    let (bus, address) = bus();
    let _bus = Ended(bus);
    let mut command = Command::new("tpm2-abrmd");
    command
        .args(["--session", "--allow-root", "--tcti", &tpm.tcti()])
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .env_remove("OPENSSL_CONF")
        .stderr(Stdio::null());
    let _manager = Ended(start(command));
    // libtss2 takes the bus' address from the environment only.
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "within"])
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&inner.stdout);
    assert!(inner.status.success(), "{output}");
}

/// What the test above runs, in a process of its own.
#[test]
#[ignore = "part of another test"]
fn within() {
    let deadline = Instant::now() + Duration::from_secs(20);
    while ask(Task::Describe).is_err() {
        assert!(Instant::now() < deadline, "tpm2-abrmd does not start");
    }
    for auth in [&b""[..], b"auth"] {
        let created = ask(Task::Create {
            parent: OWNER,
            parent_auth: Secret::default(),
            template: P256,
            auth: Secret::copied(auth),
        });
        let Outcome::Created(created) = created.unwrap() else {
            panic!("another outcome")
        };
        let digest = sha256(b"message");
        let sign = || {
            ask(Task::Sign {
                object: wrapped(&created, auth),
                scheme: ECDSA,
                input: Input::Digest(digest.to_vec()),
            })
        };
        for _ in 0..50 {
            let signature = swtpm::bytes(sign().unwrap());
            assert!(verifies(&created.area, ECDSA, &digest, &signature));
        }
        let child = fork(&|| {
            let failure = sign().err();
            failure.is_some_and(
                |it| matches!(it.cause, Cause::Told(text) if text.contains("tpm2-abrmd")),
            )
        });
        assert!(succeeded(child));
        assert!(sign().is_ok());
    }
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
