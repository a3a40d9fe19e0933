//! The `ssl` module of the system's Python, above all across fork.

use hwkey_tests::{Finished, KeyType, Python};

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
        let python = Python::new(key);
        let finished = python.run("print(*both(with_key(server()), with_key(client())))");
        succeeds(finished, "TLSv1.2 TLSv1.3");
    }
}

#[test]
fn the_certificate_chain_may_follow_the_key_in_its_file() {
    let python = Python::new(KeyType::P256);
    let read = |name: &str| std::fs::read_to_string(python.bench.path(name)).unwrap();
    let both = read(&python.key) + &read(&python.certificate);
    std::fs::write(python.bench.path("both.pem"), both).unwrap();
    let script = "
one, other = server(), client()
for end in one, other:
    end.load_cert_chain(KEY)
print(*both(one, other))";
    let run = python.script_with_key(script, "both.pem");
    succeeds(run.finish(), "TLSv1.2 TLSv1.3");
}

#[test]
fn contexts_may_be_older_than_the_key_many_and_gone_in_any_order() {
    let finished = Python::new(KeyType::P256).run(
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
        let finished = Python::new(key).run(
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
    let finished = Python::new(KeyType::P256).run(
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
    let finished = Python::new(KeyType::P256).run(
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
        let python = Python::new(key);
        python.bench.token.share_with("nogroup");
        let finished = python.run(
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
    let finished = Python::new(KeyType::P256).run(
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
    let python = Python::new(KeyType::P256);
    python.bench.token.share_with("nogroup");
    succeeds(python.run(DROPPED), "TLSv1.2 TLSv1.3");
}

#[test]
fn without_pin_keep_that_child_says_that_it_can_not_read_the_pin() {
    let python = Python::new(KeyType::P256);
    python.bench.token.share_with("nogroup");
    python
        .bench
        .configure(&python.bench.conf().option("pin-keep", "no"));
    let finished = python.run(DROPPED);
    assert!(!finished.ok, "{}", finished.all());
    let pin = python.bench.pin_file();
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
    let python = Python::new(KeyType::P256);
    python.bench.write_pin("11112222");
    let finished = python.run("with_key(server())");
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
