//! Signatures by hwkey against those by Parsec's bare client, in one process, by turns: `cargo bench -p
//! hwkey-tests --bench parsec`. Prints the ratio of the times, for each provider the median of the rounds.

#![forbid(unsafe_code)]

use std::env;
use std::time::{Duration, Instant};

use hwkey_tests::{Parsec, ParsecProvider, Run};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use parsec_client::BasicClient;
use parsec_client::core::interface::operations::psa_algorithm::{AsymmetricSignature, Hash};

const ROUNDS: usize = 21;
const SIGNATURES: usize = 100;

fn main() {
    // It is run once more, by itself, with an openssl.cnf: libcrypto reads that at the start.
    if env::args().any(|argument| argument == "--inside") {
        println!("{}", compare());
        return;
    }
    println!("P-256, ECDSA with SHA-256: hwkey (EVP_DigestSign) / the bare client (PsaSignHash)");
    for provider in ParsecProvider::ALL {
        let parsec = Parsec::new(&[provider]);
        parsec.tool("create-ecc-key --key-name device", &[]).ok();
        parsec.reference("parsec:device", "key.pem");
        let endpoint = format!("unix:{}", parsec.socket().display());
        let inside: Run = parsec.run(env::current_exe().expect("this program"));
        let inside = inside
            .env("PARSEC_SERVICE_ENDPOINT", endpoint)
            .arg("--inside");
        println!("{:22} {}", provider.title(), inside.ok().trim());
    }
}

fn compare() -> String {
    let file = std::fs::read("key.pem").expect("key.pem");
    let key = PKey::private_key_from_pem(&file).expect("the key");
    // It asks for its provider and authenticator now, and no more.
    let client = BasicClient::new(None).expect("the client");
    let mut ratios = Vec::new();
    let mut bare = Duration::ZERO;
    for _ in 0..ROUNDS {
        let theirs = timed(|| by_client(&client));
        let ours = timed(|| by_hwkey(&key));
        ratios.push(ours.as_secs_f64() / theirs.as_secs_f64());
        bare += theirs;
    }
    ratios.sort_by(f64::total_cmp);
    let rate = (ROUNDS * SIGNATURES) as f64 / bare.as_secs_f64();
    format!(
        "{:.2} (from {:.2} to {:.2}; bare: {rate:.0} a second)",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    )
}

fn timed(work: impl Fn()) -> Duration {
    let begin = Instant::now();
    for _ in 0..SIGNATURES {
        work();
    }
    begin.elapsed()
}

fn by_client(client: &BasicClient) {
    let alg = AsymmetricSignature::Ecdsa {
        hash_alg: Hash::Sha256.into(),
    };
    client
        .psa_sign_hash("device", &[7; 32], alg)
        .expect("a signature");
}

fn by_hwkey(key: &PKey<Private>) {
    let mut signer = Signer::new(MessageDigest::sha256(), key).expect("a signature");
    signer
        .sign_oneshot_to_vec(b"to whom it may concern")
        .expect("a signature");
}
