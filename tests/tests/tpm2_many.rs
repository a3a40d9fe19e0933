//! Many keys, threads and processes with one TPM, which has room for three objects.

use std::fs;
use std::path::PathBuf;

use hwkey_tests::{Algorithm, Background, Gateway, Tpm, TpmKey, hammer, helper};

type Files = [String; 2];

/// Makes so many keys, and says in which files they and their public halves are. The first two are
/// persistent ones, and every other key an RSA key.
fn make_keys(gateway: &Gateway, count: usize) -> Vec<Files> {
    let make = |number: usize| {
        let (file, public) = (format!("{number}.pem"), format!("{number}.pub"));
        let algorithm = match number % 2 {
            0 => Algorithm::P256,
            _ => Algorithm::Rsa2048,
        };
        match number {
            0 | 1 => {
                let handle = format!("0x8100001{number}");
                gateway.tpm.persist(&handle, TpmKey::new(algorithm));
                gateway.reference(&format!("tpm2:handle={handle}"), &file);
            }
            _ => gateway.tpm.openssl_key_file(&file, algorithm, None),
        }
        gateway.public_key(&file, &public);
        [file, public]
    };
    (0..count).map(make).collect()
}

/// A process of so many threads that load a key and sign, so often each, at once.
fn hammer_in_background(
    gateway: &Gateway,
    options: &[&str],
    files: &[Files],
) -> (PathBuf, Background) {
    let log = gateway.path(&format!("{}.log", files[0][0]));
    let run = gateway.run(helper("hammer")).args(options);
    let process = run.args(files.as_flattened()).background(Some(&log));
    (log, process)
}

#[track_caller]
fn assert_none_failed(processes: Vec<(PathBuf, Background)>) {
    for (log, process) in processes {
        let ok = process.wait();
        let said = fs::read_to_string(log).unwrap();
        assert!(ok && said.starts_with("0 of "), "{said}");
    }
}

#[track_caller]
fn assert_nothing_is_loaded(gateway: &Gateway) {
    assert_eq!(gateway.tpm.loaded(), [""; 0]);
}

#[test]
fn a_hundred_keys_alternate_in_one_process() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let file = |number: usize| [format!("{number}.pem"), format!("{number}.pub")];
        let files: Vec<Files> = (0..100).map(file).collect();
        for [key, public] in &files {
            gateway.tpm.openssl_key_file(key, Algorithm::P256, None);
            gateway.public_key(key, public);
        }
        // All of them loaded, and then each three times anew.
        hammer(&gateway, &["--shared", "1", "300"], &files);
        hammer(&gateway, &["1", "300"], &files);
        assert_nothing_is_loaded(&gateway);
    }
}

#[test]
fn eight_threads_load_25_times_each_from_a_cold_start() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let files = make_keys(&gateway, 4);
        hammer(&gateway, &["8", "25"], &files);
        assert_nothing_is_loaded(&gateway);
    }
}

#[test]
fn eight_keys_are_held_at_once_and_used_by_eight_threads() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let files = make_keys(&gateway, 8);
        hammer(&gateway, &["--shared", "8", "40"], &files);
        assert_nothing_is_loaded(&gateway);
    }
}

#[test]
fn four_processes_at_once_use_the_same_keys() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let files = make_keys(&gateway, 4);
        let processes = (0..4).map(|first| {
            let mut files = files.clone();
            files.rotate_left(first);
            hammer_in_background(&gateway, &["2", "30"], &files)
        });
        assert_none_failed(processes.collect());
        assert_nothing_is_loaded(&gateway);
    }
}

#[test]
fn five_processes_hold_a_key_each() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let files = make_keys(&gateway, 5);
        let processes = files.chunks(1);
        let processes =
            processes.map(|files| hammer_in_background(&gateway, &["--shared", "2", "40"], files));
        assert_none_failed(processes.collect());
        assert_nothing_is_loaded(&gateway);
    }
}

#[test]
fn tools_that_come_between_disturb_nobody() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let files = make_keys(&gateway, 2);
        let process = hammer_in_background(&gateway, &["4", "50"], &files);
        for _ in 0..10 {
            gateway.tpm.tpm2("getrandom 8", &[]).ok();
            gateway.tpm.tpm2("readpublic -c 0x81000010", &[]).ok();
        }
        assert_none_failed(vec![process]);
        assert_nothing_is_loaded(&gateway);
    }
}
