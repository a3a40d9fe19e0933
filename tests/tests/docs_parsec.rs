//! The page on Parsec works as it is printed, its table of what works is true, and its messages are those
//! that one sees.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hwkey_tests::{
    Finished, Followed, Nginx, Parsec, ParsecProvider, Run, SOMEBODY, Site,
    has_only_messages_that_are_seen, has_table, script, wait_until,
};

use ParsecProvider::{MbedCrypto, Pkcs11, Tpm};

const PAGE: &str = "docs/parsec.md";

#[test]
fn the_page_on_parsec_leads_from_a_new_key_to_messages_over_tls() {
    let parsec = Parsec::new(&[Tpm]);
    let followed = Followed::with_parsec(PAGE, &parsec, &["8883"]);
    let log = followed.read("cloud.log");
    assert_eq!(log.matches("u'device-1'").count(), 2, "{log}");
    assert!(followed.read("device.key.pem").contains("HWKEY URI"));
    for text in [
        "Private-Key: (256 bit) in hardware",
        "URI: parsec:name=device;provider=tpm",
        "EC key on P-256, ECDSA with SHA2-256, TPM provider",
    ] {
        followed.says(text);
    }
    let all = followed.said.all();
    assert!(!all.contains("hwkey: "), "{all}");
}

// ---- the table of what works ------------------------------------------------------------------------

/// The keys of the table: what the page calls them, and how they are made.
const KEYS: [(&str, &str); 8] = [
    ("P-256", "-algorithm EC -pkeyopt group:P-256"),
    ("P-384", "-algorithm EC -pkeyopt group:P-384"),
    ("P-521", "-algorithm EC -pkeyopt group:P-521"),
    ("secp256k1", "-algorithm EC -pkeyopt group:secp256k1"),
    (
        "Brainpool P256r1",
        "-algorithm EC -pkeyopt group:brainpoolP256r1",
    ),
    ("RSA-2048", "-algorithm RSA -pkeyopt bits:2048"),
    ("RSA-3072", "-algorithm RSA -pkeyopt bits:3072"),
    ("RSA-PSS 2048", "-algorithm RSA-PSS -pkeyopt bits:2048"),
];

/// What parsec-tool makes for decryption, and a key for ECDH.
const OTHERS: [&str; 3] = [
    "RSA PKCS#1 v1.5 decryption",
    "RSA-OAEP decryption",
    "ECDH, P-256",
];

#[test]
fn the_table_of_what_works_is_true() {
    let names = KEYS.iter().map(|(name, _)| *name).chain(OTHERS);
    let mut rows: Vec<String> = names.map(str::to_owned).collect();
    for provider in ParsecProvider::ALL {
        let parsec = Parsec::new(&[provider]);
        let keys = KEYS.iter().map(|(_, options)| key_cell(&parsec, options));
        let others = [
            decryption(&parsec, "create-rsa-key --key-name", "pkcs1"),
            decryption(&parsec, "create-rsa-key --oaep --key-name", OAEP),
            agreement(&parsec, provider),
        ];
        for (row, cell) in rows.iter_mut().zip(keys.chain(others)) {
            write!(row, " | {cell}").unwrap();
        }
    }
    let mut table =
        "| | Mbed Crypto | PKCS#11 (SoftHSM) | TPM (swtpm) |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        writeln!(table, "| {row} |").unwrap();
    }
    writeln!(table, "\n(1) {RSA_12}.").unwrap();
    has_table(PAGE, "tests/tests/docs_parsec.rs", &table);
}

const OAEP: &str = "oaep -pkeyopt rsa_oaep_md:sha256";

/// The condition under which an RSA key without PSS does TLS 1.2.
const RSA_12: &str = "With `MaxProtocol = TLSv1.2` and `SignatureAlgorithms = RSA+SHA256`";

fn is_done(works: bool) -> &'static str {
    match works {
        true => "yes",
        false => "no",
    }
}

