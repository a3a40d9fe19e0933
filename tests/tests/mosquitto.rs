//! MQTT: a mosquitto broker and its clients, each with its key in a token of its own.

use std::fs;

use hwkey_tests::{
    Background, Bench, KeyType, Run, free_port, shown_subject, wait_for_port, wait_until,
};

const VERSIONS: [&str; 2] = ["tlsv1.2", "tlsv1.3"];

/// A bench with a key, its reference file `key.pem` and a certificate of `authority` for it.
fn party(name: &str, key: KeyType, authority: &Bench) -> Bench {
    let bench = Bench::new(name);
    bench.token.make_key(key, name, "01");
    bench
        .openssl("pkey -in {} -out key.pem", &[&bench.uri(name)])
        .ok();
    let ca = authority.path("ca.crt");
    fs::copy(ca, bench.path("ca.crt")).unwrap();
    certify(&bench, name, name, authority);
    bench
}

/// `cert.pem` for the key `label` and the name `subject`, signed by `authority`.
fn certify(bench: &Bench, label: &str, subject: &str, authority: &Bench) {
    bench
        .openssl(
            "req -new -key {} -subj /CN={} -addext subjectAltName=DNS:localhost -out request.pem",
            &[&bench.uri(label), subject],
        )
        .ok();
    let request = bench.path("request.pem").display().to_string();
    let certificate = authority
        .openssl(
            "x509 -req -in {} -CA ca.crt -CAkey {} -CAcreateserial -copy_extensions copy -days 9",
            &[&request, &authority.uri("authority")],
        )
        .ok();
    fs::write(bench.path("cert.pem"), certificate).unwrap();
}

/// An authority with its key in a token too: `ca.crt`.
fn authority() -> Bench {
    let bench = Bench::new("authority");
    bench.token.make_key(KeyType::P256, "authority", "01");
    bench
        .openssl(
            "req -x509 -new -key {} -subj /CN=authority -days 9 -out ca.crt",
            &[&bench.uri("authority")],
        )
        .ok();
    bench
}

/// Writes mosquitto.conf; returns the port of the broker to be.
fn configure(bench: &Bench) -> u16 {
    // mosquitto gives up root's rights before it loads its key: all that it needs for that belongs
    // to its own user.
    bench
        .run("chown")
        .args(["-R", "mosquitto", "tokens", "pin", "key.pem"])
        .ok();
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
}

#[test]
fn messages_arrive_over_tls_12_and_13() {
    let authority = authority();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = party("device", key, &authority);
        let broker = Broker::start(party("broker", key, &authority));
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
        let status = format!("/proc/{}/status", broker.process.pid());
        let status = fs::read_to_string(status).unwrap();
        let uid = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .unwrap();
        assert!(!uid.split_whitespace().any(|id| id == "0"), "{uid}");
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let authority = authority();
    let device = party("device", KeyType::P256, &authority);
    let broker = Broker::start(party("broker", KeyType::P256, &authority));
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
    let authority = authority();
    let device = party("device", KeyType::P256, &authority);
    let other = party("other", KeyType::P256, &authority);
    let broker = Broker::start(party("broker", KeyType::P256, &authority));
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
    let authority = authority();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = party("device", key, &authority);
        let broker = Broker::start(party("broker", key, &authority));
        assert_eq!(broker.deliver(&device, VERSIONS[0], "before"), "before");
        assert_eq!(shown_subject(broker.port), "CN = broker");
        // Three times: what a reload leaves behind must not harm the next.
        for renewed in ["first", "second", "third"] {
            certify(&broker.bench, "broker", renewed, &authority);
            let pid = broker.process.pid().to_string();
            Run::new("kill").args(["-HUP", &pid]).ok();
            wait_until("the renewed certificate", || {
                shown_subject(broker.port) == format!("CN = {renewed}")
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
    let authority = authority();
    let device = party("device", KeyType::P256, &authority);
    let broker = Broker::start(party("broker", KeyType::P256, &authority));
    device.write_pin("11112222");
    let said = broker
        .client(&device, "mosquitto_pub", VERSIONS[1])
        .args(["--key", "key.pem", "--cert", "cert.pem"])
        .args(["-t", "topic", "-m", "refused"])
        .fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");

    let bench = party("broker", KeyType::P256, &authority);
    configure(&bench);
    bench.write_pin("11112222");
    let said = program(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
