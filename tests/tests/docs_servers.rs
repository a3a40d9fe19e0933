//! The pages of databases, mail servers and tunnels work as they are printed.

use hwkey_tests::Followed;

#[test]
fn the_page_on_postgresql_ends_with_an_answer_after_a_reload() {
    let followed = Followed::page(
        "docs/programs/postgresql.md",
        &["5433"],
        &[("bin/postgres -D", "listening 5433")],
    );
    let answer = followed.read("psql.out");
    assert!(answer.ends_with("|/CN=device-1\n"), "{answer}");
    followed.says("no certificate, no answer");
    followed.says("after the reload");
}

#[test]
fn the_page_on_mariadb_ends_with_an_answer_after_a_reload() {
    let followed = Followed::page(
        "docs/programs/mariadb.md",
        &["3306"],
        &[("mariadbd --defaults-file", "listening 3306")],
    );
    let answer = followed.read("client.out");
    assert!(answer.contains("Ssl_version\tTLSv1.3\n"), "{answer}");
    followed.says("no certificate, no answer");
    followed.says("after the reload");
}

#[test]
fn the_page_on_openvpn_ends_with_handshakes_of_both_ends() {
    // The second handshake is made by nobody.
    let both = "handshakes server.log client.log";
    let ports = ["1194", "1195"];
    let followed = Followed::page(
        "docs/programs/openvpn.md",
        &ports,
        &[
            ("--tls-server", "grep -q link.local server.log"),
            ("--tls-client", both),
        ],
    );
    followed.says("server.log:");
    followed.says("VERIFY OK: depth=0, CN=device-1");
}

#[test]
fn the_page_on_postfix_ends_with_a_session_after_a_reload() {
    let followed = Followed::page("docs/programs/postfix.md", &["2525"], &[]);
    for session in ["first.out", "second.out"] {
        let shown = followed.read(session);
        assert!(shown.contains("221 2.0.0 Bye"), "{shown}");
    }
    let refused = followed.read("refused.out");
    assert!(
        refused.contains("No client certificate presented"),
        "{refused}"
    );
}

#[test]
fn the_page_on_dovecot_ends_with_a_session_after_a_reload() {
    let followed = Followed::page(
        "docs/programs/dovecot.md",
        &["9993"],
        &[("sbin/dovecot -F", "listening 9993")],
    );
    for session in ["first.out", "second.out"] {
        let shown = followed.read(session);
        assert!(shown.contains("b OK Logout"), "{shown}");
    }
    let refused = followed.read("refused.out");
    assert!(
        refused.contains("a NO [ALERT] Client didn't present valid SSL certificate"),
        "{refused}"
    );
}
