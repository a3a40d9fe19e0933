//! Many threads that load a key, sign, verify and free it, all at once and from a cold start.
//!
//! `hammer [--shared] THREADS ROUNDS KEY PUBLIC [KEY PUBLIC …]`: each KEY is a reference PEM file,
//! PUBLIC the public key that must verify what it signs. Thread n uses pair n, n + 1 … in turn.
//! With `--shared` each key is loaded once and all threads sign with it. Prints a line for each of
//! the first failures and a summary; exit status 1 if anything failed.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::{env, fs, thread};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::sign::{Signer, Verifier};

/// How many failures of a thread are printed.
const SHOWN: usize = 3;

struct Pair {
    reference: Vec<u8>,
    public: PKey<Public>,
    /// Only with `--shared`.
    loaded: Option<PKey<Private>>,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let shared = arguments.first().is_some_and(|first| first == "--shared");
    if shared {
        arguments.remove(0);
    }
    let [threads, rounds, files @ ..] = &arguments[..] else {
        panic!("hammer [--shared] THREADS ROUNDS KEY PUBLIC …");
    };
    let threads: usize = threads.parse().expect("a number of threads");
    let rounds: usize = rounds.parse().expect("a number of rounds");
    let pairs: Vec<Pair> = files.chunks(2).map(|files| pair(files, shared)).collect();
    let pairs = Arc::new(pairs);

    let barrier = Arc::new(Barrier::new(threads));
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let (pairs, barrier) = (pairs.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                (0..rounds)
                    .filter_map(|round| {
                        let pair = &pairs[(number + round) % pairs.len()];
                        let message = format!("thread {number}, round {round}");
                        let outcome = work(pair, message.as_bytes());
                        outcome.err().map(|error| format!("{message}: {error}"))
                    })
                    .collect::<Vec<String>>()
            })
        })
        .collect();
    let mut failed = 0;
    for worker in workers {
        let failures = worker.join().expect("a thread panicked");
        failed += failures.len();
        for failure in failures.iter().take(SHOWN) {
            println!("{failure}");
        }
    }
    println!("{failed} of {} failed", threads * rounds);
    ExitCode::from(u8::from(failed > 0))
}

fn pair(files: &[String], shared: bool) -> Pair {
    let [key, public] = files else {
        panic!("a KEY without its PUBLIC");
    };
    let reference = fs::read(key).expect("KEY");
    let public = fs::read(public).expect("PUBLIC");
    Pair {
        loaded: shared.then(|| load(&reference).expect("loading KEY")),
        public: PKey::public_key_from_pem(&public).expect("PUBLIC in PEM"),
        reference,
    }
}

fn work(pair: &Pair, message: &[u8]) -> Result<(), String> {
    let own;
    let key = match &pair.loaded {
        Some(key) => key,
        None => {
            own = load(&pair.reference).map_err(|error| format!("loading: {error}"))?;
            &own
        }
    };
    let signature = sign(key, message).map_err(|error| format!("signing: {error}"))?;
    match verify(&pair.public, message, &signature) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the signature does not verify".into()),
        Err(error) => Err(format!("verifying: {error}")),
    }
}

/// Nobody is asked for a PIN.
fn load(reference: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    PKey::private_key_from_pem_callback(reference, |_| Ok(0))
}

fn sign(key: &PKey<Private>, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(message)
}

fn verify(key: &PKey<Public>, message: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
    Verifier::new(MessageDigest::sha256(), key)?.verify_oneshot(signature, message)
}
