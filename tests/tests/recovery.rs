//! What a long-running program loses comes back by itself: sessions, the login, the module, the key.

use std::fs;

use hwkey_tests::{KeyType, PIN, Python, SOFTHSM, Site, bench, helper, reference};

/// Another part of the program, with PKCS#11 calls of its own in the same process.
const OTHER: &str = r#"
import ctypes, subprocess
module = ctypes.CDLL("SOFTHSM")

def slots():
    count = ctypes.c_ulong()
    assert module.C_GetSlotList(ctypes.c_ubyte(1), None, ctypes.byref(count)) == 0
    slots = (ctypes.c_ulong * count.value)()
    assert module.C_GetSlotList(ctypes.c_ubyte(1), slots, ctypes.byref(count)) == 0
    return [ctypes.c_ulong(slot) for slot in slots]

def finalize():
    assert module.C_Finalize(None) == 0

def close_all_sessions():
    for slot in slots():
        assert module.C_CloseAllSessions(slot) == 0

def log_out():
    session = ctypes.c_ulong()
    assert module.C_OpenSession(slots()[0], ctypes.c_ulong(4), None, None, ctypes.byref(session)) == 0
    assert module.C_Logout(session) == 0

one, other = with_key(server()), with_key(client())
both(one, other)
"#;

fn script(then: &str) -> String {
    format!("{}\n{then}", OTHER.replace("SOFTHSM", SOFTHSM))
}

#[test]
fn what_another_part_of_the_program_takes_away_is_made_anew() {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let python = Python::new(key);
        for loss in ["finalize()", "close_all_sessions()", "log_out()"] {
            let then = format!(
                "for _ in range(3):\n    {loss}\n    both(one, other)\n\
                 # And so for a key that is loaded now.\n{loss}\n\
                 both(with_key(server()), with_key(client()))"
            );
            let finished = python.run(&script(&then));
            assert!(finished.ok, "{key:?} {loss}: {}", finished.all());
        }
    }
}

/// After C_Finalize by somebody else SoftHSM gives the numbers of sessions and objects out again.
#[test]
fn tokens_of_one_module_do_not_sign_for_each_other() {
    let python = Python::new(KeyType::P256);
    let bench = &python.bench;
    bench.token.add("second");
    let options = &["--usage-sign"];
    bench
        .token
        .make_key_on("second", KeyType::P256, "key", "01", options);
    let uri = "pkcs11:token=second;object=key";
    bench
        .openssl("pkey -in {} -out second.key.pem", &[uri])
        .ok();
    bench.certify(uri, "second", "second.crt.pem");
    let then = "
def trusting(context):
    context.load_verify_locations('second.crt.pem')
    return context

def with_second(context):
    context.load_cert_chain('second.crt.pem', 'second.key.pem')
    return context

# The server signs first, and gets the numbers that the client had.
first, second = trusting(with_key(client())), trusting(with_second(server()))
both(second, first)
for _ in range(5):
    finalize()
    both(second, first)";
    let finished = python.run(&script(then));
    assert!(finished.ok, "{}", finished.all());
}

/// What a program has in the same module is its own: a search in vain does not end it.
#[test]
fn sessions_of_another_part_of_the_program_outlive_a_search_in_vain() {
    let python = Python::new(KeyType::P256);
    let missing = reference("pkcs11:token=missing;object=key", |_| ());
    fs::write(python.bench.path("missing.pem"), missing).unwrap();
    let then = "
session = ctypes.c_ulong()
assert module.C_OpenSession(slots()[0], ctypes.c_ulong(4), None, None, ctypes.byref(session)) == 0
try:
    client().load_cert_chain(CERT, 'missing.pem')
    raise SystemExit('it was found')
except ssl.SSLError:
    pass
info = (ctypes.c_ulong * 8)()
assert module.C_GetSessionInfo(session, info) == 0
both(one, other)";
    let finished = python.run(&script(then));
    assert!(finished.ok, "{}", finished.all());
}

