//! `pin-prompt`: who is asked for the PIN where OpenSSL asks nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hwkey_tests::{Bench, KeyType, PIN, Said, WRONG_PIN, bench, helper, identity};

/// Runs a program on a terminal of its own, in raw mode if it is told so, and types the keys of the
/// second argument when it is asked.
const TERMINAL: &str = r#"
import os, pty, signal, sys, termios, tty

mode, keys, program = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    # Who runs the tests in the background ignores Ctrl-C, and so do those that he starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if mode == "raw":
        tty.setraw(0)
    os.execvp(program[0], program)

def echoes():
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)

said, typed = b"", 0
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        break
    said += chunk
    if said.count(b"PIN for token") > typed and said.endswith(b": "):
        assert not echoes()
        os.write(terminal, keys.encode())
        typed += 1
assert typed and echoes() == (mode != "raw"), "the terminal is not as it was"
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// The helper `steps` on such a terminal.
fn on_a_terminal(bench: &Bench, mode: &str, keys: &str, steps: &[&str]) -> hwkey_tests::Run {
    let python = bench.run("/usr/bin/python3");
    let python = python.args(["-c", TERMINAL, mode, keys]);
    python.arg(helper("steps")).args(steps)
}

/// An askpass program: notes the question, and answers with the file `answer`.
fn askpass(bench: &Bench, answer: &str) -> String {
    let program = bench.path("askpass");
    let dir = bench.dir.display();
    let script = format!("#!/bin/sh\necho \"$1\" >>{dir}/asked\ncat {dir}/answer\n");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    fs::write(bench.path("answer"), answer).unwrap();
    program.display().to_string()
}

/// openssl.cnf with this prompt, and no PIN source.
fn prompt(bench: &Bench, value: &str) {
    let conf = bench.conf().without("pin-source");
    bench.configure(&conf.option("pin-prompt", value));
}

/// A program that has no prompt of its own, as most servers; it loads a key and signs.
fn steps(bench: &Bench) -> hwkey_tests::Run {
    let run = bench.run(helper("steps"));
    run.args(["load=device.pem", "sign"])
}

fn reference(bench: &Bench) {
    let uri = bench.uri("device");
    bench.openssl("pkey -in {} -out device.pem", &[&uri]).ok();
}

#[test]
fn an_askpass_program_is_asked_once_with_the_token_s_name() {
    let bench = bench("gateway");
    reference(&bench);
    prompt(&bench, &askpass(&bench, &format!("{PIN}\n")));
    assert_eq!(steps(&bench).ok(), "ok\nok\n");
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    assert_eq!(
        asked,
        format!("PIN for {}: \n", identity(&bench, "gateway"))
    );
}

#[test]
fn an_askpass_program_that_fails_or_answers_nothing_is_reported() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let load = || bench.openssl("pkey -in {} -noout -passin pass:", &[&uri]);
    let program = askpass(&bench, "");
    prompt(&bench, &program);
    let attempted = format!("by pin-prompt = {program}");
    Said::by(load()).names(
        "PIN required",
        "loading ",
        &[&attempted, "no PIN was given"],
    );

    fs::write(bench.path("askpass"), "#!/bin/sh\nexit 3\n").unwrap();
    Said::by(load()).names("PIN required", "loading ", &[&attempted, "exit status: 3"]);

    fs::remove_file(bench.path("askpass")).unwrap();
    Said::by(load()).names("PIN required", "loading ", &[&attempted, "No such file"]);

    fs::remove_file(bench.path("answer")).unwrap();
    prompt(&bench, &askpass(&bench, WRONG_PIN));
    Said::by(load()).names("PIN refused", "loading ", &["with the PIN from the prompt"]);
}

#[test]
fn the_terminal_is_asked_and_shows_nothing_of_the_pin() {
    let bench = bench("gateway");
    reference(&bench);
    prompt(&bench, "tty");
    for (mode, key) in [("lines", "\n"), ("raw", "\r")] {
        let keys = format!("{PIN}{key}");
        let said = on_a_terminal(&bench, mode, &keys, &["load=device.pem", "sign"]).ok();
        assert_eq!(said.matches("\nok").count(), 2, "{said}");
        assert!(!said.contains(PIN), "{said}");
    }
}

#[test]
fn control_c_at_the_prompt_ends_the_program_and_restores_the_terminal() {
    let bench = bench("gateway");
    reference(&bench);
    prompt(&bench, "tty");
    let said = on_a_terminal(&bench, "lines", "12\u{3}", &["load=device.pem"]).fails();
    assert!(!said.contains("\nok"), "{said}");
}

#[test]
fn a_control_character_is_not_sent_as_a_pin() {
    let bench = bench("gateway");
    reference(&bench);
    prompt(&bench, "tty");
    let keys = format!("{PIN}\u{1c}\n");
    let said = on_a_terminal(&bench, "lines", &keys, &["load=device.pem"]).ok();
    assert!(said.contains("a control character"), "{said}");
    assert!(!said.contains("CKR_PIN_INCORRECT"), "{said}");
}

