//! The PIN of a PIV card: three tries, of which the last is not ours.

use std::fs;
use std::sync::Barrier;
use std::thread;

use hwkey_tests::{Card, KeyType, Module, PIN, Said, Slot, Steps, WRONG_PIN, helper};

use Slot::{Authentication, CardAuthentication, Signature};

/// What the PIN of a PIV card is worth.
const TRIES: u32 = 3;

/// A card with a reference file for the key in each of these slots, such as `9a.pem`, and a file
/// `message`.
fn card(module: Module, key: KeyType, slots: &[Slot]) -> Card {
    let card = Card::new(module, key, slots);
    for slot in slots {
        let uri = format!("pkcs11:id={}", slot.id());
        let file = format!("{}.pem", slot.name());
        card.openssl("pkey -in {} -out {}", &[&uri, &file]).ok();
    }
    fs::write(card.path("message"), "to whom it may concern").expect("message");
    card
}

/// A process of this card's user that goes on step by step.
fn steps(card: &Card) -> Steps {
    Steps::of(card.run(helper("steps")), &card.path("steps.log"))
}

#[test]
fn a_key_for_documents_gets_the_pin_at_each_signature() {
    for module in Module::ALL {
        for key in [KeyType::P256, KeyType::Rsa2048] {
            let card = card(module, key, &[Signature, Authentication]);
            let steps = "load=9c.pem sign sign load=9a.pem sign load=9c.pem sign load=9a.pem sign";
            let outcomes = card.run(helper("steps")).words(steps, &[]).ok();
            let outcomes: Vec<&str> = outcomes.lines().collect();
            assert_eq!(outcomes, ["ok"; 9], "{module:?} {key:?}");
            assert_eq!(card.tries_left(), TRIES);
        }
    }
}

#[test]
fn a_wrong_pin_costs_one_try_however_often_a_program_tries() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        assert_eq!(card.tries_left(), TRIES);
        card.write_pin(WRONG_PIN);
        let outcomes = card.run(helper("steps")).args(["load=9a.pem"; 5]).ok();
        assert_eq!(outcomes.matches("failed: ").count(), 5, "{outcomes}");
        assert!(outcomes.contains("CKR_PIN_INCORRECT"), "{outcomes}");
        assert_eq!(card.tries_left(), TRIES - 1, "{module:?}");
        // The right one gives the tries back.
        card.write_pin(PIN);
        card.openssl("dgst -sha256 -sign 9a.pem -out signature message", &[])
            .ok();
        assert_eq!(card.tries_left(), TRIES, "{module:?}");
    }
}

#[test]
fn the_last_try_is_left_to_the_user() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let signing = || card.openssl("dgst -sha256 -sign 9a.pem -out signature message", &[]);
        card.write_pin(WRONG_PIN);
        for left in [2, 1, 1, 1] {
            signing().fails();
            assert_eq!(card.tries_left(), left, "{module:?}");
        }
        // The right one is not sent either: hwkey can't know.
        card.write_pin(PIN);
        let said = Said::by(signing());
        said.logs("error", "PIN locked", &["CKF_USER_PIN_FINAL_TRY"]);
        assert_eq!(card.tries_left(), 1, "{module:?}");
        card.configure(&card.conf().option("pin-final-try", "allow"));
        signing().ok();
        assert_eq!(card.tries_left(), TRIES, "{module:?}");
    }
}

#[test]
fn threads_and_forked_children_spend_one_try_together() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        card.write_pin(WRONG_PIN);
        card.run("python3").args(["-c", FAMILY]).ok();
        assert_eq!(card.tries_left(), TRIES - 1, "{module:?}");
    }
}

/// Loads the key in threads, in children, and in the children's threads and children, in vain.
const FAMILY: &str = "\
import os, ssl, threading
def load():
    try:
        ssl.create_default_context().load_cert_chain('9a.crt', '9a.pem')
    except (ssl.SSLError, OSError):
        return
    os._exit(1)
def load_by_threads():
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    # join() returns while the thread still ends; forked then, a child finds OpenSSL's locks taken.
    ended = {str(thread.native_id) for thread in threads}
    while ended.intersection(os.listdir('/proc/self/task')): os.sched_yield()
def in_children(work):
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
load_by_threads()
in_children(lambda: (load_by_threads(), in_children(load)))
";

/// The PIN is changed on the card while a server's workers have the old one.
#[test]
fn workers_that_were_forked_before_spend_one_try_together() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        card.run("python3").args(["-c", WORKERS, PIN]).ok();
        assert_eq!(card.tries_left(), TRIES - 1, "{module:?}");
    }
}

/// A parent that has loaded the key forks workers; these load it after a change of the PIN.
const WORKERS: &str = "\
import os, ssl, subprocess, sys
def load():
    ssl.create_default_context().load_cert_chain('9a.crt', '9a.pem')
load()
read, write = os.pipe()
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        try:
            load()
        except (ssl.SSLError, OSError):
            os._exit(0)
        os._exit(1)
    children.append(child)
change = ['yubico-piv-tool', '-a', 'change-pin', '-P', sys.argv[1], '-N', '918273']
subprocess.run(change, check=True)
os.close(write)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
";

