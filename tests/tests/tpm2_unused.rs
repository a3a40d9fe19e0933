//! Who uses no key of a TPM has nothing to do with it.

use std::io::ErrorKind;
use std::net::TcpListener;

use hwkey_tests::{Bench, KeyType, Tpm, software_works, wait_until};

/// A token with the key `ec`, and this TPM.
fn with_tpm(tcti: &str) -> Bench {
    let bench = Bench::new("tpm2-unused");
    bench.token.make_key(KeyType::P256, "ec", "01");
    std::fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench.configure(&bench.conf().option("tpm2-tcti", tcti));
    bench
}

/// Keys in software and in the token work.
#[track_caller]
fn others_work(bench: &Bench) {
    software_works(bench);
    let uri = bench.uri("ec");
    bench
        .openssl("req -new -key {} -subj /CN=x -out csr", &[&uri])
        .ok();
    bench.openssl("req -in csr -verify -noout", &[]).ok();
}

#[test]
fn keys_elsewhere_make_no_connection_to_the_tpm() {
    let tpm = TcpListener::bind("127.0.0.1:0").unwrap();
    tpm.set_nonblocking(true).unwrap();
    let port = tpm.local_addr().unwrap().port();
    let bench = with_tpm(&format!("swtpm:host=127.0.0.1,port={port}"));
    others_work(&bench);
    let reached = tpm.accept().expect_err("a connection");
    assert_eq!(reached.kind(), ErrorKind::WouldBlock);
    let load = bench.openssl("pkey -in tpm2:handle=0x81000001 -noout", &[]);
    let _program = load.background(None);
    wait_until("a connection for a key of the TPM", || tpm.accept().is_ok());
}

#[test]
fn a_tpm_that_hangs_holds_up_nobody_who_does_not_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(dir.path());
    tpm.signal("STOP");
    others_work(&with_tpm(&tpm.tcti()));
}
