//! The provider: what it offers to OpenSSL, and what its operations share.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use ossl_shim::{Algorithm, Core, Operation, Provider};

use crate::backend::{self, Found, Login, Query};
use crate::config::Config;
use crate::encoding::tss2_key::Tss2Key;
use crate::error::{Error, Reason, Result};
use crate::key::{Key, NewKey};
use crate::logging;
use crate::operation::asym_cipher_rsa::RsaCipher;
use crate::operation::decoder_pem::PemDecoder;
use crate::operation::decoder_reference::ReferenceDecoder;
use crate::operation::encoder_private::{ReferenceEncoder, RefusingEncoder};
use crate::operation::encoder_text::TextEncoder;
use crate::operation::exchange_ecdh::EcdhExchange;
use crate::operation::keymgmt::Keys;
use crate::operation::keymgmt_ec::Ec;
use crate::operation::keymgmt_edwards::{Ed448, Ed25519};
use crate::operation::keymgmt_rsa::{Rsa, RsaPss};
use crate::operation::rand::TpmRandom;
use crate::operation::signature_ecdsa::EcdsaSignature;
use crate::operation::signature_eddsa::EddsaSignature;
use crate::operation::signature_rsa::RsaSignature;
use crate::operation::store::HardwareStore;
use crate::reading::Readings;
use crate::uri::Uri;

/// hwkey in one library context.
pub struct HwKey {
    pub config: Config,
    pub readings: Readings,
    core: Core,
    /// Whether the surroundings have been looked at, once, at the first hardware key.
    looked_around: AtomicBool,
}

impl Provider for HwKey {
    type Key = Key;
    type Error = Error;

    const NAME: &'static CStr = c"hwkey";
    const VERSION: &'static CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    const REASONS: &'static [ossl_shim::Reason] = Reason::STRINGS;

    fn start(core: &Core) -> Self {
        let config = Config::read(core);
        let level = config.log_level.unwrap_or(log::LevelFilter::Warn);
        logging::start(level, config.log_target.clone());
        Self {
            config,
            core: core.clone(),
            looked_around: AtomicBool::new(false),
            readings: Readings::default(),
        }
    }

    fn algorithms(operation: Operation) -> Option<&'static [Algorithm]> {
        match operation {
            Operation::Store => Some(STORES),
            Operation::KeyManagement => Some(KEY_TYPES),
            Operation::Signature => Some(SIGNATURES),
            Operation::KeyExchange => Some(EXCHANGES),
            Operation::AsymCipher => Some(CIPHERS),
            Operation::Rand => Some(RANDOM),
            Operation::Decoder => Some(DECODERS),
            Operation::Encoder => Some(ENCODERS),
        }
    }
}

const STORES: &[Algorithm] = &[
    Algorithm::store::<HwKey, HardwareStore>(c"pkcs11", PROPERTIES),
    Algorithm::store::<HwKey, HardwareStore>(c"tpm2", PROPERTIES),
    // tpm2-openssl's.
    Algorithm::store::<HwKey, HardwareStore>(c"handle", PROPERTIES),
    Algorithm::store::<HwKey, HardwareStore>(c"object", PROPERTIES),
    Algorithm::store::<HwKey, HardwareStore>(c"parsec", PROPERTIES),
    Algorithm::END,
];

// `fips=yes`, so that a query for it does not hide the keys: the private operation is the
// hardware's, whose validation is its own. What hwkey does on the host (hashing) is not validated.
const PROPERTIES: &CStr = c"provider=hwkey,fips=yes";

const KEY_TYPES: &[Algorithm] = &[
    Algorithm::key_management::<HwKey, Keys<Ec>>(
        c"EC:id-ecPublicKey:1.2.840.10045.2.1",
        PROPERTIES,
    ),
    Algorithm::key_management::<HwKey, Keys<Ed25519>>(c"ED25519:1.3.101.112", PROPERTIES),
    Algorithm::key_management::<HwKey, Keys<Ed448>>(c"ED448:1.3.101.113", PROPERTIES),
    Algorithm::key_management::<HwKey, Keys<Rsa>>(
        c"RSA:rsaEncryption:1.2.840.113549.1.1.1",
        PROPERTIES,
    ),
    Algorithm::key_management::<HwKey, Keys<RsaPss>>(
        c"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10",
        PROPERTIES,
    ),
    Algorithm::END,
];

