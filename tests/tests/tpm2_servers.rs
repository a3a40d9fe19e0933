//! Servers and their clients with keys of one TPM at the same time.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use hwkey_tests::{
    Algorithm, Background, Gateway, Nginx, Run, Site, TpmKey, free_port, wait_for_port, wait_until,
};

/// A machine with an authority in software, `ca.crt`.
fn gateway() -> Gateway {
    let gateway = Gateway::new();
    gateway
        .openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=authority \
             -keyout ca.key -out ca.crt",
            &[],
        )
        .ok();
    gateway
}

/// `<name>.crt`, which the authority signed, for the key in `<name>.pem`.
fn certify(gateway: &Gateway, name: &str) {
    let [key, request, certificate] =
        ["pem", "csr", "crt"].map(|extension| format!("{name}.{extension}"));
    gateway
        .openssl(
            "req -new -key {} -subj /CN={} -addext subjectAltName=DNS:localhost -out {}",
            &[&key, name, &request],
        )
        .ok();
    gateway
        .openssl(
            "x509 -req -in {} -CA ca.crt -CAkey ca.key -CAcreateserial -copy_extensions copy -out {}",
            &[&request, &certificate],
        )
        .ok();
}

/// mosquitto, which gives up root's rights before it loads `broker.pem`.
fn broker(gateway: &Gateway, port: u16) -> Background {
    let conf = format!(
        "user mosquitto\nlistener {port} 127.0.0.1\ncafile ca.crt\ncertfile broker.crt\n\
         keyfile broker.pem\nrequire_certificate true\nuse_identity_as_username true\n\
         log_dest stderr\nlog_type all\n"
    );
    fs::write(gateway.path("mosquitto.conf"), conf).unwrap();
    gateway.run("chown").args(["mosquitto", "broker.pem"]).ok();
    let program = gateway.run("/usr/sbin/mosquitto");
    let broker = program
        .args(["-c", "mosquitto.conf"])
        .background(Some(&broker_log(gateway)));
    wait_for_port(port);
    broker
}

fn broker_log(gateway: &Gateway) -> PathBuf {
    gateway.path("broker.log")
}

/// mosquitto_pub or mosquitto_sub with the key of `name`.
fn client(gateway: &Gateway, program: &str, name: &str, port: u16, version: &str) -> Run {
    let (key, certificate) = (format!("{name}.pem"), format!("{name}.crt"));
    let run = gateway.run(program).args(["-h", "localhost", "-p"]);
    run.args([&port.to_string(), "--cafile", "ca.crt"])
        .args(["--tls-version", version, "--key", &key, "--cert"])
        .args([&certificate, "-t", "topic"])
}

#[test]
fn a_broker_a_subscriber_and_a_publisher_have_keys_of_one_tpm_at_the_same_time() {
    for algorithm in [Algorithm::P256, Algorithm::Rsa2048] {
        let gateway = gateway();
        for name in ["broker", "subscriber", "publisher"] {
            let file = format!("{name}.pem");
            gateway.tpm.openssl_key_file(&file, algorithm, None);
            certify(&gateway, name);
        }
        let port = free_port();
        let broker = broker(&gateway, port);
        assert!(!broker.is_root());
        for (round, version) in ["tlsv1.2", "tlsv1.3"].into_iter().enumerate() {
            let received = gateway.path(&format!("received.{version}"));
            let subscriber = client(&gateway, "mosquitto_sub", "subscriber", port, version);
            let subscriber = subscriber
                .args(["-C", "5", "-W", "60"])
                .background(Some(&received));
            let log = || fs::read_to_string(broker_log(&gateway)).unwrap_or_default();
            wait_until("the subscription", || {
                log().matches("Sending SUBACK to ").count() == round + 1
            });
            let publish = |number: usize| {
                let run = client(&gateway, "mosquitto_pub", "publisher", port, version);
                run.args(["-m", &number.to_string()]).background(None)
            };
            let publishers: Vec<_> = (0..5).map(publish).collect();
            assert!(publishers.into_iter().all(Background::wait), "{}", log());
            assert!(subscriber.wait(), "{}", log());
            let received = fs::read_to_string(received).unwrap();
            let mut received: Vec<&str> = received.lines().collect();
            received.sort_unstable();
            assert_eq!(received, ["0", "1", "2", "3", "4"]);
            assert!(!log().contains("hwkey"), "{}", log());
        }
        drop(broker);
        assert_eq!(gateway.tpm.loaded(), [""; 0]);
    }
}

/// The master loads the key as root, two workers sign as www-data.
#[track_caller]
fn nginx_signs(gateway: Gateway) {
    gateway.certify("key.pem", "localhost", "key.crt");
    let nginx = Nginx::at(gateway, "key.pem", "key.crt".into());
    let since = Instant::now();
    assert!(nginx.handshakes(&["reload"]) >= 200);
    println!("200 handshakes in {:?}", since.elapsed());
    let complaints = nginx.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn nginx_with_two_workers_signs_across_a_reload_with_a_key_file() {
    let gateway = Gateway::new();
    gateway
        .tpm
        .openssl_key_file("key.pem", Algorithm::P256, Some("a-good-value"));
    gateway.write_pin("a-good-value");
    gateway.configure(&gateway.conf_with_pin_file());
    nginx_signs(gateway);
}

#[test]
fn nginx_with_two_workers_signs_across_a_reload_with_a_persistent_rsa_key() {
    let gateway = Gateway::new();
    gateway
        .tpm
        .persist("0x81000010", TpmKey::new(Algorithm::Rsa2048));
    gateway.reference("tpm2:handle=0x81000010", "key.pem");
    nginx_signs(gateway);
}

#[test]
fn a_key_that_is_bound_to_rsassa_says_what_tls_13_lacks() {
    let gateway = Gateway::new();
    let key = TpmKey::new(Algorithm::Rsa2048).only_signing();
    gateway
        .tpm
        .persist("0x81000010", key.scheme("rsassa-sha256"));
    gateway.reference("tpm2:handle=0x81000010", "key.pem");
    gateway.certify("key.pem", "localhost", "key.crt");
    let start = |options: &[&str]| {
        let port = free_port();
        let server = gateway.openssl(
            "s_server -accept {} -key key.pem -cert key.crt -www",
            &[&port.to_string()],
        );
        let server = server.args(options);
        let server = server.background(Some(&gateway.path("server.log")));
        wait_for_port(port);
        (port, server)
    };
    let client = |port: u16| {
        let connect = format!("localhost:{port}");
        let run = Run::new("openssl").args(["s_client", "-connect", &connect]);
        run.args(["-CAfile", "key.crt", "-verify_return_error"])
            .dir(&gateway.path(""))
    };
    let (port, _server) = start(&[]);
    client(port).fails();
    wait_until("the reason in the server's log", || {
        let log = fs::read_to_string(gateway.path("server.log")).unwrap_or_default();
        log.contains("set MaxProtocol = TLSv1.2 and SignatureAlgorithms = RSA+SHA256")
    });
    // What it says, as options of this program.
    let (port, _server) = start(&["-no_tls1_3", "-sigalgs", "RSA+SHA256"]);
    client(port).ok();
}
