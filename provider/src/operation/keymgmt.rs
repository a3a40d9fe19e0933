//! Key management: what all key types of the hardware have in common.

use std::ffi::CStr;
use std::marker::PhantomData;

use ossl_shim::params::{Descriptor, ParamList, ParamsIn, ParamsOut, names};
use ossl_shim::{KeyManagement, Operation, Selection};

use super::encoder_private::refusal;
use super::new_key::NewKeyParams;
use super::peer::PeerKey;
use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::key::{Key, NewKey, PublicKey};
use crate::provider::{HwKey, NOT_FOR_PRIVATE_KEYS};

/// One of OpenSSL's key types.
pub trait KeyType: 'static {
    /// What [`Self::params`] answers, ended by [`Descriptor::END`].
    const GETTABLE: &'static [Descriptor];

    /// What [`Self::public`] gives, ended by [`Descriptor::END`].
    const PUBLIC: &'static [Descriptor];

    /// The private name of the algorithm for `operation` (`provider.rs` says why it is private).
    fn algorithm(operation: Operation) -> Option<&'static CStr>;

    fn accepts(key: &Key) -> bool;

    /// The size of a signature in bytes.
    fn signature_size(key: &Key) -> Result<usize>;

    /// Answers what is particular to the type.
    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()>;

    /// The public half for another provider; the domain parameters only, if `with_key` is false.
    fn public(key: &Key, with_key: bool) -> Result<ParamList>;

    /// The parameter that holds the private half, where there is one.
    const PRIVATE: &'static CStr;

    /// A public half from another provider; `None` if no key of ours can have it. Only key exchange needs
    /// it: what else is done with a public key, providers do that have it in software.
    fn public_from(_: &ParamsIn<'_>) -> Result<Option<PublicKey>> {
        Ok(None)
    }

    /// What [`Self::with_params`] takes, ended by [`Descriptor::END`].
    const SETTABLE: &'static [Descriptor] = &[Descriptor::END];

    /// The public half that `params` set in the place of `public`, if they do.
    fn with_params(_public: &PublicKey, _params: &ParamsIn<'_>) -> Result<Option<PublicKey>> {
        Ok(None)
    }

    /// What is asked of a new key, ended by [`Descriptor::END`].
    const NEW: &'static [Descriptor];

    /// The key that is to be made.
    fn new_key(params: &NewKeyParams) -> Result<NewKey>;
}

/// The key management of the type `T`.
pub struct Keys<T>(PhantomData<T>);

impl<T: KeyType> KeyManagement<HwKey> for Keys<T> {
    const GETTABLE: &'static [Descriptor] = T::GETTABLE;
    const PUBLIC: &'static [Descriptor] = T::PUBLIC;

    fn accepts(key: &Key) -> bool {
        T::accepts(key)
    }

    fn operation_name(operation: Operation) -> Option<&'static CStr> {
        T::algorithm(operation)
    }

    fn has(key: &Key, selection: Selection) -> bool {
        // Parameters and a public half are always there.
        !selection.private_key() || key.has_private()
    }

    fn matches(key: &Key, other: &Key, selection: Selection) -> bool {
        // Equal public halves have one private half.
        match selection.only_parameters() {
            true => key.public().has_parameters_of(other.public()),
            false => key.public() == other.public(),
        }
    }

    fn params(key: &Key, out: &mut ParamsOut<'_>) -> Result<()> {
        // None is near i32::MAX: a modulus has at most 16,384 bits (`PublicKey::rsa`).
        out.int(names::KEY_BITS, key.public().bits() as i32)?;
        out.int(
            names::KEY_SECURITY_BITS,
            key.public().security_bits() as i32,
        )?;
        out.int(names::KEY_MAX_SIZE, T::signature_size(key)? as i32)?;
        T::params(key, out)
    }

    /// Gives the public half whatever is selected, as long as it is not the private one alone:
    /// OpenSSL asks for everything when it makes its copy for another provider, and is content
    /// with what it gets.
    fn export(key: &Key, selection: Selection) -> Result<ParamList> {
        if selection.private_key() && !selection.public_key() {
            return Err(refusal(key, "exporting the private key"));
        }
        T::public(key, selection.public_key())
    }

    fn import(selection: Selection, params: &ParamsIn<'_>) -> Result<Option<Key>> {
        let public = match selection.public_key() {
            true => T::public_from(params)?,
            false => None,
        };
        match public {
            // The peer may have both halves in one object, as pairs of Node.js are. Whoever wants to use
            // the private one here is told then that it is not.
            Some(public) => Ok(Some(Key::new(PeerKey::new(public)))),
            None if params.has(T::PRIVATE) => {
                Err(Error::new(Reason::NotForSoftwareKeys, NOT_FOR_PRIVATE_KEYS))
            }
            None => Ok(None),
        }
    }

    /// Of the private half there are no copies without the public one. Parameters alone come with it,
    /// too, until another one is set.
    fn duplicate(key: &Key, selection: Selection) -> Key {
        match selection.only_parameters() {
            true => Key::new(PeerKey::new(key.public().clone())),
            false => key.clone(),
        }
    }

    const SETTABLE: &'static [Descriptor] = T::SETTABLE;

    fn changed(key: &Key, params: &ParamsIn<'_>) -> Result<Key> {
        match T::with_params(key.public(), params)? {
            None => Ok(key.clone()),
            Some(_) if key.has_private() => Err(Error::new(
                Reason::InvalidParameter,
                "the public half of a key in hardware can't be changed",
            )),
            Some(public) => Ok(Key::new(PeerKey::new(public))),
        }
    }

    type New = NewKeyParams;
    const NEW: &'static [Descriptor] = T::NEW;

    fn begin(selection: Selection) -> NewKeyParams {
        NewKeyParams::new(selection)
    }

    fn set_new(new: &mut NewKeyParams, params: &ParamsIn<'_>) -> Result<()> {
        new.set(params)
    }

    fn generate(provider: &HwKey, new: &NewKeyParams) -> Result<Key> {
        let uri = new.uri()?;
        let made = T::new_key(new).and_then(|kind| provider.generate(uri, kind));
        made.map_err(|error| error.stopping(format!("making a key at {uri}")))
    }
}

/// The digest that OpenSSL takes where nobody names one, as its own keys name theirs.
pub fn default_digest(key: &Key) -> &'static CStr {
    match key.default_digest() {
        Digest::Sha224 => c"SHA224",
        Digest::Sha256 => c"SHA256",
        Digest::Sha384 => c"SHA384",
        Digest::Sha512 => c"SHA512",
        other => other.c_name(),
    }
}

/// No hardware that hwkey makes keys in has such ones.
#[track_caller]
pub fn not_made(type_name: &CStr) -> Error {
    Error::new(
        Reason::UnsupportedKey,
        format!(
            "hwkey makes no {} keys; it makes RSA and EC ones",
            type_name.to_string_lossy()
        ),
    )
}

/// The core brought a key of another type: it never does.
#[track_caller]
pub fn wrong_type() -> Error {
    Error::new(Reason::Internal, "a key of another type")
}
