//! A service that is gone, closed, busy or changed: each is told in its own words, and once it is mended
//! the same process goes on with the same key.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use hwkey_tests::{Parsec, ParsecProvider, Run, SOMEBODY, Said, Steps, wait_until};

/// A service with the key `device` of root, and its PEM file.
fn service() -> Parsec {
    let parsec = Parsec::new(&[ParsecProvider::MbedCrypto]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    parsec.reference("parsec:device", "key.pem");
    parsec
}

/// A process that has signed with it.
fn signer(parsec: &Parsec) -> Steps {
    let mut steps = parsec.steps();
    steps.ok("load=key.pem");
    steps.ok("sign");
    steps
}

const GONE: &str = "Parsec service can't be used";
const REFUSED: &str = "Parsec refused the client";

/// The next signature fails with these words in the log.
#[track_caller]
fn fails_with(steps: &mut Steps, reason: &str, parts: &[&str]) {
    let before = steps.output().len();
    steps.fails("sign", reason);
    let output = steps.output();
    let log = &output[before..];
    for part in parts {
        assert!(log.contains(part), "\"{part}\" is missing in {log}");
    }
}

#[test]
fn a_service_that_has_ended_is_told_and_found_again() {
    let parsec = service();
    let mut steps = signer(&parsec);
    parsec.stop();
    let parts = [
        "Connection refused",
        "the Parsec service has ended",
        "journalctl -u parsec",
    ];
    fails_with(&mut steps, GONE, &parts);
    parsec.go_on();
    steps.ok("sign");
    parsec.restart();
    steps.ok("sign");
}

#[test]
fn a_socket_that_is_not_there_is_told_and_found_again() {
    let parsec = service();
    let mut steps = signer(&parsec);
    let (socket, aside) = (parsec.socket(), parsec.path("aside"));
    fs::rename(&socket, &aside).unwrap();
    let parts = [
        "No such file or directory",
        "systemctl start parsec",
        "parsec-endpoint = unix:/path",
        &socket.display().to_string(),
    ];
    fails_with(&mut steps, GONE, &parts);
    fs::rename(&aside, &socket).unwrap();
    steps.ok("sign");
}

#[test]
fn rights_that_are_withdrawn_are_told_with_who_lacks_them() {
    let parsec = service();
    // For root there are no rights.
    parsec
        .run_as(SOMEBODY, parsec.path("parsec-tool"))
        .env(
            "PARSEC_SERVICE_ENDPOINT",
            format!("unix:{}", parsec.socket().display()),
        )
        .args(["create-ecc-key", "--key-name", "device"])
        .ok();
    let mut steps = parsec.steps_as(SOMEBODY);
    steps.ok("load=key.pem");
    steps.ok("sign");
    let directory = parsec.socket_directory();
    let set = |mode| fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
    set(0o700);
    let parts = ["Permission denied", "may not use the socket", "namei -l"];
    fails_with(&mut steps, GONE, &parts);
    set(0o755);
    steps.ok("sign");
}

#[test]
fn another_authenticator_is_named_and_the_key_is_back_with_the_old_one() {
    let parsec = service();
    let mut steps = signer(&parsec);
    parsec.stop();
    parsec.know_clients_by("Direct");
    parsec.go_on();
    let parts = [
        "AuthenticatorNotRegistered (13)",
        "knows its clients by Direct, not by UnixPeerCredentials",
        "parsec-auth = direct",
    ];
    fails_with(&mut steps, REFUSED, &parts);
    parsec.stop();
    parsec.know_clients_by("UnixPeerCredentials");
    parsec.go_on();
    steps.ok("sign");
}

#[test]
fn a_tpm_that_is_gone_is_told_with_what_the_service_needs_then() {
    let parsec = Parsec::new(&[ParsecProvider::Tpm]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    parsec.reference("parsec:device", "key.pem");
    let mut steps = signer(&parsec);
    parsec.tpm().stop();
    let parts = [
        "InvalidEncoding (16)",
        "TPM provider",
        "systemctl restart parsec",
    ];
    fails_with(&mut steps, "the token failed", &parts);
    parsec.tpm().go_on();
    // It does not find it again, whoever asks.
    fails_with(&mut steps, "the token failed", &parts);
    parsec.restart();
    steps.ok("sign");
}

#[test]
fn a_token_that_is_gone_is_told_with_the_services_log() {
    let parsec = Parsec::new(&[ParsecProvider::Pkcs11]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    parsec.reference("parsec:device", "key.pem");
    let mut steps = signer(&parsec);
    parsec.take_token_away();
    let parts = [
        "PsaErrorCommunicationFailure (1145)",
        "PKCS#11 provider",
        "journalctl -u parsec",
    ];
    fails_with(&mut steps, "the token failed", &parts);
    parsec.bring_token_back();
    parsec.restart();
    steps.ok("sign");
}

#[test]
fn a_key_that_is_deleted_is_missed_and_one_made_under_its_name_is_not_taken_for_it() {
    let parsec = service();
    let mut steps = signer(&parsec);
    parsec.tool("delete-key --key-name device", &[]).ok();
    let parts = [
        "PsaErrorDoesNotExist (1140)",
        "openssl storeutl -noout parsec:",
    ];
    fails_with(&mut steps, "no such key", &parts);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    let parts = ["another key has its name now; load the key again"];
    fails_with(&mut steps, "the key was replaced by another one", &parts);
    steps.ok("load=key.pem");
    steps.ok("sign");
}

#[test]
fn nobody_waits_longer_than_the_timeout_for_a_service_that_hangs() {
    let parsec = service();
    parsec.configure(&parsec.conf().option("parsec-timeout", "300"));
    let mut steps = signer(&parsec);
    parsec.signal("STOP");
    let begin = Instant::now();
    let parts = ["no answer in 300 ms", "parsec-timeout"];
    fails_with(&mut steps, GONE, &parts);
    // Far from the minute that is usual, and from the hours of a connection that never is one.
    assert!(begin.elapsed() < Duration::from_secs(20));
    parsec.signal("CONT");
    steps.ok("sign");
}

/// Listens with room for one in its queue, takes it, and accepts nobody.
const FULL: &str = "
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(0)
waiting = socket.socket(socket.AF_UNIX)
waiting.connect(sys.argv[1])
open('full', 'w')
signal.pause()";

#[test]
fn nobody_waits_longer_than_the_timeout_for_a_place_in_the_queue() {
    let parsec = service();
    parsec.configure(&parsec.conf().option("parsec-timeout", "300"));
    let mut steps = signer(&parsec);
    parsec.stop();
    fs::remove_file(parsec.socket()).unwrap();
    let full = Run::new("/usr/bin/python3").args(["-c", FULL]);
    let full = full.arg(parsec.socket()).dir(&parsec.path(""));
    let full = full.background(None);
    wait_until("a full queue", || parsec.path("full").exists());
    let begin = Instant::now();
    fails_with(&mut steps, GONE, &["no answer in 300 ms"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(full);
    parsec.go_on();
    steps.ok("sign");
}

#[test]
fn a_file_in_the_place_of_the_socket_is_called_so() {
    let parsec = service();
    for name in ["message", "service", "none"] {
        let path = parsec.path(name).display().to_string();
        let load = parsec.openssl(
            "pkey -in {} -noout",
            &[&format!("parsec:device?socket={path}")],
        );
        let cause = match name {
            "none" => "No such file or directory; the Parsec service is not running".to_owned(),
            _ => format!("{path} is no socket; correct parsec-endpoint"),
        };
        Said::by(load).names(GONE, "loading parsec:name=device", &[&cause]);
    }
}

#[test]
fn what_is_no_parsec_service_is_told_from_one() {
    let parsec = service();
    parsec.stop();
    fs::remove_file(parsec.socket()).unwrap();
    let listener = UnixListener::bind(parsec.socket()).unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client
            .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n0123456789")
            .unwrap();
        // Until it hangs up: who leaves what was sent unread resets the connection.
        let _ = client.read_to_end(&mut Vec::new());
    });
    let load = parsec.openssl("pkey -in parsec:device -noout", &[]);
    Said::by(load).names(
        GONE,
        "loading parsec:name=device",
        &["does not answer as a Parsec service; correct parsec-endpoint"],
    );
    server.join().unwrap();
}
