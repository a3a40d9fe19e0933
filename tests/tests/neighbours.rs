//! hwkey beside pkcs11-provider and tpm2-openssl in one openssl.cnf.

use std::fs;
use std::path::PathBuf;

use hwkey_tests::{
    Algorithm, Bench, Conf, KeyType, Run, SOFTHSM, Tpm, TpmKey, free_port, software_works,
    wait_for_port,
};

/// What docs/neighbours.md recommends: software is left to default, in whatever order.
const PROPERTIES: &str = "?provider=default";

const ORDERS: [[&str; 4]; 4] = [
    ["default", "hwkey", "pkcs11", "tpm2"],
    ["default", "pkcs11", "hwkey", "tpm2"],
    ["default", "tpm2", "hwkey", "pkcs11"],
    ["default", "tpm2", "pkcs11", "hwkey"],
];

/// What `pkey -text` of each begins with.
const BY_HWKEY: &str = "in hardware";
const BY_PKCS11: &str = "PKCS11 ";
const BY_TPM2_OPENSSL: &str = "TPM 2.0";

/// A token with the keys `ec` and `rsa`, and a TPM with the key in `tpm.pem`.
struct Neighbours {
    tpm: Tpm,
    bench: Bench,
}

impl Neighbours {
    fn new() -> Self {
        let bench = Bench::new("neighbours");
        bench.token.make_key(KeyType::P256, "ec", "01");
        bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
        fs::write(bench.path("message"), "to whom it may concern").unwrap();
        let tpm = Tpm::start(&bench.dir);
        let neighbours = Self { tpm, bench };
        neighbours.configure(&["default", "tpm2"], PROPERTIES);
        let make =
            "genpkey -propquery ?provider=tpm2 -algorithm EC -pkeyopt group:P-256 -out tpm.pem";
        neighbours.openssl(make, &[]).ok();
        neighbours
    }

    fn configure(&self, order: &[&str], properties: &str) {
        let pkcs11 = format!(
            "module = {}\npkcs11-module-path = {SOFTHSM}\npkcs11-module-token-pin = file:{}\n\
             pkcs11-module-quirks = no-deinit\npkcs11-module-encode-provider-uri-to-pem = true",
            pkcs11_provider().display(),
            self.bench.pin_file().display(),
        );
        let conf: Conf = self.bench.conf();
        let conf = conf.with_provider("pkcs11", &pkcs11);
        let conf = conf.with_provider("tpm2", "").listing(order);
        self.bench.configure(&conf.properties(properties));
    }

    fn openssl(&self, arguments: &str, values: &[&str]) -> Run {
        self.tpm.for_program(self.bench.openssl(arguments, values))
    }

    /// The key file or URI loads by the provider that prints `text`, and what it signs verifies.
    #[track_caller]
    fn signs(&self, key: &str, text: &str) {
        let said = self.openssl("pkey -in {} -noout -text", &[key]).ok();
        assert!(said.contains(text), "{text}: {key}: {said}");
        self.openssl("dgst -sha256 -sign {} -out s message", &[key])
            .ok();
        self.openssl("pkey -in {} -pubout -out public", &[key]).ok();
        self.openssl("dgst -sha256 -verify public -signature s message", &[])
            .ok();
        self.openssl("req -x509 -new -key {} -subj /CN=x -out c.pem", &[key])
            .ok();
        self.openssl("verify -CAfile c.pem c.pem", &[]).ok();
    }

    /// The TPM's key signs. tpm2-openssl 1.1.1, where it gets the file, has to be asked for.
    #[track_caller]
    fn tpm_signs(&self) {
        self.openssl(
            "dgst -propquery ?provider=tpm2 -sha256 -sign tpm.pem -out s message",
            &[],
        )
        .ok();
        self.openssl("pkey -in tpm.pem -pubout -out public", &[])
            .ok();
        self.openssl("dgst -sha256 -verify public -signature s message", &[])
            .ok();
    }

