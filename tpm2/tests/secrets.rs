//! Nobody hears a secret on the bus.

mod swtpm;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::encrypt::Encrypter;
use openssl::nid::Nid;
use openssl::rsa::Padding;
use tpm2_abi::{
    Created, DecryptScheme, Input, Outcome, PolicyCommand, Reply, Request, Secret, Source, Task,
    Template,
};

use swtpm::{ECDSA, OWNER, P256, Tpm, bytes, public_key, wire::Wire, wrapped};

const AUTH: &[u8] = b"this is nobody's business";
const MESSAGE: &[u8] = b"nor is this";

#[test]
fn no_authorisation_value_and_no_result_is_heard_on_the_bus() {
    let tpm = Tpm::start();
    let wire = Wire::tap(&tpm);
    let ask = |task| -> Reply {
        hwkey_tpm2::answer(Request {
            tcti: wire.tcti(),
            task,
        })
    };
    let create = |template| -> Created {
        let created = ask(Task::Create {
            parent: OWNER,
            parent_auth: Secret::default(),
            template,
            auth: Secret::copied(AUTH),
        });
        match created.unwrap() {
            Outcome::Created(created) => created,
            _ => panic!("another outcome"),
        }
    };
    let key = create(P256);
    let mut object = wrapped(&key, AUTH);
    let sign = |object| Task::Sign {
        object,
        scheme: ECDSA,
        input: Input::Digest(vec![7; 32]),
    };
    ask(sign(object.clone())).unwrap();
    ask(Task::Authorise {
        object: object.clone(),
    })
    .unwrap();
    // The key has no policy, so the TPM refuses; a password would have been sent all the same.
    if let Source::Wrapped { policy, .. } = &mut object.source {
        policy.push(PolicyCommand {
            code: 0x18c,
            parameters: Vec::new(),
        });
    }
    assert!(ask(sign(object)).is_err());
    let (x, y) = somebody();
    let object = wrapped(&key, AUTH);
    let derived = bytes(ask(Task::Derive { object, x, y }).unwrap());
    let key = create(Template::Rsa {
        bits: 2048,
        exponent: 0,
    });
    let decrypted = ask(Task::Decrypt {
        object: wrapped(&key, AUTH),
        scheme: DecryptScheme::RsaEs,
        input: encrypted(&key),
    });
    assert_eq!(bytes(decrypted.unwrap()), MESSAGE);
    let random = bytes(ask(Task::Random { bytes: 32 }).unwrap());
    // What is public is heard.
    assert!(wire.heard(&key.area.name));
    for secret in [AUTH, MESSAGE, &derived[..], &random] {
        assert!(!wire.heard(secret));
    }
}

/// A public point.
fn somebody() -> (Vec<u8>, Vec<u8>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let [mut x, mut y] = [BigNum::new().unwrap(), BigNum::new().unwrap()];
    let point = key.public_key();
    point
        .affine_coordinates(&group, &mut x, &mut y, &mut context)
        .unwrap();
    (x.to_vec_padded(32).unwrap(), y.to_vec_padded(32).unwrap())
}

fn encrypted(key: &Created) -> Vec<u8> {
    let public = public_key(&key.area);
    let mut encrypter = Encrypter::new(&public).unwrap();
    encrypter.set_rsa_padding(Padding::PKCS1).unwrap();
    let mut input = vec![0; 256];
    let size = encrypter.encrypt(MESSAGE, &mut input).unwrap();
    input.truncate(size);
    input
}
