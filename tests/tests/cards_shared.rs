//! PIV cards that several processes and threads use at once.

use std::fs;

use hwkey_tests::{Card, KeyType, Module, Nginx, Site, Slot, Steps, helper, script};

use Slot::{Authentication, Signature};

#[test]
fn nginx_workers_sign_with_the_card_across_a_reload() {
    for module in Module::ALL {
        let card = Card::new(module, KeyType::P256, &[Authentication]);
        let (key, certificate) = card.self_signed("pkcs11:id=%01", "server");
        let nginx = Nginx::at(card, &key, certificate);
        assert!(nginx.handshakes(&["reload"]) >= 200);
        let complaints = nginx.complaints();
        assert!(complaints.is_empty(), "{module:?}: {complaints:#?}");
    }
}

/// Some load the key, some have it from their parent.
const FAMILY: &str = "\
ends = with_key(server()), with_key(client())
def work():
    both(*ends)
    both(with_key(server()), with_key(client()))
def grandparent():
    work()
    ended_well(child(work))
    work()
work()
children = [child(grandparent) for _ in range(2)]
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for pid in children: ended_well(pid)
work()
";

#[test]
fn parents_children_and_threads_use_a_card_together() {
    for module in Module::ALL {
        for slot in [Authentication, Signature] {
            let card = Card::new(module, KeyType::P256, &[slot]);
            let uri = format!("pkcs11:id={}", slot.id());
            let (key, certificate) = card.self_signed(&uri, "key");
            let said = script(&card, FAMILY, &key, &certificate).env("HWKEY_LOG", "info");
            let said = said.finish();
            assert!(said.ok, "{module:?}: {}", said.all());
            // It is healed, but it must not come to that: two processes on one wire.
            let is_whole = !said.stderr.contains("CKR_DEVICE_ERROR");
            assert!(is_whole, "{module:?}: {}", said.stderr);
            assert_eq!(card.tries_left(), 3, "{module:?}");
        }
    }
}

/// Processes that end reset the card (Yubico's module, its tools), and others notice.
#[test]
fn other_programs_that_use_the_card_do_not_disturb_a_running_one() {
    for module in Module::ALL {
        let card = Card::new(module, KeyType::P256, &[Authentication]);
        card.openssl("pkey -in pkcs11:id=%01 -out 9a.pem", &[]).ok();
        fs::write(card.path("message"), "to whom it may concern").expect("message");
        let mut steps = Steps::of(card.run(helper("steps")), &card.path("steps.log"));
        steps.ok("load=9a.pem");
        for other in Module::ALL {
            let mut its = card.conf().option("pkcs11-module-path", &other.path());
            if other != module {
                its = its.option("log-level", "error");
            }
            card.configure(&its);
            for _ in 0..2 {
                card.openssl(
                    "dgst -sha256 -sign {} -out signature message",
                    &["pkcs11:id=%01"],
                )
                .ok();
                steps.ok("sign");
            }
        }
    }
}

/// A signature with one key must not come between the login for another key and its signature.
#[test]
fn threads_sign_with_keys_of_two_slots_at_once() {
    for module in Module::ALL {
        let card = Card::new(module, KeyType::P256, &[Authentication, Signature]);
        let files: Vec<String> = [Authentication, Signature]
            .iter()
            .flat_map(|slot| {
                let (uri, file) = (
                    format!("pkcs11:id={}", slot.id()),
                    format!("{}.pem", slot.name()),
                );
                card.openssl("pkey -in {} -out {}", &[&uri, &file]).ok();
                [file, format!("{}.pub", slot.name())]
            })
            .collect();
        for options in [&["6", "8"][..], &["--shared", "6", "8"]] {
            card.run(helper("hammer")).args(options).args(&files).ok();
        }
        card.openssl("dgst -sha256 -sign 9c.pem -out signature 9c.pem", &[])
            .ok();
        assert_eq!(card.tries_left(), 3, "{module:?}");
    }
}
