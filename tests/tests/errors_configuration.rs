//! What a user reads when openssl.cnf is wrong, and where.

use std::fs;
use std::path::PathBuf;

use hwkey_tests::{Bench, PIN, Said, WRONG_PIN, bench, failed_load, load, software_works};

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
            "the section that \"providers\" names",
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
            "log-target = printer; accepted: stderr, syslog, file:/absolute/path",
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
fn module_directory(bench: &Bench) -> PathBuf {
    let dir = bench.path("modules");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::symlink(hwkey_tests::module(), dir.join("hwkey.so")).unwrap();
    dir
}
