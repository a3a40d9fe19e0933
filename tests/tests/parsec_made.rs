//! Keys that are made through OpenSSL, and what the store shows of a service.

use hwkey_tests::{Parsec, ParsecProvider, Run, Said};

use ParsecProvider::{MbedCrypto, Pkcs11, Tpm};

/// Makes a key with `options` of genpkey at `uri`; its PEM file is `key.pem`.
fn make(parsec: &Parsec, options: &str, uri: &str) -> Run {
    let arguments =
        format!("genpkey -propquery provider=hwkey {options} -pkeyopt {{}} -out key.pem");
    parsec.openssl(&arguments, &[&format!("hwkey_uri:{uri}")])
}

/// A request is signed with it, and verified without hwkey.
#[track_caller]
fn is_of_use(parsec: &Parsec, digest: &str) {
    let request = format!("req -new -key key.pem -{digest} -subj /CN=device -out request.pem");
    parsec.openssl(&request, &[]).ok();
    parsec
        .openssl("req -in request.pem -verify -noout", &[])
        .env_remove("OPENSSL_CONF")
        .ok();
}

const P256: &str = "-algorithm EC -pkeyopt group:P-256";
const P384: &str = "-algorithm EC -pkeyopt group:P-384";
const P521: &str = "-algorithm EC -pkeyopt group:P-521";
const RSA: &str = "-algorithm RSA";
const RSA_3072: &str = "-algorithm RSA -pkeyopt bits:3072";
const RSA_PSS: &str = "-algorithm RSA-PSS";

#[test]
fn keys_are_made_with_the_digest_that_tls_wants() {
    for (provider, options, digest) in [
        (MbedCrypto, P256, "sha256"),
        (MbedCrypto, P521, "sha512"),
        (MbedCrypto, RSA, "sha256"),
        (MbedCrypto, RSA_PSS, "sha256"),
        (Pkcs11, P256, "sha256"),
        (Pkcs11, P384, "sha384"),
        (Pkcs11, P521, "sha512"),
        (Pkcs11, RSA_3072, "sha256"),
        (Tpm, P256, "sha256"),
        (Tpm, P384, "sha384"),
        (Tpm, RSA, "sha256"),
    ] {
        let parsec = Parsec::new(&[provider]);
        make(&parsec, options, "parsec:new").ok();
        is_of_use(&parsec, digest);
        // The digest of openssl.cnf is taken where there is one; else the key's own.
        parsec
            .openssl("dgst -sign key.pem -out signature message", &[])
            .ok();
    }
}

#[test]
fn the_first_provider_makes_keys_unless_another_is_named() {
    let parsec = Parsec::new(&[Tpm, MbedCrypto]);
    make(&parsec, P256, "parsec:first").ok();
    make(&parsec, P256, "parsec:second;provider=mbed-crypto").ok();
    let list = parsec.openssl("storeutl -noout parsec:", &[]).ok();
    for text in [
        "Name: parsec:name=first;provider=tpm\nEC key on P-256, ECDSA with SHA2-256, TPM provider\n",
        "Name: parsec:name=second;provider=mbed-crypto\n",
    ] {
        assert!(list.contains(text), "{text}: {list}");
    }
}

#[test]
fn a_name_that_is_taken_stays_with_its_key() {
    let parsec = Parsec::new(&[MbedCrypto, Tpm]);
    make(&parsec, P256, "parsec:device").ok();
    let before = parsec.openssl("pkey -in parsec:device -pubout", &[]).ok();
    // Also in another provider: they may share a database.
    for uri in ["parsec:device", "parsec:device;provider=tpm"] {
        Said::by(make(&parsec, P256, uri)).names(
            "operation not allowed for the key",
            "making a key",
            &[
                "the Mbed Crypto provider has a key of this name; take another name, or delete that key \
                 first: parsec-tool --provider 1 delete-key --key-name device",
            ],
        );
    }
    let after = parsec.openssl("pkey -in parsec:device -pubout", &[]).ok();
    assert_eq!(before, after);
}

