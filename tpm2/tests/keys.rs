//! Keys from everywhere do what keys do; others verify it.

mod swtpm;

use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey};
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Padding;
use openssl::sha::sha256;
use tpm2_abi::{
    DecryptScheme, Input, Listed, Outcome, PolicyCommand, PublicKey, SignScheme, Source, Task,
    Template,
};

use swtpm::{ECDSA, OWNER, P256, SHA256, Tpm, bytes, object, public_key, saved, verifies, wrapped};

const RSA: Template = Template::Rsa {
    bits: 2048,
    exponent: 0,
};

#[test]
fn a_wrapped_key_signs_and_leaves_nothing_in_the_tpm() {
    let tpm = Tpm::start();
    let key = wrapped(&tpm.create(P256, b""), b"");
    let digest = sha256(b"message");
    let area = tpm.inspect(&key);
    for _ in 0..4 {
        let signature = tpm.sign(&key, &digest).unwrap();
        assert!(verifies(&area, ECDSA, &digest, &signature));
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_persistent_key_signs_and_is_listed() {
    let tpm = Tpm::start();
    let key = tpm.persistent("ecc256:ecdsa", "");
    let area = tpm.signs(&key);
    let Outcome::Listing(listing) = tpm.ask(Task::List).unwrap() else {
        panic!("another outcome")
    };
    let handle = 0x8100_0001;
    assert_eq!(listing, [Listed::Key { handle, area }]);
}

#[test]
fn a_saved_context_of_tpm2_tools_is_a_key() {
    let tpm = Tpm::start();
    tpm.persistent("ecc256:ecdsa", "");
    let key = object(Source::Saved(saved(&tpm.read("key.ctx"))), b"");
    tpm.signs(&key);
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_key_under_a_parent_of_other_tools_is_found_out() {
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    // tpm2-tss-engine's and tpm2-tools' parents.
    for algorithm in ["ecc256", "rsa2048"] {
        for command in [
            &format!("tpm2_createprimary -G {algorithm}:aes128cfb -c primary.ctx"),
            "tpm2_create -C primary.ctx -G ecc256:ecdsa -u key.pub -r key.priv",
        ] {
            tpm.tool(command);
            tpm.tool("tpm2_flushcontext -t");
        }
        let key = object(
            Source::Wrapped {
                parent: OWNER,
                public: tpm.read("key.pub"),
                private: tpm.read("key.priv"),
                secret: None,
                policy: Vec::new(),
            },
            b"",
        );
        tpm.signs(&key);
    }
}

#[test]
fn an_rsa_key_signs_in_both_ways() {
    let tpm = Tpm::start();
    let created = tpm.create(RSA, b"");
    let key = wrapped(&created, b"");
    let digest = sha256(b"message");
    for scheme in [
        SignScheme::RsaSsa { hash: SHA256 },
        SignScheme::RsaPss { hash: SHA256 },
    ] {
        let sign = Task::Sign {
            object: key.clone(),
            scheme,
            input: Input::Digest(digest.to_vec()),
        };
        let signature = bytes(tpm.ask(sign).unwrap());
        assert!(verifies(&created.area, scheme, &digest, &signature));
        for (digest, expected) in [(digest, true), (sha256(b"another"), false)] {
            let verify = Task::Verify {
                object: key.clone(),
                scheme,
                digest: digest.to_vec(),
                signature: signature.clone(),
            };
            let Outcome::Verified(verified) = tpm.ask(verify).unwrap() else {
                panic!("another outcome")
            };
            assert_eq!(verified, expected);
        }
    }
}

#[test]
fn an_rsa_key_decrypts() {
    let tpm = Tpm::start();
    let created = tpm.create(RSA, b"");
    let public = public_key(&created.area);
    for padding in [Padding::PKCS1, Padding::PKCS1_OAEP, Padding::NONE] {
        let mut encrypter = Encrypter::new(&public).unwrap();
        encrypter.set_rsa_padding(padding).unwrap();
        let mut label = Vec::new();
        let mut message = b"secret".to_vec();
        let scheme = match padding {
            Padding::PKCS1 => DecryptScheme::RsaEs,
            Padding::NONE => {
                message = [0; 250].into_iter().chain(message).collect();
                DecryptScheme::Raw
            }
            _ => {
                label.extend(b"label\0");
                encrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
                encrypter.set_rsa_oaep_label(&label).unwrap();
                DecryptScheme::Oaep {
                    hash: SHA256,
                    label: b"label".to_vec(),
                }
            }
        };
        let mut input = vec![0; encrypter.encrypt_len(&message).unwrap()];
        let size = encrypter.encrypt(&message, &mut input).unwrap();
        input.truncate(size);
        let object = wrapped(&created, b"");
        let decrypted = tpm.ask(Task::Decrypt {
            object,
            scheme,
            input,
        });
        assert_eq!(bytes(decrypted.unwrap()), message);
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn both_sides_derive_the_same_secret() {
    let tpm = Tpm::start();
    let created = tpm.create(P256, b"auth");
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let other = EcKey::generate(&group).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let [mut x, mut y] = [BigNum::new().unwrap(), BigNum::new().unwrap()];
    let point = other.public_key();
    point
        .affine_coordinates(&group, &mut x, &mut y, &mut context)
        .unwrap();
    let derived = tpm.ask(Task::Derive {
        object: wrapped(&created, b"auth"),
        x: x.to_vec_padded(32).unwrap(),
        y: y.to_vec_padded(32).unwrap(),
    });
    let other = PKey::from_ec_key(other).unwrap();
    let public = public_key(&created.area);
    let mut deriver = Deriver::new(&other).unwrap();
    deriver.set_peer(&public).unwrap();
    assert_eq!(bytes(derived.unwrap()), deriver.derive_to_vec().unwrap());
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_restricted_key_signs_messages_of_any_length() {
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    for command in [
        "tpm2_createprimary -G ecc256:aes128cfb -c primary.ctx",
        "tpm2_create -C primary.ctx -G ecc256:ecdsa-sha256:null -u key.pub -r key.priv \
         -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign",
        "tpm2_load -C primary.ctx -u key.pub -r key.priv -c key.ctx",
        "tpm2_evictcontrol -c key.ctx 0x81000001",
    ] {
        tpm.tool(command);
        tpm.tool("tpm2_flushcontext -t");
    }
    let key = object(Source::Persistent(0x8100_0001), b"");
    let area = tpm.inspect(&key);
    for size in [0, 5, 1024, 1025, 2048, 5000] {
        let message = vec![7; size];
        let sign = Task::Sign {
            object: key.clone(),
            scheme: ECDSA,
            input: Input::Message(message.clone()),
        };
        let signature = bytes(tpm.ask(sign).unwrap());
        assert!(
            verifies(&area, ECDSA, &sha256(&message), &signature),
            "{size}"
        );
    }
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_policy_is_shown_to_the_tpm() {
    const AUTH_VALUE: u32 = 0x16b;
    const PCR: u32 = 0x17f;
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    for command in [
        "tpm2_startauthsession -S session.ctx",
        "tpm2_policypcr -S session.ctx -l sha256:16",
        "tpm2_policyauthvalue -S session.ctx -L policy",
        "tpm2_flushcontext session.ctx",
        "tpm2_createprimary -G ecc256:aes128cfb -c primary.ctx",
        "tpm2_flushcontext -t",
        "tpm2_create -C primary.ctx -G ecc256:ecdsa -u key.pub -r key.priv -L policy -p auth \
         -a fixedtpm|fixedparent|sensitivedataorigin|sign",
        "tpm2_flushcontext -t",
    ] {
        tpm.tool(command);
    }
    // No digest of the registers, one selection: SHA-256, three bytes, number 16.
    let pcr = [0, 0, 0, 0, 0, 1, 0, SHA256 as u8, 3, 0, 0, 1];
    let policy = [(PCR, &pcr[..]), (AUTH_VALUE, &[])].map(|(code, parameters)| PolicyCommand {
        code,
        parameters: parameters.to_vec(),
    });
    let source = |policy| Source::Wrapped {
        parent: OWNER,
        public: tpm.read("key.pub"),
        private: tpm.read("key.priv"),
        secret: None,
        policy,
    };
    let key = object(source(policy.to_vec()), b"auth");
    let area = tpm.signs(&key);
    assert!(area.has_policy);
    assert!(
        tpm.ask(Task::Authorise {
            object: key.clone()
        })
        .is_ok()
    );
    let without = object(source(Vec::new()), b"auth");
    assert!(tpm.sign(&without, &sha256(b"message")).is_err());
    tpm.tool(
        "tpm2_pcrextend 16:sha256=0000000000000000000000000000000000000000000000000000000000000001",
    );
    assert!(tpm.sign(&key, &sha256(b"message")).is_err());
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn a_key_that_was_made_elsewhere_is_imported() {
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let own = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    tpm.write("own.pem", &own.private_key_to_pem_pkcs8().unwrap());
    for command in [
        "tpm2_createprimary -G ecc256:aes128cfb -c primary.ctx \
         -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
        "tpm2_readpublic -c primary.ctx -o parent.pub",
        "tpm2_duplicate -U parent.pub -G ecc -k own.pem -u key.pub -r key.priv -s seed",
        "tpm2_flushcontext -t",
    ] {
        tpm.tool(command);
    }
    let key = object(
        Source::Wrapped {
            parent: OWNER,
            public: tpm.read("key.pub"),
            private: tpm.read("key.priv"),
            secret: Some(tpm.read("seed")),
            policy: Vec::new(),
        },
        b"",
    );
    let area = tpm.signs(&key);
    assert!(public_key(&area).public_eq(&own));
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn certificates_are_read_and_listed() {
    let tpm = Tpm::start();
    tpm.ask(Task::Describe).unwrap();
    // In form alone, and longer than what is read at once.
    let mut certificate = vec![0x30, 0x82, 0x06, 0x00, 0x30];
    certificate.resize(4 + 0x600, 7);
    tpm.write("certificate", &certificate);
    tpm.write("text", b"text");
    for command in [
        "tpm2_nvdefine 0x1c00002 -C o -s 1600 -a ownerread|ownerwrite|authread",
        "tpm2_nvwrite 0x1c00002 -C o -i certificate",
        "tpm2_nvdefine 0x1500001 -C o -s 4 -a ownerread|ownerwrite",
        "tpm2_nvwrite 0x1500001 -C o -i text",
        "tpm2_nvdefine 0x1500002 -C o -s 4 -a ownerread|ownerwrite",
    ] {
        tpm.tool(command);
    }
    let read = |index| {
        tpm.ask(Task::ReadNv {
            index,
            auth: Default::default(),
        })
    };
    let content = bytes(read(0x1c0_0002).unwrap());
    assert_eq!(content.len(), 1600);
    assert_eq!(content[..certificate.len()], certificate);
    assert_eq!(bytes(read(0x150_0001).unwrap()), b"text");
    assert!(read(0x150_0002).is_err());
    let Outcome::Listing(listing) = tpm.ask(Task::List).unwrap() else {
        panic!("another outcome")
    };
    let expected = Listed::Certificate {
        index: 0x1c0_0002,
        der: certificate,
    };
    assert_eq!(listing, [expected]);
}

#[test]
fn random_numbers_come_in_the_number_that_is_asked_for() {
    let tpm = Tpm::start();
    let random = |count| bytes(tpm.ask(Task::Random { bytes: count }).unwrap());
    for count in [0, 1, 32, 100] {
        assert_eq!(random(count).len(), count as usize);
    }
    assert_ne!(random(32), random(32));
    assert_eq!(tpm.loaded(), "");
}

#[test]
fn every_curve_and_size_that_the_tpm_has_can_be_made() {
    let tpm = Tpm::start();
    for (curve, size) in [(3, 32), (4, 48), (5, 66)] {
        let created = tpm.create(Template::Ecc { curve }, b"");
        let PublicKey::Ecc { x, y, .. } = &created.area.key else {
            panic!("another kind of key")
        };
        assert_eq!((x.len(), y.len()), (size, size));
        let signature = tpm
            .sign(&wrapped(&created, b""), &sha256(b"message"))
            .unwrap();
        assert_eq!(signature.len(), 2 * size);
    }
}
