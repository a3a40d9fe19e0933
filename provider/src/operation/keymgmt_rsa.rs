//! RSA and RSA-PSS keys.

use std::ffi::CStr;

use ossl_shim::Operation;
use ossl_shim::params::{Descriptor, ParamList, ParamsOut, names};

use super::keymgmt::{KeyType, default_digest, wrong_type};
use super::new_key::{HWKEY_URI, NewKeyParams};
use crate::error::Result;
use crate::key::{Key, NewKey, PublicKey, RsaUse};
use crate::provider::RSA;

/// `RSA`, or with `PSS` the `RSA-PSS` of keys that do nothing else.
pub struct RsaKeys<const PSS: bool>;

pub type Rsa = RsaKeys<false>;
pub type RsaPss = RsaKeys<true>;

impl<const PSS: bool> RsaKeys<PSS> {
    const ALLOWED: RsaUse = match PSS {
        true => RsaUse::PssOnly,
        false => RsaUse::Any,
    };
}

impl<const PSS: bool> KeyType for RsaKeys<PSS> {
    const GETTABLE: &'static [Descriptor] = &[
        Descriptor::int(names::KEY_BITS),
        Descriptor::int(names::KEY_SECURITY_BITS),
        Descriptor::int(names::KEY_MAX_SIZE),
        Descriptor::utf8(names::KEY_DEFAULT_DIGEST),
        Descriptor::unsigned(names::KEY_RSA_N),
        Descriptor::unsigned(names::KEY_RSA_E),
        Descriptor::END,
    ];

    const PUBLIC: &'static [Descriptor] = &[
        Descriptor::unsigned(names::KEY_RSA_N),
        Descriptor::unsigned(names::KEY_RSA_E),
        Descriptor::END,
    ];

    fn algorithm(operation: Operation) -> Option<&'static CStr> {
        match operation {
            Operation::Signature => Some(RSA),
            Operation::AsymCipher if !PSS => Some(RSA),
            _ => None,
        }
    }

    fn accepts(key: &Key) -> bool {
        matches!(key.public(), PublicKey::Rsa { allowed, .. } if *allowed == Self::ALLOWED)
    }

    fn signature_size(key: &Key) -> Result<usize> {
        let (modulus, _) = parts(key)?;
        Ok(modulus.len())
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        let (modulus, exponent) = parts(key)?;
        out.utf8(names::KEY_DEFAULT_DIGEST, default_digest(key))?;
        out.big_number(names::KEY_RSA_N, modulus)?;
        out.big_number(names::KEY_RSA_E, exponent)?;
        Ok(())
    }

    fn public(key: &Key, with_key: bool) -> Result<ParamList> {
        let (modulus, exponent) = parts(key)?;
        let list = ParamList::new();
        Ok(match with_key {
            true => list
                .big_number(names::KEY_RSA_N, modulus)
                .big_number(names::KEY_RSA_E, exponent),
            // RSA has no domain parameters.
            false => list,
        })
    }

    const PRIVATE: &'static CStr = names::KEY_RSA_D;

    const NEW: &'static [Descriptor] = &[
        Descriptor::utf8(HWKEY_URI),
        Descriptor::unsigned(names::KEY_BITS),
        Descriptor::unsigned(names::KEY_RSA_E),
        Descriptor::END,
    ];

    fn new_key(params: &NewKeyParams) -> Result<NewKey> {
        Ok(NewKey::Rsa {
            bits: params.bits(),
            exponent: params.exponent(),
            allowed: Self::ALLOWED,
        })
    }
}

fn parts(key: &Key) -> Result<(&[u8], &[u8])> {
    match key.public() {
        PublicKey::Rsa {
            modulus, exponent, ..
        } => Ok((modulus, exponent)),
        _ => Err(wrong_type()),
    }
}
