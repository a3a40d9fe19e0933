//! nginx: the key is loaded by root's master, and used by workers that may not read the PIN file.

use hwkey_tests::{KeyType, Nginx, Run, wait_until};

#[test]
fn workers_without_rights_sign_200_handshakes_across_a_reload() {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let nginx = Nginx::with(key, |conf| conf);
        assert!(nginx.handshakes(&["reload"]) >= 200);
        let complaints = nginx.complaints();
        assert!(complaints.is_empty(), "{key:?}: {complaints:#?}");
    }
}

#[test]
fn workers_do_not_read_the_pin_file() {
    let nginx = Nginx::with(KeyType::P256, |conf| conf);
    // root's own PIN file is gone; what the master keeps must do.
    std::fs::remove_file(nginx.bench.pin_file()).unwrap();
    assert!(nginx.handshakes(&[]) >= 200);
}

#[test]
fn without_pin_keep_the_log_says_why_workers_can_not_sign() {
    let nginx = Nginx::with(KeyType::P256, |conf| conf.option("pin-keep", "no"));
    let refused = Run::new("curl")
        .args(["--silent", "--show-error", "--insecure"])
        .arg(format!("https://127.0.0.1:{}/", nginx.port))
        .fails();
    assert!(refused.contains("curl: (35)"), "{refused}");
    // nginx writes OpenSSL's queue into its own log.
    wait_until("the reason in nginx's log", || {
        let said = nginx.said();
        said.contains("SSL_do_handshake() failed") && said.contains("PIN source can't be used")
    });
}

#[test]
fn a_wrong_pin_stops_the_start_and_a_reload_goes_on_with_what_it_has() {
    let nginx = Nginx::with(KeyType::P256, |conf| conf);
    nginx.bench.write_pin("11112222");
    let said = nginx.program().arg("-t").fails();
    assert!(said.contains("[emerg]"), "{said}");
    assert!(said.contains("PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
    // The running master is logged in already.
    assert!(nginx.handshakes(&["reload"]) >= 200);
}