#[test]
fn what_a_provider_does_not_make_is_refused_and_leaves_nothing_behind() {
    for (provider, options, parts) in [
        (
            MbedCrypto,
            P384,
            &["PsaErrorInvalidArgument (1135)", "docs/parsec.md"][..],
        ),
        (Tpm, P521, &["loading key \"new\"", "TPM provider"]),
        (
            Pkcs11,
            RSA_PSS,
            &["PsaErrorNotSupported (1134)", "docs/parsec.md"],
        ),
        (
            MbedCrypto,
            "-algorithm RSA -pkeyopt rsa_keygen_pubexp:3",
            &["Parsec makes them with 65537"],
        ),
    ] {
        let parsec = Parsec::new(&[provider]);
        let said = Said::by(make(&parsec, options, "parsec:new"));
        for part in parts {
            assert!(said.queue[0].contains(part), "{part}: {}", said.all);
        }
        // Not a key that is in the way of the next attempt.
        make(&parsec, P256, "parsec:new").ok();
        is_of_use(&parsec, "sha256");
    }
    let parsec = Parsec::new(&[MbedCrypto]);
    Said::by(make(&parsec, P256, "parsec:")).names(
        "malformed key URI",
        "making a key",
        &["it needs a name; write hwkey_uri:parsec:NAME"],
    );
}

#[test]
fn names_may_have_any_characters() {
    let parsec = Parsec::new(&[MbedCrypto]);
    for (name, uri) in [
        ("a b", "parsec:a%20b"),
        ("plant/line;7=x", "parsec:plant%2Fline%3B7%3Dx"),
        ("Schlüssel", "parsec:name=Schl%C3%BCssel"),
    ] {
        parsec.tool("create-ecc-key --key-name {}", &[name]).ok();
        parsec.reference(uri, "key.pem");
        is_of_use(&parsec, "sha256");
    }
    let list = parsec.openssl("storeutl -noout parsec:", &[]).ok();
    assert!(
        list.contains("parsec:name=plant%2Fline%3B7%3Dx;provider=mbed-crypto"),
        "{list}"
    );
    // What is listed finds its key.
    for line in list.lines() {
        if let Some((_, uri)) = line.split_once(": Name: ") {
            parsec.openssl("pkey -in {} -noout", &[uri]).ok();
        }
    }
}

#[test]
fn a_search_by_name_finds_that_key_only() {
    let parsec = Parsec::new(&[MbedCrypto]);
    for name in ["one", "two"] {
        parsec.tool("create-ecc-key --key-name {}", &[name]).ok();
    }
    let found = parsec
        .openssl("storeutl -keys -alias two parsec:", &[])
        .ok();
    assert!(found.contains("Total found: 1"), "{found}");
    assert!(found.contains("BEGIN HWKEY URI"), "{found}");
    let none = parsec
        .openssl("storeutl -keys -alias three parsec:", &[])
        .ok();
    assert!(none.contains("Total found: 0"), "{none}");
    // Parsec keeps no certificates: a program that looks for some beside its key finds none.
    let none = parsec.openssl("storeutl -certs parsec:", &[]).ok();
    assert!(none.contains("Total found: 0"), "{none}");
}

#[test]
fn a_key_that_is_missing_is_told_with_those_that_there_are() {
    let parsec = Parsec::new(&[MbedCrypto, Tpm]);
    let load = |uri: &str| parsec.openssl("pkey -in {} -noout", &[uri]);
    Said::by(load("parsec:device")).names(
        "no such key",
        "loading parsec:name=device",
        &[
            "looking for key \"device\" on Parsec at ",
            "(user id 0)",
            "there is no key",
            "create-ecc-key",
        ],
    );
    parsec.tool("create-ecc-key --key-name devise", &[]).ok();
    Said::by(load("parsec:device")).names(
        "no such key",
        "loading parsec:name=device",
        &["there is \"devise\" (mbed-crypto)"],
    );
    Said::by(load("parsec:devise;provider=tpm")).names(
        "no such key",
        "loading parsec:name=devise;provider=tpm",
        &["there is no key in the TPM provider"],
    );
    for (uri, problem) in [
        (
            "parsec:devise;provider=pkcs11",
            "the service has no PKCS#11 provider; it has mbed-crypto, tpm",
        ),
        (
            "parsec:devise;provider=00000000-0000-4000-8000-000000000000",
            "has no provider 00000000-0000-4000-8000-000000000000; it has mbed-crypto, tpm",
        ),
    ] {
        Said::by(load(uri)).names("no such token", "loading parsec:name=devise", &[problem]);
    }
    // By its UUID (the Parsec book, "Providers").
    load("parsec:devise;provider=1c1139dc-ad7c-47dc-ad6b-db6fdb466552").ok();
    Said::by(load("parsec:")).names(
        "no such key",
        "loading parsec:",
        &[
            "names no key, and the program wants a private key",
            "\"devise\" (mbed-crypto)",
        ],
    );
}
