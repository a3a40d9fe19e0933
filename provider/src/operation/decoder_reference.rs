//! Second step of reading a PEM file: the key that a reference names.

use std::marker::PhantomData;

use ossl_shim::{Bio, Decoded, Decoder, Passphrase, Selection};

use super::keymgmt::KeyType;
use crate::backend::{Found, Login, Wanted};
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::provider::HwKey;
use crate::reference::{self, Named};
use crate::uri::{Origin, Uri};

/// input=der for keys of the type `T`. OpenSSL asks one such decoder after the other.
pub struct ReferenceDecoder<T>(PhantomData<T>);

impl<T: KeyType> Decoder<HwKey> for ReferenceDecoder<T> {
    fn does(selection: Selection) -> bool {
        selection.anything() || selection.private_key() || selection.public_key()
    }

    fn decode(
        provider: &HwKey,
        input: &mut Bio<'_>,
        passphrase: &mut Passphrase<'_>,
    ) -> Result<Option<Decoded<Key>>> {
        let der = input.rest(reference::LIMIT)?;
        // OpenSSL asks with the DER of any key; what is ours the first step has read before.
        let Ok(named) = reference::from_der(&der) else {
            return Ok(None);
        };
        let key = match provider.readings.take_over(&der) {
            Some(key) => key,
            None => {
                find(provider, named, passphrase).map_err(|error| provider.readings.fail(error))?
            }
        };
        if !T::accepts(&key) {
            provider.readings.hand_over(der, key);
            return Ok(None);
        }
        let key_type = key.public().type_name();
        Ok(Some(Decoded::Key { key, key_type }))
    }
}

fn find(provider: &HwKey, named: Named, passphrase: &mut Passphrase<'_>) -> Result<Key> {
    let mut login = Login::interactive(passphrase);
    match named {
        Named::Uri(text) => by_uri(provider, &text, &mut login),
        Named::Tss2(key) => provider
            .unwrap(key, &mut login)
            .map_err(|error| error.stopping("loading a TSS2 PRIVATE KEY")),
    }
}

fn by_uri(provider: &HwKey, text: &str, login: &mut Login<'_, '_>) -> Result<Key> {
    let uri = Uri::parse(text)
        .and_then(|uri| uri.allowed_from(Origin::File, provider.config.allow_uri_paths))
        .map_err(|error| error.stopping("loading the key that a reference file names"))?;
    let found = provider.find(&uri, Wanted::PrivateKey.into(), login);
    let found = found
        .map_err(|error| error.stopping(format!("loading {uri}, which a reference file names")))?;
    let key = found.into_iter().find_map(|found| match found {
        Found::Key(key) => Some(key),
        _ => None,
    });
    key.ok_or_else(|| {
        Error::new(
            Reason::NoSuchKey,
            format!("the reference file names no private key: {uri}"),
        )
    })
}
