//! The page on TPMs works as it is printed, its table of what works is true, and its messages are those
//! that one sees.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use hwkey_tests::{
    Algorithm, Background, Conf, Finished, Followed, Run, Tpm, TpmKey, free_port,
    has_only_messages_that_are_seen, has_table, module, wait_for_port,
};

const PAGE: &str = "docs/tpm2.md";

#[test]
fn the_page_on_tpms_leads_from_a_new_key_to_messages_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(dir.path());
    let followed = Followed::with_tpm(PAGE, &tpm, &["8883", "1883"], &[]);
    let received = followed.read("received");
    for message in ["61.5 degrees", "58.0 degrees"] {
        assert!(received.contains(message), "{received}");
    }
    assert!(followed.read("cloud.log").contains("u'device-1'"));
    assert!(followed.read("third.tpm.pem").contains("TSS2 PRIVATE KEY"));
    for text in [
        "Private-Key: (256 bit) in hardware",
        "tpm2:handle=0x81000010",
        "tpm2:nv=0x01c10000",
        "subject=CN = device-1",
        "\n61.5\n",
    ] {
        followed.says(text);
    }
    let all = followed.said.all();
    assert!(!all.contains("hwkey: "), "{all}");
    assert_eq!(tpm.loaded(), [""; 0]);
}

/// A TPM, and hwkey with it.
struct Desk {
    tpm: Tpm,
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tpm = Tpm::start(dir.path());
        let desk = Self { tpm, dir };
        desk.configure(&desk.conf());
        fs::write(desk.path().join("message"), "to whom it may concern").unwrap();
        desk
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn conf(&self) -> Conf {
        Conf::new().option("tpm2-tcti", &self.tpm.tcti())
    }

    fn configure(&self, conf: &Conf) {
        fs::write(self.path().join("openssl.cnf"), conf.text()).unwrap();
    }

    fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.software(arguments, values)
            .env("OPENSSL_CONF", self.path().join("openssl.cnf"))
            .env("TSS2_LOG", "all+NONE")
    }

    /// Without hwkey.
    fn software(&self, arguments: &str, values: &[&str]) -> Run {
        Run::new("openssl")
            .dir(self.path())
            .words(arguments, values)
    }

    fn signing(&self, key: &str) -> Run {
        self.openssl("dgst -sha256 -sign {} -out signature message", &[key])
    }
}

// ---- the table of what works ------------------------------------------------------------------------

/// Why something does not work: what hwkey says then, and what the page says below its table.
const REASONS: [(&str, &str); 4] = [
    (
        "the key's attribute \"sign\" is clear",
        "The key does not sign",
    ),
    (
        "the key does not decrypt",
        "The key does not decrypt, or is bound to a scheme",
    ),
    (
        "the key's attribute \"decrypt\" is clear",
        "The key takes no part in ECDH",
    ),
    (
        "the key is bound to RSASSA",
        "The key has no PSS, which OpenSSL prefers; with `MaxProtocol = TLSv1.2` and \
         `SignatureAlgorithms = RSA+SHA256` it works",
    ),
];

/// The keys of the table: handle, what the page calls it, and the key.
fn keys() -> Vec<(&'static str, &'static str, TpmKey<'static>)> {
    use Algorithm::{P256, P384, P521, Rsa2048, Rsa3072};
    let key = TpmKey::new;
    vec![
        ("0x81000010", "P-256 | sign, decrypt", key(P256)),
        ("0x81000011", "P-256 | sign", key(P256).only_signing()),
        ("0x81000012", "P-256 | decrypt", key(P256).only_decrypting()),
        (
            "0x81000013",
            "P-256 | restricted, ECDSA with SHA-256",
            key(P256).restricted("ecdsa-sha256"),
        ),
        ("0x81000014", "P-384 | sign, decrypt", key(P384)),
        ("0x81000015", "P-521 | sign, decrypt", key(P521)),
        ("0x81000016", "RSA-2048 | sign, decrypt", key(Rsa2048)),
        ("0x81000017", "RSA-2048 | sign", key(Rsa2048).only_signing()),
        (
            "0x81000018",
            "RSA-2048 | decrypt",
            key(Rsa2048).only_decrypting(),
        ),
        (
            "0x81000019",
            "RSA-2048 | sign, bound to RSASSA with SHA-256",
            key(Rsa2048).only_signing().scheme("rsassa-sha256"),
        ),
        ("0x8100001a", "RSA-3072 | sign, decrypt", key(Rsa3072)),
    ]
}

