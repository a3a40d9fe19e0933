//! What a user reads when a PIN is refused or missing, or its source can't be used; and the sources
//! that work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hwkey_tests::{PIN, SOFTHSM, Said, WRONG_PIN, bench, failed_load, identity, load};

#[test]
fn a_wrong_pin_is_reported_with_the_tokens_code() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    bench.write_pin(WRONG_PIN);
    failed_load(&bench, &uri).names(
        "PIN refused",
        &format!("loading {uri}"),
        &[
            &format!("logging in to {}", identity(&bench, "gateway")),
            "C_Login: CKR_PIN_INCORRECT",
            "correct the PIN at its source",
        ],
    );
    let slots = bench
        .token
        .tool("pkcs11-tool")
        .args(["--module", SOFTHSM, "--list-token-slots"])
        .ok();
    assert!(slots.contains("PIN count low"), "{slots}");
}

#[test]
fn without_a_pin_and_with_nobody_to_ask_the_cure_is_told() {
    let bench = bench("gateway");
    let (key, certificate) = bench.self_signed("device");
    bench.configure(&bench.conf().without("pin-source"));
    let uri = bench.uri("device");
    let parts = [
        format!("logging in to {}", identity(&bench, "gateway")),
        "pin-source = file:".to_owned(),
        "?pin-source=file:".to_owned(),
    ];
    let parts = parts.each_ref().map(String::as_str);
    // A session of its own: OpenSSL's prompt finds no terminal, and nothing on its input.
    let alone = |line: &str, values: &[&str]| {
        let openssl = bench.openssl(line, values).into_command();
        bench
            .run("setsid")
            .args(["--wait", "openssl"])
            .args(openssl.get_args())
    };
    Said::by(alone("pkey -in {} -noout", &[&uri])).names(
        "PIN required",
        &format!("loading {uri}"),
        &parts,
    );
    // Python shows nothing of OpenSSL's queue; the log tells it.
    let python = "import ssl, sys; \
                  ssl.create_default_context().load_cert_chain(*sys.argv[1:], password=lambda: '')";
    let run = bench
        .run("python3")
        .args(["-c", python, &certificate, &key]);
    Said::by(run).logs("error", "PIN required", &parts);
}

#[test]
fn python_is_told_of_a_refused_key_not_of_a_missing_file() {
    let bench = bench("gateway");
    let (key, certificate) = bench.self_signed("device");
    bench.write_pin(WRONG_PIN);
    // Python takes any errno that a failing load leaves behind for the cause.
    let python = "
import ssl, sys
for attempt in range(3):
    try:
        ssl.create_default_context().load_cert_chain(*sys.argv[1:])
        sys.exit('loaded with a wrong PIN')
    except ssl.SSLError as error:
        print('refused')
";
    let run = bench
        .run("python3")
        .args(["-c", python, &certificate, &key]);
    assert_eq!(run.ok(), "refused\n".repeat(3));
}

#[test]
fn a_pin_file_that_is_missing_or_empty_is_named_with_its_token() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let stopped = format!("loading {uri}");
    let pin_file = bench.pin_file().display().to_string();
    let reading = format!("reading the PIN from file:{pin_file}: ");
    let token = identity(&bench, "gateway");
    let unusable = "PIN source can't be used";

    fs::remove_file(&pin_file).unwrap();
    failed_load(&bench, &uri).names(
        unusable,
        &stopped,
        &[&reading, "No such file or directory", &token],
    );
    bench.write_pin("");
    failed_load(&bench, &uri).names(unusable, &stopped, &[&reading, "it is empty", &token]);
    bench.write_pin(&"1".repeat(2000));
    failed_load(&bench, &uri).names(unusable, &stopped, &[&reading, "longer than", &token]);
}

#[test]
fn a_pin_file_that_everybody_can_read_is_refused_unless_allowed() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let pin_file = bench.pin_file();
    let set_mode = |mode| fs::set_permissions(&pin_file, fs::Permissions::from_mode(mode)).unwrap();
    let path = pin_file.display();

    set_mode(0o644);
    failed_load(&bench, &uri).names(
        "PIN source can't be used",
        &format!("loading {uri}"),
        &[
            &format!("reading the PIN from file:{path}"),
            "mode 644",
            &format!("chmod o= {path}"),
            "pin-file-mode = any",
            &identity(&bench, "gateway"),
        ],
    );
    set_mode(0o640);
    load(&bench, &uri).ok();
    set_mode(0o644);
    bench.configure(&bench.conf().option("pin-file-mode", "any"));
    load(&bench, &uri).ok();
}

