//! A mosquitto broker that demands certificates, and its clients.

use std::fs;

use crate::{Background, Bench, Run, Site, free_port, shown_subject, wait_for_port, wait_until};

/// A running broker that wants to see certificates.
pub struct Broker {
    /// Ends before its directory goes.
    pub process: Background,
    pub bench: Bench,
    port: u16,
}

impl Broker {
    /// Starts one in a bench with `key.pem`, `cert.pem` and `ca.crt`.
    pub fn start(bench: Bench) -> Self {
        let (program, port) = Self::program(&bench);
        let process = program.background(Some(&bench.path("broker.log")));
        wait_for_port(port);
        Self {
            process,
            bench,
            port,
        }
    }

    /// mosquitto itself, configured, and the port it is to have.
    pub fn program(bench: &Bench) -> (Run, u16) {
        // mosquitto gives up root's rights before it loads its key: all that it needs for that
        // belongs to its own user.
        bench.give_to("mosquitto");
        let port = free_port();
        let conf = format!(
            "user mosquitto\nlistener {port} 127.0.0.1\ncafile ca.crt\ncertfile cert.pem\n\
             keyfile key.pem\nrequire_certificate true\nuse_identity_as_username true\n\
             log_dest stderr\nlog_type all\n"
        );
        fs::write(bench.path("mosquitto.conf"), conf).expect("mosquitto.conf");
        let program = bench.run("/usr/sbin/mosquitto");
        (program.args(["-c", "mosquitto.conf"]), port)
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.bench.path("broker.log")).unwrap_or_default()
    }

    /// mosquitto_pub or mosquitto_sub, not yet with a certificate.
    pub fn client(&self, device: &impl Site, program: &str, version: &str) -> Run {
        let port = self.port.to_string();
        let run = device
            .run(program.as_ref())
            .args(["-h", "localhost", "-p", &port]);
        run.args(["--cafile", "ca.crt", "--tls-version", version])
    }

    /// One client subscribes, another publishes; returns what the first one received.
    pub fn deliver(&self, device: &impl Site, version: &str, message: &str) -> String {
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
    pub fn subject(&self) -> String {
        shown_subject(self.port)
    }
}