#[test]
fn each_of_several_keys_notices_a_lost_login_by_itself() {
    let python = Python::new(KeyType::P256);
    let then = "
def signs(server):
    server.verify_mode = ssl.CERT_NONE
    try:
        handshake(server, client())
    except AssertionError:
        pass # The client shows no certificate here.

first, second = with_key(server()), with_key(server())
for _ in range(3):
    log_out()
    signs(first)
    log_out()
    signs(second)";
    let finished = python.run(&script(then));
    assert!(finished.ok, "{}", finished.all());
}

#[test]
fn a_loss_in_the_child_of_a_fork_is_made_good_there() {
    let python = Python::new(KeyType::P256);
    let then = "
def work():
    both(one, other)
    close_all_sessions()
    both(one, other)

ended_well(child(work))
both(one, other)";
    let finished = python.run(&script(then));
    assert!(finished.ok, "{}", finished.all());
}

#[test]
fn a_key_that_was_replaced_under_its_name_is_refused_until_it_is_loaded_again() {
    let python = Python::new(KeyType::P256);
    let tool =
        format!("pkcs11-tool --module {SOFTHSM} --login --pin {PIN} --token-label python --id 01");
    let then = format!(
        r#"
def tool(options):
    clean = {{name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}}
    subprocess.run("{tool} " + options, shell=True, check=True, env=clean, stdout=2)

tool("--delete-object --type privkey")
tool("--delete-object --type pubkey")
refused(one, other)
tool("--keypairgen --key-type EC:prime256v1 --usage-sign --label key")
refused(one, other)
"#
    );
    let finished = python.run(&script(&then));
    assert!(finished.ok, "{}", finished.all());
    for reason in ["no such key", "the key was replaced by another one"] {
        let line = format!("hwkey: error: {reason}: signing on token \"python\"");
        assert!(finished.stderr.contains(&line), "{}", finished.stderr);
    }
}

#[test]
fn keys_are_loaded_again_from_a_token_that_the_user_may_only_read() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    bench.openssl("pkey -in {} -out key.pem", &[&uri]).ok();
    bench
        .openssl("pkey -in {} -pubout -out public.pem", &[&uri])
        .ok();
    for file in ["pin", "key.pem"] {
        bench.run("chgrp").args(["www-data", file]).ok();
        bench.run("chmod").args(["g=r", file]).ok();
    }
    bench.token.make_key(KeyType::P256, "gone", "02");
    let gone = bench.uri("gone");
    bench.openssl("pkey -in {} -out gone.pem", &[&gone]).ok();
    bench.run("chmod").args(["a+r", "gone.pem"]).ok();
    for kind in ["privkey", "pubkey"] {
        let delete = bench.token.pkcs11_tool("gateway");
        delete
            .args(["--delete-object", "--type", kind, "--id", "02"])
            .ok();
    }
    bench.token.share_with("www-data");
    // SoftHSM can't record the login, and lists the token no more in that process.
    let steps = ["load=key.pem", "sign", "load=key.pem", "sign"];
    let steps = bench.run_as("www-data", helper("steps")).args(steps);
    assert_eq!(steps.ok(), "ok\nok\nok\nok\n");
    // What can't be loaded does not end the login of what was.
    let steps = [
        "load=key.pem",
        "load=gone.pem",
        "load=gone.pem",
        "load=gone.pem",
        "load=key.pem",
        "sign",
    ];
    let steps = bench.run_as("www-data", helper("steps")).args(steps);
    let said = steps.ok();
    let outcomes: Vec<bool> = said.lines().map(|line| line == "ok").collect();
    assert_eq!(outcomes, [true, false, false, false, true, true], "{said}");
    let hammer = bench.run_as("www-data", helper("hammer"));
    hammer.args(["8", "20", "key.pem", "public.pem"]).ok();
}
