//! MQTT: a mosquitto broker and its clients, each with its key in a token of its own.

use std::fs;

use hwkey_tests::{Authority, Broker, KeyType, wait_until};

const VERSIONS: [&str; 2] = ["tlsv1.2", "tlsv1.3"];

#[test]
fn messages_arrive_over_tls_12_and_13() {
    let authority = Authority::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = authority.party("device", key);
        let broker = Broker::start(authority.party("broker", key));
        for version in VERSIONS {
            let received = broker.deliver(&device, version, version);
            assert_eq!(received, version, "{key:?}");
        }
        // Both clients, twice, were known by their certificate.
        let log = broker.log();
        let known = log
            .lines()
            .filter(|line| line.contains("New client connected") && line.contains("u'device'"));
        assert_eq!(known.count(), 4, "{log}");
        assert!(!log.contains("hwkey"), "{log}");
        assert!(!broker.process.is_root());
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let broker = Broker::start(authority.party("broker", KeyType::P256));
    for version in VERSIONS {
        let publish = broker.client(&device, "mosquitto_pub", version);
        publish.args(["-t", "topic", "-m", "refused"]).fails();
    }
    let reason = "peer did not return a certificate";
    wait_until("both refusals in the log", || {
        broker.log().matches(reason).count() == 2
    });
    let log = broker.log();
    assert!(!log.contains("New client connected"), "{log}");
    assert_eq!(broker.deliver(&device, VERSIONS[1], "welcome"), "welcome");
}

#[test]
fn a_client_whose_certificate_is_another_key_s_is_refused() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let other = authority.party("other", KeyType::P256);
    let broker = Broker::start(authority.party("broker", KeyType::P256));
    fs::copy(other.path("cert.pem"), device.path("other.pem")).unwrap();
    broker
        .client(&device, "mosquitto_pub", VERSIONS[1])
        .args(["--key", "key.pem", "--cert", "other.pem"])
        .args(["-t", "topic", "-m", "refused"])
        .fails();
    assert!(!broker.log().contains("New client connected"));
}

#[test]
fn sighup_brings_the_renewed_certificate_of_the_same_key() {
    let authority = Authority::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = authority.party("device", key);
        let broker = Broker::start(authority.party("broker", key));
        assert_eq!(broker.deliver(&device, VERSIONS[0], "before"), "before");
        assert_eq!(broker.subject(), "CN = broker");
        // Three times: what a reload leaves behind must not harm the next.
        for renewed in ["first", "second", "third"] {
            authority.certify(&broker.bench, "broker", renewed);
            broker.process.signal("HUP");
            wait_until("the renewed certificate", || {
                broker.subject() == format!("CN = {renewed}")
            });
            for version in VERSIONS {
                let message = format!("{renewed}-{version}");
                assert_eq!(broker.deliver(&device, version, &message), message);
            }
        }
        let log = broker.log();
        assert!(!log.contains("Error: Unable to load"), "{log}");
    }
}

#[test]
fn broker_and_client_say_that_the_pin_is_wrong() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let broker = Broker::start(authority.party("broker", KeyType::P256));
    device.write_pin("11112222");
    let said = broker
        .client(&device, "mosquitto_pub", VERSIONS[1])
        .args(["--key", "key.pem", "--cert", "cert.pem"])
        .args(["-t", "topic", "-m", "refused"])
        .fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");

    let bench = authority.party("broker", KeyType::P256);
    bench.write_pin("11112222");
    let (program, _) = Broker::program(&bench);
    let said = program.fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
