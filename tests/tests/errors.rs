//! What a user reads when something is wrong: every failure names what was attempted, where, the
//! token's own code and the cure, both in OpenSSL's error queue and in the log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hwkey_tests::{Bench, KeyType, PIN, Run, SOFTHSM};

const WRONG_PIN: &str = "11223344";

/// What a program that failed printed of hwkey.
struct Said {
    /// hwkey's entries in OpenSSL's error queue, oldest first: the cause, then what it stopped.
    queue: Vec<String>,
    /// `hwkey: error: …`
    log: Vec<String>,
    all: String,
}

impl Said {
    /// Runs a program that fails. Whatever happens, hwkey repeats no PIN and does not quote the
    /// PKCS#11 standard, and the queue's entries fit into OpenSSL's buffer.
    #[track_caller]
    fn by(run: Run) -> Self {
        let all = run.fails();
        let lines = |belongs: fn(&str) -> bool| -> Vec<String> {
            all.lines()
                .filter(|line| belongs(line))
                .map(str::to_owned)
                .collect()
        };
        let said = Self {
            queue: lines(|line| line.contains(":hwkey:")),
            log: lines(|line| line.starts_with("hwkey: ")),
            all: all.clone(),
        };
        for line in said.queue.iter().chain(&said.log) {
            for secret in [PIN, WRONG_PIN, "Section"] {
                assert!(!line.contains(secret), "{secret} is in {line}");
            }
        }
        said
    }

    /// The cause has the reason and every one of `parts`, in the queue and in the log; and the
    /// newest entry says what was stopped.
    #[track_caller]
    fn names(&self, reason: &str, stopped: &str, parts: &[&str]) -> &Self {
        let [cause, .., last] = &self.queue[..] else {
            panic!("the queue lacks the cause or what it stopped\n{}", self.all);
        };
        for entry in [cause, last] {
            assert!(entry.contains(&format!(":{reason}:")), "{}", self.all);
        }
        assert!(last.contains(stopped), "{stopped}: {last}");
        self.logs("error", reason, parts);
        for part in parts {
            assert!(cause.contains(part), "\"{part}\" is missing in {cause}");
        }
        self
    }

    /// The log has a line of this level with the reason and every one of `parts`.
    #[track_caller]
    fn logs(&self, level: &str, reason: &str, parts: &[&str]) {
        let start = format!("hwkey: {level}: {reason}: ");
        let line = self.log.iter().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("no \"{start}\" in\n{}", self.all));
        for part in parts {
            assert!(line.contains(part), "\"{part}\" is missing in {line}");
        }
    }

    #[track_caller]
    fn never(&self, text: &str) -> &Self {
        for line in self.queue.iter().chain(&self.log) {
            assert!(!line.contains(text), "{line}");
        }
        self
    }
}

/// A token `label` with the P-256 key `device`.
fn bench(label: &str) -> Bench {
    let bench = Bench::new(label);
    bench.token.make_key(KeyType::P256, "device", "01");
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench
}

fn load(bench: &Bench, uri: &str) -> Run {
    bench.openssl("pkey -in {} -noout", &[uri])
}

#[track_caller]
fn failed_load(bench: &Bench, uri: &str) -> Said {
    Said::by(load(bench, uri))
}

/// How messages name the token `label`: with its manufacturer and the serial number that
/// softhsm2-util shows.
fn identity(bench: &Bench, label: &str) -> String {
    let slots = bench
        .token
        .tool("softhsm2-util")
        .args(["--show-slots"])
        .ok();
    let mut serial = "";
    for line in slots.lines() {
        match line.split_once(':') {
            Some((name, value)) if name.trim() == "Serial number" => serial = value.trim(),
            Some((name, value)) if name.trim() == "Label" && value.trim() == label => {
                return format!("token \"{label}\" (SoftHSM project, serial {serial})");
            }
            _ => {}
        }
    }
    panic!("no token {label} in {slots}");
}