#[test]
fn the_table_of_what_works_is_true() {
    let desk = Desk::new();
    let mut table = "\
| key | attributes | signature | PSS | request | TLS 1.2 | TLS 1.3 | decryption | ECDH |
|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let server = Server::start(&desk);
    for (handle, name, key) in keys() {
        desk.tpm.persist(handle, key.counting_no_tries());
        let uri = format!("tpm2:handle={handle}");
        let cells = [
            signature(&desk, &uri),
            pss(&desk, &uri, name),
            request(&desk, &uri),
            server.is_reached(&desk, handle, "-tls1_2"),
            server.is_reached(&desk, handle, "-tls1_3"),
            decryption(&desk, &uri, name),
            ecdh(&desk, handle, name),
        ];
        writeln!(table, "| {name} | {} |", cells.join(" | ")).unwrap();
        desk.tpm.evict(handle);
    }
    for (number, (_, reason)) in (1..).zip(REASONS) {
        write!(table, "\n({number}) {reason}.\n").unwrap();
    }
    has_table(PAGE, "tests/tests/docs_tpm2.rs", &table);
}

const NOT_OF_THIS_TYPE: &str = "–";

fn signature(desk: &Desk, uri: &str) -> String {
    cell(desk.signing(uri), |_| verifies(desk, uri, ""))
}

fn pss(desk: &Desk, uri: &str, name: &str) -> String {
    if !name.starts_with("RSA") {
        return NOT_OF_THIS_TYPE.into();
    }
    let options = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
    let sign = format!("dgst -sha256 -sign {{}} {options} -out signature message");
    cell(desk.openssl(&sign, &[uri]), |_| {
        verifies(desk, uri, options)
    })
}

fn verifies(desk: &Desk, uri: &str, options: &str) -> bool {
    desk.openssl("pkey -in {} -pubout -out public", &[uri]).ok();
    let verify = format!("dgst -sha256 -verify public -signature signature {options} message");
    desk.software(&verify, &[]).finish().ok
}

fn request(desk: &Desk, uri: &str) -> String {
    let ask = desk.openssl("req -new -key {} -subj /CN=me -out request.pem", &[uri]);
    let verify = desk.software("req -in request.pem -verify -noout", &[]);
    cell(ask, |_| verify.finish().all().contains("verify OK"))
}

fn decryption(desk: &Desk, uri: &str, name: &str) -> String {
    if !name.starts_with("RSA") {
        return NOT_OF_THIS_TYPE.into();
    }
    let mut cells = Vec::new();
    for padding in ["pkcs1", "oaep"] {
        let options = format!("-pkeyopt rsa_padding_mode:{padding}");
        desk.openssl("pkey -in {} -pubout -out public", &[uri]).ok();
        let encrypt =
            format!("pkeyutl -encrypt -pubin -inkey public -in message -out secret {options}");
        desk.software(&encrypt, &[]).ok();
        let decrypt = format!("pkeyutl -decrypt -inkey {{}} -in secret {options}");
        cells.push(cell(desk.openssl(&decrypt, &[uri]), |said| {
            said.stdout == "to whom it may concern"
        }));
    }
    assert_eq!(cells[0], cells[1], "{name}");
    cells.swap_remove(0)
}

fn ecdh(desk: &Desk, handle: &str, name: &str) -> String {
    let Some(curve) = name.split(' ').next().filter(|name| name.starts_with("P-")) else {
        return NOT_OF_THIS_TYPE.into();
    };
    desk.software(
        "genpkey -algorithm EC -pkeyopt group:{} -out peer.key",
        &[curve],
    )
    .ok();
    desk.software("pkey -in peer.key -pubout -out peer.pub", &[])
        .ok();
    let public = format!("{handle}.pub");
    let theirs = desk.software(
        "pkeyutl -derive -inkey peer.key -peerkey {} -out theirs",
        &[&public],
    );
    theirs.ok();
    let uri = format!("tpm2:handle={handle}");
    let derive = desk.openssl(
        "pkeyutl -derive -inkey {} -peerkey peer.pub -out ours",
        &[&uri],
    );
    let read = |name| fs::read(desk.path().join(name)).unwrap();
    cell(derive, |_| read("ours") == read("theirs"))
}

/// An `openssl s_server` without hwkey that demands a certificate of its authority.
struct Server {
    port: u16,
    _process: Background,
}

