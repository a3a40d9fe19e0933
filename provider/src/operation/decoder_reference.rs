//! Second step of reading a PEM file: the key that a reference names.

use std::marker::PhantomData;

use ossl_shim::{Bio, Decoded, Decoder, Passphrase, Selection};

use super::keymgmt::KeyType;
use crate::backend::{Found, Login, Wanted};
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::provider::HwKey;
use crate::reference;
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
        // OpenSSL asks with the DER of any key; what is ours the first step has read before.
        let Ok(text) = reference::uri_from_der(&input.rest(reference::LIMIT)?) else {
            return Ok(None);
        };
        let key = match provider.readings.take_over(&text) {
            Some(key) => key,
            None => {
                find(provider, &text, passphrase).map_err(|error| provider.readings.fail(error))?
            }
        };
        if !T::accepts(&key) {
            provider.readings.hand_over(text, key);
            return Ok(None);
        }
        let key_type = key.public().type_name();
        Ok(Some(Decoded::Key { key, key_type }))
    }
}

fn find(provider: &HwKey, text: &str, passphrase: &mut Passphrase<'_>) -> Result<Key> {
    let uri = Uri::parse(text)
        .and_then(|uri| uri.allowed_from(Origin::File, provider.config.allow_uri_paths))
        .map_err(|error| error.stopping("loading the key that a reference file names"))?;
    let mut login = Login::interactive(passphrase);
    let found = provider.find(&uri, Wanted::PrivateKey.into(), &mut login);
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