    /// Reference files of the key `label`, one written by each provider alone.
    fn references(&self, label: &str) -> [String; 2] {
        ["hwkey", "pkcs11"].map(|provider| {
            let file = format!("{label}.{provider}.pem");
            self.configure(&["default", provider], PROPERTIES);
            let uri = self.bench.uri(label);
            self.openssl("pkey -in {} -out {}", &[&uri, &file]).ok();
            file
        })
    }

    /// TLS between keys in software.
    #[track_caller]
    fn tls_works(&self) {
        let make =
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout soft.key -out soft.crt";
        self.openssl(make, &[]).ok();
        let (port, _server) = self.bench.demanding_server("soft.key", "soft.crt");
        let connect = format!("127.0.0.1:{port}");
        for version in ["tls1_2", "tls1_3"] {
            let line = format!(
                "s_client -connect {{}} -{version} -key soft.key -cert soft.crt -CAfile soft.crt \
                 -verify_return_error -quiet"
            );
            let page = self.openssl(&line, &[&connect]);
            let page = page.input("GET / HTTP/1.0\r\n\r\n").ok();
            assert!(page.contains("Client certificate"), "{page}");
        }
    }
}

fn pkcs11_provider() -> PathBuf {
    const CURE: &str = "set HWKEY_TEST_PKCS11_PROVIDER to pkcs11-provider's pkcs11.so; ci/test \
                        unpacks one and sets it";
    let module = std::env::var_os("HWKEY_TEST_PKCS11_PROVIDER").filter(|module| !module.is_empty());
    let module = PathBuf::from(module.expect(CURE));
    assert!(module.exists(), "{} is missing: {CURE}", module.display());
    module
}

/// Who gets reference files. OpenSSL 3.0 sorts its providers by name whenever it loads another one, so
/// that only the last keeps its place; of two that read the same files the later does.
fn reads_files(order: &[&str]) -> &'static str {
    match order.last() {
        Some(&"hwkey") => BY_HWKEY,
        _ => BY_PKCS11,
    }
}

#[test]
fn uris_go_to_hwkey_and_reference_files_to_pkcs11_provider_unless_hwkey_is_the_last() {
    let neighbours = Neighbours::new();
    let references = neighbours.references("ec");
    for order in ORDERS {
        neighbours.configure(&order, PROPERTIES);
        let uri = match reads_files(&order) {
            BY_HWKEY => BY_PKCS11,
            _ => BY_HWKEY,
        };
        for label in ["ec", "rsa"] {
            neighbours.signs(&neighbours.bench.uri(label), uri);
        }
        for reference in &references {
            neighbours.signs(reference, reads_files(&order));
        }
    }
}

#[test]
fn in_every_order_the_tpm_signs_and_software_is_left_alone() {
    let neighbours = Neighbours::new();
    for order in ORDERS {
        neighbours.configure(&order, PROPERTIES);
        let list = neighbours.openssl("list -providers", &[]).ok();
        assert_eq!(list.matches("status: active").count(), 4, "{list}");
        for name in order {
            assert!(list.contains(&format!("  {name}\n")), "{list}");
        }
        neighbours.tpm_signs();
        software_works(&neighbours.bench);
        neighbours.tls_works();
    }
}

