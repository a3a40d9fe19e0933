//! Which scheme of the TPM makes a signature.

use tpm2_abi::{Area, Input as TpmInput, KeyScheme, SignScheme};

use super::numbers::{
    ALG_ECDH, ALG_ECDSA, ALG_OAEP, ALG_RSAES, ALG_RSAPSS, ALG_RSASSA, Attributes, hash_by_number,
    hash_number,
};
use crate::digest::Digest;
use crate::encoding::{digest_info::digest_info, ecdsa::leftmost, pkcs1, pss};
use crate::error::{Error, Reason, Result};
use crate::key::{Input, PublicKey, Scheme};

/// What a key can do.
pub struct Abilities {
    pub attributes: Attributes,
    /// The scheme it is bound to.
    bound: Option<KeyScheme>,
    /// The hashes of its TPM.
    hashes: Vec<Digest>,
    /// `digest = token`.
    hashes_in_token: bool,
}

/// How a signature is made.
pub enum Plan {
    Sign {
        scheme: SignScheme,
        input: TpmInput,
    },
    /// The bare RSA operation on an input that is padded already.
    Raw(Vec<u8>),
}

impl Abilities {
    pub fn new(area: &Area, hashes: &[u16], hashes_in_token: bool) -> Self {
        let hashes = hashes.iter().filter_map(|number| hash_by_number(*number));
        Self {
            attributes: Attributes::of(area),
            bound: area.scheme,
            hashes: hashes.collect(),
            hashes_in_token,
        }
    }

    /// Whether the key takes whole messages: a restricted one signs only what the TPM has hashed.
    pub fn wants_messages(&self) -> bool {
        self.attributes.restricted() || self.hashes_in_token
    }

    /// Whether the bare RSA operation can be had.
    pub fn does_raw(&self) -> bool {
        let attributes = self.attributes;
        attributes.decrypt() && !attributes.restricted() && self.bound.is_none()
    }

    /// Whether it decrypts with this scheme, TPM_ALG_ID, and this hash.
    pub fn decrypts(&self, algorithm: u16, hash: Option<Digest>) -> bool {
        let may = self.attributes.decrypt() && !self.attributes.restricted();
        may && self.bound.is_none_or(|bound| {
            let same_hash = bound.hash.and_then(hash_by_number) == hash;
            bound.algorithm == algorithm && same_hash
        }) && hash.is_none_or(|hash| self.hashes.contains(&hash))
    }

    /// Whether it takes part in ECDH.
    pub fn derives(&self) -> bool {
        self.decrypts(ALG_ECDH, None) || {
            let is_ecdh = |bound: KeyScheme| bound.algorithm == ALG_ECDH;
            self.bound.is_some_and(is_ecdh) && self.attributes.decrypt()
        }
    }

    /// Whether the key signs, with this digest if there is one; else why not.
    pub fn allow(&self, public: &PublicKey, digest: Option<Digest>) -> Result<()> {
        if !self.attributes.sign() {
            return Err(refused(
                "the key's attribute \"sign\" is clear; make a key that signs",
            ));
        }
        if self
            .bound
            .is_some_and(|bound| [ALG_RSAES, ALG_OAEP, ALG_ECDH].contains(&bound.algorithm))
        {
            return Err(refused(
                "the key is bound to a scheme that is none for signatures",
            ));
        }
        let Some(digest) = digest else {
            return Ok(());
        };
        match public {
            PublicKey::Ec { curve, .. } => self.ecdsa_hash(digest, curve.field_size()).map(drop),
            _ if self.signs_rsa(digest) || self.does_raw() => Ok(()),
            _ => Err(self.no_such_digest(digest)),
        }
    }

