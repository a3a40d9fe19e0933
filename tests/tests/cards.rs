//! PIV cards, such as YubiKeys, through OpenSC's and Yubico's modules: what is on the card already is
//! used with no preparation.

use std::fs;

use hwkey_tests::{
    Background, Card, KeyType, Module, Reader, Said, Slot, WRONG_PIN, free_port, wait_for_port,
};

use Slot::{Authentication, CardAuthentication};

fn uri(slot: Slot) -> String {
    format!("pkcs11:id={}", slot.id())
}

/// The public key that the card gave when it made the key.
fn public_key(card: &Card, slot: Slot) -> String {
    fs::read_to_string(card.path(&format!("{}.pub", slot.name()))).expect("a public key")
}

/// The key in this slot signs the file `message`.
#[track_caller]
fn sign(card: &Card, slot: Slot) {
    sign_with(card, slot, "-sha256");
}

#[track_caller]
fn sign_with(card: &Card, slot: Slot, digest: &str) {
    let public = format!("{}.pub", slot.name());
    card.openssl(
        "dgst {} -sign {} -out signature message",
        &[digest, &uri(slot)],
    )
    .ok();
    card.tool("openssl")
        .words(
            "dgst {} -verify {} -signature signature message",
            &[digest, &public],
        )
        .ok();
}

/// A card with a file `message`.
fn card(module: Module, key: KeyType, slots: &[Slot]) -> Card {
    let card = Card::new(module, key, slots);
    fs::write(card.path("message"), "to whom it may concern").expect("message");
    card
}

#[test]
fn the_keys_on_a_card_are_found_by_id_token_and_serial_number() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &Slot::ALL);
        let encode = |value: String| value.replace(' ', "%20").replace('#', "%23");
        let token = encode(card.token_info("token label"));
        let serial = encode(card.token_info("serial num"));
        for slot in Slot::ALL {
            let id = slot.id();
            for uri in [
                format!("pkcs11:id={id}"),
                format!("pkcs11:token={token};id={id}"),
                format!("pkcs11:serial={serial};id={id};type=private"),
            ] {
                let public = card.openssl("pkey -in {} -pubout", &[&uri]).ok();
                assert_eq!(public, public_key(&card, slot), "{module:?} {uri}");
            }
        }
        let other = card.openssl("pkey -in {} -noout", &["pkcs11:serial=0815;id=%01"]);
        Said::by(other).names("no such token", "loading", &["serial=0815"]);
    }
}

#[test]
fn a_listing_shows_all_keys_and_certificates() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &Slot::ALL);
        let list = card.openssl("storeutl -noout -text pkcs11:", &[]).ok();
        for slot in Slot::ALL {
            for kind in ["private", "public", "cert"] {
                let (id, kind) = (format!(";id={};", slot.id()), format!(";type={kind}"));
                let shown = list
                    .lines()
                    .filter(|line| line.contains(&id) && line.ends_with(&kind));
                assert_eq!(shown.count(), 1, "{module:?} {id} {kind}\n{list}");
            }
        }
        let certificates = card
            .openssl("storeutl -noout -certs -text {}", &[&uri(Authentication)])
            .ok();
        assert!(certificates.contains("CN=card-9a"), "{certificates}");
    }
}

#[test]
fn requests_and_certificates_are_signed_with_9a() {
    for module in Module::ALL {
        for key in [KeyType::P256, KeyType::Rsa2048] {
            let card = card(module, key, &[Authentication]);
            let key = uri(Authentication);
            card.openssl("req -new -key {} -subj /CN=me -out request.pem", &[&key])
                .ok();
            card.openssl(
                "req -x509 -new -key {} -subj /CN=me -days 9 -out self.pem",
                &[&key],
            )
            .ok();
            let checked = |line| card.tool("openssl").words(line, &[]).finish();
            let request = checked("req -in request.pem -verify -noout -pubkey");
            assert_eq!(request.stdout, public_key(&card, Authentication));
            // Its exit status is that of a success in any case.
            assert!(request.stderr.contains("verify OK"), "{}", request.stderr);
            let own = checked("verify -check_ss_sig -CAfile self.pem self.pem");
            assert!(own.ok, "{}", own.all());
        }
    }
}

/// An `openssl s_server` with the key in 9a that demands a certificate of the card's authority.
fn server(card: &Card) -> (u16, Background) {
    let port = free_port();
    let (accept, key) = (port.to_string(), uri(Authentication));
    let server = card
        .openssl(
            "s_server -accept {} -key {} -cert 9a.crt -CAfile ca.crt -Verify 1 -verify_return_error \
             -www",
            &[&accept, &key],
        )
        .background(Some(&card.path("server.log")));
    wait_for_port(port);
    (port, server)
}

