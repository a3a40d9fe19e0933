//! What a key may do: each key of a service has one algorithm, which is known before it is used.

use parsec_client::core::interface::operations::psa_algorithm::{
    Algorithm, AsymmetricEncryption, AsymmetricSignature, Hash, KeyAgreement, RawKeyAgreement,
    SignHash,
};
use parsec_client::core::interface::operations::psa_key_attributes::Attributes;
use parsec_client::core::interface::requests::ProviderId;

use crate::digest::Digest;
use crate::encoding::digest_info::digest_info;
use crate::error::{Error, Reason, Result};
use crate::key::{Decryption, Input, Scheme};

/// The policy of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy(Attributes);

/// What is asked of the service for one signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub alg: AsymmetricSignature,
    pub data: Vec<u8>,
}

/// What is asked of the service for one decryption.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwrapping {
    pub alg: AsymmetricEncryption,
    /// The label, in the way of the provider.
    pub salt: Option<Vec<u8>>,
}

impl From<Attributes> for Policy {
    fn from(attributes: Attributes) -> Self {
        Self(attributes)
    }
}

impl Policy {
    /// Whether it is a key of RSA-PSS.
    pub fn is_pss(&self) -> bool {
        matches!(self.signs(), Some(AsymmetricSignature::RsaPss { .. }))
    }

    /// The digest that the key signs, if there is only one.
    pub fn only_digest(&self) -> Option<Digest> {
        match hash_of(self.signs()?) {
            Some(SignHash::Specific(hash)) => digest(hash),
            _ => None,
        }
    }

