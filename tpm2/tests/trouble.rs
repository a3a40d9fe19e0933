//! Wrong authorisation values, many threads, many processes, a TPM that goes away.

mod swtpm;

use std::sync::Barrier;
use std::thread;

use openssl::sha::sha256;
use tpm2_abi::{Cause, Failure, Lockout, Object, Task};

use swtpm::{ECDSA, P256, Tpm, fork, succeeded, verifies, wrapped};

#[test]
fn a_wrong_authorisation_value_costs_one_try_and_the_right_one_works_afterwards() {
    let tpm = Tpm::start();
    let created = tpm.create(P256, b"right");
    let digest = sha256(b"message");
    let wrong = wrapped(&created, b"wrong");
    let failure = tpm.sign(&wrong, &digest).unwrap_err();
    assert_eq!(failure.function, "TPM2_Sign");
    assert_eq!(failure.cause, Cause::Code(0x98e));
    assert_eq!(failure.lockout.map(|lockout| lockout.failed), Some(1));
    let wrong = tpm.ask(Task::Authorise { object: wrong });
    let failure = wrong.err().unwrap();
    assert_eq!(failure.function, "TPM2_PolicySecret");
    assert_eq!(failure.lockout.map(|lockout| lockout.failed), Some(2));
    let right = wrapped(&created, b"right");
    assert!(
        tpm.ask(Task::Authorise {
            object: right.clone()
        })
        .is_ok()
    );
    let signature = tpm.sign(&right, &digest).unwrap();
    assert!(verifies(&created.area, ECDSA, &digest, &signature));
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_locked_tpm_says_so() {
    let tpm = Tpm::start();
    let created = tpm.create(P256, b"right");
    let digest = sha256(b"message");
    tpm.tool("tpm2_dictionarylockout -s -n 1 -t 1000 -l 1000");
    assert!(tpm.sign(&wrapped(&created, b"wrong"), &digest).is_err());
    let failure = tpm.sign(&wrapped(&created, b"right"), &digest).unwrap_err();
    let lockout = Lockout {
        failed: 1,
        most: 1,
        interval: 1000,
    };
    let expected = Failure {
        function: "TPM2_Sign".into(),
        cause: Cause::Code(0x921),
        lockout: Some(lockout),
    };
    assert_eq!(failure, expected);
}

#[test]
fn a_persistent_key_with_an_authorisation_value_signs() {
    let tpm = Tpm::start();
    let key = tpm.persistent("ecc256:ecdsa", "auth");
    tpm.signs(&key);
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn threads_with_many_keys_all_sign() {
    let tpm = Tpm::start();
    let keys: Vec<_> = (0..10).map(|_| tpm.create(P256, b"")).collect();
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let (tpm, keys, barrier) = (&tpm, &keys, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for (at, key) in keys.iter().enumerate() {
                    let digest = sha256(&[number, at as u8]);
                    let signature = tpm.sign(&wrapped(key, b""), &digest).unwrap();
                    assert!(verifies(&key.area, ECDSA, &digest, &signature));
                }
            });
        }
    });
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn more_keys_than_are_kept_all_sign() {
    let tpm = Tpm::start();
    let keys: Vec<_> = (0..140).map(|_| tpm.create(P256, b"")).collect();
    let digest = sha256(b"message");
    for key in &keys {
        let signature = tpm.sign(&wrapped(key, b""), &digest).unwrap();
        assert!(verifies(&key.area, ECDSA, &digest, &signature));
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn forked_children_and_their_parent_sign_at_once() {
    let tpm = Tpm::start();
    let created = tpm.create(P256, b"auth");
    let key = wrapped(&created, b"auth");
    let work = || {
        (0..20u8).all(|number| {
            let digest = sha256(&[number]);
            let signature = tpm.sign(&key, &digest);
            signature.is_ok_and(|it| verifies(&created.area, ECDSA, &digest, &it))
        })
    };
    assert!(work());
    let children: Vec<_> = (0..5).map(|_| fork(&work)).collect();
    assert!(work());
    assert!(children.into_iter().all(succeeded));
    assert!(work());
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_tpm_that_was_killed_and_started_again_goes_on() {
    let mut tpm = Tpm::start();
    let created = tpm.create(P256, b"");
    let key = wrapped(&created, b"");
    let digest = sha256(b"message");
    for _ in 0..2 {
        assert!(tpm.sign(&key, &digest).is_ok());
        tpm.kill();
        assert!(matches!(
            tpm.sign(&key, &digest),
            Err(Failure {
                cause: Cause::Code(_),
                ..
            })
        ));
        tpm.restart();
        let signature = tpm.sign(&key, &digest).unwrap();
        assert!(verifies(&created.area, ECDSA, &digest, &signature));
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_secret_survives_a_restart_of_the_tpm() {
    let mut tpm = Tpm::start();
    let created = tpm.create(P256, b"auth");
    let key = wrapped(&created, b"auth");
    let digest = sha256(b"message");
    assert!(tpm.sign(&key, &digest).is_ok());
    tpm.kill();
    tpm.restart();
    // It counts a try when it was not shut down in order.
    let signature = tpm.sign(&key, &digest).unwrap();
    assert!(verifies(&created.area, ECDSA, &digest, &signature));
}

#[test]
fn a_tpm_that_is_not_there_is_told_at_once() {
    let mut tpm = Tpm::start();
    tpm.kill();
    let before = std::time::Instant::now();
    let failure = tpm.ask(Task::Describe).err().unwrap();
    assert_eq!(failure.function, "Tss2_TctiLdr_Initialize");
    assert!(before.elapsed().as_secs() < 2);
}

#[test]
fn a_wrong_parent_is_told_as_the_tpm_tells_it() {
    let (tpm, other) = (Tpm::start(), Tpm::start());
    let key: Object = wrapped(&tpm.create(P256, b""), b"");
    let failure = other.sign(&key, &sha256(b"message")).unwrap_err();
    assert_eq!(failure.function, "TPM2_Load");
    assert_eq!(failure.cause, Cause::Code(0x1df));
    assert_eq!(other.loaded(), "");
}