#[test]
fn tss2_files_go_to_tpm2_openssl_and_handles_to_hwkey_unless_hwkey_is_the_last() {
    let neighbours = Neighbours::new();
    let key = TpmKey::new(Algorithm::P256).counting_no_tries();
    neighbours.tpm.persist("0x81000010", key);
    let load = |key: &str, query: &str| {
        let said = neighbours.openssl("pkey -propquery {} -in {} -noout -text", &[query, key]);
        said.ok()
    };
    for order in ORDERS {
        neighbours.configure(&order, PROPERTIES);
        let [of_files, of_handles] = match reads_files(&order) {
            BY_HWKEY => [BY_HWKEY, BY_TPM2_OPENSSL],
            _ => [BY_TPM2_OPENSSL, BY_HWKEY],
        };
        let handle = "handle:0x81000010";
        assert!(load("tpm.pem", "").contains(of_files), "{order:?}");
        assert!(load(handle, "").contains(of_handles), "{order:?}");
        // Nobody else has these.
        let ours = "tpm2:handle=0x81000010";
        neighbours.signs(ours, BY_HWKEY);
        // A query names the provider of a URI.
        assert!(load(handle, "?provider=hwkey").contains(BY_HWKEY));
        assert!(load(handle, "?provider=tpm2").contains(BY_TPM2_OPENSSL));
        if of_files == BY_HWKEY {
            neighbours.signs("tpm.pem", BY_HWKEY);
        }
    }
}

#[test]
fn a_property_query_names_the_provider_of_a_uri() {
    let neighbours = Neighbours::new();
    let uri = neighbours.bench.uri("ec");
    for order in ORDERS {
        neighbours.configure(&order, PROPERTIES);
        for (provider, text) in [("hwkey", BY_HWKEY), ("pkcs11", BY_PKCS11)] {
            let query = format!("?provider={provider}");
            let load = "pkey -propquery {} -in {} -noout -text";
            let said = neighbours.openssl(load, &[&query, &uri]).ok();
            assert!(said.contains(text), "{order:?} {provider}: {said}");
        }
    }
}

#[test]
fn the_preference_for_all_others_leaves_uris_to_pkcs11_provider() {
    let neighbours = Neighbours::new();
    let [reference, _] = neighbours.references("ec");
    for order in ORDERS {
        neighbours.configure(&order, "?provider!=hwkey");
        neighbours.signs(&neighbours.bench.uri("ec"), BY_PKCS11);
        neighbours.signs(&reference, reads_files(&order));
    }
}

#[test]
fn each_reads_the_reference_files_of_the_other() {
    let neighbours = Neighbours::new();
    for label in ["ec", "rsa"] {
        let references = neighbours.references(label);
        for (provider, text) in [("hwkey", BY_HWKEY), ("pkcs11", BY_PKCS11)] {
            neighbours.configure(&["default", provider], PROPERTIES);
            for reference in &references {
                neighbours.signs(reference, text);
            }
        }
    }
}

#[test]
fn one_server_has_a_key_of_hwkey_and_one_of_pkcs11_provider() {
    let neighbours = Neighbours::new();
    let [reference, _] = neighbours.references("rsa");
    neighbours.configure(&ORDERS[0], PROPERTIES);
    let ec = neighbours.bench.uri("ec");
    for (key, file) in [(&ec, "ec.crt"), (&reference, "rsa.crt")] {
        let make = "req -x509 -new -key {} -subj /CN=localhost -out {}";
        neighbours.openssl(make, &[key, file]).ok();
    }
    let port = free_port();
    let accept = port.to_string();
    let serve = "s_server -accept {} -key {} -cert ec.crt -dkey {} -dcert rsa.crt -www";
    let log = neighbours.bench.path("server.log");
    let _server = neighbours
        .openssl(serve, &[&accept, &ec, &reference])
        .background(Some(&log));
    wait_for_port(port);
    let connect = format!("127.0.0.1:{port}");
    // In turn: neither may end the other's login or session.
    for _ in 0..3 {
        for (algorithm, file) in [
            ("ecdsa_secp256r1_sha256", "ec.crt"),
            ("rsa_pss_rsae_sha256", "rsa.crt"),
        ] {
            let line = "s_client -connect {} -sigalgs {} -CAfile {} -verify_return_error -quiet";
            let client = neighbours.openssl(line, &[&connect, algorithm, file]);
            let page = client.input("GET / HTTP/1.0\r\n\r\n").ok();
            assert!(page.contains("HTTP/1.0 200 ok"), "{algorithm}: {page}");
        }
    }
}
