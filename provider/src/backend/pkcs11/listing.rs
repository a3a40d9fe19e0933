//! Everything on the tokens: listing it, and searching it for what is in the objects (subject, issuer
//! and serial number, fingerprint, label).

use super::attempt::{Attempt, Failure, attempt, passing_over};
use super::halves::{is_half_of_another, public_half};
use super::key::Pkcs11Key;
use super::login::still_logged_in;
use super::module::Present;
use super::object::Object;
use super::search::Request;
use super::sessions::Lease;
use super::token::Token;
use crate::backend::{Found, Login};
use crate::criterion::Criterion;
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::uri::pkcs11::ObjectType;

impl Request<'_> {
    /// A URI that names tokens but no object: a name for each thing on them.
    pub fn list(&self, candidates: &[Present], login: &mut Login<'_, '_>) -> Result<Vec<Found>> {
        let found = self.survey(candidates, true, login, |token, _, object, _| {
            Ok(Some(Found::Name {
                uri: object.uri(token).to_string(),
                description: format!("{} on {}", object.name(), token.identity),
            }))
        })?;
        if found.is_empty() {
            let uri = self.uri();
            return Err(Error::new(
                Reason::NoSuchKey,
                match candidates {
                    [only] => format!("listing {uri}: there is nothing on {}", only.token.identity),
                    several => format!(
                        "listing {uri}: it fits {} tokens, so that no PIN was sent, and without a login \
                         nothing shows on them; add {} to it",
                        several.len(),
                        self.what_tells_tokens_apart()
                    ),
                },
            ));
        }
        Ok(found)
    }

    /// What matches `criterion`; nothing is an answer, too. Only keys are worth a login.
    pub fn matching(
        &self,
        candidates: &[Present],
        criterion: &Criterion,
        login: &mut Login<'_, '_>,
    ) -> Result<Vec<Found>> {
        let for_keys = criterion.is_for_keys();
        self.survey(
            candidates,
            for_keys,
            login,
            |token, session, object, all| {
                if object.class != ObjectType::Certificate && !for_keys {
                    return Ok(None);
                }
                self.matched(token, session, object, all, criterion)
            },
        )
    }

    /// What `take` makes of each object of the wanted kinds. A key pair is one object, its private
    /// half, where that is wanted and can be seen. Only to a token that is meant alone a PIN is sent.
    /// What can't be read, an object or one token of several, does not hide the rest.
    fn survey(
        &self,
        candidates: &[Present],
        logs_in: bool,
        login: &mut Login<'_, '_>,
        mut take: impl FnMut(&'static Token, &Lease, &Object, &[Object]) -> Attempt<Option<Found>>,
    ) -> Result<Vec<Found>> {
        let logs_in = logs_in && candidates.len() == 1 && self.wanted.private;
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for present in candidates {
            let token = present.token;
            let log_in = || {
                if logs_in {
                    return self.log_in(token, login).or_else(without_pin);
                }
                Ok(())
            };
            let on_token = attempt(token, log_in, |session| {
                still_logged_in(token, session)?;
                let objects = self.objects(token, session)?;
                let mut found = Vec::new();
                for object in self.whole(&objects) {
                    match passing_over(take(token, session, object, &objects))? {
                        Ok(taken) => found.extend(taken),
                        Err(error) => log::info!("passed over: {error}"),
                    }
                }
                Ok(found)
            });
            match on_token {
                Ok(on_token) => found.extend(on_token),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.len() == candidates.len() {
            return Err(faults.remove(0));
        }
        for fault in faults {
            log::warn!("{fault} [going on without this token]");
        }
        Ok(found)
    }

    /// The wanted ones, a key pair once.
    fn whole<'a>(&self, objects: &'a [Object]) -> impl Iterator<Item = &'a Object> {
        let (wanted, pairs) = (self.wanted, self.wanted.private);
        let wanted = objects.iter().filter(move |object| wanted.include(object));
        wanted.filter(move |object| !(pairs && is_half_of_another(object, objects)))
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

/// What is public can be listed all the same.
fn without_pin(failure: Failure) -> Attempt<()> {
    let error = failure.if_for(&[Reason::PinRequired])?;
    log::warn!("listing without a login: {error}");
    Ok(())
}