    /// The plan for a signature of `input` by `scheme`.
    pub fn plan(&self, public: &PublicKey, scheme: &Scheme, input: Input<'_>) -> Result<Plan> {
        let (hashed, message) = match input {
            Input::Data(data) => (data.to_vec(), None),
            Input::Message { digest, message } if self.hashes.contains(&digest) => {
                (Vec::new(), Some(message))
            }
            Input::Message { digest, message } => (digest.hash(message), None),
        };
        if self.attributes.restricted() && message.is_none() {
            return Err(refused(
                "the key is restricted: it signs only messages that the TPM itself has hashed, never a \
                 digest; sign with openssl dgst or pkeyutl -rawin, or make an unrestricted key",
            ));
        }
        match scheme {
            Scheme::Ecdsa => self.ecdsa(public, input, hashed, message),
            Scheme::RsaPkcs1 {
                digest: Some(digest),
            } if self.does(ALG_RSASSA, *digest) => {
                let hash = number(*digest)?;
                Ok(sign(SignScheme::RsaSsa { hash }, hashed, message))
            }
            Scheme::RsaPss { digest, mgf1, .. }
                if digest == mgf1 && self.does(ALG_RSAPSS, *digest) =>
            {
                let hash = number(*digest)?;
                Ok(sign(SignScheme::RsaPss { hash }, hashed, message))
            }
            _ => self.raw(
                public,
                scheme,
                &match message {
                    Some(message) => scheme_digest(scheme)?.hash(message),
                    None => hashed,
                },
            ),
        }
    }

    /// The plan that pads on the host, for what the TPM has no scheme for.
    pub fn raw(&self, public: &PublicKey, scheme: &Scheme, hashed: &[u8]) -> Result<Plan> {
        if !self.does_raw() {
            return Err(self.no_such_scheme(scheme));
        }
        let size = public.bits().div_ceil(8);
        Ok(Plan::Raw(match scheme {
            Scheme::RsaPkcs1 {
                digest: Some(digest),
            } => pkcs1::encode(&digest_info(*digest, hashed)?, size)?,
            Scheme::RsaPkcs1 { digest: None } => pkcs1::encode(hashed, size)?,
            Scheme::RsaPss { digest, mgf1, salt } => {
                pss::encode(hashed, *digest, *mgf1, *salt, public.bits())?
            }
            _ => hashed.to_vec(),
        }))
    }

    /// ECDSA does not sign the name of the digest, only a number: a value for whose length the TPM has no
    /// hash is cut to the order's size, and filled up with zeros in front.
    fn ecdsa(
        &self,
        public: &PublicKey,
        input: Input<'_>,
        hashed: Vec<u8>,
        message: Option<&[u8]>,
    ) -> Result<Plan> {
        let PublicKey::Ec { curve, .. } = public else {
            return Err(refused("ECDSA is for EC keys"));
        };
        if let (Some(message), Input::Message { digest, .. }) = (message, input) {
            if self.does(ALG_ECDSA, digest) {
                let hash = number(digest)?;
                return Ok(sign(SignScheme::Ecdsa { hash }, Vec::new(), Some(message)));
            }
            return Err(self.no_such_digest(digest));
        }
        let (scheme, digest) = self.ecdsa_input(hashed, curve.field_size())?;
        Ok(sign(scheme, digest, None))
    }

    /// How the TPM verifies an ECDSA signature over `hashed`.
    pub fn verification(&self, public: &PublicKey, hashed: &[u8]) -> Result<(SignScheme, Vec<u8>)> {
        match public {
            PublicKey::Ec { curve, .. } => self.ecdsa_input(hashed.to_vec(), curve.field_size()),
            _ => Err(refused("ECDSA is for EC keys")),
        }
    }

    fn ecdsa_input(&self, hashed: Vec<u8>, order: usize) -> Result<(SignScheme, Vec<u8>)> {
        let digest = self.hash_for(hashed.len(), order).ok_or_else(|| {
            refused("the TPM or the key has no hash of this length; choose another digest")
        })?;
        let scheme = SignScheme::Ecdsa {
            hash: number(digest)?,
        };
        if digest.size() == hashed.len() {
            return Ok((scheme, hashed));
        }
        let value = leftmost(&hashed, order);
        let mut filled = vec![0; digest.size() - value.len()];
        filled.extend(value);
        Ok((scheme, filled))
    }

    fn ecdsa_hash(&self, digest: Digest, order: usize) -> Result<Digest> {
        let hash = match self.attributes.restricted() {
            true => self.does(ALG_ECDSA, digest).then_some(digest),
            false => self.hash_for(digest.size(), order),
        };
        hash.ok_or_else(|| self.no_such_digest(digest))
    }