impl Server {
    fn start(desk: &Desk) -> Self {
        let port = free_port();
        desk.software(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout ca.key -out ca.crt",
            &[],
        )
        .ok();
        let serve = "s_server -accept {} -key ca.key -cert ca.crt -CAfile ca.crt -Verify 1 \
                     -verify_return_error -www";
        let process = desk.software(serve, &[&port.to_string()]);
        let process = process.background(Some(&desk.path().join("server.log")));
        wait_for_port(port);
        Self {
            port,
            _process: process,
        }
    }

    fn is_reached(&self, desk: &Desk, handle: &str, version: &str) -> String {
        let subject = format!("/CN=key-{handle}");
        desk.software(
            "x509 -new -force_pubkey {}.pub -subj {} -CA ca.crt -CAkey ca.key -out own.crt",
            &[handle, &subject],
        )
        .ok();
        let (connect, uri) = (
            format!("localhost:{}", self.port),
            format!("tpm2:handle={handle}"),
        );
        let client = desk.openssl(
            "s_client -connect {} -key {} -cert own.crt -CAfile ca.crt -verify_return_error -quiet {}",
            &[&connect, &uri, version],
        );
        let client = client.input("GET / HTTP/1.0\r\n\r\n");
        let subject = format!("Subject: CN=key-{handle}");
        cell(client, |said| said.stdout.contains(&subject))
    }
}

/// "yes", or "no" with the number of the reason.
fn cell(run: Run, works: impl FnOnce(&Finished) -> bool) -> String {
    let said = run.finish();
    let mut reasons = REASONS.iter();
    if let Some(reason) = reasons.position(|(message, _)| said.all().contains(message)) {
        return format!("no ({})", reason + 1);
    }
    assert!(said.ok && works(&said), "{}", said.all());
    "yes".into()
}

// ---- the messages -----------------------------------------------------------------------------------

#[test]
fn the_page_on_tpms_has_the_messages_that_one_sees() {
    let desk = Desk::new();
    desk.openssl(
        "genpkey -propquery provider=hwkey -algorithm EC -pkeyopt group:P-256 \
         -pkeyopt hwkey_uri:tpm2: -out key.pem",
        &[],
    )
    .ok();
    let seen = [
        of_keys(&desk),
        of_values(&desk),
        of_slots(&desk),
        of_the_way(&desk),
        of_hwkey(&desk),
    ]
    .concat();
    let elsewhere = "TPM can't be used: looking for a TPM: there is no /dev/tpmrm0";
    let has_a_tpm = ["/dev/tpmrm0", "/dev/tpm0", "/run/dbus/system_bus_socket"]
        .iter()
        .any(|path| Path::new(path).exists());
    let elsewhere: &[&str] = if has_a_tpm { &[elsewhere] } else { &[] };
    has_only_messages_that_are_seen(PAGE, &seen, elsewhere);
}

fn of_keys(desk: &Desk) -> String {
    let mut said = desk.signing("tpm2:handle=0x81000066").fails();
    said += &desk.signing("tpm2:handle=0x80000001").fails();
    said += &desk.signing("tpm2:object=message").fails();
    let other = Desk::new();
    let theirs = desk.path().join("key.pem");
    said += &other.signing(theirs.to_str().unwrap()).fails();
    let restricted = TpmKey::new(Algorithm::P256).restricted("ecdsa-sha256");
    desk.tpm
        .persist("0x81000010", restricted.counting_no_tries());
    let uri = "tpm2:handle=0x81000010";
    fs::write(desk.path().join("digest"), [7; 32]).unwrap();
    let sign = "pkeyutl -sign -inkey {} -in digest -out signature";
    said += &desk.openssl(sign, &[uri]).fails();
    let sign = "dgst -sha384 -sign {} -out signature message";
    said += &desk.openssl(sign, &[uri]).fails();
    let key = TpmKey::new(Algorithm::Rsa2048).only_signing();
    desk.tpm.persist("0x81000011", key.counting_no_tries());
    let sign = "dgst -sha256 -sign {} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max \
                -out signature message";
    said += &desk.openssl(sign, &["tpm2:handle=0x81000011"]).fails();
    said
}

