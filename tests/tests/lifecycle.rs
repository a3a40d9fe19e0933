//! OpenSSL's C interface in ways that its own program does not use.

use std::path::{Path, PathBuf};

use hwkey_tests::{Bench, KeyType, Run};

/// A bench with two keys of a type, and their reference files.
fn bench(key: KeyType) -> Bench {
    let bench = Bench::new("lifecycle");
    for (label, id) in [("one", "01"), ("two", "02")] {
        bench.token.make_key(key, label, id);
        bench
            .openssl("pkey -in {} -out {}.pem", &[&bench.uri(label), label])
            .ok();
    }
    bench
}

/// The program, compiled for this bench.
fn program(bench: &Bench) -> PathBuf {
    let program = bench.path("lifecycle");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lifecycle.c");
    Run::new("cc")
        .args([Path::new("-Wall"), Path::new("-Werror"), Path::new("-o")])
        .args([&program, &source])
        .args(["-lssl", "-lcrypto"])
        .ok();
    program
}

#[test]
fn keys_may_be_freed_after_openssl_has_cleaned_up() {
    for key in KeyType::ALL {
        let bench = bench(key);
        let printed = bench
            .run(program(&bench))
            .args(["free-after-cleanup", "one.pem"])
            .ok();
        assert_eq!(printed, "freed\n");
    }
}

#[test]
fn parameters_alone_are_printed() {
    for (key, expected) in [
        (KeyType::P256, "ASN1 OID: prime256v1"),
        (KeyType::Rsa2048, ""),
    ] {
        let bench = bench(key);
        let printed = bench
            .run(program(&bench))
            .args(["print-parameters", "one.pem"])
            .ok();
        assert!(printed.contains(expected), "{printed}");
    }
}

#[test]
fn keys_are_compared_by_their_parameters_and_public_halves() {
    for key in KeyType::ALL {
        let bench = bench(key);
        bench
            .run(program(&bench))
            .args(["compare", "one.pem", "two.pem"])
            .ok();
    }
}

#[test]
fn contexts_are_copied_and_buffers_may_overlap_or_be_too_small() {
    for key in KeyType::ALL {
        let bench = bench(key);
        bench
            .run(program(&bench))
            .args(["sign-oddly", "one.pem"])
            .ok();
    }
}

#[test]
fn a_pin_file_that_would_block_is_refused_at_once() {
    let bench = bench(KeyType::P256);
    std::fs::remove_file(bench.pin_file()).unwrap();
    Run::new("mkfifo").arg("-m600").arg(bench.pin_file()).ok();
    let said = bench
        .openssl("pkey -in {} -noout", &[&bench.uri("one")])
        .fails();
    assert!(said.contains("it is not a regular file"), "{said}");
}

#[test]
fn an_empty_pin_is_never_sent() {
    let bench = bench(KeyType::P256);
    let uri = format!("{}?pin-value=", bench.uri("one"));
    let said = bench.openssl("pkey -in {} -noout", &[&uri]).fails();
    assert!(
        said.contains("\"pin-value\"") && said.contains("is empty"),
        "{said}"
    );
    assert!(!said.contains("CKR_PIN_INCORRECT"), "{said}");
}

#[test]
fn a_log_that_nobody_reads_ends_no_program() {
    let bench = bench(KeyType::P256);
    // The reader of standard error is gone, and SIGPIPE would end the program.
    let script = "exec 2> >(:); wait $!; trap - PIPE; \
                  openssl dgst -sha256 -sign one.pem -out s one.pem";
    bench
        .run("bash")
        .args(["-c", script])
        .env("HWKEY_LOG", "debug")
        .ok();
}
