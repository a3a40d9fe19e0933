//! Programs that are killed at work with a TPM's key, and TPMs that are killed under a program. They
//! keep others from the TPM for seconds, so they are in a file of their own.

use std::fs;
use std::io::Write;

use hwkey_tests::{
    Algorithm, Background, Gateway, PIN, Parent, Site, Tpm, TpmKey, helper, script, wait_until,
};

const OWNER: Parent = Parent::Hierarchy("o");

/// Where no resource manager cleans up, the slots of those that were killed are taken back.
#[test]
fn processes_that_are_killed_at_work_leave_the_tpm_to_the_next_ones() {
    for kind in Tpm::KINDS {
        let gateway = Gateway::with(kind);
        let key = TpmKey::new(Algorithm::P256);
        gateway.tpm.tools_key_file("open.pem", OWNER, key);
        gateway
            .tpm
            .tools_key_file("closed.pem", OWNER, key.auth(PIN));
        gateway.write_pin(PIN);
        gateway.configure(&gateway.conf_with_pin_file());
        let files = ["open", "closed"].map(|name| [format!("{name}.pem"), format!("{name}.pub")]);
        for [key, public] in &files {
            gateway.public_key(key, public);
        }
        for _ in 0..15 {
            let run = gateway.run(helper("hammer")).args(["2", "100000"]);
            let process = run.args(files.as_flattened()).background(None);
            wait_until("work", || has_worked(&process));
            process.signal("KILL");
            assert!(!process.wait());
        }
        // tss2 tells of the full slots.
        let next = gateway.run(helper("hammer")).args(["4", "10"]);
        next.args(files.as_flattened()).ok();
        assert_eq!(gateway.tpm.tries_spent(), 0);
    }
}

/// What fills the slots is not the key that is wanted; strangers' keys stay.
#[test]
fn slots_that_are_full_of_a_programs_other_key_are_taken_back_and_those_of_others_are_not() {
    let gateway = Gateway::new();
    for name in ["one", "other"] {
        let file = format!("{name}.pem");
        let key = TpmKey::new(Algorithm::P256);
        gateway.tpm.tools_key_file(&file, OWNER, key);
        fs::rename(gateway.path("made.pub"), gateway.path(name)).unwrap();
        gateway.certify(&file, name, &format!("{name}.crt"));
    }
    let then = "
both(with_key(server()), with_key(client()))
print('signed', flush=True)
input()
client().load_cert_chain('other.crt', 'other.pem')
print('loaded', flush=True)";
    let log = gateway.path("python.log");
    let (process, mut input) = script(&gateway, then, "one.pem", "one.crt").told(&log);
    let said = |text: &str| fs::read_to_string(&log).is_ok_and(|all| all.contains(text));
    wait_until("the signature", || said("signed"));
    for _ in 0..3 {
        let arguments = "loadexternal -C n -u one -c left.ctx";
        gateway.tpm.tpm2(arguments, &[]).ok();
    }
    let stranger = gateway.openssl("pkey -in {} -pubout", &["other.pem"]);
    assert!(stranger.fails().contains("TPM_RC_OBJECT_MEMORY"));
    input.write_all(b"\n").unwrap();
    assert!(process.wait(), "{:?}", fs::read_to_string(&log));
    assert!(said("loaded"));
}

/// For some hundredths of a second.
fn has_worked(process: &Background) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    // After the name in brackets, the 12th is the time in user mode (proc_pid_stat(5)).
    let mut numbers = stat.rsplit(')').next().unwrap().split_whitespace();
    let time: Option<u32> = numbers.nth(11).and_then(|time| time.parse().ok());
    time.is_some_and(|time| time >= 3)
}

#[test]
fn a_tpm_that_hangs_up_ends_no_program() {
    let gateway = Gateway::new();
    gateway
        .tpm
        .tools_key_file("key.pem", OWNER, TpmKey::new(Algorithm::P256));
    gateway.certify("key.pem", "x", "key.crt");
    let then = "
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
one, other = with_key(server()), with_key(client())
both(one, other)
print('signed', flush=True)
input()
refused(one, other)
print('the signature failed', flush=True)
input()
both(one, other)
print('and works anew', flush=True)";
    let log = gateway.path("python.log");
    let (process, mut input) = script(&gateway, then, "key.pem", "key.crt").told(&log);
    let go_on = |text: &str| {
        wait_until(text, || {
            let all = fs::read_to_string(&log).unwrap_or_default();
            assert!(!all.contains("Traceback"), "{all}");
            all.contains(text)
        });
    };
    go_on("signed");
    gateway.tpm.stop();
    input.write_all(b"\n").unwrap();
    go_on("the signature failed");
    gateway.tpm.go_on();
    input.write_all(b"\n").unwrap();
    go_on("and works anew");
    assert!(process.wait(), "{:?}", fs::read_to_string(&log));
}
