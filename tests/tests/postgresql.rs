//! PostgreSQL: a key that the postmaster loads, and that each connection's backend, forked from it,
//! signs with; psql with a hardware key at the other end.

use std::fs;

use hwkey_tests::{Authority, Bench, Group, KeyType, PIN, Run, free_port, is_root, wait_until};

const BIN: &str = "/usr/lib/postgresql/15/bin";
const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// A cluster that runs as postgres and lets nobody in without a certificate.
struct Cluster {
    postmaster: Group,
    bench: Bench,
    port: u16,
}

impl Cluster {
    fn start(bench: Bench) -> Self {
        let port = configure(&bench, "");
        Self::run(bench, port)
    }

    fn run(bench: Bench, port: u16) -> Self {
        let log = bench.path("postgres.log");
        // SIGQUIT ends the backends too, and waits for no client.
        let postmaster = postmaster(&bench).group(&log).ends_by("QUIT");
        let cluster = Self {
            postmaster,
            bench,
            port,
        };
        wait_until("the cluster", || {
            cluster.log().contains("is ready to accept connections")
        });
        cluster
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("postgres.log")).unwrap_or_default()
    }

    /// psql with this version of TLS, not yet with a certificate.
    fn psql(&self, device: &Bench, version: &str, more: &str) -> Run {
        let server = format!(
            "host=localhost port={} user=device dbname=postgres sslmode=verify-full \
             sslrootcert=ca.crt ssl_max_protocol_version={version} {more}",
            self.port
        );
        device
            .run(format!("{BIN}/psql"))
            .env("HOME", &device.dir)
            .args(["--no-psqlrc", "--no-password", "-At", "-d", &server])
    }

    /// What the backend of a new connection says of it, and which process it is.
    fn ask(&self, device: &Bench, version: &str) -> (String, u32) {
        let query = "select pid, version, client_dn from pg_stat_ssl where pid = pg_backend_pid()";
        let row = self
            .psql(device, version, "sslcert=cert.pem sslkey=key.pem")
            .args(["-c", query])
            .finish();
        assert!(row.ok, "{}\n{}", row.all(), self.log());
        let (pid, rest) = row.stdout.trim().split_once('|').expect("a row");
        (rest.to_owned(), pid.parse().expect("a process"))
    }

    /// Four connections, each with a backend of its own that knows the client's certificate.
    fn serves(&self, device: &Bench) {
        let mut backends = vec![self.postmaster.pid()];
        for version in VERSIONS.iter().chain(&VERSIONS) {
            let (row, backend) = self.ask(device, version);
            assert_eq!(row, format!("{version}|/CN=device"));
            assert!(!backends.contains(&backend), "{backend}: {backends:?}");
            backends.push(backend);
        }
    }

    /// Whose certificate it shows.
    fn subject(&self) -> String {
        let connect = format!("localhost:{}", self.port);
        let shown = self
            .bench
            .openssl(
                "s_client -starttls postgres -connect {} -CAfile ca.crt",
                &[&connect],
            )
            .finish()
            .stdout;
        let subject = shown.lines().find_map(|line| line.strip_prefix("subject="));
        subject.unwrap_or_default().to_owned()
    }
}

/// Makes the cluster's directory, with `more` in postgresql.conf; returns the port of the server to
/// be.
fn configure(bench: &Bench, more: &str) -> u16 {
    let (data, port) = (bench.path("data"), free_port());
    let data = data.display();
    bench.give_to("postgres");
    bench
        .run("install")
        .args(["-d", "-o", "postgres", "-m", "700", "data"])
        .ok();
    // The test's client is the superuser: no role has to be made.
    bench
        .run_as("postgres", format!("{BIN}/initdb"))
        .args(["--no-sync", "--username=device", "--auth=reject"])
        .args(["--pgdata", &data.to_string()])
        .ok();
    fs::write(
        bench.path("data/pg_hba.conf"),
        "hostssl all all all trust clientcert=verify-full\n",
    )
    .unwrap();
    let dir = bench.dir.display();
    let conf = format!(
        "listen_addresses = 'localhost'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n\
         ssl = on\nssl_ca_file = '{dir}/ca.crt'\nssl_cert_file = '{dir}/cert.pem'\n\
         ssl_key_file = '{dir}/key.pem'\n{more}\n"
    );
    fs::write(bench.path("data/postgresql.conf"), conf).unwrap();
    port
}

fn postmaster(bench: &Bench) -> Run {
    bench
        .run_as("postgres", format!("{BIN}/postgres"))
        .arg("-D")
        .arg(bench.path("data"))
}

#[test]
fn forked_backends_sign_before_and_after_each_reload() {
    let authority = Authority::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = authority.party("device", key);
        let cluster = Cluster::start(authority.party("server", key));
        assert!(!is_root(cluster.postmaster.pid()));
        cluster.serves(&device);
        // Twice: what a reload leaves behind must not harm the next.
        for renewed in ["first", "second"] {
            authority.certify(&cluster.bench, "server", renewed);
            cluster.postmaster.signal("HUP");
            wait_until("the renewed certificate", || {
                cluster.subject() == format!("CN = {renewed}")
            });
            cluster.serves(&device);
        }
        let log = cluster.log();
        for bad in ["hwkey: ", "could not load", "SSL configuration was not"] {
            assert!(!log.contains(bad), "{key:?}: {log}");
        }
    }
}

#[test]
fn a_reload_may_bring_a_key_of_another_type() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let cluster = Cluster::start(authority.party("server", KeyType::P256));
    cluster.serves(&device);
    let bench = &cluster.bench;
    bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
    bench
        .openssl("pkey -in {} -out key.pem", &[&bench.uri("rsa")])
        .ok();
    authority.certify(bench, "rsa", "rsa");
    bench.give_to("postgres");
    cluster.postmaster.signal("HUP");
    wait_until("the other key", || cluster.subject() == "CN = rsa");
    cluster.serves(&device);
}

#[test]
fn a_client_without_a_certificate_or_with_another_user_s_is_refused() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let cluster = Cluster::start(authority.party("server", KeyType::P256));
    for version in VERSIONS {
        let said = cluster.psql(&device, version, "").fails();
        assert!(
            said.contains("connection requires a valid client certificate"),
            "{said}"
        );
    }
    let other = authority.party("other", KeyType::P256);
    let said = cluster
        .psql(&other, VERSIONS[1], "sslcert=cert.pem sslkey=key.pem")
        .fails();
    let reason = "authentication failed for user \"device\"";
    assert!(said.contains(reason), "{said}");
    cluster.serves(&device);
}

#[test]
fn server_and_client_say_that_the_pin_is_wrong() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let cluster = Cluster::start(authority.party("server", KeyType::P256));
    device.write_pin("11112222");
    let said = cluster
        .psql(&device, VERSIONS[1], "sslcert=cert.pem sslkey=key.pem")
        .fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");

    let bench = authority.party("server", KeyType::P256);
    configure(&bench, "");
    bench.write_pin("11112222");
    let said = postmaster(&bench).fails();
    // PostgreSQL shows the reason of OpenSSL's error too.
    assert!(said.contains("could not load private key file"), "{said}");
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}

#[test]
fn ssl_passphrase_command_gives_the_pin() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let bench = authority.party("server", KeyType::P256);
    bench.configure(&bench.conf().without("pin-source"));
    let port = configure(&bench, &format!("ssl_passphrase_command = 'echo {PIN}'"));
    let cluster = Cluster::run(bench, port);
    cluster.serves(&device);
    cluster.postmaster.signal("HUP");
    wait_until("the reload", || cluster.log().contains("received SIGHUP"));
    cluster.serves(&device);
}