fn of_values(desk: &Desk) -> String {
    let key = TpmKey::new(Algorithm::P256).auth("right");
    desk.tpm.persist("0x81000012", key.counting_no_tries());
    let mut said = desk
        .signing("tpm2:handle=0x81000012?pin-value=wrong")
        .fails();
    desk.tpm.persist("0x81000013", key);
    desk.tpm.allow_tries(3);
    let (wrong, right) = (
        "tpm2:handle=0x81000013?pin-value=wrong",
        "tpm2:handle=0x81000013?pin-value=right",
    );
    said += &desk.signing(wrong).fails();
    // A try is on record, so the empty value is not tried.
    said += &desk.signing("tpm2:handle=0x81000013").fails();
    assert_eq!(desk.tpm.tries_spent(), 1);
    said += &desk.signing(wrong).fails();
    said += &desk.signing(right).fails();
    assert_eq!(desk.tpm.tries_left(), 1);
    desk.configure(&desk.conf().option("pin-final-try", "allow"));
    desk.signing(wrong).fails();
    desk.configure(&desk.conf());
    said += &desk.signing(right).fails();
    // The cure.
    desk.tpm.unlock();
    desk.signing(right).ok();
    said
}

fn of_slots(desk: &Desk) -> String {
    for file in ["a", "b", "c"] {
        // Not a parent: what is left of those, hwkey flushes.
        let make = "createprimary -C n -G ecc256:null:null -c {} -a \
                    fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
        desk.tpm.tpm2(make, &[file]).ok();
    }
    let said = desk.signing("key.pem").fails();
    desk.tpm.tpm2("flushcontext -t", &[]).ok();
    desk.tpm.tpm2("flushcontext -l", &[]).ok();
    desk.signing("key.pem").ok();
    said
}

/// The way to the TPM.
fn of_the_way(desk: &Desk) -> String {
    let through = |tcti: &str| {
        desk.configure(&desk.conf().option("tpm2-tcti", tcti));
        desk.signing("key.pem").fails()
    };
    let gone = Desk::new();
    gone.tpm.stop();
    let mut said = through(&gone.tpm.tcti());
    said += &through("pigeon:");
    // A device that belongs to others.
    let device = desk.path().join("device");
    fs::write(&device, "").unwrap();
    let read_by_all = "chmod 755 . && chmod 600 device && chmod 644 openssl.cnf key.pem message";
    Run::new("sh")
        .dir(desk.path())
        .args(["-c", read_by_all])
        .ok();
    desk.configure(
        &desk
            .conf()
            .option("tpm2-tcti", &format!("device:{}", device.display())),
    );
    said += &Run::new("setpriv")
        .dir(desk.path())
        .args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
        .args(["openssl", "pkey", "-in", "key.pem", "-noout"])
        .env("OPENSSL_CONF", desk.path().join("openssl.cnf"))
        .env("TSS2_LOG", "all+NONE")
        .fails();
    desk.configure(&desk.conf().without("tpm2-tcti"));
    said += &desk.signing("key.pem").finish().all();
    desk.configure(&desk.conf());
    said
}

/// hwkey is not there, or not whole, or not asked.
fn of_hwkey(desk: &Desk) -> String {
    let make = "genpkey -algorithm EC -pkeyopt group:P-256 -out none.pem";
    let mut said = desk
        .openssl(&format!("{make} -propquery provider=hwkey"), &[])
        .fails();
    said += &desk
        .openssl(&format!("{make} -pkeyopt hwkey_uri:tpm2:"), &[])
        .fails();
    // openssl empties the file that it writes to.
    let lost = desk.path().join("lost.pem");
    fs::copy(desk.path().join("key.pem"), &lost).unwrap();
    desk.openssl("pkey -in tpm2:handle=0x81000066 -out lost.pem", &[])
        .fails();
    assert_eq!(fs::read(&lost).unwrap(), b"");
    said += &desk.signing("lost.pem").fails();
    said += &desk
        .software(&format!("{make} -propquery provider=hwkey"), &[])
        .env("OPENSSL_CONF", "/dev/null")
        .fails();
    for key in ["key.pem", "tpm2:handle=0x81000010"] {
        let load = "pkey -in {} -noout";
        said += &desk
            .software(load, &[key])
            .env("OPENSSL_CONF", "/dev/null")
            .fails();
    }
    // Alone in its directory.
    let alone = desk.path().join("hwkey.so");
    fs::copy(module(), &alone).unwrap();
    let conf = desk.conf().text();
    let conf = conf.replace(module().to_str().unwrap(), alone.to_str().unwrap());
    fs::write(desk.path().join("openssl.cnf"), conf).unwrap();
    said += &desk.signing("key.pem").fails();
    desk.configure(&desk.conf());
    said
}
