//! The TPM, its resource manager or the key goes away under a running program.

use std::time::{Duration, Instant};

use hwkey_tests::{Algorithm, Bench, Gateway, KeyType, Parent, Steps, Tpm, TpmKey, helper};

const OWNER: Parent = Parent::Hierarchy("o");
const HANDLE: &str = "0x81000010";

/// A signature of a lost TPM may take so long, on a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// A machine with the persistent key `kept.pem`, an RSA key, and the key file `key.pem`.
fn gateway(kind: fn(&std::path::Path) -> Tpm) -> Gateway {
    let gateway = Gateway::with(kind);
    gateway.tpm.persist(HANDLE, TpmKey::new(Algorithm::Rsa2048));
    gateway.reference(&format!("tpm2:handle={HANDLE}"), "kept.pem");
    let key = TpmKey::new(Algorithm::P256);
    gateway.tpm.tools_key_file("key.pem", OWNER, key);
    gateway
}

/// A process for each of the keys, which has signed with it.
fn signers(gateway: &Gateway) -> Vec<Steps> {
    let signer = |file: &str| {
        let log = gateway.path(&format!("{file}.log"));
        let mut steps = Steps::of(gateway.run(helper("steps")), &log);
        steps.ok(&format!("load={file}"));
        steps.ok("sign");
        steps
    };
    ["kept.pem", "key.pem"].map(signer).into()
}

#[test]
fn the_next_signature_after_a_restart_of_the_tpm_works() {
    for kind in Tpm::KINDS {
        let gateway = gateway(kind);
        let mut signers = signers(&gateway);
        for _ in 0..3 {
            gateway.tpm.restart();
            for steps in &mut signers {
                steps.ok("sign");
                steps.ok("sign");
            }
        }
        assert_eq!(gateway.tpm.loaded(), [""; 0]);
    }
}

#[test]
fn the_next_signature_after_a_restart_of_the_resource_manager_works() {
    let gateway = gateway(Tpm::managed);
    let mut signers = signers(&gateway);
    for _ in 0..3 {
        gateway.tpm.restart_manager();
        for steps in &mut signers {
            steps.ok("sign");
            steps.ok("sign");
        }
    }
}

#[test]
fn keys_with_a_value_sign_after_a_restart_and_no_try_is_spent_on_it() {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256).auth("a-good-value");
    gateway.tpm.tools_key_file("key.pem", OWNER, key);
    gateway.write_pin("a-good-value");
    gateway.configure(&gateway.conf_with_pin_file());
    let mut steps = gateway.steps();
    steps.ok("load=key.pem");
    for _ in 0..3 {
        steps.ok("sign");
        gateway.tpm.restart();
        // One may be counted for the TPM's own unclean end.
        let spent = gateway.tpm.tries_spent();
        steps.ok("sign");
        assert_eq!(gateway.tpm.tries_spent(), spent);
    }
}

#[test]
fn a_tpm_that_is_away_is_told_in_bounded_time_and_used_again_when_it_is_back() {
    let gateway = gateway(Tpm::start);
    let mut signers = signers(&gateway);
    gateway.tpm.stop();
    for steps in &mut signers {
        for _ in 0..2 {
            let since = Instant::now();
            let outcome = steps.take("sign");
            assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
            for part in ["TSS2_TCTI_RC_", "start it, or correct host and port"] {
                assert!(outcome.contains(part), "{outcome}");
            }
        }
    }
    gateway.tpm.go_on();
    for steps in &mut signers {
        steps.ok("sign");
    }
}

#[test]
fn a_tpm_that_was_never_there_is_told_at_once() {
    let gateway = gateway(Tpm::start);
    gateway.tpm.stop();
    let since = Instant::now();
    let said = gateway.openssl("pkey -in key.pem -noout", &[]).fails();
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
    assert!(said.contains("hwkey: error: TPM can't be used: "), "{said}");
    gateway.tpm.go_on();
    gateway.openssl("pkey -in key.pem -noout", &[]).ok();
}

