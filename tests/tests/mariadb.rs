//! MariaDB: a server that demands certificates, and the client `mariadb` with a hardware key.

use std::fs;

use hwkey_tests::{Authority, Background, Bench, KeyType, Run, free_port, wait_until};

const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// A server that runs as mysql and knows the user `device` by a certificate only.
struct Server {
    process: Background,
    bench: Bench,
    port: u16,
}

impl Server {
    fn start(bench: Bench) -> Self {
        let port = configure(&bench);
        let log = bench.path("mariadbd.log");
        let server = Self {
            process: daemon(&bench).background(Some(&log)),
            bench,
            port,
        };
        wait_until("the server", || {
            server.log().contains("ready for connections")
        });
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("mariadbd.log")).unwrap_or_default()
    }

    /// The client with this version of TLS, not yet with a certificate.
    fn client(&self, device: &Bench, version: &str) -> Run {
        device
            .run("mariadb")
            .args(["--no-defaults", "--batch", "--skip-column-names"])
            .args(["--host=localhost", "--protocol=tcp", "--user=device"])
            .args([
                format!("--port={}", self.port),
                format!("--tls-version={version}"),
            ])
            .args(["--ssl-ca=ca.crt", "--ssl-verify-server-cert"])
    }

    /// What the server answers to a client with a certificate.
    fn ask(&self, device: &Bench, version: &str, query: &str) -> String {
        let client = self.client(device, version);
        let said = client
            .args(["--ssl-cert=cert.pem", "--ssl-key=key.pem", "-e", query])
            .finish();
        assert!(said.ok, "{}\n{}", said.all(), self.log());
        said.stdout
    }

    /// Four connections.
    fn serves(&self, device: &Bench) {
        for version in VERSIONS.iter().chain(&VERSIONS) {
            let answer = self.ask(device, version, "show status like 'Ssl_version'");
            assert_eq!(answer, format!("Ssl_version\t{version}\n"));
        }
    }

    /// Whose certificate it shows.
    fn subject(&self) -> String {
        let connect = format!("localhost:{}", self.port);
        let shown = self
            .bench
            .openssl(
                "s_client -starttls mysql -connect {} -CAfile ca.crt",
                &[&connect],
            )
            .finish()
            .stdout;
        let subject = shown.lines().find_map(|line| line.strip_prefix("subject="));
        subject.unwrap_or_default().to_owned()
    }
}

/// Makes the server's directory; returns the port of the server to be.
fn configure(bench: &Bench) -> u16 {
    let (dir, port) = (bench.dir.display(), free_port());
    bench.give_to("mysql");
    bench
        .run("install")
        .args(["-d", "-o", "mysql", "-m", "700", "data"])
        .ok();
    bench
        .run_as("mysql", "mariadb-install-db")
        // At its start a server removes the temporary tables of others from its directory for them.
        .env("TMPDIR", bench.path("data"))
        .args(["--no-defaults", "--skip-test-db"])
        .arg(format!("--datadir={dir}/data"))
        .ok();
    fs::write(
        bench.path("init.sql"),
        "create user device require subject '/CN=device';\n\
         grant reload on *.* to device;\n",
    )
    .unwrap();
    let conf = format!(
        "[mariadbd]\ndatadir={dir}/data\ntmpdir={dir}/data\nsocket={dir}/data/socket\nport={port}\n\
         bind-address=127.0.0.1\nskip-name-resolve\nskip-innodb-use-native-aio\n\
         init-file={dir}/init.sql\nssl-ca={dir}/ca.crt\nssl-cert={dir}/cert.pem\n\
         ssl-key={dir}/key.pem\ntls-version=TLSv1.2,TLSv1.3\n"
    );
    fs::write(bench.path("my.cnf"), conf).unwrap();
    port
}

fn daemon(bench: &Bench) -> Run {
    let conf = bench.path("my.cnf");
    bench
        .run_as("mysql", "mariadbd")
        .arg(format!("--defaults-file={}", conf.display()))
}

#[test]
fn sessions_are_signed_before_and_after_each_flush_ssl() {
    let authority = Authority::new();
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let device = authority.party("device", key);
        let server = Server::start(authority.party("server", key));
        assert!(!server.process.is_root());
        server.serves(&device);
        // Twice: what a reload leaves behind must not harm the next.
        for renewed in ["first", "second"] {
            authority.certify(&server.bench, "server", renewed);
            server.ask(&device, VERSIONS[1], "flush ssl");
            assert_eq!(server.subject(), format!("CN = {renewed}"));
            server.serves(&device);
        }
        let log = server.log();
        assert!(!log.contains("hwkey: "), "{key:?}: {log}");
    }
}

#[test]
fn flush_ssl_may_bring_a_key_of_another_type() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let server = Server::start(authority.party("server", KeyType::P256));
    server.serves(&device);
    let bench = &server.bench;
    bench.token.make_key(KeyType::Rsa2048, "rsa", "02");
    bench
        .openssl("pkey -in {} -out key.pem", &[&bench.uri("rsa")])
        .ok();
    authority.certify(bench, "rsa", "rsa");
    bench.give_to("mysql");
    server.ask(&device, VERSIONS[1], "flush ssl");
    assert_eq!(server.subject(), "CN = rsa");
    server.serves(&device);
}

#[test]
fn a_client_without_the_user_s_certificate_is_refused() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let other = authority.party("other", KeyType::P256);
    let server = Server::start(authority.party("server", KeyType::P256));
    for version in VERSIONS {
        let client = server.client(&device, version);
        let said = client.args(["-e", "select 1"]).fails();
        assert!(said.contains("Access denied for user 'device'"), "{said}");
        let client = server.client(&other, version);
        let certificate = ["--ssl-cert=cert.pem", "--ssl-key=key.pem"];
        let said = client.args(certificate).args(["-e", "select 1"]).fails();
        assert!(said.contains("Access denied for user 'device'"), "{said}");
    }
    server.serves(&device);
}

#[test]
fn server_and_client_say_that_the_pin_is_wrong() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let server = Server::start(authority.party("server", KeyType::P256));
    device.write_pin("11112222");
    let certificate = ["--ssl-cert=cert.pem", "--ssl-key=key.pem"];
    let client = server.client(&device, VERSIONS[1]).args(certificate);
    let said = client.args(["-e", "select 1"]).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(!said.contains("11112222"), "{said}");

    let bench = authority.party("server", KeyType::P256);
    configure(&bench);
    bench.write_pin("11112222");
    let said = daemon(&bench).fails();
    assert!(said.contains("hwkey: error: PIN refused"), "{said}");
    assert!(said.contains("Unable to get private key"), "{said}");
    assert!(!said.contains("11112222"), "{said}");
}

#[test]
fn a_failed_flush_ssl_leaves_the_old_key_in_use() {
    let authority = Authority::new();
    let device = authority.party("device", KeyType::P256);
    let server = Server::start(authority.party("server", KeyType::P256));
    // The certificate of another key.
    fs::copy(device.path("cert.pem"), server.bench.path("cert.pem")).unwrap();
    let said = server
        .client(&device, VERSIONS[1])
        .args(["--ssl-cert=cert.pem", "--ssl-key=key.pem"])
        .args(["-e", "flush ssl"])
        .fails();
    assert!(said.contains("Failed to refresh SSL"), "{said}");
    assert_eq!(server.subject(), "CN = server");
    server.serves(&device);
}
