//! Searches by what is in the objects: subject, issuer and serial number, fingerprint, label.

use super::attempt::{Attempt, Failure, attempt};
use super::key::Pkcs11Key;
use super::module::Present;
use super::object::Object;
use super::search::{Request, is_half_of_another, public_half, without_pin};
use super::sessions::Lease;
use super::token::Token;
use crate::backend::{Found, Login};
use crate::criterion::Criterion;
use crate::error::Result;
use crate::key::Key;
use crate::uri::pkcs11::ObjectType;

impl Request<'_> {
    /// What matches, on all tokens that the URI may mean. Only keys are worth a login, and only to
    /// a token that is meant alone.
    pub fn matching(
        &self,
        candidates: &[Present],
        criterion: &Criterion,
        login: &mut Login<'_, '_>,
    ) -> Result<Vec<Found>> {
        let logs_in = candidates.len() == 1 && self.wanted.private && criterion.is_for_keys();
        let mut found = Vec::new();
        for present in candidates {
            let token = present.token;
            let log_in = || match logs_in {
                true => self.log_in(token, login).or_else(without_pin),
                false => Ok(()),
            };
            found.extend(attempt(token, log_in, |session| {
                self.matching_on(token, session, criterion)
            })?);
        }
        Ok(found)
    }

    fn matching_on(
        &self,
        token: &'static Token,
        session: &Lease,
        criterion: &Criterion,
    ) -> Attempt<Vec<Found>> {
        let objects = self.objects(token, session)?;
        let mut found = Vec::new();
        let wanted = objects.iter().filter(|object| self.wanted.include(object));
        for object in wanted.filter(|object| !is_half_of_another(object, &objects)) {
            match self.matched(token, session, object, &objects, criterion) {
                Ok(matched) => found.extend(matched),
                // One that can't be read must not hide the others.
                Err(Failure::Final(error)) => log::info!("passed over in a search: {error}"),
                Err(call) => return Err(call),
            }
        }
        Ok(found)
    }

    /// `object`, if it matches.
    fn matched(
        &self,
        token: &'static Token,
        session: &Lease,
        object: &Object,
        all: &[Object],
        criterion: &Criterion,
    ) -> Attempt<Option<Found>> {
        if object.class != ObjectType::Certificate && !criterion.is_for_keys() {
            return Ok(None);
        }
        Ok(match object.class {
            ObjectType::Certificate => {
                let der = object.certificate(token, session)?;
                let fits = criterion.fits_certificate(&object.label, &der);
                fits.then_some(Found::Certificate(der))
            }
            ObjectType::Public => {
                let public = object.public_key(token)?;
                let public = public.filter(|public| criterion.fits_key(&object.label, public));
                public.map(Found::PublicKey)
            }
            ObjectType::Private => {
                let public = public_half(token, session, object, all)?;
                criterion.fits_key(&object.label, &public).then(|| {
                    let key = Pkcs11Key::new(token, object, public, &self.policy, session.epoch);
                    Found::Key(Key::new(key))
                })
            }
        })
    }
}