/// What must work whatever openssl.cnf says about hwkey: hashing, software keys and their use.
#[track_caller]
fn software_works(bench: &Bench) {
    bench.openssl("dgst -sha256 message", &[]).ok();
    bench
        .openssl(
            "genpkey -algorithm EC -pkeyopt group:P-256 -out software.key",
            &[],
        )
        .ok();
    bench
        .openssl("dgst -sha256 -sign software.key -out s message", &[])
        .ok();
}

#[test]
fn a_missing_token_is_named_with_those_that_are_there() {
    let bench = bench("gateway");
    bench.token.add("spare");
    failed_load(&bench, "pkcs11:token=gatewya;object=device").names(
        "no such token",
        "loading pkcs11:token=gatewya;object=device",
        &[
            "looking for pkcs11:token=gatewya;object=device",
            "no token matches",
            &identity(&bench, "gateway"),
            &identity(&bench, "spare"),
        ],
    );
}

#[test]
fn a_missing_key_is_named_with_those_that_are_there() {
    let bench = Bench::new("gateway");
    let missing = bench.uri("devcie");
    let token = identity(&bench, "gateway");
    let reason = "no such key";
    let stopped = format!("loading {missing}");
    let attempted = format!("looking for {missing} on {token}: nothing matches; there ");

    failed_load(&bench, &missing).names(
        reason,
        &stopped,
        &[&format!("{attempted}is nothing of the kind")],
    );
    bench.token.make_key(KeyType::P256, "key-0", "10");
    failed_load(&bench, &missing).names(reason, &stopped, &[&format!("{attempted}is \"key-0\"")]);
    for number in 1..10 {
        let (label, id) = (format!("key-{number}"), format!("1{number}"));
        bench.token.make_key(KeyType::P256, &label, &id);
    }
    let said = failed_load(&bench, &missing);
    said.names(
        reason,
        &stopped,
        &[&format!("{attempted}are \""), " and 2 more"],
    );
    assert_eq!(said.queue[0].matches("\"key-").count(), 8, "{}", said.all);
}

#[test]
fn several_keys_that_match_are_told_apart() {
    let bench = Bench::new("gateway");
    let uri = bench.uri("device");
    let token = identity(&bench, "gateway");
    let stopped = format!("loading {uri}");
    // With the ninth the message must still end with its cure.
    for (keys, count) in [(1..3, 2), (3..10, 9)] {
        for number in keys {
            let id = format!("0{number}");
            bench.token.make_key(KeyType::P256, "device", &id);
        }
        let more = match count {
            9 => " and 1 more",
            _ => "",
        };
        failed_load(&bench, &uri).names(
            "several keys match",
            &stopped,
            &[
                &format!("looking for {uri} on {token}"),
                "id=%0",
                more,
                "; add id= ",
            ],
        );
    }
    load(&bench, "pkcs11:token=gateway;object=device;id=%02").ok();
}

