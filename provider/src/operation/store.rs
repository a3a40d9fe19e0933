//! OSSL_STORE: key URIs.

use std::vec;

use ossl_shim::{Expect, Object, Passphrase, Search, Store};

use crate::backend::{Found, Login, Query, Wanted};
use crate::criterion::Criterion;
use crate::encoding::public_key::subject_public_key_info;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::provider::HwKey;
use crate::uri::{Origin, Uri};

/// One opened URI.
pub struct HardwareStore {
    uri: Uri,
    wanted: Wanted,
    criterion: Option<Criterion>,
    /// `None` until the token has been asked.
    found: Option<vec::IntoIter<Found>>,
}

impl Store<HwKey> for HardwareStore {
    fn open(_: &HwKey, uri: &str) -> Result<Self> {
        let parsed = Uri::parse(uri).and_then(|uri| uri.allowed_from(Origin::Program, true));
        Ok(Self {
            // The text is not repeated: it may hold a PIN.
            uri: parsed.map_err(|error| error.stopping("opening a key URI"))?,
            wanted: Wanted::Anything,
            criterion: None,
            found: None,
        })
    }

    fn expect(&mut self, what: Expect) {
        self.wanted = match what {
            Expect::PrivateKey => Wanted::PrivateKey,
            Expect::PublicKey => Wanted::PublicKey,
            Expect::Certificate => Wanted::Certificate,
            Expect::Anything | Expect::Name => Wanted::Anything,
            Expect::Parameters | Expect::Crl => Wanted::Nothing,
        };
    }

    fn search(&mut self, what: Search) -> Result<()> {
        let criterion = match what {
            Search::Subject(name) => Criterion::subject(&name),
            Search::IssuerSerial { issuer, serial } => {
                Criterion::issuer_and_serial(&issuer, serial)
            }
            Search::Fingerprint { digest, value } => Criterion::fingerprint(&digest, value),
            Search::Alias(label) => Ok(Criterion::Label(label.into_bytes())),
        };
        let criterion =
            criterion.map_err(|error| error.stopping(format!("searching {}", self.uri)))?;
        self.criterion = Some(criterion);
        Ok(())
    }

    fn next(
        &mut self,
        provider: &HwKey,
        passphrase: &mut Passphrase<'_>,
    ) -> Result<Option<Object<Key>>> {
        let found = match &mut self.found {
            Some(found) => found,
            None => {
                let mut login = Login::interactive(passphrase);
                let query = Query {
                    wanted: self.wanted,
                    criterion: self.criterion.as_ref(),
                };
                let found = provider.find(&self.uri, query, &mut login);
                let found = found
                    .map_err(|error: Error| error.stopping(format!("loading {}", self.uri)))?;
                self.found.insert(found.into_iter())
            }
        };
        found.next().map(object).transpose()
    }

    fn at_end(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.len() == 0)
    }
}

fn object(found: Found) -> Result<Object<Key>> {
    Ok(match found {
        Found::Key(key) => Object::Key {
            key_type: key.public().type_name(),
            description: format!("{} on {}", key.name(), key.place()),
            key,
        },
        Found::PublicKey(key) => Object::PublicKey(subject_public_key_info(&key)?),
        Found::Certificate(der) => Object::Certificate(der),
        Found::Name { uri, description } => Object::Name { uri, description },
    })
}
