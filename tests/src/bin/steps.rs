//! One process that loads keys and signs in the order it is told, while files change under it.
//!
//! `steps STEP…`, or `steps -` with a step on each line of standard input; a step is
//! `load=FILE` (a reference PEM), `sign` (with the key loaded last), `write=FILE=TEXT` (a private
//! file, such as one with a PIN), `remove=FILE`. Prints `ok` or `failed: …` for each load and
//! signature, and ends with status 0.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::{env, fs};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::{Signer, Verifier};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments[..] {
        [ref only] if only == "-" => follow(io::stdin().lines().map(|line| line.expect("a step"))),
        _ => follow(arguments.into_iter()),
    }
}

fn follow(steps: impl Iterator<Item = String>) {
    let mut key = None;
    for step in steps {
        let (verb, object) = step.split_once('=').unwrap_or((&step, ""));
        match verb {
            "load" => match load(object) {
                Ok(loaded) => {
                    key = Some(loaded);
                    println!("ok");
                }
                Err(error) => println!("failed: {error}"),
            },
            "sign" => match sign(key.as_ref().expect("a load before")) {
                Ok(()) => println!("ok"),
                Err(error) => println!("failed: {error}"),
            },
            "write" => {
                let (file, text) = object.split_once('=').expect("write=FILE=TEXT");
                write_private(file, text);
            }
            "remove" => fs::remove_file(object).expect("remove"),
            other => panic!("no such step: {other}"),
        }
    }
}

/// Nobody is asked for a PIN.
fn load(file: &str) -> Result<PKey<Private>, ErrorStack> {
    let reference = fs::read(file).expect("a reference file");
    PKey::private_key_from_pem_callback(&reference, |_| Ok(0))
}

fn sign(key: &PKey<Private>) -> Result<(), ErrorStack> {
    let message = b"to whom it may concern";
    let signature = Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(message)?;
    let public = PKey::public_key_from_pem(&key.public_key_to_pem()?)?;
    let verified =
        Verifier::new(MessageDigest::sha256(), &public)?.verify_oneshot(&signature, message)?;
    assert!(verified, "the signature does not verify");
    Ok(())
}

fn write_private(file: &str, text: &str) {
    let mut options = fs::OpenOptions::new();
    let options = options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = options.open(file).expect("a private file");
    file.write_all(text.as_bytes()).expect("a private file");
}
