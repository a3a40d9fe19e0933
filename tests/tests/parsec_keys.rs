//! What a key's policy allows works; what it does not allow is refused before the service is asked, and
//! said plainly.

use std::fs;

use hwkey_tests::{Parsec, ParsecProvider, Run, Said, script};

use ParsecProvider::{MbedCrypto, Pkcs11, Tpm};

/// A service with a key `name` made by these arguments of parsec-tool.
fn with_key(provider: ParsecProvider, arguments: &str) -> Parsec {
    let parsec = Parsec::new(&[provider]);
    parsec.tool(arguments, &[]).ok();
    parsec
}

/// `openssl` without hwkey's configuration, for what needs no private key.
fn software(parsec: &Parsec, arguments: &str, values: &[&str]) -> Run {
    parsec.openssl(arguments, values).env_remove("OPENSSL_CONF")
}

fn public_key(parsec: &Parsec, uri: &str) {
    parsec
        .openssl("pkey -in {} -pubout -out public.pem", &[uri])
        .ok();
}

// ---- signatures -------------------------------------------------------------------------------------

/// Signs with -`digest`, and has the signature verified without hwkey.
#[track_caller]
fn signs(parsec: &Parsec, uri: &str, digest: &str, options: &str) {
    public_key(parsec, uri);
    parsec
        .openssl(
            &format!("dgst -{digest} {options} -sign {{}} -out signature message"),
            &[uri],
        )
        .ok();
    let verify =
        format!("dgst -{digest} {options} -verify public.pem -signature signature message");
    software(parsec, &verify, &[]).ok();
}

#[track_caller]
fn is_refused(run: Run, reason: &str, parts: &[&str]) {
    let said = Said::by(run);
    let cause = said.queue.first().expect("a cause");
    assert!(cause.contains(&format!(":{reason}:")), "{}", said.all);
    for part in parts {
        assert!(cause.contains(part), "\"{part}\" is missing in {cause}");
    }
}

#[test]
fn a_digest_that_the_policy_forbids_is_refused_with_the_one_that_it_allows() {
    for provider in ParsecProvider::ALL {
        let parsec = with_key(provider, "create-ecc-key --key-name key");
        signs(&parsec, "parsec:key", "sha256", "");
        is_refused(
            parsec.openssl("dgst -sha384 -sign parsec:key message", &[]),
            "digest not supported",
            &[
                "its policy is ECDSA with SHA2-256, and SHA2-384 is asked for; take SHA2-256 (openssl: -sha256)",
            ],
        );
    }
}

#[test]
fn libssl_takes_a_digest_that_the_policy_allows() {
    let parsec = Parsec::new(&[Pkcs11]);
    let make = "genpkey -propquery provider=hwkey -algorithm EC -pkeyopt group:P-384 \
                -pkeyopt hwkey_uri:parsec:key -out key.pem";
    parsec.openssl(make, &[]).ok();
    let certify = "req -x509 -new -key key.pem -sha384 -subj /CN=localhost -days 9 -out cert.pem";
    parsec.openssl(certify, &[]).ok();
    // TLS 1.2 would begin with SHA-256 for any curve, were it not refused.
    let both = "print(*both(with_key(server()), with_key(client())))";
    let printed = script(&parsec, both, "key.pem", "cert.pem").ok();
    assert_eq!(printed, "TLSv1.2 TLSv1.3\n");
}

#[test]
fn a_key_for_any_digest_signs_with_each() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.make_key(MbedCrypto, "ec", "ecdsa-any");
    parsec.make_key(MbedCrypto, "rsa", "rsa-any");
    for digest in ["sha256", "sha384", "sha512"] {
        signs(&parsec, "parsec:ec", digest, "");
        signs(&parsec, "parsec:rsa", digest, "");
    }
}

#[test]
fn a_key_for_raw_pkcs1_signs_what_it_is_given() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.make_key(MbedCrypto, "key", "rsa-raw");
    signs(&parsec, "parsec:key", "sha256", "");
    signs(&parsec, "parsec:key", "sha512", "");
    fs::write(parsec.path("data"), "not a digest").unwrap();
    let sign = "pkeyutl -sign -inkey parsec:key -in data -out signature";
    parsec.openssl(sign, &[]).ok();
    let recover = "pkeyutl -verifyrecover -pubin -inkey public.pem -in signature";
    assert_eq!(software(&parsec, recover, &[]).ok(), "not a digest");
}