    /// The hash under whose name the TPM takes a value of `size` bytes: one of this size, which it cuts
    /// to the order by itself, or the shortest that the value can be filled up to without being cut.
    fn hash_for(&self, size: usize, order: usize) -> Option<Digest> {
        let usable = || {
            self.hashes
                .iter()
                .filter(|hash| self.does(ALG_ECDSA, **hash))
        };
        let exact = usable().find(|hash| hash.size() == size);
        let fitting = usable().filter(|hash| (size.min(order)..=order).contains(&hash.size()));
        exact.or(fitting.min_by_key(|hash| hash.size())).copied()
    }

    fn signs_rsa(&self, digest: Digest) -> bool {
        self.does(ALG_RSASSA, digest) || self.does(ALG_RSAPSS, digest)
    }

    /// Whether it signs by this scheme, TPM_ALG_ID, with this digest.
    fn does(&self, algorithm: u16, digest: Digest) -> bool {
        self.hashes.contains(&digest)
            && self.bound.is_none_or(|bound| {
                bound.algorithm == algorithm && bound.hash == hash_number(digest)
            })
    }

    fn no_such_digest(&self, digest: Digest) -> Error {
        let named: Vec<&str> = match self.bound.and_then(|bound| bound.hash) {
            Some(bound) => hash_by_number(bound)
                .iter()
                .map(|hash| hash.name())
                .collect(),
            None => self.hashes.iter().map(|hash| hash.name()).collect(),
        };
        Error::new(
            Reason::UnsupportedDigest,
            format!(
                "it does not sign with {}, but with {}",
                digest.name(),
                named.join(", ")
            ),
        )
    }

    fn no_such_scheme(&self, scheme: &Scheme) -> Error {
        let is_pss = matches!(scheme, Scheme::RsaPss { .. });
        let only_pkcs1 = self
            .bound
            .is_some_and(|bound| bound.algorithm == ALG_RSASSA);
        let cure = match (is_pss, only_pkcs1) {
            (true, true) => {
                "the key is bound to RSASSA; TLS 1.3 needs PSS, and TLS 1.2 prefers it: set MaxProtocol = \
                 TLSv1.2 and SignatureAlgorithms = RSA+SHA256, or make a key without a scheme"
            }
            (true, false) => {
                "the TPM pads PSS by itself, with a salt of the digest's length as a rule; add \
                 rsa_pss_saltlen:digest, choose a digest of the TPM, or use a key that also decrypts"
            }
            _ => {
                "the TPM has no scheme for it, and only a key that also decrypts does the bare RSA \
                 operation; choose a digest of the TPM (tpm2_getcap algorithms), such as SHA-256"
            }
        };
        refused(&format!("no {scheme} with this key: {cure}"))
    }
}

fn sign(scheme: SignScheme, digest: Vec<u8>, message: Option<&[u8]>) -> Plan {
    Plan::Sign {
        scheme,
        input: match message {
            Some(message) => TpmInput::Message(message.to_vec()),
            None => TpmInput::Digest(digest),
        },
    }
}

fn scheme_digest(scheme: &Scheme) -> Result<Digest> {
    match scheme {
        Scheme::RsaPkcs1 {
            digest: Some(digest),
        }
        | Scheme::RsaPss { digest, .. } => Ok(*digest),
        _ => Err(refused("a message needs a digest")),
    }
}

fn number(digest: Digest) -> Result<u16> {
    hash_number(digest).ok_or_else(|| refused("TPMs do not have this hash"))
}

