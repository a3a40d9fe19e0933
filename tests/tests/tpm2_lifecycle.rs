//! Programs with a TPM's key that fork, end and come back in all ways.

use std::path::Path;

use hwkey_tests::{Algorithm, Finished, Gateway, Parent, Run, Tpm, TpmKey, script};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "key.crt";

/// A machine with the key file [`KEY`], with or without an authorisation value, and its certificate.
fn gateway(kind: fn(&Path) -> Tpm, auth: Option<&str>) -> Gateway {
    let gateway = Gateway::with(kind);
    let key = TpmKey::new(Algorithm::P256);
    let key = auth.map_or(key, |auth| key.auth(auth));
    let parent = Parent::Hierarchy("o");
    gateway.tpm.tools_key_file(KEY, parent, key);
    if let Some(auth) = auth {
        gateway.write_pin(auth);
        gateway.configure(&gateway.conf_with_pin_file());
    }
    gateway
        .openssl(
            "req -x509 -new -key {} -subj /CN=x -out {}",
            &[KEY, CERTIFICATE],
        )
        .ok();
    gateway
}

fn python(gateway: &Gateway, then: &str) -> Finished {
    script(gateway, then, KEY, CERTIFICATE).finish()
}

#[track_caller]
fn assert_all_well(gateway: &Gateway, finished: Finished) {
    assert!(finished.ok, "{}", finished.all());
    assert_eq!(finished.stderr, "");
    assert_eq!(gateway.tpm.loaded(), [""; 0]);
}

#[test]
fn children_and_grandchildren_sign_with_the_key_that_their_parent_has_loaded() {
    for auth in [None, Some("a-good-value")] {
        let gateway = gateway(Tpm::start, auth);
        let then = "
def grandparent():
    both(one, other)
    ended_well(child(lambda: both(one, other)))
    both(one, other)

one, other = with_key(server()), with_key(client())
untouched = child(lambda: both(one, other))
both(one, other)
children = [child(grandparent) for _ in range(3)]
for _ in range(5):
    both(one, other)
for pid in [untouched, *children]:
    ended_well(pid)
both(one, other)";
        assert_all_well(&gateway, python(&gateway, then));
    }
}

#[test]
fn a_grandchild_signs_whose_parent_has_not() {
    let gateway = gateway(Tpm::start, None);
    let then = "
one, other = with_key(server()), with_key(client())
both(one, other)
ended_well(child(lambda: ended_well(child(lambda: both(one, other)))))
both(one, other)";
    assert_all_well(&gateway, python(&gateway, then));
}

/// GLib's D-Bus thread is not there in a child.
#[test]
fn a_child_of_a_process_that_uses_tpm2_abrmd_says_why_it_can_not_sign() {
    let gateway = gateway(Tpm::managed, None);
    let then = "
one, other = with_key(server()), with_key(client())
both(one, other)
ended_well(child(lambda: refused(one, other)))
both(one, other)";
    let finished = python(&gateway, then);
    assert!(finished.ok, "{}", finished.all());
    let reason = "the process that forked this one has used tpm2-abrmd";
    assert!(finished.stderr.contains(reason), "{}", finished.all());
}

#[test]
fn a_process_that_forks_before_it_uses_tpm2_abrmd_has_children_that_sign() {
    let gateway = gateway(Tpm::managed, None);
    let then = "
def work():
    both(with_key(server()), with_key(client()))

for pid in [child(work) for _ in range(3)]:
    ended_well(pid)
work()";
    assert_all_well(&gateway, python(&gateway, then));
}

/// Without OpenSSL's cleanup: what that frees, libssl's own threads crash on, whatever the key.
#[test]
fn a_process_may_end_while_threads_are_signing() {
    for kind in Tpm::KINDS {
        let gateway = gateway(kind, Some("a-good-value"));
        let then = "
def work():
    while True:
        both(one, other)
        done.set()

one, other = with_key(server()), with_key(client())
done = threading.Event()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
done.wait()
os._exit(0)";
        for _ in 0..5 {
            let finished = python(&gateway, then);
            assert!(finished.ok, "{}", finished.all());
        }
        // What they have left does not hold up the next one for long.
        let then = "both(with_key(server()), with_key(client()))";
        let finished = python(&gateway, then);
        assert!(finished.ok, "{}", finished.all());
    }
}

#[test]
fn keys_may_be_freed_after_openssl_has_cleaned_up() {
    for kind in Tpm::KINDS {
        let gateway = gateway(kind, None);
        let program = compiled(&gateway, "lifecycle.c");
        let run = gateway.run(&program).args(["free-after-cleanup", KEY]);
        assert_eq!(run.ok(), "freed\n");
        for what in ["sign-oddly", "print-parameters"] {
            gateway.run(&program).args([what, KEY]).ok();
        }
        assert_eq!(gateway.tpm.loaded(), [""; 0]);
    }
}

#[test]
fn library_contexts_are_made_and_freed_with_keys_in_them() {
    for kind in Tpm::KINDS {
        let gateway = gateway(kind, None);
        let program = compiled(&gateway, "contexts.c");
        gateway.run(&program).args(["openssl.cnf", KEY]).ok();
        assert_eq!(gateway.tpm.loaded(), [""; 0]);
    }
}

/// A program of these tests in C.
fn compiled(gateway: &Gateway, source: &str) -> std::path::PathBuf {
    let program = gateway.path(source.trim_end_matches(".c"));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    Run::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .args([&program, &sources.join(source)])
        .args(["-lssl", "-lcrypto"])
        .ok();
    program
}
