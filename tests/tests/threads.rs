//! Any number of threads may use one key or many, from a cold start.

use hwkey_tests::{Bench, KeyType, hammer, key_files};

#[test]
fn eight_threads_load_sign_and_free_ec_keys_from_a_cold_start() {
    let bench = Bench::new("threads");
    bench.token.make_key(KeyType::P256, "p256", "01");
    bench.token.make_key(KeyType::P384, "p384", "02");
    let files = ["p256", "p384"].map(|label| key_files(&bench, "threads", label));
    hammer(&bench, &["8", "100"], &files);
}

#[test]
fn eight_threads_load_sign_and_free_an_rsa_key_from_a_cold_start() {
    let bench = Bench::new("threads");
    bench.token.make_key(KeyType::Rsa2048, "rsa", "01");
    let files = [key_files(&bench, "threads", "rsa")];
    hammer(&bench, &["8", "100"], &files);
}

#[test]
fn eight_threads_load_keys_of_different_types_from_a_cold_start() {
    let bench = Bench::new("threads");
    bench.token.make_key(KeyType::P256, "p256", "01");
    bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
    let files = ["p256", "rsa"].map(|label| key_files(&bench, "threads", label));
    hammer(&bench, &["8", "100"], &files);
}

#[test]
fn eight_threads_share_one_loaded_key() {
    let bench = Bench::new("threads");
    bench.token.make_key(KeyType::P256, "p256", "01");
    bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
    for label in ["p256", "rsa"] {
        let files = [key_files(&bench, "threads", label)];
        hammer(&bench, &["--shared", "8", "100"], &files);
    }
}

#[test]
fn threads_use_two_tokens_at_once() {
    let bench = Bench::new("first");
    bench.token.add("second");
    bench.token.make_key(KeyType::P256, "key", "01");
    bench
        .token
        .make_key_on("second", KeyType::P256, "key", "01", &["--usage-sign"]);
    let files = ["first", "second"].map(|token| key_files(&bench, token, "key"));
    hammer(&bench, &["8", "100"], &files);
    hammer(&bench, &["--shared", "8", "100"], &files);
}