/// The names that our key types answer to `query_operation_name`. They are private: under the
/// public names OpenSSL would ask whichever provider has them first, with our key's public half.
pub const ECDH: &CStr = c"HWKEY-ECDH";
pub const ECDSA: &CStr = c"HWKEY-ECDSA";
pub const EDDSA: &CStr = c"HWKEY-EDDSA";
pub const RSA: &CStr = c"HWKEY-RSA";

const SIGNATURES: &[Algorithm] = &[
    Algorithm::signature::<HwKey, EcdsaSignature>(ECDSA, PROPERTIES),
    Algorithm::signature::<HwKey, EddsaSignature>(EDDSA, PROPERTIES),
    Algorithm::signature::<HwKey, RsaSignature>(RSA, PROPERTIES),
    Algorithm::END,
];

const EXCHANGES: &[Algorithm] = &[
    Algorithm::key_exchange::<HwKey, EcdhExchange>(ECDH, PROPERTIES),
    Algorithm::END,
];

const CIPHERS: &[Algorithm] = &[
    Algorithm::asym_cipher::<HwKey, RsaCipher>(RSA, PROPERTIES),
    Algorithm::END,
];

/// Private as well, so that nobody takes it for the default generator.
const RANDOM: &[Algorithm] = &[
    Algorithm::rand::<HwKey, TpmRandom>(c"TPM2-RAND", PROPERTIES),
    Algorithm::END,
];

/// What the second step reads; the structure is [`crate::reference::STRUCTURE`].
const REFERENCE_DER: &CStr = c"provider=hwkey,fips=yes,input=der,structure=hwkey-reference";

// A reader of our own for PEM: the built-in one drops labels that it doesn't know. It works in two
// steps, because OSSL_STORE does not take a key from a decoder with input=pem.
const DECODERS: &[Algorithm] = &[
    Algorithm::decoder::<HwKey, PemDecoder>(c"DER", c"provider=hwkey,fips=yes,input=pem"),
    Algorithm::decoder::<HwKey, ReferenceDecoder<Ec>>(c"EC", REFERENCE_DER),
    Algorithm::decoder::<HwKey, ReferenceDecoder<Ed25519>>(c"ED25519", REFERENCE_DER),
    Algorithm::decoder::<HwKey, ReferenceDecoder<Ed448>>(c"ED448", REFERENCE_DER),
    Algorithm::decoder::<HwKey, ReferenceDecoder<Rsa>>(c"RSA", REFERENCE_DER),
    Algorithm::decoder::<HwKey, ReferenceDecoder<RsaPss>>(c"RSA-PSS", REFERENCE_DER),
    Algorithm::END,
];

macro_rules! encoders {
    ($($key_type:literal),*) => {
        &[
            $(
                Algorithm::encoder::<HwKey, ReferenceEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=pem,structure=PrivateKeyInfo",
                ),
                // What other structures and DER would hold does not exist; saying so is better
                // than the nothing of the default encoders.
                Algorithm::encoder::<HwKey, RefusingEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=pem,structure=type-specific",
                ),
                Algorithm::encoder::<HwKey, RefusingEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=pem,structure=EncryptedPrivateKeyInfo",
                ),
                Algorithm::encoder::<HwKey, RefusingEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=der,structure=PrivateKeyInfo",
                ),
                Algorithm::encoder::<HwKey, RefusingEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=der,structure=EncryptedPrivateKeyInfo",
                ),
                Algorithm::encoder::<HwKey, RefusingEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=der,structure=type-specific",
                ),
                Algorithm::encoder::<HwKey, TextEncoder>(
                    $key_type,
                    c"provider=hwkey,fips=yes,output=text",
                ),
            )*
            Algorithm::END,
        ]
    };
}

const ENCODERS: &[Algorithm] = encoders!(c"EC", c"ED25519", c"ED448", c"RSA", c"RSA-PSS");

impl HwKey {
    /// The objects that `uri` names.
    pub fn find(
        &self,
        uri: &Uri,
        query: Query<'_>,
        login: &mut Login<'_, '_>,
    ) -> Result<Vec<Found>> {
        self.config.check()?;
        self.look_around()?;
        backend::find(&self.config, uri, query, login)
    }