/// What such a key that hwkey makes is of use for.
fn key_cell(parsec: &Parsec, options: &str) -> String {
    let name = options.replace([' ', ':'], "-");
    let uri = format!("hwkey_uri:parsec:{name}");
    let make = format!("genpkey -propquery provider=hwkey {options} -pkeyopt {{}} -out key.pem");
    let made = parsec.openssl(&make, &[&uri]).finish();
    if !made.ok {
        assert!(made.all().contains("PsaError"), "{}", made.all());
        return "no".into();
    }
    let certify = "req -x509 -new -key key.pem -subj /CN=localhost -days 9 -out cert.pem";
    let certify = parsec.openssl(certify, &[]);
    certify.args(digest_of(options)).ok();
    let handshake = |version: &str| {
        let then = "handshake(with_key(server()), with_key(client()), ssl.TLSVersion.";
        let done = script(parsec, &format!("{then}{version})"), "key.pem", "cert.pem");
        done.finish().ok
    };
    let mut uses = vec!["signs"];
    if handshake("TLSv1_2") {
        uses.push("TLS 1.2");
    }
    if handshake("TLSv1_3") {
        uses.push("TLS 1.3");
    }
    parsec.configure_tls("MaxProtocol = TLSv1.2\nSignatureAlgorithms = RSA+SHA256\n");
    if uses.len() == 1 && handshake("TLSv1_2") {
        uses.push("TLS 1.2 (1)");
    }
    parsec.configure(&parsec.conf());
    uses.join(", ")
}

/// The digest with which such a key is made.
fn digest_of(options: &str) -> [&'static str; 1] {
    match options {
        options if options.ends_with("P-384") => ["-sha384"],
        options if options.ends_with("P-521") => ["-sha512"],
        _ => ["-sha256"],
    }
}

fn decryption(parsec: &Parsec, make: &str, padding: &str) -> String {
    let name = make.replace(' ', "-");
    parsec.tool(&format!("{make} {{}}"), &[&name]).ok();
    let uri = format!("parsec:{name}");
    parsec
        .openssl("pkey -in {} -pubout -out public", &[&uri])
        .ok();
    let options = format!("-pkeyopt rsa_padding_mode:{padding}");
    parsec
        .openssl(
            &format!("pkeyutl -encrypt -pubin -inkey public {options} -in message -out secret"),
            &[],
        )
        .ok();
    let decrypt = format!("pkeyutl -decrypt -inkey {{}} {options} -in secret");
    let done = parsec.openssl(&decrypt, &[&uri]).finish();
    is_done(done.ok && done.stdout == "to whom it may concern").into()
}

fn agreement(parsec: &Parsec, provider: ParsecProvider) -> String {
    // Who has no ECDH makes the key all the same, or refuses to.
    if !parsec.may_make_key(provider, "agrees", "ecdh").ok {
        return "no".into();
    }
    for command in [
        "genpkey -algorithm EC -pkeyopt group:P-256 -out peer.key",
        "pkey -in peer.key -pubout -out peer.pub",
    ] {
        parsec.openssl(command, &[]).ok();
    }
    let derive = "pkeyutl -derive -inkey parsec:agrees -peerkey peer.pub -out ours";
    let done: Finished = parsec.openssl(derive, &[]).finish();
    is_done(done.ok).into()
}

// ---- the messages -----------------------------------------------------------------------------------

#[test]
fn the_page_on_parsec_has_the_messages_that_one_sees() {
    let parsec = Parsec::new(&ParsecProvider::ALL);
    let seen = [
        of_keys(&parsec),
        of_policies(&parsec),
        of_new_keys(&parsec),
        of_clients(&parsec),
        of_nginx(),
        of_hardware(),
        of_the_way(&parsec),
    ]
    .concat();
    has_only_messages_that_are_seen(PAGE, &seen, &[]);
}

fn load(parsec: &Parsec, uri: &str) -> String {
    parsec.openssl("pkey -in {} -noout", &[uri]).fails()
}

fn sign(parsec: &Parsec, options: &str, uri: &str) -> Run {
    let sign = format!("dgst {options} -sign {{}} -out signature message");
    parsec.openssl(&sign, &[uri])
}

fn of_keys(parsec: &Parsec) -> String {
    let mut said = load(parsec, "parsec:device");
    for provider in [MbedCrypto, Pkcs11] {
        parsec
            .tool_at(provider, "create-ecc-key --key-name device", &[])
            .ok();
    }
    said += &load(parsec, "parsec:device");
    said += &load(parsec, "parsec:device;app=a?auth=unix");
    parsec.reference("parsec:device;provider=pkcs11", "key.pem");
    let planted = hwkey_tests::reference("parsec:device?socket=/run/other.sock", |_| {});
    fs::write(parsec.path("planted.pem"), planted).unwrap();
    said += &load(parsec, "planted.pem");
    let without = parsec.openssl("pkey -in parsec:device -noout", &[]);
    said += &without.env_remove("OPENSSL_CONF").fails();
    let mut steps = parsec.steps();
    steps.ok("load=key.pem");
    let mut again = || steps.take("sign") + "\n";
    parsec
        .tool_at(Pkcs11, "delete-key --key-name device", &[])
        .ok();
    said += &again();
    parsec
        .tool_at(Pkcs11, "create-ecc-key --key-name device", &[])
        .ok();
    said += &again();
    said
}