#[test]
fn when_several_tokens_match_none_gets_a_pin() {
    let bench = bench("gateway");
    bench.token.add("spare");
    bench
        .token
        .make_key_on("spare", KeyType::P256, "device", "01", &["--usage-sign"]);
    // It would be refused if it were sent.
    bench.write_pin(WRONG_PIN);
    failed_load(&bench, "pkcs11:object=device").names(
        "several tokens match",
        "loading pkcs11:object=device",
        &[
            "looking for pkcs11:object=device",
            &identity(&bench, "gateway"),
            &identity(&bench, "spare"),
            "add token= or serial=",
        ],
    );
    let slots = bench
        .token
        .tool("pkcs11-tool")
        .args(["--module", SOFTHSM, "--list-token-slots"])
        .ok();
    assert!(!slots.contains("PIN count low"), "{slots}");
}

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
            "check the PIN at its source",
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
fn a_reference_file_gives_the_same_errors_as_its_uri() {
    let bench = bench("gateway");
    let (key, _) = bench.self_signed("device");
    bench.write_pin(WRONG_PIN);
    Said::by(bench.openssl("pkey -in {} -noout", &[&key])).names(
        "PIN refused",
        "which a reference file names",
        &[
            &format!("logging in to {}", identity(&bench, "gateway")),
            "C_Login: CKR_PIN_INCORRECT",
            "check the PIN at its source",
        ],
    );
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

#[test]
fn a_module_that_can_not_be_used_is_named_with_the_cause() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let with = |module: &str| {
        bench.configure(&bench.conf().option("pkcs11-module-path", module));
        failed_load(&bench, &uri)
    };
    let reason = "PKCS#11 module can't be used";
    let stopped = format!("loading {uri}");

    with("/nowhere/vendor.so").names(
        reason,
        &stopped,
        &[
            "opening the PKCS#11 module /nowhere/vendor.so",
            "No such file or directory",
            "pkcs11-module-path",
        ],
    );
    let no_module = "/lib/x86_64-linux-gnu/libz.so.1";
    with(no_module).names(
        reason,
        &stopped,
        &[
            &format!("opening the PKCS#11 module {no_module}"),
            "it has no C_GetFunctionList",
        ],
    );
    let text = bench.path("message").display().to_string();
    with(&text).names(
        reason,
        &stopped,
        &[&format!("opening the PKCS#11 module {text}")],
    );
    // The module of another machine: for aarch64 (EM_AARCH64 is 183), as its ELF header says.
    let foreign = bench.path("aarch64.so");
    let mut elf = fs::read(SOFTHSM).unwrap();
    elf[18..20].copy_from_slice(&183u16.to_le_bytes());
    fs::write(&foreign, elf).unwrap();
    let foreign = foreign.display().to_string();
    let said = with(&foreign);
    said.names(
        reason,
        &stopped,
        &[
            &format!("opening the PKCS#11 module {foreign}"),
            "architecture",
        ],
    );
    // What the dynamic linker says of it, but the file is there.
    said.never("No such file");
    software_works(&bench);
}

#[test]
fn a_module_that_does_not_start_is_named_with_its_code() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let run = load(&bench, &uri).env("SOFTHSM2_CONF", bench.path("nowhere"));
    Said::by(run).names(
        "PKCS#11 module can't be used",
        &format!("loading {uri}"),
        &[
            &format!("initialising the PKCS#11 module {SOFTHSM}"),
            "C_Initialize: CKR_",
            "SOFTHSM2_CONF",
        ],
    );
}

#[test]
fn hwkey_listed_first_is_reported_with_the_line_to_change() {
    let bench = bench("gateway");
    bench.configure(&bench.conf().hwkey_first());
    let cure = [
        "hwkey is listed before the default provider",
        "put \"default = default_sect\" first in the [provider_sect]",
        "\"default_properties = ?provider!=hwkey\"",
    ];
    // The hardware key works; the warning comes once.
    let sign = format!("dgst -sha256 -sign {} -out s message", bench.uri("device"));
    let signed = bench.openssl(&sign, &[]).finish();
    assert!(signed.ok, "{}", signed.stderr);
    let warnings: Vec<&str> = signed
        .stderr
        .lines()
        .filter(|line| line.starts_with("hwkey: warn: "))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", signed.stderr);
    let generate = bench.openssl("genpkey -algorithm EC -pkeyopt group:P-256", &[]);
    let said = Said::by(generate);
    said.logs("warn", "hwkey is chosen for software keys", &cure);
    for line in cure {
        assert!(warnings[0].contains(line), "{}", warnings[0]);
        assert!(said.queue[0].contains(line), "{}", said.all);
    }
    // Either of the two cures works.
    for cured in [bench.conf(), bench.conf().without_properties()] {
        bench.configure(&cured);
        bench
            .openssl("genpkey -algorithm EC -pkeyopt group:P-256", &[])
            .ok();
        let signed = bench.openssl(&sign, &[]).finish();
        assert!(signed.ok && signed.stderr.is_empty(), "{}", signed.stderr);
    }
}