    /// The key in a TSS2 PRIVATE KEY file.
    pub fn unwrap(&self, key: Tss2Key, login: &mut Login<'_, '_>) -> Result<Key> {
        self.config.check()?;
        self.look_around()?;
        backend::unwrap(&self.config, key, login)
    }

    /// Makes a new key where `uri` says.
    pub fn generate(&self, uri: &Uri, kind: NewKey) -> Result<Key> {
        self.config.check()?;
        self.look_around()?;
        backend::generate(&self.config, uri, kind)
    }

    /// Fills `bytes` with random numbers from the hardware.
    pub fn random(&self, bytes: &mut [u8]) -> Result<()> {
        self.config.check()?;
        backend::random(&self.config, bytes)
    }

    /// At the first hardware key: is everything around us as it must be?
    fn look_around(&self) -> Result<()> {
        if self.looked_around.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.core
            .settle_software_keys(&[c"EC", c"RSA", c"RSA-PSS", c"ED25519", c"ED448"]);
        if let Some(neighbours) = self.core.neighbours() {
            let position = |name: &str| neighbours.providers.iter().position(|p| p == name);
            let helpless = ["hwkey", "base", "null", "legacy", "pkcs11", "tpm2"];
            if neighbours
                .providers
                .iter()
                .all(|name| helpless.contains(&name.as_str()))
            {
                return Err(Error::new(
                    Reason::NoDefaultProvider,
                    "looking for a provider that verifies, hashes and speaks TLS: only hwkey is \
                     active; add \"default = default_sect\" before hwkey in openssl.cnf, in the section \
                     that \"providers\" names, and a section \"[default_sect]\" with \"activate = 1\" (on \
                     the command line: -provider default)",
                ));
            }
            let properties = neighbours.default_properties.as_deref();
            let settled = properties.is_some_and(prefers_others);
            if !settled && position("hwkey") < position("default").or(position("fips")) {
                log::warn!("{LISTED_FIRST}");
            }
        }
        for advice in &self.config.advice {
            log::warn!("{advice}");
        }
        self.looked_around.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether the property query (property(7)) turns to another provider before hwkey.
fn prefers_others(query: &str) -> bool {
    query.split(',').any(|term| {
        let term = term.trim().trim_start_matches('?').trim_start();
        let provider = term.strip_prefix("provider").map(str::trim_start);
        let named = |sign: &str| provider?.strip_prefix(sign).map(str::trim);
        named("!=") == Some("hwkey") || named("=").is_some_and(|name| name != "hwkey")
    })
}

/// The lines that keep OpenSSL from asking hwkey for what can be done in software.
macro_rules! cure {
    () => {
        "put \"default = default_sect\" first in the [provider_sect] of openssl.cnf, or add \
         \"alg_section = evp_sect\" to its first section with \"[evp_sect]\" and \
         \"default_properties = ?provider!=hwkey\""
    };
}
pub(crate) use cure;

/// Why OpenSSL may have asked us to make a key, and what to do.
pub const NOT_A_KEY_MAKER: &str = concat!(
    "OpenSSL asked hwkey to make a key: either the program made one on the model of a hardware key, \
     or hwkey is listed before the default provider; then ",
    cure!()
);

/// Why OpenSSL may have handed us a private key, and what to do.
pub const NOT_FOR_PRIVATE_KEYS: &str = concat!(
    "OpenSSL handed hwkey a private key that is in software; hwkey takes public halves only. If hwkey is \
     listed before the default provider, ",
    cure!()
);

/// hwkey before default.
const LISTED_FIRST: &str = concat!(
    "hwkey is listed before the default provider, so OpenSSL asks it for software keys (and TLS loses \
     P-256); ",
    cure!()
);

#[cfg(test)]
mod tests {
    use super::prefers_others;

    #[test]
    fn a_query_that_turns_to_other_providers_is_known() {
        for query in [
            "?provider!=hwkey",
            "fips=yes,?provider!=hwkey",
            "? provider = default",
            "?provider=default,fips=no",
        ] {
            assert!(prefers_others(query), "{query}");
        }
        for query in ["", "fips=yes", "?provider=hwkey", "?providers=default"] {
            assert!(!prefers_others(query), "{query}");
        }
    }
}
