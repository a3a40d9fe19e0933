//! Redis, a server that allocates with jemalloc, and its client, each with its key in a token of its
//! own.

use std::fs;
use std::path::Path;

use hwkey_tests::{Bench, Group, KeyType, Run, free_port, is_root, shown_subject, wait_for_port};

const KEYS: [KeyType; 2] = [KeyType::P256, KeyType::Rsa2048];
const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// A server that runs as user redis.
struct Redis {
    bench: Bench,
    port: u16,
    process: Group,
}

impl Redis {
    /// For clients with the certificate of `peer`.
    fn start(bench: Bench, peer: &Path) -> Self {
        let port = configure(&bench, peer);
        let process = program(&bench).group(&bench.path("redis.log"));
        wait_for_port(port);
        Self {
            bench,
            port,
            process,
        }
    }

    /// redis-cli, not yet with a certificate.
    fn client(&self, device: &Bench) -> Run {
        let server = self.bench.path("shown.pem");
        device
            .run("redis-cli")
            .args(["--tls", "-h", "localhost", "-p", &self.port.to_string()])
            .arg("--cacert")
            .arg(server)
    }

    /// What the server answers to a command.
    fn ask(&self, device: &Bench, command: &[&str]) -> String {
        let run = self.client(device);
        let run = run.args(["--cert", "client.crt.pem", "--key", "client.key.pem"]);
        run.args(command).ok().trim().to_owned()
    }

    /// From now on it speaks this version only. Each change builds its TLS context anew.
    fn speaks(&self, device: &Bench, version: &str) {
        let command = ["CONFIG", "SET", "tls-protocols", version];
        assert_eq!(self.ask(device, &command), "OK", "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("redis.log")).unwrap()
    }
}

/// Writes redis.conf; returns the port of the server to be.
fn configure(bench: &Bench, peer: &Path) -> u16 {
    let port = free_port();
    // What clients trust: the certificate that the server has now.
    fs::copy(bench.path("server.crt.pem"), bench.path("shown.pem")).unwrap();
    // Without caching each connection has its signatures.
    let conf = format!(
        "bind 127.0.0.1\nport 0\ntls-port {port}\ntls-cert-file {dir}/server.crt.pem\n\
         tls-key-file {dir}/server.key.pem\ntls-ca-cert-file {}\ntls-auth-clients yes\n\
         tls-protocols \"TLSv1.2 TLSv1.3\"\ntls-session-caching no\nsave \"\"\n",
        peer.display(),
        dir = bench.dir.display()
    );
    fs::write(bench.path("redis.conf"), conf).unwrap();
    port
}

fn program(bench: &Bench) -> Run {
    bench
        .run("setpriv")
        .args(["--reuid=redis", "--regid=redis", "--init-groups"])
        .args(["redis-server", "redis.conf"])
}

/// A bench with the key and certificate `label`.
fn party(key: KeyType, label: &str) -> Bench {
    let bench = Bench::new("redis");
    bench.token.make_key(key, label, "01");
    bench.self_signed(label);
    bench
}

/// Redis starts without root's rights: all that it needs belongs to its own user.
fn server(key: KeyType) -> Bench {
    let bench = party(key, "server");
    bench
        .run("chown")
        .args(["-R", "redis", "tokens", "pin", "server.key.pem"])
        .ok();
    bench
}

#[test]
fn server_and_client_use_their_tokens_across_a_reload() {
    for key in KEYS {
        let device = party(key, "client");
        let redis = Redis::start(server(key), &device.path("client.crt.pem"));
        let pid = redis.process.pid();
        assert!(!is_root(pid));
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        assert!(
            maps.contains("libjemalloc") && maps.contains("libsofthsm2"),
            "{maps}"
        );
        let memory = redis.ask(&device, &["INFO", "memory"]);
        assert!(memory.contains("mem_allocator:jemalloc"), "{memory}");
        for version in VERSIONS {
            redis.speaks(&device, version);
            assert_eq!(redis.ask(&device, &["SET", "key", version]), "OK");
            assert_eq!(redis.ask(&device, &["GET", "key"]), version);

            redis.bench.renew("server", version);
            // The same name would change nothing.
            let file = redis.bench.path(&format!("{version}.crt.pem"));
            fs::copy(redis.bench.path("server.crt.pem"), &file).unwrap();
            let command = ["CONFIG", "SET", "tls-cert-file", file.to_str().unwrap()];
            assert_eq!(redis.ask(&device, &command), "OK");
            fs::copy(file, redis.bench.path("shown.pem")).unwrap();
            assert_eq!(shown_subject(redis.port), format!("CN = {version}"));
            for _ in 0..3 {
                assert_eq!(redis.ask(&device, &["GET", "key"]), version);
            }
        }
        assert!(!redis.log().contains("hwkey: "), "{}", redis.log());
    }
}

#[test]
fn many_connections_are_signed_for() {
    for key in KEYS {
        let device = party(key, "client");
        let redis = Redis::start(server(key), &device.path("client.crt.pem"));
        let benchmark = device
            .run("redis-benchmark")
            .args(["--tls", "-h", "localhost", "-p", &redis.port.to_string()])
            .args([
                "--cacert",
                &redis.bench.path("server.crt.pem").display().to_string(),
            ])
            .args(["--cert", "client.crt.pem", "--key", "client.key.pem"])
            // Each request in a connection of its own.
            .args(["-k", "0", "-n", "40", "-c", "4", "-t", "ping_mbulk", "-q"])
            .ok();
        assert!(benchmark.contains("requests per second"), "{benchmark}");
        let stats = redis.ask(&device, &["INFO", "stats"]);
        let received = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        assert!(
            received.unwrap().trim().parse::<u32>().unwrap() >= 40,
            "{stats}"
        );
        assert!(!redis.log().contains("hwkey: "), "{}", redis.log());
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let device = party(KeyType::P256, "client");
    let redis = Redis::start(server(KeyType::P256), &device.path("client.crt.pem"));
    let refused = || {
        redis
            .log()
            .matches("peer did not return a certificate")
            .count()
    };
    for version in VERSIONS {
        redis.speaks(&device, version);
        let before = refused();
        let said = redis.client(&device).arg("PING").finish().all();
        assert!(!said.contains("PONG"), "{said}");
        assert!(refused() > before, "{said}{}", redis.log());
    }
    assert_eq!(redis.ask(&device, &["PING"]), "PONG");
}

#[test]
fn a_wrong_pin_stops_the_start_with_its_reason() {
    let bench = server(KeyType::P256);
    let own = bench.path("server.crt.pem");
    configure(&bench, &own);
    bench.write_pin("11112222");
    let said = program(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}