#[test]
fn without_the_default_provider_the_lines_to_add_are_told() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    bench.configure(&bench.conf().without_default());
    failed_load(&bench, &uri).names(
        "OpenSSL's default provider is not active",
        &format!("loading {uri}"),
        &[
            "only hwkey is active",
            "\"default = default_sect\"",
            "[provider_sect]",
            "\"[default_sect]\"",
            "\"activate = 1\"",
        ],
    );
    // As the message says, on the command line.
    let line = "dgst -provider default -provider hwkey -sha256 -sign {} -out s message";
    bench
        .openssl(line, &[&uri])
        .env("OPENSSL_MODULES", module_directory(&bench))
        .ok();
}

#[test]
fn a_bad_option_stops_hardware_keys_only() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let faults = [
        ("pin-keep", "maybe", "pin-keep = maybe; accepted: yes, no"),
        (
            "log-level",
            "loud",
            "log-level = loud; accepted: error, warn, info, debug, trace",
        ),
        (
            "log-target",
            "printer",
            "log-target = printer; accepted: stderr, syslog, file:PATH",
        ),
        (
            "pin-file-mode",
            "644",
            "pin-file-mode = 644; accepted: private, any",
        ),
        (
            "pin-final-try",
            "yes",
            "pin-final-try = yes; accepted: refuse, allow",
        ),
        (
            "allow-uri-paths",
            "true",
            "allow-uri-paths = true; accepted: yes, no",
        ),
        ("pin-source", PIN, "accepted: file:/absolute/path, env:NAME"),
        ("pin-source", "file:pin", "accepted: file:/absolute/path"),
        ("pin-source", "credential:../pin", "credential:NAME"),
    ];
    for (name, value, expected) in faults {
        bench.configure(&bench.conf().option(name, value));
        let said = failed_load(&bench, &uri);
        said.names(
            "invalid option in openssl.cnf",
            &format!("loading {uri}"),
            &[
                &format!("{name} = "),
                expected,
                "in hwkey's section of openssl.cnf",
            ],
        );
        if name == "pin-source" {
            // It may be a PIN, written there by mistake.
            said.never(value);
        }
        software_works(&bench);
    }
    // Quoting it for software keys would be noise.
    let quiet = bench.openssl("dgst -sha256 message", &[]).finish();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_malformed_uri_is_told_with_the_place() {
    let bench = bench("gateway");
    let faults = [
        (
            "pkcs11:token=gateway;objct=device",
            "unknown attribute \"objct\" at character 22",
            "RFC 7512 has token, ",
        ),
        (
            "pkcs11:token=gate%2way;object=device",
            "attribute \"token\": % without two hexadecimal digits at character 18",
            "write %25 for a percent sign",
        ),
        (
            "pkcs11:token=gateway;object=100%",
            "attribute \"object\": % without two hexadecimal digits at character 32",
            "write %25",
        ),
        (
            "pkcs11:token=gateway;object=device;pin-source=/pin",
            "unknown attribute \"pin-source\" at character 36",
            "it belongs behind a \"?\"",
        ),
        (
            "pkcs11:token=a;token=b",
            "attribute \"token\" at character 16 is given twice",
            "",
        ),
        (
            "pkcs11:object=device;type=secret",
            "attribute \"type\" at character 22 must be private, public or cert",
            "",
        ),
        (
            "pkcs11:slot-id=first;object=device",
            "attribute \"slot-id\" at character 8 is not a decimal number",
            "",
        ),
        (
            "pkcs11:token;object=device",
            "attribute \"token\" at character 8 has no value",
            "",
        ),
        (
            "pkcs11:token=%FF;object=device",
            "attribute \"token\" at character 8 is not UTF-8",
            "",
        ),
    ];
    for (uri, problem, cure) in faults {
        failed_load(&bench, uri).names("malformed key URI", "opening a key URI", &[problem, cure]);
    }
    // Neither the value nor the whole URI is repeated: it may be a PIN.
    let uri = format!("{}?pin-value={PIN}%", bench.uri("device"));
    failed_load(&bench, &uri).names(
        "malformed key URI",
        "opening a key URI",
        &["attribute \"pin-value\": % without two hexadecimal digits"],
    );
    // A URI that ends in a separator is harmless.
    load(&bench, &format!("{};", bench.uri("device"))).ok();
}