/// What hangs inside of a TCTI can't be cut off. It goes on with the TPM, and nobody else waits.
#[test]
fn a_tpm_that_hangs_holds_up_no_other_hardware_in_the_same_process() {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::P256);
    gateway.tpm.tools_key_file("key.pem", OWNER, key);
    let bench = Bench::new("beside");
    bench.token.make_key(KeyType::P256, "token", "01");
    bench.configure(&bench.conf().option("tpm2-tcti", &gateway.tpm.tcti()));
    let uri = bench.uri("token");
    bench.openssl("pkey -in {} -out token.pem", &[&uri]).ok();
    let tpm_key = gateway.path("key.pem").display().to_string();
    let certify = "req -x509 -new -key {} -subj /CN={} -out {}";
    bench.openssl(certify, &[&tpm_key, "tpm", "tpm.crt"]).ok();
    bench
        .openssl(certify, &["token.pem", "token", "token.crt"])
        .ok();
    let then = "
def trusting(context):
    context.load_verify_locations('tpm.crt')
    return context

def with_tpm(context):
    context.load_cert_chain('tpm.crt', os.environ['TPM_KEY'])
    return context

token = trusting(with_key(server())), trusting(with_key(client()))
tpm = trusting(with_tpm(server())), trusting(with_tpm(client()))
both(*token)
both(*tpm)
print('ready', flush=True)
input()
hanging = threading.Thread(target=both, args=tpm)
hanging.start()
for _ in range(20):
    both(*token)
assert hanging.is_alive()
print('beside', flush=True)
hanging.join()
print('both', flush=True)";
    let log = bench.path("python.log");
    let run = hwkey_tests::script(&bench, then, "token.pem", "token.crt");
    let (process, mut input) = run.env("TPM_KEY", &tpm_key).told(&log);
    let said = |text: &str| std::fs::read_to_string(&log).is_ok_and(|all| all.contains(text));
    hwkey_tests::wait_until("both keys", || said("ready"));
    gateway.tpm.signal("STOP");
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    hwkey_tests::wait_until("signatures beside the TPM", || said("beside"));
    gateway.tpm.signal("CONT");
    assert!(process.wait(), "{:?}", std::fs::read_to_string(&log));
    assert!(said("both"));
}

#[test]
fn a_key_that_was_replaced_at_its_handle_is_refused_until_it_is_loaded_again() {
    for kind in Tpm::KINDS {
        for auth in [None, Some("a-good-value")] {
            let gateway = Gateway::with(kind);
            let key = match auth {
                Some(auth) => TpmKey::new(Algorithm::P256).auth(auth),
                None => TpmKey::new(Algorithm::P256),
            };
            gateway.tpm.persist_child(HANDLE, key);
            if let Some(auth) = auth {
                gateway.write_pin(auth);
                gateway.configure(&gateway.conf_with_pin_file());
            }
            gateway.reference(&format!("tpm2:handle={HANDLE}"), "kept.pem");
            let mut steps = gateway.steps();
            steps.ok("load=kept.pem");
            steps.ok("sign");
            gateway.tpm.evict(HANDLE);
            steps.fails("sign", "no such key");
            gateway.tpm.persist_child(HANDLE, key);
            steps.fails("sign", "the key was replaced");
            steps.fails("sign", "the key was replaced");
            steps.ok("load=kept.pem");
            steps.ok("sign");
            assert_eq!(gateway.tpm.tries_spent(), 0);
        }
    }
}

#[test]
fn a_tpm_that_was_cleared_refuses_the_keys_of_before() {
    let gateway = gateway(Tpm::start);
    let mut signers = signers(&gateway);
    gateway.tpm.tpm2("clear -c p", &[]).ok();
    signers[0].fails("sign", "no such key");
    signers[1].fails(
        "sign",
        "another TPM, another parent or a TPM that was cleared",
    );
}