#[test]
fn a_key_that_may_not_sign_says_so_before_the_service_does() {
    let parsec = with_key(MbedCrypto, "create-rsa-key --key-name decrypts");
    parsec.make_key(MbedCrypto, "mute", "mute");
    parsec.make_key(MbedCrypto, "agrees", "ecdh");
    for (name, part) in [
        (
            "decrypts",
            "its policy is RSA PKCS#1 v1.5 encryption; signing takes a key made for it",
        ),
        (
            "mute",
            "it may not sign (the usage flag sign_hash is not set)",
        ),
        (
            "agrees",
            "its policy is ECDH; signing takes a key made for it",
        ),
    ] {
        let uri = format!("parsec:{name}");
        let sign = parsec.openssl("dgst -sha256 -sign {} message", &[&uri]);
        is_refused(sign, "operation not allowed for the key", &[part]);
    }
    // It was not asked: no provider has refused anything.
    assert!(!parsec.log().contains("not permit"), "{}", parsec.log());
}

#[test]
fn ecdsa_takes_values_of_its_digest_only() {
    let parsec = with_key(Tpm, "create-ecc-key --key-name key");
    public_key(&parsec, "parsec:key");
    fs::write(parsec.path("value"), [7; 32]).unwrap();
    let sign = "pkeyutl -sign -inkey parsec:key -in value -out signature";
    parsec.openssl(sign, &[]).ok();
    let verify = "pkeyutl -verify -pubin -inkey public.pem -in value -sigfile signature";
    software(&parsec, verify, &[]).ok();
    // By the service.
    let verify = verify.replace("-pubin -inkey public.pem", "-inkey parsec:key");
    parsec.openssl(&verify, &[]).ok();
    fs::write(parsec.path("value"), [8; 32]).unwrap();
    parsec.openssl(&verify, &[]).fails();
    fs::write(parsec.path("value"), [7; 20]).unwrap();
    is_refused(
        parsec.openssl(sign, &[]),
        "data of the wrong length",
        &["a value of 20 bytes is none of it"],
    );
}

// ---- decryption and key agreement -------------------------------------------------------------------

/// Encrypts `plain` for the key at `uri`, without hwkey.
fn encrypt(parsec: &Parsec, uri: &str, options: &str) {
    public_key(parsec, uri);
    let encrypt =
        format!("pkeyutl -encrypt -pubin -inkey public.pem {options} -in message -out secret");
    software(parsec, &encrypt, &[]).ok();
}

fn decrypt(parsec: &Parsec, uri: &str, options: &str) -> Run {
    let decrypt = format!("pkeyutl -decrypt -inkey {{}} {options} -in secret");
    parsec.openssl(&decrypt, &[uri])
}

const MESSAGE: &str = "to whom it may concern";

#[test]
fn pkcs1_decrypts_and_a_wrong_padding_is_no_error_that_tells() {
    for provider in ParsecProvider::ALL {
        let parsec = with_key(provider, "create-rsa-key --key-name key");
        encrypt(&parsec, "parsec:key", "");
        assert_eq!(decrypt(&parsec, "parsec:key", "").ok(), MESSAGE);
        fs::write(parsec.path("secret"), [7; 256]).unwrap();
        let finished = decrypt(&parsec, "parsec:key", "").finish();
        assert!(finished.ok, "{provider:?}: {}", finished.all());
        assert_eq!(finished.stderr, "");
    }
}

/// Loads the keys of two files, forks two workers, and prints what each of them makes of one ciphertext with
/// each key.
const WORKERS: &str = "
import ctypes, ctypes.util, os, sys
crypto = ctypes.CDLL('libcrypto.so.3')
def function(name, result=ctypes.c_void_p):
    found = getattr(crypto, name)
    found.restype = result
    return found
def load(file):
    bio = ctypes.c_void_p(function('BIO_new_file')(file.encode(), b'r'))
    key = function('PEM_read_bio_PrivateKey')(bio, None, None, None)
    assert key, file
    return ctypes.c_void_p(key)