#[test]
fn many_processes_at_once_leave_a_try() {
    const PROCESSES: usize = 8;
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        card.write_pin(WRONG_PIN);
        let together = Barrier::new(PROCESSES);
        thread::scope(|scope| {
            for _ in 0..PROCESSES {
                let process = card.openssl("pkey -in 9a.pem -noout", &[]);
                scope.spawn(|| {
                    together.wait();
                    process.fails();
                });
            }
        });
        assert_eq!(card.tries_left(), 1, "{module:?}");
    }
}

/// Yubico's module sends the PIN that it keeps by itself, without a look at the tries, when the card was
/// reset; OpenSC, too, unless it is told not to keep it.
#[test]
fn running_processes_leave_a_try_when_the_pin_is_changed() {
    for slot in [Authentication, Signature] {
        let card = card(Module::OpenSc, KeyType::P256, &[slot]);
        let conf = "app default { framework pkcs15 { use_pin_caching = false; } }";
        fs::write(card.path("opensc.conf"), conf).expect("opensc.conf");
        let running = |number: usize| {
            let run = card.run(helper("steps"));
            let run = run.env("OPENSC_CONF", card.path("opensc.conf"));
            let mut steps = Steps::of(run, &card.path(&format!("steps-{number}.log")));
            steps.ok(&format!("load={}.pem", slot.name()));
            steps.ok("sign");
            steps
        };
        let mut processes: Vec<Steps> = (0..4).map(running).collect();
        card.change_pin(PIN, "918273");
        for steps in &mut processes {
            let outcome = steps.take("sign");
            assert!(outcome.contains("failed: "), "{outcome}");
        }
        assert_eq!(card.tries_left(), 1, "{slot:?}");
    }
}

#[test]
fn after_an_unblock_the_same_process_goes_on() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let mut steps = steps(&card);
        (0..TRIES).for_each(|_| card.spend_try());
        steps.fails("load=9a.pem", "CKF_USER_PIN_LOCKED");
        card.unblock(PIN);
        steps.ok("load=9a.pem");
        steps.ok("sign");
    }
}

#[test]
fn tries_that_others_spend_are_seen() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Authentication]);
        let mut steps = steps(&card);
        card.write_pin("314159");
        steps.fails("load=9a.pem", "CKR_PIN_INCORRECT");
        card.spend_try();
        card.write_pin(WRONG_PIN);
        steps.fails("load=9a.pem", "CKF_USER_PIN_FINAL_TRY");
        assert_eq!(card.tries_left(), 1, "{module:?}");
        // Somebody who knows it gives the tries back.
        card.change_pin(PIN, PIN);
        card.write_pin(PIN);
        steps.ok("load=9a.pem");
        steps.ok("sign");
    }
}

#[test]
fn a_pin_that_is_not_kept_is_asked_for_at_each_signature_of_9c() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Signature]);
        let conf = card.conf().without("pin-source").option("pin-keep", "no");
        card.configure(&conf.option("pin-prompt", &card.askpass()));
        let mut steps = steps(&card);
        steps.ok("load=9c.pem");
        let for_login = card.times_asked();
        assert_eq!(for_login, 1, "{module:?}");
        for signatures in 1..=3 {
            steps.ok("sign");
            assert_eq!(card.times_asked() - for_login, signatures, "{module:?}");
        }
    }
}

#[test]
fn without_anybody_to_ask_9c_says_what_is_missing() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Signature]);
        card.configure(&card.conf().without("pin-source").option("pin-keep", "no"));
        let message = card.openssl(
            "dgst -sha256 -sign {} -passin file:pin -out signature message",
            &["9c.pem"],
        );
        Said::by(message).names("PIN required", "signing", &["pin-source = file:"]);
        assert_eq!(card.tries_left(), TRIES);
    }
}

#[test]
fn a_wrong_pin_at_9c_costs_one_try() {
    for module in Module::ALL {
        let card = card(module, KeyType::P256, &[Signature]);
        let mut steps = steps(&card);
        steps.ok("load=9c.pem");
        steps.ok("sign");
        card.write_pin(WRONG_PIN);
        steps.fails("sign", "CKR_PIN_INCORRECT");
        steps.fails("sign", "refused before");
        assert_eq!(card.tries_left(), TRIES - 1, "{module:?}");
        card.write_pin(PIN);
        steps.ok("sign");
        steps.ok("sign");
    }
}

/// Yubico's module shows no private key before a login, so that it is OpenSC's alone.
#[test]
fn nobody_is_asked_for_a_pin_for_the_key_for_doors() {
    let card = card(Module::OpenSc, KeyType::P256, &[CardAuthentication]);
    card.reset();
    let conf = card.conf().without("pin-source");
    card.configure(&conf.option("pin-prompt", &card.askpass()));
    let mut steps = steps(&card);
    steps.ok("load=9e.pem");
    steps.ok("sign");
    card.openssl("pkey -in pkcs11:id=%04 -pubout", &[]).ok();
    assert_eq!(card.times_asked(), 0);
}
