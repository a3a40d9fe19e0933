//! The pages in docs/programs: each is followed from the README's key to a connection.

use std::fs;

use hwkey_tests::{Followed, page, repository};

/// What `openssl s_server -www` tells a client whose certificate it has accepted.
const ACCEPTED: &str = "Client certificate";

/// Follows the page of a client, whose other end is `openssl s_server` on port 8443; it leaves the
/// answer in `answer`.
fn client(name: &str, answer: &str) {
    let followed = Followed::page(
        name,
        &["8443"],
        &[("openssl s_server -accept", "listening 8443")],
    );
    let answer = followed.read(answer);
    assert!(answer.contains(ACCEPTED), "{answer}");
    assert!(answer.contains("Subject: CN=device-1"), "{answer}");
    assert!(!followed.said.stderr.contains("hwkey: "));
}

#[test]
fn the_page_on_openssl_has_both_ends() {
    client("docs/programs/openssl.md", "s_client.out");
}

#[test]
fn the_page_on_curl_reaches_the_server() {
    client("docs/programs/curl.md", "curl.out");
}

#[test]
fn the_page_on_python_reaches_the_server() {
    client("docs/programs/python.md", "python.out");
}

#[test]
fn the_page_on_nodejs_reaches_the_server() {
    client("docs/programs/nodejs.md", "node.out");
}

#[test]
fn the_page_on_mosquitto_ends_with_a_message_and_a_renewed_certificate() {
    let followed = Followed::page(
        "docs/programs/mosquitto.md",
        &["8883"],
        &[("kill -HUP", "shows 8883 2A")],
    );
    assert_eq!(followed.read("received"), "61.5 degrees\n");
    assert!(followed.said.stdout.contains("\nrefused\n"));
    assert!(followed.said.stdout.contains("serial=2A"));
    assert!(followed.read("broker.log").contains("u'device-1'"));
}

/// Follows the page of a server on port 8443 that has started when `started` holds after the block
/// with `start`, and gets another certificate by the one with `reload`.
fn server(name: &str, (start, started): (&str, &str), reload: &str) {
    greets(name, &[(start, started), (reload, "shows 8443 device-2")]);
}

/// Follows a page that shows a greeting to a client before and after a reload.
fn greets(name: &str, waits: &[(&str, &str)]) {
    let followed = Followed::page(name, &["8443", "8080"], waits);
    for name in ["device-1", "device-2"] {
        followed.says(&format!("hello CN={name}\n"));
    }
    assert!(!followed.said.stderr.contains("hwkey: "));
}

#[test]
fn the_page_on_nginx_serves_before_and_after_a_reload() {
    server(
        "docs/programs/nginx.md",
        ("/usr/sbin/nginx", "listening 8443"),
        "kill -HUP",
    );
}

#[test]
fn the_page_on_haproxy_serves_before_and_after_a_reload() {
    greets(
        "docs/programs/haproxy.md",
        &[
            ("/usr/sbin/haproxy", "listening 8443"),
            ("kill -USR2", "told_again_shows 8443 device-2"),
        ],
    );
}

#[test]
fn the_page_on_apache_serves_before_and_after_a_reload() {
    server(
        "docs/programs/apache.md",
        ("/usr/sbin/apache2", "grep -q resuming apache.log"),
        "kill -USR1",
    );
}

#[test]
fn the_page_on_stunnel_has_both_ends_before_and_after_a_reload() {
    greets(
        "docs/programs/stunnel.md",
        &[
            ("stunnel4 stunnel.conf", "listening 8443"),
            ("stunnel4 client.conf", "listening 8080"),
            ("kill -HUP", "shows 8443 device-2"),
            ("kill -HUP", "greeted_by device-2 http://localhost:8080/"),
        ],
    );
}

#[test]
fn the_page_on_redis_gets_a_value_and_a_renewed_certificate() {
    let followed = Followed::page(
        "docs/programs/redis.md",
        &["6380"],
        &[("redis-server redis.conf", "listening 6380")],
    );
    for said in ["61.5 degrees\n", "OK\n", "subject=CN = device-2\n"] {
        followed.says(said);
    }
    assert!(!followed.said.all().contains("hwkey: "));
}

#[test]
fn every_program_s_page_is_in_the_index_and_is_followed_by_a_test() {
    let index = page("docs/programs.md");
    let files = |directory: &str| {
        let entries = fs::read_dir(repository().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
    };
    let tests: String = files("tests/tests")
        .map(|name| page(&format!("tests/tests/{name}")))
        .collect();
    for name in files("docs/programs") {
        assert!(index.contains(&format!("(programs/{name})")), "{name}");
        assert!(
            tests.contains(&format!("\"docs/programs/{name}\"")),
            "{name}"
        );
    }
}