#[track_caller]
fn refused(problem: &str) -> Error {
    Error::new(Reason::OperationNotAllowed, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Curve;

    const SIGN: u32 = 1 << 18;
    const DECRYPT: u32 = 1 << 17;
    const RESTRICTED: u32 = 1 << 16;

    fn abilities(attributes: u32, bound: Option<(u16, u16)>) -> Abilities {
        let area = Area {
            name: Vec::new(),
            attributes,
            key: tpm2_abi::PublicKey::Other(0),
            scheme: bound.map(|(algorithm, hash)| KeyScheme {
                algorithm,
                hash: Some(hash),
            }),
            has_policy: false,
        };
        Abilities::new(&area, &[0x4, 0xb, 0xc], false)
    }

    fn ec(curve: Curve) -> PublicKey {
        let point = [&[4][..], &vec![1; 2 * curve.field_size()]].concat();
        PublicKey::ec(curve, &point).unwrap()
    }

    fn rsa() -> PublicKey {
        PublicKey::rsa(&[0xc1; 256], &[1, 0, 1]).unwrap()
    }

    fn ecdsa(curve: Curve, bound: Option<(u16, u16)>, digest: usize) -> Option<(u16, Vec<u8>)> {
        let value: Vec<u8> = (1..=digest as u8).collect();
        let abilities = abilities(SIGN, bound);
        match abilities.plan(&ec(curve), &Scheme::Ecdsa, Input::Data(&value)) {
            Ok(Plan::Sign {
                scheme: SignScheme::Ecdsa { hash },
                input: TpmInput::Digest(input),
            }) => Some((hash, input)),
            _ => None,
        }
    }

    #[test]
    fn ecdsa_values_are_cut_and_filled_without_changing_their_number() {
        let number = |count: u8| (1..=count).collect::<Vec<u8>>();
        let filled = |zeros: usize, count| [vec![0; zeros], number(count)].concat();
        assert_eq!(ecdsa(Curve::P256, None, 32), Some((0xb, number(32))));
        assert_eq!(ecdsa(Curve::P256, None, 28), Some((0xb, filled(4, 28))));
        // SHA-512, which this TPM does not have.
        assert_eq!(ecdsa(Curve::P256, None, 64), Some((0xb, number(32))));
        assert_eq!(ecdsa(Curve::P384, None, 64), Some((0xc, number(48))));
        assert_eq!(ecdsa(Curve::P384, Some((ALG_ECDSA, 0xb)), 48), None);
        // The TPM cuts it; filled up it would be another number.
        assert_eq!(ecdsa(Curve::P224, None, 32), Some((0xb, number(32))));
        assert_eq!(ecdsa(Curve::P224, None, 28), None);
    }

    #[test]
    fn rsa_goes_by_the_tpms_schemes_where_it_has_them() {
        let scheme = Scheme::RsaPkcs1 {
            digest: Some(Digest::Sha256),
        };
        let hashed = [7; 32];
        let plan =
            |abilities: &Abilities, scheme| abilities.plan(&rsa(), &scheme, Input::Data(&hashed));
        assert!(matches!(
            plan(&abilities(SIGN, None), scheme),
            Ok(Plan::Sign {
                scheme: SignScheme::RsaSsa { hash: 0xb },
                ..
            })
        ));
        let other = Scheme::RsaPkcs1 {
            digest: Some(Digest::Sha3_256),
        };
        assert!(plan(&abilities(SIGN, None), other).is_err());
        assert!(matches!(
            plan(&abilities(SIGN | DECRYPT, None), other),
            Ok(Plan::Raw(_))
        ));
        let pss = Scheme::RsaPss {
            digest: Digest::Sha256,
            mgf1: Digest::Sha256,
            salt: 32,
        };
        let bound = abilities(SIGN, Some((ALG_RSASSA, 0xb)));
        let error = plan(&bound, pss).err().unwrap();
        assert!(error.message().contains("MaxProtocol = TLSv1.2 and Sig"));
    }

    #[test]
    fn a_restricted_key_signs_messages_only() {
        let abilities = abilities(SIGN | RESTRICTED, Some((ALG_ECDSA, 0xb)));
        let key = ec(Curve::P256);
        assert!(abilities.wants_messages());
        assert!(
            abilities
                .plan(&key, &Scheme::Ecdsa, Input::Data(&[1; 32]))
                .is_err()
        );
        let message = |digest| Input::Message {
            digest,
            message: b"text",
        };
        assert!(
            abilities
                .plan(&key, &Scheme::Ecdsa, message(Digest::Sha256))
                .is_ok()
        );
        assert!(
            abilities
                .plan(&key, &Scheme::Ecdsa, message(Digest::Sha384))
                .is_err()
        );
        assert!(abilities.allow(&key, Some(Digest::Sha384)).is_err());
    }
}
