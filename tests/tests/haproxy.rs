//! HAProxy: root's master loads the key, and its workers sign as somebody else.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hwkey_tests::{Bench, Client, Group, KeyType, Run, free_port, is_root, wait_until};

const KEYS: [KeyType; 2] = [KeyType::P256, KeyType::Rsa2048];

/// HAProxy in master-worker mode, as Debian starts it; the worker is user haproxy.
struct HaProxy {
    bench: Bench,
    client: Client,
    port: u16,
    master: Group,
}

/// Where key and certificate are: `server.pem`, or `server.pem` and `server.pem.key`.
type Layout = fn(&Bench, key: &str, certificate: &str);

/// A bench with a server's key.
fn bench(key: KeyType, layout: Layout) -> Bench {
    let bench = Bench::new("haproxy");
    bench.token.make_key(key, "server", "01");
    let (key, certificate) = bench.self_signed("server");
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    layout(&bench, &read(&key), &read(&certificate));
    bench.token.share_with("haproxy");
    bench
}

impl HaProxy {
    fn with(key: KeyType, layout: Layout) -> Self {
        Self::start(bench(key, layout), "")
    }

    /// With another line for the section `global`.
    fn start(bench: Bench, line: &str) -> Self {
        let client = Client::new(KeyType::P256);
        let port = free_port();
        let text = configuration(&bench, &client, port, line);
        fs::write(bench.path("haproxy.cfg"), text).unwrap();
        let log = bench.path("haproxy.log");
        let master = program(&bench).arg("-W").group(&log);
        let haproxy = Self {
            bench,
            client,
            port,
            master,
        };
        wait_until("HAProxy", || haproxy.log().contains("Loading success."));
        haproxy
    }

    fn certificate(&self) -> PathBuf {
        self.bench.path("server.crt.pem")
    }

    /// The process that answers, for the client that it knows as `device`.
    fn workers(&self, handshakes: usize) -> Vec<u32> {
        let answers = self.client.ask(self.port, &self.certificate(), handshakes);
        let pid = |answer: &String| {
            let mut words = answer.split(' ').skip(1);
            assert_eq!(words.next(), Some("device"), "{answer}");
            words.next().unwrap().parse().unwrap()
        };
        answers.iter().map(pid).collect()
    }

    /// The master forgets a signal that comes before it has started entirely, and shows by nothing
    /// when it has: after a while it is told again.
    fn reload(&self) {
        let reloads = || self.log().matches("Reloading HAProxy").count();
        let before = reloads();
        let mut told: Option<Instant> = None;
        wait_until("a reload", || {
            if told.is_none_or(|told| told.elapsed() > Duration::from_secs(1)) {
                self.master.signal("USR2");
                told = Some(Instant::now());
            }
            reloads() > before
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("haproxy.log")).unwrap()
    }
}

fn configuration(bench: &Bench, client: &Client, port: u16, line: &str) -> String {
    let (dir, device) = (bench.dir.display(), client.certificate());
    format!(
        "global
    user haproxy
    group haproxy
    nbthread 2
    tune.ssl.cachesize 0
    {line}
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend https
    bind 127.0.0.1:{port} ssl crt {dir}/server.pem ca-file {} verify required no-tls-tickets
    http-request return status 200 content-type text/plain lf-string \"%[ssl_c_s_dn(CN)] %pid\"
",
        device.display()
    )
}

fn program(bench: &Bench) -> Run {
    let conf = bench.path("haproxy.cfg");
    bench.run("/usr/sbin/haproxy").arg("-f").arg(conf)
}

fn certificate_first(bench: &Bench, key: &str, certificate: &str) {
    fs::write(bench.path("server.pem"), format!("{certificate}{key}")).unwrap();
}

fn key_first(bench: &Bench, key: &str, certificate: &str) {
    fs::write(bench.path("server.pem"), format!("{key}{certificate}")).unwrap();
}

fn two_files(bench: &Bench, key: &str, certificate: &str) {
    fs::write(bench.path("server.pem"), certificate).unwrap();
    fs::write(bench.path("server.pem.key"), key).unwrap();
}

#[test]
fn a_worker_without_rights_signs_across_reloads() {
    for key in KEYS {
        let haproxy = HaProxy::with(key, certificate_first);
        let mut before = haproxy.workers(20);
        for _ in 0..2 {
            haproxy.reload();
            wait_until("another worker", || haproxy.workers(1) != before[..1]);
            let after = haproxy.workers(20);
            assert!(after.iter().all(|pid| !before.contains(pid)), "{after:?}");
            assert!(!is_root(after[0]));
            before = after;
        }
        assert!(!haproxy.log().contains("hwkey: "), "{}", haproxy.log());
    }
}

#[test]
fn key_and_certificate_are_in_one_file_in_either_order_or_in_two() {
    for layout in [key_first, certificate_first, two_files] {
        let haproxy = HaProxy::with(KeyType::P256, layout);
        haproxy.workers(2);
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let haproxy = HaProxy::with(KeyType::P256, certificate_first);
    let (client, port) = (&haproxy.client, haproxy.port);
    client.is_refused_without_certificate(port, &haproxy.certificate());
    haproxy.workers(2);
}

#[test]
fn a_wrong_pin_stops_the_start_with_its_reason() {
    let haproxy = HaProxy::with(KeyType::P256, certificate_first);
    haproxy.bench.write_pin("11112222");
    let said = program(&haproxy.bench).arg("-c").fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
    haproxy.workers(2);
}

/// The master begins anew with each reload.
#[test]
fn a_reload_reads_openssl_cnf_again() {
    let haproxy = HaProxy::with(KeyType::P256, certificate_first);
    let debug = haproxy.bench.conf().option("log-level", "debug");
    haproxy.bench.configure(&debug);
    haproxy.reload();
    wait_until("a line of the debug level", || {
        haproxy.log().contains("hwkey: debug: logged in")
    });
}

/// Debian's haproxy.cfg has a chroot.
#[test]
fn in_a_chroot_the_token_s_files_must_be_there_too() {
    let start = |prepare: fn(&Bench)| {
        let bench = bench(KeyType::P256, certificate_first);
        fs::create_dir(bench.path("jail")).unwrap();
        prepare(&bench);
        let line = format!("chroot {}", bench.path("jail").display());
        HaProxy::start(bench, &line)
    };

    let haproxy = start(|_| ());
    let certificate = haproxy.certificate();
    haproxy.client.is_refused(haproxy.port, &certificate);
    let log = haproxy.log();
    for part in [
        "no such token",
        "is not to be seen any more by this process",
    ] {
        assert!(log.contains(part), "{log}");
    }

    // The same path leads to them.
    let haproxy = start(|bench| {
        let parent = bench
            .path("jail")
            .join(bench.dir.strip_prefix("/").unwrap());
        fs::create_dir_all(&parent).unwrap();
        bench.run("cp").args(["-a", "tokens"]).arg(parent).ok();
    });
    haproxy.workers(4);
}
