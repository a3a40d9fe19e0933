//! The `ssl` module of the system's Python, above all across fork.

use hwkey_tests::{Bench, Finished, KeyType, Run};

/// Python's own OpenSSL is the system's; one from elsewhere may carry another.
const PYTHON: &str = "/usr/bin/python3";

/// What each script begins with: TLS between two objects in one process, without a network.
const PREAMBLE: &str = r#"
import os, ssl, sys, threading

KEY, CERT = sys.argv[1:3]

def context(purpose):
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(CERT)
    return context

def server(): return context(ssl.PROTOCOL_TLS_SERVER)
def client(): return context(ssl.PROTOCOL_TLS_CLIENT)

def with_key(context):
    context.load_cert_chain(CERT, KEY)
    return context

def handshake(server, client, version=ssl.TLSVersion.TLSv1_3):
    """Both ends show a certificate and prove its key; says which protocol they agreed on."""
    client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server)
    waiting = [other, one]
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            break
    other.write(b"ping")
    assert one.read(4) == b"ping"
    assert one.getpeercert() and other.getpeercert()
    return one.version()

def both(server, client):
    return [handshake(server, client, version)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]

def child(work):
    """Forks a child that does `work` and nothing else; returns its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return pid

def ended_well(pid):
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the child ended with {status}"

def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"#;

/// A bench with the key `label`, its reference file and certificate.
fn bench(key: KeyType) -> (Bench, String, String) {
    let bench = Bench::new("python");
    bench.token.make_key(key, "key", "01");
    let (key, certificate) = bench.self_signed("key");
    (bench, key, certificate)
}

/// Runs `script` with the key and certificate of `bench`.
fn python((bench, key, certificate): &(Bench, String, String), script: &str) -> Finished {
    with_arguments(bench.run(PYTHON), key, certificate, script).finish()
}

fn with_arguments(run: Run, key: &str, certificate: &str, script: &str) -> Run {
    run.args(["-c", &format!("{PREAMBLE}\n{script}"), key, certificate])
}

#[track_caller]
fn succeeds(finished: Finished, printed: &str) {
    assert!(finished.ok, "{}", finished.all());
    assert_eq!(finished.stdout.trim(), printed, "{}", finished.stderr);
    // Nothing to complain of, nothing to say.
    assert!(!finished.stderr.contains("hwkey"), "{}", finished.stderr);
}

#[test]
fn both_ends_of_tls_12_and_13_use_the_token() {
    for key in KeyType::ALL {
        let bench = bench(key);
        let finished = python(
            &bench,
            "print(*both(with_key(server()), with_key(client())))",
        );
        succeeds(finished, "TLSv1.2 TLSv1.3");
    }
}

#[test]
fn the_certificate_chain_may_follow_the_key_in_its_file() {
    let (bench, key, certificate) = bench(KeyType::P256);
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    std::fs::write(bench.path("both.pem"), read(&key) + &read(&certificate)).unwrap();
    let script = "
one, other = server(), client()
for end in one, other:
    end.load_cert_chain(KEY)
print(*both(one, other))";
    let run = with_arguments(bench.run(PYTHON), "both.pem", &certificate, script);
    succeeds(run.finish(), "TLSv1.2 TLSv1.3");
}

#[test]
fn contexts_may_be_older_than_the_key_many_and_gone_in_any_order() {
    let finished = python(
        &bench(KeyType::P256),
        "
early = server(), client()
contexts = [with_key(server()) for _ in range(5)]
for end in early:
    with_key(end)
del contexts[3], contexts[0]
for end in contexts:
    both(end, early[1])
contexts.clear()
# The same context gets its key again, as on a reload.
with_key(early[0])
print(*both(*early))",
    );
    succeeds(finished, "TLSv1.2 TLSv1.3");
}

#[test]
fn a_child_signs_with_the_key_its_parent_loaded() {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let finished = python(
            &bench(key),
            "
ends = with_key(server()), with_key(client())
# The parent has not signed yet.
ended_well(child(lambda: both(*ends)))
both(*ends)
# The parent has, and sessions of its own.
ended_well(child(lambda: both(*ends)))
# The child's end took nothing from it.
print(*both(*ends))",
        );
        succeeds(finished, "TLSv1.2 TLSv1.3");
    }
}

#[test]
fn a_grandchild_signs_whether_or_not_the_child_has() {
    let finished = python(
        &bench(KeyType::P256),
        "
ends = with_key(server()), with_key(client())
def idle():
    ended_well(child(lambda: both(*ends)))
def busy():
    both(*ends)
    ended_well(child(lambda: both(*ends)))
    both(*ends)
ended_well(child(idle))
ended_well(child(busy))
print(*both(*ends))",
    );
    succeeds(finished, "TLSv1.2 TLSv1.3");
}

#[test]
fn a_child_loads_the_key_into_a_context_of_its_parent() {
    let finished = python(
        &bench(KeyType::P256),
        "
ends = server(), client()
def work():
    both(*map(with_key, ends))
# No key, no module has been opened in the parent; then it has.
ended_well(child(work))
work()
ended_well(child(work))
print(*both(*ends))",
    );
    succeeds(finished, "TLSv1.2 TLSv1.3");
}

#[test]
fn many_children_and_their_parent_sign_at_once() {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let bench = bench(key);
        bench.0.token.share_with("nogroup");
        let finished = python(
            &bench,
            "
ends = with_key(server()), with_key(client())
both(*ends)
gate, opener = os.pipe()
def work():
    os.close(opener)
    become_nobody()
    os.read(gate, 1)
    for _ in range(5):
        both(*ends)
children = [child(work) for _ in range(6)]
# All start now.
os.close(opener)
for _ in range(5):
    both(*ends)
for pid in children:
    ended_well(pid)
print(*both(*ends))",
        );
        succeeds(finished, "TLSv1.2 TLSv1.3");
    }
}

#[test]
fn a_child_signs_though_it_lacks_the_threads_that_did_in_its_parent() {
    let finished = python(
        &bench(KeyType::P256),
        "
ends = with_key(server()), with_key(client())
# No thread is inside OpenSSL while the process forks: its own locks do not survive that.
turn = threading.Barrier(5)
def sign():
    own = with_key(client())
    for _ in range(5):
        turn.wait()
        both(ends[0], own)
        turn.wait()
threads = [threading.Thread(target=sign) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(5):
    turn.wait()
    turn.wait()
    ended_well(child(lambda: both(*ends)))
for thread in threads:
    thread.join()
print(*both(*ends))",
    );
    succeeds(finished, "TLSv1.2 TLSv1.3");
}

/// A child that gave up root's rights, and with them the PIN file, signs.
const DROPPED: &str = "
ends = with_key(server()), with_key(client())
def work():
    become_nobody()
    assert not os.access('pin', os.R_OK)
    print(*both(*ends), flush=True)
ended_well(child(work))";

#[test]
fn a_child_that_may_not_read_the_pin_file_uses_the_kept_pin() {
    let bench = bench(KeyType::P256);
    bench.0.token.share_with("nogroup");
    succeeds(python(&bench, DROPPED), "TLSv1.2 TLSv1.3");
}

#[test]
fn without_pin_keep_that_child_says_that_it_can_not_read_the_pin() {
    let bench = bench(KeyType::P256);
    bench.0.token.share_with("nogroup");
    bench.0.configure(&bench.0.conf().option("pin-keep", "no"));
    let finished = python(&bench, DROPPED);
    assert!(!finished.ok, "{}", finished.all());
    let pin = bench.0.pin_file();
    let line = finished
        .stderr
        .lines()
        .find(|line| line.starts_with("hwkey: error: PIN source can't be used"))
        .unwrap_or_else(|| panic!("{}", finished.stderr));
    assert!(line.contains(pin.to_str().unwrap()), "{line}");
    assert!(line.contains("Permission denied"), "{line}");
}

#[test]
fn a_wrong_pin_is_reported_where_python_itself_says_nothing() {
    let bench = bench(KeyType::P256);
    bench.0.write_pin("11112222");
    let finished = python(&bench, "with_key(server())");
    assert!(!finished.ok, "{}", finished.all());
    assert!(
        finished.stderr.contains("ssl.SSLError"),
        "{}",
        finished.stderr
    );
    let refused = finished.stderr.matches("hwkey: error: PIN refused").count();
    assert_eq!(refused, 1, "{}", finished.stderr);
    assert!(!finished.stderr.contains("11112222"), "{}", finished.stderr);
}
