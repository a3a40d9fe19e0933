//! The same on every kind of token: SoftHSM, kryoptic, and one on another machine.

use std::fs;

use hwkey_tests::{
    Authority, Bench, Broker, KeyType, Kind, Nginx, Python, Said, WRONG_PIN, hammer, helper,
    key_files, load,
};

const KEYS: [(KeyType, &str, &str); 3] = [
    (KeyType::P256, "p256", "01"),
    (KeyType::P384, "p384", "02"),
    (KeyType::Rsa2048, "rsa", "03"),
];

/// Each scenario is a test of its own on each kind of token.
macro_rules! on_every_kind {
    ($($scenario:ident)*) => {
        on_every_kind! { softhsm Kind::SoftHsm: $($scenario)* }
        on_every_kind! { kryoptic Kind::Kryoptic: $($scenario)* }
        on_every_kind! { remote Kind::Remote: $($scenario)* }
    };
    ($module:ident $kind:path: $($scenario:ident)*) => {
        mod $module {
            use super::*;
            $(#[test] fn $scenario() { super::$scenario($kind) })*
        }
    };
}

on_every_kind! {
    a_listing_has_each_key_once
    requests_and_certificates_verify
    a_certificate_on_the_token_loads_beside_its_key
    the_reference_file_of_a_key_signs_for_it
    signatures_verify_with_the_public_key
    a_hundred_signatures_leave_the_token_as_it_was
    both_ends_of_tls_12_and_13_use_the_token
    children_and_their_parent_sign_at_once_with_a_key_loaded_before
    eight_threads_load_sign_and_free_keys_from_a_cold_start
    a_wrong_pin_is_refused_by_the_token_and_never_printed
    nginx_workers_without_rights_sign_200_handshakes_across_a_reload
    messages_arrive_at_a_broker_over_tls_12_and_13
}

/// A key of each type, the public half of each in `<label>.pub`, and the file `message`.
fn bench(kind: Kind) -> Bench {
    let bench = Bench::on(kind, "token");
    bench.make_keys(&KEYS);
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    bench
}

fn a_listing_has_each_key_once(kind: Kind) {
    let bench = bench(kind);
    let listing = bench.openssl("storeutl -noout {}", &["pkcs11:token=token"]);
    let listing = listing.ok();
    for (_, label, id) in KEYS {
        let uri = format!("id=%{id};object={label};type=private");
        assert_eq!(listing.matches(&uri).count(), 1, "{listing}");
    }
    assert!(listing.contains("Total found: 3"), "{listing}");
}

fn requests_and_certificates_verify(kind: Kind) {
    let bench = bench(kind);
    for (_, label, _) in KEYS {
        let uri = bench.uri(label);
        bench
            .openssl("req -new -key {} -subj /CN=x -out r.csr", &[&uri])
            .ok();
        let said = bench.openssl("req -in r.csr -verify -noout", &[]).finish();
        assert!(said.all().contains("verify OK"), "{label}");
        let make = "req -x509 -new -key {} -subj /CN=x -days 9 -out c.crt";
        bench.openssl(make, &[&uri]).ok();
        bench.openssl("verify -CAfile c.crt c.crt", &[]).ok();
    }
}

fn a_certificate_on_the_token_loads_beside_its_key(kind: Kind) {
    let bench = bench(kind);
    let (_, certificate) = bench.self_signed("p256");
    bench
        .openssl("x509 -in {} -outform DER -out c.der", &[&certificate])
        .ok();
    let der = bench.path("c.der");
    bench.token.write_certificate(&der, "p256", "01");
    let loaded = bench.openssl("x509 -in {}", &[&bench.uri("p256")]).ok();
    let made = fs::read_to_string(bench.path(&certificate)).unwrap();
    assert_eq!(loaded, made);
}

fn the_reference_file_of_a_key_signs_for_it(kind: Kind) {
    let bench = bench(kind);
    for (_, label, _) in KEYS {
        bench
            .openssl("pkey -in {} -out key.pem", &[&bench.uri(label)])
            .ok();
        bench
            .openssl("dgst -sha256 -sign key.pem -out s message", &[])
            .ok();
        verifies(&bench, label, "-sha256");
    }
}

fn signatures_verify_with_the_public_key(kind: Kind) {
    const PSS: &str = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
    let bench = bench(kind);
    for (key, label, _) in KEYS {
        for digest in ["sha1", "sha256", "sha384", "sha512", "sha3-256"] {
            let mut ways = vec![format!("-{digest}")];
            if key == KeyType::Rsa2048 {
                ways.push(format!("-{digest} {PSS}"));
            }
            for way in ways {
                let sign = format!("dgst {way} -sign {{}} -out s message");
                bench.openssl(&sign, &[&bench.uri(label)]).ok();
                verifies(&bench, label, &way);
            }
        }
        pkeyutl_signs(&bench, label);
    }
}

/// The signature `s` of `message` is one by the key `label`.
#[track_caller]
fn verifies(bench: &Bench, label: &str, options: &str) {
    let verify = format!("dgst {options} -verify {label}.pub -signature s message");
    bench.openssl(&verify, &[]).ok();
}

/// A digest is signed, and verified by dgst.
#[track_caller]
fn pkeyutl_signs(bench: &Bench, label: &str) {
    bench
        .openssl("dgst -sha256 -binary -out digest message", &[])
        .ok();
    let sign = "pkeyutl -sign -inkey {} -pkeyopt digest:sha256 -in digest -out s";
    bench.openssl(sign, &[&bench.uri(label)]).ok();
    verifies(bench, label, "-sha256");
}

fn a_hundred_signatures_leave_the_token_as_it_was(kind: Kind) {
    let bench = bench(kind);
    let before = bench.token.objects();
    assert!(before.len() > 6, "{before:?}");
    for (_, label, _) in KEYS {
        let reference = format!("{label}.pem");
        let uri = bench.uri(label);
        bench
            .openssl("pkey -in {} -out {}", &[&uri, &reference])
            .ok();
        let said = bench
            .run(helper("steps"))
            .arg(format!("load={reference}"))
            .args(["sign"; 100])
            .ok();
        assert_eq!(said, "ok\n".repeat(101), "{label}");
    }
    assert_eq!(bench.token.objects(), before);
}

fn both_ends_of_tls_12_and_13_use_the_token(kind: Kind) {
    for key in KeyType::ALL {
        let python = Python::on(kind, key);
        let printed = python
            .script("print(*both(with_key(server()), with_key(client())))")
            .ok();
        assert_eq!(printed, "TLSv1.2 TLSv1.3\n", "{key:?}");
    }
}

fn children_and_their_parent_sign_at_once_with_a_key_loaded_before(kind: Kind) {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let python = Python::on(kind, key);
        python.bench.token.share_with("nogroup");
        let printed = python
            .script(
                "
ends = with_key(server()), with_key(client())
def work():
    become_nobody()
    for _ in range(3):
        both(*ends)
# The parent has not signed yet.
ended_well(child(work))
both(*ends)
children = [child(work) for _ in range(3)]
for _ in range(3):
    both(*ends)
for pid in children:
    ended_well(pid)
print(*both(*ends))",
            )
            .ok();
        assert_eq!(printed, "TLSv1.2 TLSv1.3\n", "{key:?}");
    }
}