#[test]
fn a_damaged_reference_file_is_told_with_the_damage() {
    let bench = bench("gateway");
    let (key, certificate) = bench.self_signed("device");
    let pem = fs::read_to_string(bench.path(&key)).unwrap();
    let body_start = pem.find("URI-----\n").unwrap() + "URI-----\n".len();
    let end = pem.find("-----END").unwrap();
    let cut_in_body = pem[..body_start + 70].to_owned();
    let without_end = pem[..end].to_owned();
    let mut bad_base64 = pem.clone();
    bad_base64.replace_range(body_start..=body_start + 1, "!?");
    let bad_der = reference("pkcs11:token=gateway", |der| {
        der.pop();
    });
    let other_version = reference("pkcs11:token=gateway", |der| {
        let dot = der.iter().position(|byte| *byte == b'.').unwrap();
        der[dot - 1] = b'9';
    });
    let not_utf8 = reference("pkcs11:token=gateway", |der| {
        *der.last_mut().unwrap() = 0xFF;
    });
    let cases = [
        (cut_in_body, "cut short"),
        (without_end, "cut short"),
        (bad_base64, "Base64"),
        (bad_der, "DER"),
        (other_version, "\"PKCS#11 Provider URI v1.0\""),
        (not_utf8, "malformed"),
    ];
    for (text, problem) in cases {
        fs::write(bench.path("damaged.pem"), &text).unwrap();
        let said = failed_load(&bench, "damaged.pem");
        said.logs(
            "error",
            "malformed key reference file",
            &["\"PKCS#11 PROVIDER URI\"", problem],
        );
        let cause = said.queue.first();
        let cause = cause.unwrap_or_else(|| panic!("not in the queue\n{}", said.all));
        for part in [problem, "openssl pkey -in URI -out FILE"] {
            assert!(cause.contains(part), "\"{part}\" is missing in {cause}");
        }
    }
    // A certificate is still found in a file whose reference names nothing that is there.
    let missing = reference("pkcs11:token=nowhere;object=device", |_| {});
    let certificate = fs::read_to_string(bench.path(&certificate)).unwrap();
    fs::write(bench.path("both.pem"), missing + &certificate).unwrap();
    bench.openssl("x509 -in both.pem -noout -subject", &[]).ok();
}

#[test]
fn a_reference_file_may_not_name_files_unless_allowed() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let pin_file = bench.pin_file().display().to_string();
    let cases = [
        ("pin-source", format!("{uri}?pin-source=file:{pin_file}")),
        ("module-path", format!("{uri}?module-path={SOFTHSM}")),
        ("module-name", format!("{uri}?module-name=softhsm2")),
    ];
    for (attribute, uri) in cases {
        fs::write(bench.path("named.pem"), reference(&uri, |_| {})).unwrap();
        bench.configure(&bench.conf());
        failed_load(&bench, "named.pem").names(
            "key URI from a file is not allowed to name files",
            "loading the key that a reference file names",
            &[
                &format!("the URI in the file has {attribute}"),
                "allow-uri-paths = yes",
            ],
        );
        bench.configure(&bench.conf().option("allow-uri-paths", "yes"));
        load(&bench, "named.pem").ok();
    }
}

#[test]
fn a_reference_file_with_a_bad_uri_is_told_as_the_uri_itself() {
    let bench = bench("gateway");
    let uri = "pkcs11:token=gateway;objct=device";
    fs::write(bench.path("bad.pem"), reference(uri, |_| {})).unwrap();
    failed_load(&bench, "bad.pem").names(
        "malformed key URI",
        "loading the key that a reference file names",
        &["unknown attribute \"objct\" at character 22"],
    );
}