def decrypt(key):
    context = ctypes.c_void_p(function('EVP_PKEY_CTX_new')(key, None))
    assert function('EVP_PKEY_decrypt_init', ctypes.c_int)(context) == 1
    out, size, secret = ctypes.create_string_buffer(256), ctypes.c_size_t(256), bytes([7] * 256)
    done = function('EVP_PKEY_decrypt', ctypes.c_int)(
        context, out, ctypes.byref(size), secret, ctypes.c_size_t(256))
    assert done == 1
    return out.raw[:size.value].hex()
keys = [load(file) for file in sys.argv[1:]]
for _ in range(2):
    if os.fork() == 0:
        print('-'.join(decrypt(key) for key in keys), flush=True)
        os._exit(0)
    os.wait()";

#[test]
fn forked_workers_have_one_stand_in_for_a_wrong_padding_and_no_two_keys_have_the_same() {
    let parsec = with_key(Tpm, "create-rsa-key --key-name one");
    parsec.tool("create-rsa-key --key-name two", &[]).ok();
    for name in ["one", "two"] {
        parsec.reference(&format!("parsec:{name}"), name);
    }
    let workers = parsec
        .run("/usr/bin/python3")
        .args(["-c", WORKERS, "one", "two"]);
    let printed = workers.ok();
    let [first, second] = printed.lines().collect::<Vec<_>>()[..] else {
        panic!("{printed}");
    };
    assert_eq!(first, second);
    let (one, two) = first.split_once('-').unwrap();
    assert_ne!(one, two);
}

#[test]
fn oaep_decrypts_with_the_policys_digest_and_says_which() {
    const OAEP: &str = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256";
    for provider in [MbedCrypto, Tpm] {
        let parsec = with_key(provider, "create-rsa-key --oaep --key-name key");
        encrypt(&parsec, "parsec:key", OAEP);
        assert_eq!(decrypt(&parsec, "parsec:key", OAEP).ok(), MESSAGE);
        // A label that ends in NUL suits both.
        let labelled = format!("{OAEP} -pkeyopt rsa_oaep_label:6b657900");
        encrypt(&parsec, "parsec:key", &labelled);
        assert_eq!(decrypt(&parsec, "parsec:key", &labelled).ok(), MESSAGE);
        is_refused(
            decrypt(&parsec, "parsec:key", "-pkeyopt rsa_padding_mode:oaep"),
            "operation not allowed for the key",
            &[
                "its policy is RSA-OAEP with SHA2-256; take rsa_padding_mode:oaep with this digest for both",
            ],
        );
        is_refused(
            decrypt(&parsec, "parsec:key", ""),
            "operation not allowed for the key",
            &["its policy is RSA-OAEP with SHA2-256"],
        );
    }
    let parsec = Parsec::new(&[Tpm]);
    parsec
        .tool("create-rsa-key --oaep --key-name key", &[])
        .ok();
    fs::write(parsec.path("secret"), [7; 256]).unwrap();
    is_refused(
        decrypt(
            &parsec,
            "parsec:key",
            &format!("{OAEP} -pkeyopt rsa_oaep_label:6b6579"),
        ),
        "operation not allowed for the key",
        &["a TPM one that ends in a NUL byte only"],
    );
}

#[test]
fn two_sides_agree_on_a_secret() {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.make_key(MbedCrypto, "key", "ecdh");
    public_key(&parsec, "parsec:key");
    for command in [
        "genpkey -algorithm EC -pkeyopt group:P-256 -out other.key",
        "pkey -in other.key -pubout -out other.pub",
        "pkeyutl -derive -inkey other.key -peerkey public.pem -out theirs",
    ] {
        software(&parsec, command, &[]).ok();
    }
    let ours = "pkeyutl -derive -inkey parsec:key -peerkey other.pub -out ours";
    parsec.openssl(ours, &[]).ok();
    let read = |name| fs::read(parsec.path(name)).unwrap();
    assert_eq!(read("ours"), read("theirs"));
    assert_eq!(read("ours").len(), 32);
    parsec.tool("create-ecc-key --key-name signs", &[]).ok();
    is_refused(
        parsec.openssl(
            "pkeyutl -derive -inkey parsec:signs -peerkey other.pub",
            &[],
        ),
        "operation not allowed for the key",
        &["its policy is ECDSA with SHA2-256; a shared secret takes a key made for ECDH"],
    );
}
