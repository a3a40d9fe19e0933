//! Modules by way of p11-kit. Its proxy and its client make an instance of themselves for each
//! C_GetFunctionList, with sessions of its own.

use hwkey_tests::{Bench, KeyType, Python};

/// Signs and verifies with the key `key`.
fn signs(bench: &Bench) {
    let uri = bench.uri("key");
    bench
        .openssl("req -x509 -new -key {} -subj /CN=x -out c.pem", &[&uri])
        .ok();
    bench.openssl("verify -CAfile c.pem c.pem", &[]).ok();
}

#[test]
fn without_a_module_path_the_systems_p11_kit_configuration_holds() {
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let bench = Bench::new("proxied");
        bench.token.make_key(key, "key", "01");
        bench.configure(&bench.conf().without("pkcs11-module-path"));
        signs(&bench);
    }
}

#[test]
fn children_sign_through_the_proxy_too() {
    let python = Python::new(KeyType::P256);
    let conf = python.bench.conf().without("pkcs11-module-path");
    python.bench.configure(&conf);
    let finished = python.run(
        "one, other = with_key(server()), with_key(client())
both(one, other)
for pid in [child(lambda: both(one, other)) for _ in range(3)]:
    ended_well(pid)
both(one, other)",
    );
    assert!(finished.ok, "{}", finished.all());
}