#[test]
fn a_uris_module_comes_from_trusted_directories_only() {
    let bench = bench("gateway");
    let uri = bench.uri("device");
    let reason = "PKCS#11 module can't be used";
    let stopped = format!("loading {uri}");
    let own = bench.path("own.so");
    fs::copy(SOFTHSM, &own).unwrap();
    let own = own.display().to_string();

    failed_load(&bench, &format!("{uri}?module-path={own}")).names(
        reason,
        &stopped,
        &[
            &format!("the URI's module-path {own}"),
            "is in no directory for PKCS#11 modules",
            "pkcs11-module-path",
            "module-dirs",
        ],
    );
    // Nor does module-dirs help while others can change what is in the directory: /tmp is above.
    let dir = bench.dir.display().to_string();
    bench.configure(&bench.conf().option("module-dirs", &dir));
    failed_load(&bench, &format!("{uri}?module-path={own}")).names(
        reason,
        &stopped,
        &["can be changed by others than root"],
    );
    bench.configure(&bench.conf().option("pkcs11-module-path", "/nowhere.so"));
    for name in [
        format!("module-path={SOFTHSM}"),
        "module-name=softhsm2".to_owned(),
        "module-name=libsofthsm2".to_owned(),
    ] {
        load(&bench, &format!("{uri}?{name}")).ok();
    }
    for (name, cure) in [
        ("vendor", "module-dirs"),
        ("..%2Fsofthsm%2Flibsofthsm2", "is no plain name"),
    ] {
        failed_load(&bench, &format!("{uri}?module-name={name}")).names(
            reason,
            &stopped,
            &["the URI's module-name", cure],
        );
    }
}

#[test]
fn a_key_that_may_not_sign_is_told_with_its_attribute() {
    let bench = Bench::new("gateway");
    bench.token.make_key(KeyType::Rsa2048, "sealing", "01");
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    forbid_signing(&bench);
    let uri = bench.uri("sealing");
    load(&bench, &uri).ok();
    let sign = bench.openssl("dgst -sha256 -sign {} -out s message", &[&uri]);
    Said::by(sign).names(
        "operation not allowed for the key",
        "",
        &[
            &format!("signing on {}", identity(&bench, "gateway")),
            "key \"sealing\"",
            "CKA_SIGN is false",
            "make a key with usage \"sign\"",
        ],
    );
}

#[test]
fn a_key_on_an_unsupported_curve_is_told_with_its_name() {
    let bench = Bench::new("gateway");
    bench
        .token
        .pkcs11_tool("gateway")
        .args(["--keypairgen", "--key-type", "EC:secp521r1"])
        .args(["--label", "device", "--id", "01", "--usage-sign"])
        .ok();
    let uri = bench.uri("device");
    failed_load(&bench, &uri).names(
        "key type not supported",
        &format!("loading {uri}"),
        &[
            "key \"device\"",
            &identity(&bench, "gateway"),
            "P-521",
            "RSA, P-256 and P-384",
        ],
    );
}

#[test]
fn percent_signs_in_labels_are_only_text() {
    let bench = Bench::new("100%s%n");
    bench.token.make_key(KeyType::P256, "%n%s%d", "01");
    let token = identity(&bench, "100%s%n");
    let missing = bench.uri("%25n");
    failed_load(&bench, &missing).names(
        "no such key",
        &format!("loading {missing}"),
        &[&token, "there is \"%n%s%d\""],
    );
    let uri = bench.uri("%25n%25s%25d");
    let text = bench.openssl("pkey -in {} -noout -text", &[&uri]).ok();
    assert!(
        text.contains(&token) && text.contains("object=%25n%25s%25d"),
        "{text}"
    );
    bench.write_pin(WRONG_PIN);
    failed_load(&bench, &uri).names("PIN refused", &format!("loading {uri}"), &[&token]);
}