fn eight_threads_load_sign_and_free_keys_from_a_cold_start(kind: Kind) {
    let bench = bench(kind);
    let files = KEYS.map(|(_, label, _)| key_files(&bench, "token", label));
    hammer(&bench, &["8", "25"], &files);
    hammer(&bench, &["--shared", "8", "25"], &files);
}

fn a_wrong_pin_is_refused_by_the_token_and_never_printed(kind: Kind) {
    let bench = bench(kind);
    bench.write_pin(WRONG_PIN);
    let uri = bench.uri("p256");
    Said::by(load(&bench, &uri)).names(
        "PIN refused",
        &format!("loading {uri}"),
        &["logging in to token \"token\"", "CKR_PIN_INCORRECT"],
    );
    bench.write_pin(hwkey_tests::PIN);
    load(&bench, &uri).ok();
}

fn nginx_workers_without_rights_sign_200_handshakes_across_a_reload(kind: Kind) {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let nginx = Nginx::on(kind, key, |conf| conf);
        assert!(nginx.handshakes(&["reload"]) >= 200);
        let complaints = nginx.complaints();
        assert!(complaints.is_empty(), "{key:?}: {complaints:#?}");
    }
}

fn messages_arrive_at_a_broker_over_tls_12_and_13(kind: Kind) {
    let authority = Authority::on(kind);
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = authority.party_on(kind, "device", key);
        let broker = Broker::start(authority.party_on(kind, "broker", key));
        for version in ["tlsv1.2", "tlsv1.3"] {
            let received = broker.deliver(&device, version, version);
            assert_eq!(received, version, "{key:?}");
        }
    }
}