    /// Whether the key may sign, with this digest if there is one.
    pub fn allow(&self, digest: Option<Digest>) -> Result<()> {
        let only = hash_of(self.signature()?);
        match (digest, only) {
            (Some(wanted), Some(SignHash::Specific(only))) if hash(wanted) != only => {
                let only = hash_name(only);
                Err(Error::new(
                    Reason::UnsupportedDigest,
                    format!(
                        "its policy is {self}, and {} is asked for; take {only} (openssl: -{}), or make a \
                         key for another digest",
                        wanted.name(),
                        only.replace("SHA2-", "sha").to_lowercase(),
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// How `scheme` is done with this key.
    pub fn plan(&self, scheme: &Scheme, input: Input<'_>) -> Result<Plan> {
        use AsymmetricSignature as Alg;
        let data = hashed(scheme, input);
        let alg = self.signature()?;
        let hash_alg = |digest: Digest| SignHash::Specific(hash(digest));
        let alg = match (scheme, alg) {
            (Scheme::Ecdsa, Alg::EcdsaAny) => alg,
            (Scheme::Ecdsa, Alg::Ecdsa { .. }) => Alg::Ecdsa {
                hash_alg: self.of_length(data.len())?,
            },
            (Scheme::Ecdsa, Alg::DeterministicEcdsa { .. }) => Alg::DeterministicEcdsa {
                hash_alg: self.of_length(data.len())?,
            },
            (
                Scheme::RsaPkcs1 {
                    digest: Some(digest),
                },
                Alg::RsaPkcs1v15Sign { .. },
            ) => Alg::RsaPkcs1v15Sign {
                hash_alg: hash_alg(*digest),
            },
            (
                Scheme::RsaPkcs1 {
                    digest: Some(digest),
                },
                Alg::RsaPkcs1v15SignRaw,
            ) => {
                let data = digest_info(*digest, &data)?;
                return Ok(Plan { alg, data });
            }
            (Scheme::RsaPkcs1 { digest: None }, Alg::RsaPkcs1v15SignRaw) => alg,
            (Scheme::RsaPss { digest, mgf1, salt }, Alg::RsaPss { .. }) => {
                self.check_pss(*digest, *mgf1, *salt)?;
                Alg::RsaPss {
                    hash_alg: hash_alg(*digest),
                }
            }
            _ => return Err(self.is_for_another(scheme)),
        };
        Ok(Plan { alg, data })
    }

    /// How `how` is done with this key of `provider`.
    pub fn unwrapping(&self, how: &Decryption, provider: ProviderId) -> Result<Unwrapping> {
        let refused = |problem: &str| {
            let text = format!("its policy is {self}; {problem}");
            Err(Error::new(Reason::OperationNotAllowed, text))
        };
        let Algorithm::AsymmetricEncryption(alg) = self.0.policy.permitted_algorithms else {
            return refused(
                "decryption takes a key made for it: parsec-tool create-rsa-key --key-name NAME",
            );
        };
        if !self.0.policy.usage_flags.decrypt() {
            return refused("it may not decrypt (the usage flag decrypt is not set)");
        }
        match (how, alg) {
            (Decryption::Pkcs1, AsymmetricEncryption::RsaPkcs1v15Crypt) => {
                Ok(Unwrapping { alg, salt: None })
            }
            (Decryption::Oaep { digest, label }, AsymmetricEncryption::RsaOaep { hash_alg })
                if hash(*digest) == hash_alg =>
            {
                if !takes_label(provider, label) {
                    return refused(
                        "this provider takes no label, and a TPM one that ends in a NUL byte only",
                    );
                }
                let salt = (!label.is_empty()).then(|| label.clone());
                Ok(Unwrapping { alg, salt })
            }
            (_, AsymmetricEncryption::RsaPkcs1v15Crypt) => refused("take rsa_padding_mode:pkcs1"),
            (_, AsymmetricEncryption::RsaOaep { .. }) => refused(
                "take rsa_padding_mode:oaep with this digest for both, rsa_oaep_md:… and rsa_mgf1_md:… \
                 (OpenSSL's own is SHA-1)",
            ),
        }
    }

    /// How a shared secret is derived with this key.
    pub fn agreement(&self) -> Result<RawKeyAgreement> {
        let derives = self.0.policy.usage_flags.derive();
        match self.0.policy.permitted_algorithms {
            Algorithm::KeyAgreement(KeyAgreement::Raw(agreement)) if derives => Ok(agreement),
            _ => Err(Error::new(
                Reason::OperationNotAllowed,
                format!("its policy is {self}; a shared secret takes a key made for ECDH"),
            )),
        }
    }

    fn signs(&self) -> Option<AsymmetricSignature> {
        match self.0.policy.permitted_algorithms {
            Algorithm::AsymmetricSignature(alg) => Some(alg),
            _ => None,
        }
    }

    fn signature(&self) -> Result<AsymmetricSignature> {
        let refused = |problem: &str| {
            let text = format!("its policy is {self}; {problem}");
            Err(Error::new(Reason::OperationNotAllowed, text))
        };
        match self.signs() {
            None => refused(
                "signing takes a key made for it: parsec-tool create-ecc-key, or create-rsa-key \
                 --for-signing",
            ),
            Some(_) if !self.0.policy.usage_flags.sign_hash() => {
                refused("it may not sign (the usage flag sign_hash is not set)")
            }
            Some(alg) => Ok(alg),
        }
    }

    /// ECDSA does not say of which digest a value is, and the service wants to hear it.
    fn of_length(&self, length: usize) -> Result<SignHash> {
        let usual = [
            Digest::Sha256,
            Digest::Sha384,
            Digest::Sha512,
            Digest::Sha224,
            Digest::Sha1,
        ];
        let only = self.only_digest();
        let known = only
            .into_iter()
            .chain(usual.into_iter().filter(|_| only.is_none()));
        let fits = known.into_iter().find(|digest| digest.size() == length);
        fits.map(|digest| SignHash::Specific(hash(digest)))
            .ok_or_else(|| {
                Error::new(
                    Reason::InvalidData,
                    format!("its policy is {self}, and a value of {length} bytes is none of it"),
                )
            })
    }

    fn check_pss(&self, digest: Digest, mgf1: Digest, salt: usize) -> Result<()> {
        let problem = match () {
            () if mgf1 != digest => "takes one digest for both, rsa_mgf1_md",
            () if salt != digest.size() => {
                "has salts of the digest's length only: add rsa_pss_saltlen:digest (-sigopt)"
            }
            () => return Ok(()),
        };
        Err(Error::new(
            Reason::OperationNotAllowed,
            format!("Parsec {problem}"),
        ))
    }

    fn is_for_another(&self, scheme: &Scheme) -> Error {
        let cure = match (scheme, self.signs()) {
            (Scheme::RsaPss { .. }, Some(AsymmetricSignature::RsaPkcs1v15Sign { .. })) => {
                "TLS 1.3 needs PSS with RSA: set MaxProtocol = TLSv1.2 and SignatureAlgorithms = RSA+SHA256 \
                 in openssl.cnf, or take an EC key"
            }
            (Scheme::RsaPkcs1 { .. }, Some(AsymmetricSignature::RsaPss { .. })) => {
                "take rsa_padding_mode:pss, or make another key"
            }
            (Scheme::RsaPkcs1 { digest: None }, _) => {
                "it signs values of a digest: add -pkeyopt digest:sha256"
            }
            _ => "make a key for it",
        };
        Error::new(
            Reason::OperationNotAllowed,
            format!("its policy is {self}, and {scheme} is asked for; {cure}"),
        )
    }
}

/// For people: "ECDSA with SHA2-256".
impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use AsymmetricSignature as Alg;
        let title = match self.0.policy.permitted_algorithms {
            Algorithm::AsymmetricSignature(alg) => match alg {
                Alg::RsaPkcs1v15Sign { .. } => "RSA PKCS#1 v1.5 signatures",
                Alg::RsaPkcs1v15SignRaw => "raw RSA PKCS#1 v1.5 signatures",
                Alg::RsaPss { .. } => "RSA-PSS",
                Alg::Ecdsa { .. } | Alg::EcdsaAny => "ECDSA",
                Alg::DeterministicEcdsa { .. } => "deterministic ECDSA",
            },
            Algorithm::AsymmetricEncryption(AsymmetricEncryption::RsaPkcs1v15Crypt) => {
                "RSA PKCS#1 v1.5 encryption"
            }
            Algorithm::AsymmetricEncryption(AsymmetricEncryption::RsaOaep { hash_alg }) => {
                return write!(f, "RSA-OAEP with {}", hash_name(hash_alg));
            }
            Algorithm::KeyAgreement(KeyAgreement::Raw(RawKeyAgreement::Ecdh)) => "ECDH",
            other => return write!(f, "{other:?}"),
        };
        match self.signs().and_then(hash_of) {
            Some(SignHash::Specific(hash)) => write!(f, "{title} with {}", hash_name(hash)),
            _ => f.write_str(title),
        }
    }
}

fn hashed(scheme: &Scheme, input: Input<'_>) -> Vec<u8> {
    match input {
        Input::Data(data) => data.to_vec(),
        // They come for keys that want messages, and these do not; but it is the same.
        Input::Message { digest, message } => {
            log::debug!("hashing for {scheme}");
            digest.hash(message)
        }
    }
}

/// Mbed Crypto takes any label, a TPM one that ends in NUL; the PKCS#11 provider drops it.
fn takes_label(provider: ProviderId, label: &[u8]) -> bool {
    match (label.split_last(), provider) {
        (None, _) | (_, ProviderId::MbedCrypto) => true,
        (Some((last, rest)), ProviderId::Tpm) => *last == 0 && !rest.contains(&0),
        _ => false,
    }
}

fn hash_of(alg: AsymmetricSignature) -> Option<SignHash> {
    use AsymmetricSignature as Alg;
    match alg {
        Alg::RsaPkcs1v15Sign { hash_alg }
        | Alg::RsaPss { hash_alg }
        | Alg::Ecdsa { hash_alg }
        | Alg::DeterministicEcdsa { hash_alg } => Some(hash_alg),
        Alg::RsaPkcs1v15SignRaw | Alg::EcdsaAny => None,
    }
}

fn hash_name(hash: Hash) -> String {
    digest(hash).map_or_else(|| format!("{hash:?}"), |digest| digest.name().to_owned())
}

/// PSA's name of `digest`.
pub fn hash(digest: Digest) -> Hash {
    match digest {
        #[allow(deprecated)]
        Digest::Sha1 => Hash::Sha1,
        Digest::Sha224 => Hash::Sha224,
        Digest::Sha256 => Hash::Sha256,
        Digest::Sha384 => Hash::Sha384,
        Digest::Sha512 => Hash::Sha512,
        Digest::Sha512_224 => Hash::Sha512_224,
        Digest::Sha512_256 => Hash::Sha512_256,
        Digest::Sha3_224 => Hash::Sha3_224,
        Digest::Sha3_256 => Hash::Sha3_256,
        Digest::Sha3_384 => Hash::Sha3_384,
        Digest::Sha3_512 => Hash::Sha3_512,
    }
}

fn digest(wanted: Hash) -> Option<Digest> {
    let mut all = Digest::ALL.iter().copied();
    all.find(|digest| hash(*digest) == wanted)
}

#[cfg(test)]
mod tests {
    use parsec_client::core::interface::operations::psa_key_attributes::{
        Lifetime, Policy as PsaPolicy, Type, UsageFlags,
    };

    use super::*;

    fn policy(algorithm: impl Into<Algorithm>) -> Policy {
        let mut usage_flags = UsageFlags::default();
        usage_flags
            .set_sign_hash()
            .set_verify_hash()
            .set_decrypt()
            .set_derive();
        Policy(Attributes {
            lifetime: Lifetime::Persistent,
            key_type: Type::RsaKeyPair,
            bits: 2048,
            policy: PsaPolicy {
                usage_flags,
                permitted_algorithms: algorithm.into(),
            },
        })
    }

    fn ecdsa(hash_alg: SignHash) -> Policy {
        policy(AsymmetricSignature::Ecdsa { hash_alg })
    }

    #[test]
    fn ecdsa_goes_with_the_digest_of_the_policy_or_with_that_of_the_length() {
        let only = ecdsa(Hash::Sha3_256.into());
        let any = ecdsa(SignHash::Any);
        let alg = |policy: &Policy, length: usize| {
            let plan = policy.plan(&Scheme::Ecdsa, Input::Data(&vec![7; length]));
            plan.map(|plan| hash_of(plan.alg))
        };
        assert_eq!(alg(&only, 32).unwrap(), Some(Hash::Sha3_256.into()));
        assert_eq!(alg(&any, 32).unwrap(), Some(Hash::Sha256.into()));
        assert_eq!(alg(&any, 64).unwrap(), Some(Hash::Sha512.into()));
        assert!(alg(&only, 48).is_err() && alg(&any, 33).is_err());
    }

    #[test]
    fn a_policy_for_a_digest_that_hwkey_does_not_know_allows_none_of_the_others() {
        let policy = ecdsa(Hash::Ripemd160.into());
        let error = policy.allow(Some(Digest::Sha256)).unwrap_err();
        assert!(error.message().contains("Ripemd160"), "{error}");
    }

    #[test]
    fn pss_takes_one_digest_and_its_length() {
        let policy = policy(AsymmetricSignature::RsaPss {
            hash_alg: SignHash::Any,
        });
        let plan = |mgf1: Digest, salt: usize| {
            let digest = Digest::Sha256;
            let scheme = Scheme::RsaPss { digest, mgf1, salt };
            policy.plan(&scheme, Input::Data(&[7; 32]))
        };
        assert!(plan(Digest::Sha256, 32).is_ok());
        assert!(plan(Digest::Sha256, 222).is_err());
        assert!(plan(Digest::Sha1, 32).is_err());
        assert!(policy.is_pss());
    }

    #[test]
    fn labels_are_those_that_the_provider_takes() {
        let policy = policy(AsymmetricEncryption::RsaOaep {
            hash_alg: Hash::Sha256,
        });
        let takes = |label: &[u8], provider| {
            let how = Decryption::Oaep {
                digest: Digest::Sha256,
                label: label.to_vec(),
            };
            policy.unwrapping(&how, provider).is_ok()
        };
        for provider in [ProviderId::MbedCrypto, ProviderId::Tpm, ProviderId::Pkcs11] {
            assert!(takes(b"", provider));
        }
        assert!(takes(b"key", ProviderId::MbedCrypto));
        assert!(takes(b"key\0", ProviderId::Tpm) && !takes(b"key", ProviderId::Tpm));
        assert!(!takes(b"k\0y\0", ProviderId::Tpm) && !takes(b"key\0", ProviderId::Pkcs11));
    }

    #[test]
    fn each_digest_has_a_name_of_its_own_in_psa() {
        for one in Digest::ALL {
            assert_eq!(digest(hash(*one)), Some(*one));
        }
    }
}