#[test]
fn pkcs11_providers_options_are_answered_with_ours() {
    let bench = bench("gateway");
    let conf = bench
        .conf()
        .option("pkcs11-module-token-pin", PIN)
        .option("pkcs11-module-cache-pins", "cache")
        .option("pkcs11-module-quirks", "no-deinit");
    bench.configure(&conf);
    let loaded = load(&bench, &bench.uri("device")).finish();
    assert!(loaded.ok, "{}", loaded.stderr);
    for advice in [
        "pkcs11-module-token-pin is pkcs11-provider's option and has no effect here; hwkey takes: \
         pin-source = file:/path/to/pin",
        "pkcs11-module-cache-pins is pkcs11-provider's option and has no effect here; hwkey takes: \
         pin-keep = yes",
        "pkcs11-module-quirks is pkcs11-provider's option and has no effect here",
    ] {
        let line = format!("hwkey: warn: openssl.cnf: {advice}");
        assert!(loaded.stderr.contains(&line), "{}", loaded.stderr);
    }
    assert!(!loaded.stderr.contains(PIN), "{}", loaded.stderr);
    // Not for programs that use no hardware key.
    let software = bench.openssl("dgst -sha256 message", &[]).finish();
    assert_eq!(software.stderr, "");
}

#[test]
fn errors_go_where_log_target_says_at_every_level() {
    let bench = bench("gateway");
    let log = bench.path("hwkey.log");
    let target = format!("file:{}", log.display());
    bench.configure(&bench.conf().option("log-target", &target));
    bench.write_pin(WRONG_PIN);
    let said = failed_load(&bench, &bench.uri("device"));
    assert!(said.log.is_empty(), "{}", said.all);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("] error: PIN refused: logging in"), "{text}");

    // The environment decides the level; no level shows a PIN.
    for level in ["debug", "trace"] {
        bench.write_pin(PIN);
        load(&bench, &bench.uri("device"))
            .env("HWKEY_LOG", level)
            .ok();
        bench.write_pin(WRONG_PIN);
        Said::by(load(&bench, &bench.uri("device")).env("HWKEY_LOG", level));
        let text = fs::read_to_string(&log).unwrap();
        assert!(
            text.contains("] debug: opening the PKCS#11 module"),
            "{text}"
        );
        for secret in [PIN, WRONG_PIN, "Section"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// The directory of the module under test, in which it is also called hwkey.so.
fn module_directory(bench: &Bench) -> std::path::PathBuf {
    let dir = bench.path("modules");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::symlink(hwkey_tests::module(), dir.join("hwkey.so")).unwrap();
    dir
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Sets CKA_SIGN of the token's private key to false. No tool can make such a key on SoftHSM, so it
/// is done in SoftHSM's own file: attribute type, kind (1 is a truth value), value.
fn forbid_signing(bench: &Bench) {
    const CKA_SIGN: u64 = 0x108;
    const TRUTH_VALUE: u64 = 1;
    let attribute = [CKA_SIGN.to_be_bytes(), TRUTH_VALUE.to_be_bytes()].concat();
    let token = fs::read_dir(bench.path("tokens")).unwrap().next().unwrap();
    let mut changed = 0;
    for file in fs::read_dir(token.unwrap().path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes.windows(16).position(|window| window == attribute);
        if let Some(at) = found {
            changed += usize::from(bytes[at + 16] != 0);
            bytes[at + 16] = 0;
            fs::write(&path, bytes).unwrap();
        }
    }
    assert_eq!(changed, 1, "one private key that may sign");
}

/// A reference file in pkcs11-provider's format, its DER changed by `damage`.
fn reference(uri: &str, damage: impl FnOnce(&mut Vec<u8>)) -> String {
    fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).expect("a short value");
        let header: &[u8] = match length {
            0..128 => &[tag, length],
            _ => &[tag, 0x81, length],
        };
        [header, value].concat()
    }
    let description = tagged(0x1A, b"PKCS#11 Provider URI v1.0");
    let mut der = tagged(0x30, &[description, tagged(0x0C, uri.as_bytes())].concat());
    damage(&mut der);
    let base64 = openssl::base64::encode_block(&der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN PKCS#11 PROVIDER URI-----\n{}\n-----END PKCS#11 PROVIDER URI-----\n",
        lines.join("\n")
    )
}
