//! Modules by way of p11-kit. Its proxy and its client make an instance of themselves for each
//! C_GetFunctionList, with sessions of its own.

use hwkey_tests::{Bench, KeyType, Python, Run, wait_until};

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

#[test]
fn a_token_served_over_a_socket_signs() {
    let bench = Bench::new("remote");
    bench.token.make_key(KeyType::P256, "key", "01");
    let socket = bench.path("p11.sock");
    // The server is the one that has the token; its client knows only the socket.
    let _server = bench
        .token
        .tool("p11-kit")
        .args([
            "server",
            "--foreground",
            "--provider",
            hwkey_tests::SOFTHSM,
            "-n",
        ])
        .args([socket.as_os_str(), "pkcs11:token=remote".as_ref()])
        .background(Some(&bench.path("server.log")));
    wait_until("the socket", || socket.exists());
    let client = client_module();
    bench.configure(&bench.conf().option("pkcs11-module-path", &client));
    let address = format!("unix:path={}", socket.display());
    let remote = |run: Run| {
        run.env("P11_KIT_SERVER_ADDRESS", &address)
            .env_remove("SOFTHSM2_CONF")
    };
    let uri = bench.uri("key");
    remote(bench.openssl("req -x509 -new -key {} -subj /CN=x -out c.pem", &[&uri])).ok();
    bench.openssl("verify -CAfile c.pem c.pem", &[]).ok();
}

fn client_module() -> String {
    let list = Run::new("dpkg").args(["-L", "p11-kit-modules"]).ok();
    let module = list
        .lines()
        .find(|line| line.ends_with("p11-kit-client.so"));
    module.expect("p11-kit-client.so").to_owned()
}
