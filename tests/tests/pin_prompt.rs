//! `pin-prompt`: who is asked for the PIN where OpenSSL asks nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hwkey_tests::{Bench, PIN, Said, WRONG_PIN, bench, helper, identity};

/// Runs a program on a terminal of its own, and types the last argument when it is asked.
const TERMINAL: &str = r#"
import os, pty, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:-1])
said, typed = b"", False
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        break
    if not chunk:
        break
    said += chunk
    if not typed and b"PIN for token" in said and said.endswith(b": "):
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        os.write(terminal, sys.argv[-1].encode() + b"\n")
        typed = True
if typed:
    assert termios.tcgetattr(terminal)[3] & termios.ECHO, "the terminal still hides what is typed"
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

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
    let steps = helper("steps");
    let said = bench
        .run("/usr/bin/python3")
        .args(["-c", TERMINAL, steps.to_str().unwrap()])
        .args(["load=device.pem", "sign", PIN])
        .ok();
    assert!(said.ends_with("ok\r\nok\r\n"), "{said}");
    assert!(!said.contains(PIN), "{said}");
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
        &[
            "by pin-prompt = tty",
            "run the program in the foreground of a terminal",
        ],
    );
}

#[test]
fn a_signature_after_a_fork_asks_again_if_nothing_is_kept() {
    let python = hwkey_tests::Python::new(hwkey_tests::KeyType::P256);
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