#[test]
fn both_sides_of_tls_have_their_keys_on_cards() {
    for module in Module::ALL {
        for key in [KeyType::P256, KeyType::Rsa2048] {
            let card = card(module, key, &[Authentication]);
            let (port, _server) = server(&card);
            let connect = format!("localhost:{port}");
            for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
                let page = card
                    .openssl(
                        "s_client -connect {} -key {} -cert 9a.crt -CAfile ca.crt \
                         -verify_return_error -quiet {}",
                        &[&connect, &uri(Authentication), option],
                    )
                    .input("GET / HTTP/1.0\r\n\r\n")
                    .ok();
                assert!(page.contains(version), "{module:?} {key:?}: {page}");
                assert!(page.contains("Client certificate"), "{page}");
            }
        }
    }
}

#[test]
fn the_key_for_doors_signs() {
    for module in Module::ALL {
        for key in [KeyType::P256, KeyType::Rsa2048] {
            let card = card(module, key, &[CardAuthentication]);
            sign(&card, CardAuthentication);
        }
    }
}

/// Yubico's module shows no private key before a login, so that it is OpenSC's alone.
#[test]
fn the_key_for_doors_needs_no_pin() {
    let card = card(Module::OpenSc, KeyType::P256, &[CardAuthentication]);
    card.reset();
    card.configure(&card.conf().without("pin-source"));
    sign(&card, CardAuthentication);
}

#[test]
fn a_request_is_verified_with_the_key_that_signed_it() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let key = uri(Authentication);
        let made = card.openssl("req -new -key {} -subj /CN=me -verify -noout", &[&key]);
        // Its exit status is that of a success in any case.
        let said = made.finish().all();
        assert!(said.contains("verify OK"), "{module:?}: {said}");
    }
}

#[test]
fn digests_longer_than_the_curve_are_signed() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        for digest in ["-sha384", "-sha512"] {
            sign_with(&card, Authentication, digest);
        }
    }
}

#[test]
fn two_cards_are_told_apart_by_their_serial_numbers() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let _other = card.another(Reader::Second, KeyType::P256, &[Authentication]);
        let serials = card.tokens_info("serial num");
        let publics = ["9a.pub", "other-9a.pub"].map(|name| fs::read_to_string(card.path(name)));
        assert_eq!(serials.len(), 2);
        for (serial, public) in serials.iter().zip(publics) {
            let uri = format!("pkcs11:serial={serial};id=%01");
            let loaded = card.openssl("pkey -in {} -pubout", &[&uri]).ok();
            assert_eq!(loaded, public.expect("a public key"), "{module:?}");
            card.openssl("dgst -sha256 -sign {} -out signature message", &[&uri])
                .ok();
        }
        // A wrong PIN, if it were sent to one of them, would cost a try.
        card.write_pin(WRONG_PIN);
        let said = Said::by(card.openssl("pkey -in {} -noout", &["pkcs11:id=%01"]));
        let both: Vec<&str> = serials.iter().map(String::as_str).collect();
        said.names("several tokens match", "loading", &both);
        assert_eq!(card.tries_left(), 3);
    }
}

#[test]
fn what_yubicos_module_leaves_in_the_error_queue_is_not_seen() {
    let card = card(Module::Ykcs11, KeyType::P256, &[Authentication]);
    let uri = uri(Authentication);
    let (port, _server) = server(&card);
    // s_client prints what is in the queue when it ends; SSL_get_error would take it for a failure.
    let said = card
        .openssl(
            "s_client -connect localhost:{} -key {} -cert 9a.crt -CAfile ca.crt -verify_return_error",
            &[&port.to_string(), &uri],
        )
        .input("Q\n")
        .finish();
    assert!(said.ok && !said.stderr.contains("error:"), "{}", said.all());
    let log = fs::read_to_string(card.path("server.log")).expect("a log");
    // It also has the connection that waited for its port.
    assert!(!log.contains("rsa"), "{log}");
}

#[test]
fn programs_take_the_certificate_from_the_card() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let (key, certificate) = ("pkcs11:id=%01;type=private", "pkcs11:id=%01;type=cert");
        let of_file = card.tool("openssl").words("x509 -in 9a.crt", &[]).ok();
        let of_card = card.openssl("x509 -in {}", &[certificate]).ok();
        assert_eq!(of_card, of_file, "{module:?}");
        // No PIN is needed for it.
        card.configure(&card.conf().without("pin-source"));
        assert_eq!(card.openssl("x509 -in {}", &[certificate]).ok(), of_file);
        card.configure(&card.conf());
        let (port, _server) = server(&card);
        let page = card
            .openssl(
                "s_client -connect {} -key {} -cert {} -CAfile ca.crt -verify_return_error -quiet",
                &[&format!("localhost:{port}"), key, certificate],
            )
            .input("GET / HTTP/1.0\r\n\r\n")
            .ok();
        assert!(page.contains("Client certificate"), "{module:?}: {page}");
        let (request, issued) = ("request.pem", "issued.pem");
        card.openssl("req -new -key {} -subj /CN=me -out {}", &[key, request])
            .ok();
        card.openssl(
            "x509 -req -in {} -CA {} -CAkey {} -days 9 -out {}",
            &[request, certificate, key, issued],
        )
        .ok();
        let issuer = card
            .tool("openssl")
            .words("x509 -noout -issuer -in {}", &[issued]);
        assert!(issuer.ok().contains("card-9a"));
    }
}