#[test]
fn an_askpass_program_may_print_more_than_a_pipe_holds() {
    let bench = bench("gateway");
    reference(&bench);
    let more = "x".repeat(200_000);
    prompt(&bench, &askpass(&bench, &format!("{PIN}\n{more}")));
    assert_eq!(steps(&bench).ok(), "ok\nok\n");
    prompt(&bench, &askpass(&bench, &more));
    let load = bench.run(helper("steps")).arg("load=device.pem").ok();
    assert!(load.contains("longer than any PIN"), "{load}");
}

#[test]
fn a_line_end_of_any_kind_is_not_part_of_the_pin() {
    let bench = bench("gateway");
    reference(&bench);
    for end in ["\r\n", "\n", "", "\nbye\n"] {
        prompt(&bench, &askpass(&bench, &format!("{PIN}{end}")));
        assert_eq!(steps(&bench).ok(), "ok\nok\n", "{end:?}");
    }
}

#[test]
fn one_question_is_asked_at_a_time() {
    let bench = bench("gateway");
    bench.token.add("spare");
    bench
        .token
        .make_key_on("spare", KeyType::P256, "device", "01", &["--usage-sign"]);
    for token in ["gateway", "spare"] {
        let uri = format!("pkcs11:token={token};object=device");
        bench
            .openssl("pkey -in {} -out {}.pem", &[&uri, token])
            .ok();
        bench
            .openssl("pkey -in {} -pubout -out {}.pub", &[&uri, token])
            .ok();
    }
    // It fails if it runs already.
    let program = askpass(&bench, PIN);
    let dir = bench.dir.display();
    let script = format!(
        "#!/bin/sh\nmkdir {dir}/asking || exit 1\ncat {dir}/answer\nrmdir {dir}/asking\n\
         echo \"$1\" >>{dir}/asked\n"
    );
    fs::write(&program, script).unwrap();
    prompt(&bench, &program);
    let hammer = bench.run(helper("hammer"));
    let files = ["gateway.pem", "gateway.pub", "spare.pem", "spare.pub"];
    hammer.args(["8", "4"]).args(files).ok();
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    assert_eq!(asked.lines().count(), 2, "{asked}");
}

#[test]
fn threads_that_waited_for_an_answer_in_vain_do_not_ask_again() {
    let bench = bench("gateway");
    reference(&bench);
    let uri = bench.uri("device");
    bench
        .openssl("pkey -in {} -pubout -out public.pem", &[&uri])
        .ok();
    prompt(&bench, &askpass(&bench, ""));
    let hammer = bench.run(helper("hammer"));
    hammer.args(["8", "1", "device.pem", "public.pem"]).fails();
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    assert!(asked.lines().count() < 8, "{asked}");
}

#[test]
fn a_program_that_ignores_its_children_is_answered_too() {
    let python = hwkey_tests::Python::new(KeyType::P256);
    let bench = &python.bench;
    prompt(bench, &askpass(bench, &format!("{PIN}\n")));
    let finished = python.run(
        "import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
both(with_key(server()), with_key(client()))",
    );
    assert!(finished.ok, "{}", finished.all());
}

#[test]
fn a_pin_that_was_changed_on_the_token_is_asked_for_again() {
    let python = hwkey_tests::Python::new(KeyType::P256);
    let bench = &python.bench;
    prompt(bench, &askpass(bench, &format!("{PIN}\n")));
    let script = "import os, subprocess
both(with_key(server()), with_key(client()))
environment = {**os.environ, 'OPENSSL_CONF': '/dev/null'}
subprocess.run(['pkcs11-tool', '--module', MODULE, '--token-label', 'python', '--login', '--pin',
    PIN, '--change-pin', '--new-pin', 'other-one'], check=True, env=environment)
open('answer', 'w').write('other-one')
# The kept PIN is refused once; then somebody is asked.
def child_signs():
    try:
        both(with_key(server()), with_key(client()))
    except Exception:
        both(with_key(server()), with_key(client()))
ended_well(child(child_signs))";
    let script = format!(
        "MODULE, PIN = '{}', '{PIN}'\n{script}",
        hwkey_tests::SOFTHSM
    );
    let finished = python.run(&script);
    assert!(finished.ok, "{}", finished.all());
}

#[test]
fn without_a_terminal_the_prompt_fails_at_once() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    prompt(&bench, "tty");
    let load = bench.run("setsid").args([
        "--wait", "openssl", "pkey", "-in", &uri, "-noout", "-passin", "pass:",
    ]);
    Said::by(load).names(
        "PIN required",
        "loading ",
        &["by pin-prompt = tty", "in the foreground of a terminal"],
    );
}

#[test]
fn a_signature_after_a_fork_asks_again_if_nothing_is_kept() {
    let python = hwkey_tests::Python::new(KeyType::P256);
    let bench = &python.bench;
    let program = askpass(bench, &format!("{PIN}\n"));
    let conf = bench.conf().without("pin-source").option("pin-keep", "no");
    bench.configure(&conf.option("pin-prompt", &program));
    let finished = python.run(
        "one, other = with_key(server()), with_key(client())
both(one, other)
ended_well(child(lambda: both(one, other)))",
    );
    assert!(finished.ok, "{}", finished.all());
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    assert_eq!(asked.lines().count(), 2, "{asked}");
}