#[test]
fn a_line_end_after_the_pin_is_not_part_of_it() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    for end in ["", "\n", "\r\n"] {
        fs::write(bench.pin_file(), format!("{PIN}{end}")).unwrap();
        load(&bench, &uri).ok();
    }
    for wrong in [
        format!(" {PIN}\n"),
        format!("{PIN} \n"),
        format!("{PIN}\n\n"),
    ] {
        fs::write(bench.pin_file(), wrong).unwrap();
        failed_load(&bench, &uri).names("PIN refused", "loading", &["CKR_PIN_INCORRECT"]);
    }
}

#[test]
fn the_pin_comes_from_the_environment_or_a_systemd_credential() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let unusable = "PIN source can't be used";
    let stopped = format!("loading {uri}");

    bench.configure(&bench.conf().option("pin-source", "env:GATEWAY_PIN"));
    load(&bench, &uri).env("GATEWAY_PIN", PIN).ok();
    let wrong = load(&bench, &uri).env("GATEWAY_PIN", WRONG_PIN);
    Said::by(wrong).names("PIN refused", &stopped, &["CKR_PIN_INCORRECT"]);
    failed_load(&bench, &uri).names(
        unusable,
        &stopped,
        &[
            "reading the PIN from env:GATEWAY_PIN",
            "the environment has no GATEWAY_PIN",
        ],
    );

    bench.configure(&bench.conf().option("pin-source", "credential:gateway"));
    // systemd's directory is for the service alone; the file in it may well have mode 444.
    let credentials = bench.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("gateway"), PIN).unwrap();
    load(&bench, &uri)
        .env("CREDENTIALS_DIRECTORY", &credentials)
        .ok();
    let elsewhere = load(&bench, &uri).env("CREDENTIALS_DIRECTORY", bench.path("tokens"));
    Said::by(elsewhere).names(
        unusable,
        &stopped,
        &["credential:gateway", "No such file or directory"],
    );
    failed_load(&bench, &uri).names(
        unusable,
        &stopped,
        &[
            "reading the PIN from credential:gateway",
            "CREDENTIALS_DIRECTORY is not set",
            "LoadCredential=",
        ],
    );
}

#[test]
fn the_pin_in_the_uri_wins_over_openssl_cnf() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    bench.write_pin(WRONG_PIN);
    load(&bench, &format!("{uri}?pin-value={PIN}")).ok();
    write_private(&bench.path("own-pin"), PIN);
    let own = bench.path("own-pin").display().to_string();
    load(&bench, &format!("{uri}?pin-source=file:{own}")).ok();
    load(&bench, &format!("{uri}?pin-source={own}")).ok();

    bench.write_pin(PIN);
    failed_load(&bench, &format!("{uri}?pin-value={WRONG_PIN}")).names(
        "PIN refused",
        &format!("loading {uri}"),
        &[&identity(&bench, "gateway"), "CKR_PIN_INCORRECT"],
    );
    failed_load(&bench, &format!("{uri}?pin-source=|cat%20{own}")).names(
        "malformed key URI",
        "opening a key URI",
        &["pin-source", "names a command, which hwkey never runs"],
    );
}

#[test]
fn the_programs_own_prompt_gives_the_pin() {
    let bench = bench("gateway");
    let (key, certificate) = bench.self_signed("device");
    bench.configure(&bench.conf().without("pin-source"));
    let uri = bench.uri("device");
    for name in [&uri, &key] {
        let line = format!("dgst -sha256 -sign {{}} -passin pass:{PIN} -out s message");
        bench.openssl(&line, &[name]).ok();
    }
    let wrong = format!("pkey -in {{}} -noout -passin pass:{WRONG_PIN}");
    Said::by(bench.openssl(&wrong, &[&uri])).names(
        "PIN refused",
        &format!("loading {uri}"),
        &[&identity(&bench, "gateway"), "CKR_PIN_INCORRECT"],
    );
    // Python hands its password to the same callback.
    let python = "import ssl, sys; \
                  ssl.create_default_context().load_cert_chain(*sys.argv[1:3], password=sys.argv[3])";
    let python = |pin| {
        bench
            .run("python3")
            .args(["-c", python, &certificate, &key, pin])
    };
    python(PIN).ok();
    Said::by(python(WRONG_PIN)).logs("error", "PIN refused", &["CKR_PIN_INCORRECT"]);
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
