//! nginx with two unprivileged workers, and a client that connects to both.

use std::path::Path;

use crate::{Bench, Conf, Group, KeyType, Kind, Run, Site, free_port, wait_for_port};

/// Connects again and again, each time with a full handshake, and asks who answers. With `reload`
/// the master is told to reload half-way, and more connections are made until only processes that
/// it started since have answered a while.
const CLIENT: &str = r#"
import os, signal, socket, ssl, sys, time

port, certificate, master, reload = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]

contexts = []
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = context.maximum_version = version
    contexts.append(context)

def ask(number):
    context = contexts[number % 2]
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            assert not tls.session_reused
            assert tls.version() == context.minimum_version.name.replace("v1_", "v1."), tls.version()
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return int(answer.rsplit(b"\r\n", 1)[1])

def workers(handshakes, enough=lambda seen: True):
    deadline = time.monotonic() + 60
    seen, number = {}, 0
    while number < handshakes or not enough(seen):
        assert time.monotonic() < deadline, seen
        pid = ask(number)
        seen[pid] = seen.get(pid, 0) + 1
        number += 1
    return seen

before = workers(100, lambda seen: len(seen) == 2)
assert len(before) == 2 and master not in before, before
if reload:
    os.kill(master, signal.SIGHUP)
after = workers(100, lambda seen: not reload or len(seen.keys() - before.keys()) == 2)
assert (len(after.keys() - before.keys()) == 2) == bool(reload), (before, after)
print(sum(before.values()) + sum(after.values()))
"#;

/// nginx with two workers that run as www-data, and nothing outside of the bench's directory.
pub struct Nginx<S: Site = Bench> {
    /// Ends before its directory goes.
    master: Group,
    pub bench: S,
    pub port: u16,
    certificate: String,
}

impl Nginx {
    /// Starts nginx with a key of this type.
    pub fn with(key: KeyType, conf: impl FnOnce(Conf) -> Conf) -> Self {
        Self::on(Kind::SoftHsm, key, conf)
    }

    /// The same with its key on a token of this kind.
    pub fn on(kind: Kind, key: KeyType, conf: impl FnOnce(Conf) -> Conf) -> Self {
        let bench = Bench::on(kind, "nginx");
        bench.token.make_key(key, "server", "01");
        let (key, certificate) = bench.self_signed("server");
        bench.configure(&conf(bench.conf()));
        bench.token.share_with("www-data");
        Self::at(bench, &key, certificate)
    }
}

impl<S: Site> Nginx<S> {
    /// Starts nginx with these files of the site.
    pub fn at(bench: S, key: &str, certificate: String) -> Self {
        let port = free_port();
        let dir = bench.path("");
        let dir = dir.display();
        let directory = |name: &str| format!("{name}_temp_path {dir}/nginx.{name};");
        let directories: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(directory)
            .concat();
        // What modules need of the environment only the master would have, without this.
        let environment: String = S::ENVIRONMENT
            .iter()
            .map(|name| format!("env {name};"))
            .collect();
        let text = format!(
            "user www-data; worker_processes 2; daemon off; pid {dir}/nginx.pid; {environment}
             error_log {dir}/nginx.log info;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; {directories}
                 server {{
                     listen 127.0.0.1:{port} ssl reuseport;
                     ssl_certificate {dir}/{certificate};
                     ssl_certificate_key {dir}/{key};
                     ssl_protocols TLSv1.2 TLSv1.3;
                     ssl_session_tickets off;
                     location / {{ return 200 \"$pid\"; }}
                 }}
             }}"
        );
        std::fs::write(bench.path("nginx.conf"), text).expect("nginx.conf");
        let master = program(&bench).group(&bench.path("nginx.stderr"));
        wait_for_port(port);
        Self {
            master,
            bench,
            port,
            certificate,
        }
    }

    /// nginx itself, with this configuration.
    pub fn program(&self) -> Run {
        program(&self.bench)
    }

    /// The handshakes of [`CLIENT`]; says how many there were.
    pub fn handshakes(&self, options: &[&str]) -> usize {
        // The client is a program like any other: without hwkey.
        let printed = Run::new("/usr/bin/python3")
            .dir(&self.bench.path(""))
            .args(["-c", CLIENT, &self.port.to_string(), &self.certificate])
            .arg(self.master.pid().to_string())
            .args(options)
            .ok();
        printed.trim().parse().expect("a number")
    }

    /// What nginx and hwkey in it have written.
    pub fn said(&self) -> String {
        ["nginx.log", "nginx.stderr"]
            .map(|name| std::fs::read_to_string(self.bench.path(name)).unwrap_or_default())
            .concat()
    }

    /// Those lines of it that report a failure.
    pub fn complaints(&self) -> Vec<String> {
        let said = self.said();
        let bad = [
            "[emerg]",
            "[alert]",
            "[crit]",
            "[error]",
            "hwkey:",
            "SSL_do_handshake() failed",
        ];
        let lines = said
            .lines()
            .filter(|line| bad.iter().any(|bad| line.contains(bad)));
        lines.map(str::to_owned).collect()
    }
}

fn program(site: &impl Site) -> Run {
    let run = site.run("/usr/sbin/nginx".as_ref());
    run.args([Path::new("-c"), &site.path("nginx.conf")])
        .args([Path::new("-p"), &site.path("")])
}

/// What a test that fails can't tell otherwise.
impl<S: Site> Drop for Nginx<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("nginx: {}", self.said());
        }
    }
}