fn of_policies(parsec: &Parsec) -> String {
    let device = "parsec:device;provider=mbed-crypto";
    let mut said = sign(parsec, "-sha384", device).fails();
    parsec
        .tool_at(Tpm, "create-rsa-key --for-signing --key-name rsa", &[])
        .ok();
    said += &sign(parsec, "-sha256 -sigopt rsa_padding_mode:pss", "parsec:rsa").fails();
    parsec
        .tool_at(Tpm, "create-rsa-key --key-name decrypts", &[])
        .ok();
    said += &sign(parsec, "-sha256", "parsec:decrypts").fails();
    parsec
        .tool_at(Tpm, "create-rsa-key --oaep --key-name oaep", &[])
        .ok();
    fs::write(parsec.path("secret"), [7; 256]).unwrap();
    let decrypt = "pkeyutl -decrypt -inkey parsec:oaep -pkeyopt rsa_padding_mode:oaep -in secret";
    said += &parsec.openssl(decrypt, &[]).fails();
    said
}

fn of_new_keys(parsec: &Parsec) -> String {
    let make = |options: &str, uri: &str| {
        let make =
            format!("genpkey -propquery provider=hwkey {options} -pkeyopt {{}} -out new.pem");
        parsec.openssl(&make, &[&format!("hwkey_uri:parsec:{uri}")])
    };
    let mut said = make(
        "-algorithm EC -pkeyopt group:P-384",
        "one;provider=mbed-crypto",
    )
    .fails();
    said += &make("-algorithm EC -pkeyopt group:P-256", "device").fails();
    said += &make("-algorithm RSA-PSS", "pss;provider=pkcs11").fails();
    said
}

fn of_clients(parsec: &Parsec) -> String {
    let mut said = load(parsec, "parsec:device;app=gateway");
    parsec.configure(&parsec.conf().option("parsec-auth", "jwt-svid"));
    said += &load(parsec, "parsec:device");
    parsec.configure(&parsec.conf());
    let only_mbed = Parsec::new(&[MbedCrypto]);
    said += &load(&only_mbed, "parsec:device;provider=tpm");
    said
}

/// A server whose workers have another user than who loads the key.
fn of_nginx() -> String {
    let parsec = Parsec::new(&[MbedCrypto]);
    parsec.tool("create-ecc-key --key-name server", &[]).ok();
    let (key, certificate) = parsec.self_signed("parsec:server", "server");
    let nginx = Nginx::at(parsec, &key, certificate);
    let connect = format!("localhost:{}", nginx.port);
    Run::new("openssl")
        .args(["s_client", "-connect", &connect])
        .fails();
    wait_until("the reason in nginx's log", || {
        nginx.said().contains("the key was loaded by user id 0")
    });
    nginx.said()
}

fn of_hardware() -> String {
    let parsec = Parsec::new(&[Pkcs11, Tpm]);
    parsec.tool("create-ecc-key --key-name device", &[]).ok();
    parsec
        .tool_at(Tpm, "create-ecc-key --key-name other", &[])
        .ok();
    parsec.take_token_away();
    parsec.tpm().stop();
    sign(&parsec, "-sha256", "parsec:device").fails()
        + &sign(&parsec, "-sha256", "parsec:other").fails()
}

/// The way to the service.
fn of_the_way(parsec: &Parsec) -> String {
    let message = parsec.path("message").display().to_string();
    let mut said = load(parsec, &format!("parsec:device?socket={message}"));
    parsec.signal("STOP");
    said += &load(parsec, "parsec:device?timeout=200");
    parsec.signal("CONT");
    let directory = parsec.socket_directory();
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    let as_somebody = parsec.run_as(SOMEBODY, "openssl");
    said += &as_somebody
        .args(["pkey", "-in", "parsec:device", "-noout"])
        .fails();
    parsec.stop();
    said += &load(parsec, "parsec:device");
    fs::remove_file(parsec.socket()).unwrap();
    said += &load(parsec, "parsec:device");
    let other = parsec.path("other.sock");
    let echo = Run::new("/usr/bin/python3").args(["-c", ECHO]).arg(&other);
    let _echo = echo.background(None);
    wait_until("another program's socket", || other.exists());
    said += &load(parsec, &format!("parsec:device?socket={}", other.display()));
    said
}

/// Says the same to all its clients, until they hang up.
const ECHO: &str = "
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + '.new')
listener.listen()
os.rename(sys.argv[1] + '.new', sys.argv[1])
while True:
    peer = listener.accept()[0]
    peer.sendall(b'SSH-2.0-OpenSSH_9.2 is what this is, and nothing else\\r\\n')
    while peer.recv(4096): pass
    peer.close()";
