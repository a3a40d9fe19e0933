//! MQTT: a mosquitto broker and its clients, each with its key in a token of its own.

use std::fs;

use hwkey_tests::{
    Authority, Background, Bench, KeyType, Run, free_port, wait_for_port, wait_until,
};

const VERSIONS: [&str; 2] = ["tlsv1.2", "tlsv1.3"];

/// Writes mosquitto.conf; returns the port of the broker to be.
fn configure(bench: &Bench) -> u16 {
    // mosquitto gives up root's rights before it loads its key: all that it needs for that belongs
    // to its own user.
    bench.give_to("mosquitto");
    let port = free_port();
    let conf = format!(
        "user mosquitto\nlistener {port} 127.0.0.1\ncafile ca.crt\ncertfile cert.pem\n\
         keyfile key.pem\nrequire_certificate true\nuse_identity_as_username true\n\
         log_dest stderr\nlog_type all\n"
    );
    fs::write(bench.path("mosquitto.conf"), conf).unwrap();
    port
}

fn program(bench: &Bench) -> Run {
    let run = bench.run("/usr/sbin/mosquitto");
    run.args(["-c", "mosquitto.conf"])
}

/// A running broker that wants to see certificates.
struct Broker {
    bench: Bench,
    port: u16,
    process: Background,
}

impl Broker {
    fn start(bench: Bench) -> Self {
        let port = configure(&bench);
        let process = program(&bench).background(Some(&bench.path("broker.log")));
        wait_for_port(port);
        Self {
            bench,
            port,
            process,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("broker.log")).unwrap_or_default()
    }

    /// mosquitto_pub or mosquitto_sub, not yet with a certificate.
    fn client(&self, device: &Bench, program: &str, version: &str) -> Run {
        let port = self.port.to_string();
        let run = device.run(program).args(["-h", "localhost", "-p", &port]);
        run.args(["--cafile", "ca.crt", "--tls-version", version])
    }

    /// One client subscribes, another publishes; returns what the first one received.
    fn deliver(&self, device: &Bench, version: &str, message: &str) -> String {
        let topic = format!("topic/{message}");
        let client = |program| {
            let run = self.client(device, program, version);
            run.args(["--key", "key.pem", "--cert", "cert.pem", "-t", &topic])
        };
        let received = device.path(message);
        let subscriber = client("mosquitto_sub")
            .args(["-i", message, "-C", "1", "-W", "60"])
            .background(Some(&received));
        wait_until("the subscription", || {
            self.log().contains(&format!("Sending SUBACK to {message}"))
        });
        client("mosquitto_pub").args(["-m", message]).ok();
        assert!(subscriber.wait(), "{}", self.log());
        fs::read_to_string(received).unwrap().trim().to_owned()
    }

    /// Whose certificate it shows.
    fn subject(&self) -> String {
        let connect = format!("localhost:{}", self.port);
        let shown = self
            .bench
            .openssl("s_client -connect {} -CAfile ca.crt", &[&connect])
            .finish()
            .stdout;
        let subject = shown.lines().find_map(|line| line.strip_prefix("subject="));
        subject.unwrap_or_default().to_owned()
    }
}

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
    let log = broker.log();
    let reason = "peer did not return a certificate";
    assert_eq!(log.matches(reason).count(), 2, "{log}");
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
    configure(&bench);
    bench.write_pin("11112222");
    let said = program(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
