//! Makes keys that parsec-tool does not make: `parsec_key PROVIDER NAME POLICY`.

#![forbid(unsafe_code)]

use parsec_client::BasicClient;
use parsec_client::core::interface::operations::psa_algorithm::{
    Algorithm, AsymmetricEncryption, AsymmetricSignature, Hash, KeyAgreement, RawKeyAgreement,
    SignHash,
};
use parsec_client::core::interface::operations::psa_key_attributes::{
    Attributes, EccFamily, Lifetime, Policy, Type, UsageFlags,
};
use parsec_client::core::interface::requests::ProviderId;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [provider, name, policy] = &arguments[..] else {
        panic!("usage: parsec_key PROVIDER NAME POLICY");
    };
    // Its socket is where PARSEC_SERVICE_ENDPOINT says.
    let mut client = BasicClient::new(None).expect("the service");
    let number: u8 = provider.parse().expect("a provider's number");
    client.set_implicit_provider(ProviderId::try_from(number).expect("a provider"));
    let made = client.psa_generate_key(name, attributes(policy));
    made.expect("a key");
}

fn attributes(policy: &str) -> Attributes {
    let ec = Type::EccKeyPair {
        curve_family: EccFamily::SecpR1,
    };
    let rsa = Type::RsaKeyPair;
    let any = SignHash::Any;
    let (key_type, bits, algorithm): (Type, usize, Algorithm) = match policy {
        "ecdh" => (ec, 256, KeyAgreement::Raw(RawKeyAgreement::Ecdh).into()),
        "ecdsa-any" | "mute" => (ec, 256, AsymmetricSignature::Ecdsa { hash_alg: any }.into()),
        "rsa-any" => (
            rsa,
            2048,
            AsymmetricSignature::RsaPkcs1v15Sign { hash_alg: any }.into(),
        ),
        "rsa-raw" => (rsa, 2048, AsymmetricSignature::RsaPkcs1v15SignRaw.into()),
        "oaep-sha512" => (
            rsa,
            2048,
            AsymmetricEncryption::RsaOaep {
                hash_alg: Hash::Sha512,
            }
            .into(),
        ),
        other => panic!("no such policy: {other}"),
    };
    let mut usage_flags = UsageFlags::default();
    match (policy, algorithm) {
        ("mute", _) => usage_flags.set_verify_hash(),
        (_, Algorithm::KeyAgreement(_)) => usage_flags.set_derive(),
        (_, Algorithm::AsymmetricEncryption(_)) => usage_flags.set_decrypt().set_encrypt(),
        _ => usage_flags.set_sign_hash().set_verify_hash(),
    };
    Attributes {
        lifetime: Lifetime::Persistent,
        key_type,
        bits,
        policy: Policy {
            usage_flags,
            permitted_algorithms: algorithm,
        },
    }
}
