//! From a URI to the objects it names.

use std::cell::Cell;
use std::collections::BTreeSet;

use p11_raw::Session;

use super::attempt::{Attempt, Failure, attempt, passing_over};
use super::candidates::candidates;
use super::halves::public_half;
use super::key::{KeyPolicy, Pkcs11Key};
use super::login::{log_in, still_logged_in};
use super::module::Present;
use super::object::{Object, Pattern};
use super::sessions::Lease;
use super::token::Token;
use crate::backend::names::{listed, some_of};
use crate::backend::{Found, Login, Query, Wanted};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::uri::Pkcs11Uri;
use crate::uri::pkcs11::ObjectType;

/// The objects that `uri` names.
pub fn find(
    config: &Config,
    uri: &Pkcs11Uri,
    query: Query<'_>,
    login: &mut Login<'_, '_>,
) -> Result<Vec<Found>> {
    let wanted = query.wanted;
    let kinds = Kinds::of(uri, wanted);
    // Programs look for parameters and CRLs beside what they need (s_server).
    if wanted == Wanted::Nothing || (kinds.is_err() && query.criterion.is_some()) {
        return Ok(Vec::new());
    }
    let request = Request {
        uri,
        pattern: Pattern::of(uri),
        wanted: kinds?,
        policy: KeyPolicy {
            pin: config.pin_policy(uri.pin_source.as_deref(), uri.pin_value.is_some())?,
            hashes_in_token: config.hashes_in_token,
        },
    };
    let candidates = candidates(config, uri)?;
    if let Some(criterion) = query.criterion {
        return request.matching(&candidates, criterion, login);
    }
    if !uri.names_object() && wanted == Wanted::Anything {
        return request.list(&candidates, login);
    }
    let token = request.choose(&candidates)?;
    request.load(token, login)
}

/// One search under way.
pub struct Request<'a> {
    uri: &'a Pkcs11Uri,
    pattern: Pattern,
    pub wanted: Kinds,
    pub policy: KeyPolicy,
}

/// Which kinds of objects will do.
#[derive(Clone, Copy)]
pub struct Kinds {
    pub private: bool,
    public: bool,
    certificate: bool,
}

impl Kinds {
    fn of(uri: &Pkcs11Uri, wanted: Wanted) -> Result<Self> {
        let is = |kind: ObjectType| uri.object_type.is_none_or(|named| named == kind);
        let wants = |kind: Wanted| wanted == Wanted::Anything || wanted == kind;
        let kinds = Self {
            private: is(ObjectType::Private) && wants(Wanted::PrivateKey),
            public: is(ObjectType::Public) && wants(Wanted::PublicKey),
            certificate: is(ObjectType::Certificate) && wants(Wanted::Certificate),
        };
        if kinds.private || kinds.public || kinds.certificate {
            return Ok(kinds);
        }
        Err(Error::new(
            Reason::NoSuchKey,
            format!("{uri} names another kind of object than the program wants: {wanted}"),
        ))
    }

    pub fn include(self, object: &Object) -> bool {
        match object.class {
            ObjectType::Private => self.private,
            ObjectType::Public => self.public,
            ObjectType::Certificate => self.certificate,
        }
    }
}

impl Request<'_> {
    /// The one token that has the object. Looked for without a login: no PIN goes to a token that
    /// the URI does not pick out.
    fn choose(&self, candidates: &[Present]) -> Result<&'static Token> {
        if let [only] = candidates {
            return Ok(only.token);
        }
        let mut having = Vec::new();
        for present in candidates {
            let token = present.token;
            let objects = attempt(
                token,
                || Ok(()),
                |session| {
                    still_logged_in(token, session)?;
                    self.objects(token, session)
                },
            );
            match objects {
                Ok(objects) if objects.is_empty() => {}
                Ok(_) => having.push(token),
                Err(fault) => log::warn!("{fault} [going on without this token]"),
            }
        }
        if let [only] = having[..] {
            return Ok(only);
        }
        let names: Vec<String> = candidates
            .iter()
            .map(|present| present.token.identity.to_string())
            .collect();
        Err(Error::new(
            Reason::AmbiguousToken,
            format!(
                "looking for {}: the URI fits {}; add {} to it (in a shell, put the URI into quotes)",
                self.uri,
                some_of(&names),
                self.what_tells_tokens_apart()
            ),
        ))
    }

    /// The objects themselves.
    fn load(&self, token: &'static Token, login: &mut Login<'_, '_>) -> Result<Vec<Found>> {
        if !self.wanted.private {
            // Certificates and public keys need no login, unless they are private objects too.
            let found = attempt(token, || Ok(()), |session| self.search(token, session))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        // Some keys are there for everybody (slot 9e of a PIV card): nobody is asked for a PIN for them.
        let no_pin = Cell::new(None);
        let log_in = || {
            let Err(failure) = self.log_in(token, &mut Login::nobody()) else {
                return Ok(());
            };
            failure.if_for(&[Reason::PinRequired, Reason::PinSourceUnusable])?;
            if self.shows_key(token)? {
                return Ok(());
            }
            let Err(failure) = self.log_in(token, login) else {
                return Ok(());
            };
            no_pin.set(Some(failure.if_for(&[Reason::PinRequired])?));
            Ok(())
        };
        attempt(token, log_in, |session| {
            let found = self.search(token, session)?;
            let has_key = found.iter().any(|found| matches!(found, Found::Key(_)));
            if self.wanted.private && !has_key {
                still_logged_in(token, session)?;
                if let Some(error) = no_pin.take() {
                    return Err(error.into());
                }
            }
            match found.is_empty() {
                true => Err(self.nothing(token, session)),
                false => Ok(found),
            }
        })
    }

    /// Whether the one key is seen without a login.
    fn shows_key(&self, token: &'static Token) -> Attempt<bool> {
        let session = Lease::take(token)?;
        let objects = self.objects(token, &session)?;
        let is_key = |object: &&Object| object.class == ObjectType::Private;
        Ok(self.wanted.private && objects.iter().filter(is_key).count() == 1)
    }

    pub fn uri(&self) -> &Pkcs11Uri {
        self.uri
    }

    /// What to add to a URI that fits several tokens.
    pub fn what_tells_tokens_apart(&self) -> &'static str {
        match self.uri.token.token {
            Some(_) => "serial=",
            None => "token= or serial=",
        }
    }

    pub fn log_in(&self, token: &'static Token, login: &mut Login<'_, '_>) -> Attempt<()> {
        log_in(token, &self.policy.pin, self.uri.pin_value.as_ref(), login)
    }

    fn search(&self, token: &'static Token, session: &Lease) -> Attempt<Vec<Found>> {
        let objects = self.objects(token, session)?;
        self.found(token, session, &objects)
    }

    fn found(
        &self,
        token: &'static Token,
        session: &Lease,
        objects: &[Object],
    ) -> Attempt<Vec<Found>> {
        let mut found = Vec::new();
        let of = |kind| objects.iter().filter(move |object| object.class == kind);
        if self.wanted.private {
            let keys: Vec<&Object> = of(ObjectType::Private).collect();
            match keys[..] {
                [] => {}
                [object] => {
                    let public = public_half(token, session, object, objects)?;
                    let key = Pkcs11Key::new(token, object, public, &self.policy, session.epoch);
                    found.push(Found::Key(Key::new(key)));
                }
                _ => return Err(self.ambiguous(token, &keys).into()),
            }
        }
        if self.wanted.certificate {
            let mut unreadable = None;
            for object in of(ObjectType::Certificate) {
                match passing_over(object.certificate(token, session))? {
                    Ok(der) => found.push(Found::Certificate(der)),
                    Err(error) => unreadable = Some(error),
                }
            }
            match unreadable {
                Some(error) if found.is_empty() => return Err(error.into()),
                Some(error) => log::warn!("passed over: {error}"),
                None => {}
            }
        }
        if self.wanted.public && (found.is_empty() || self.uri.object_type.is_some()) {
            for object in of(ObjectType::Public) {
                found.extend(object.public_key(token)?.map(Found::PublicKey));
            }
        }
        Ok(found)
    }

    pub fn objects(&self, token: &Token, session: &Session) -> Attempt<Vec<Object>> {
        let attempted = || format!("searching {} for {}", token.identity, self.uri);
        Object::find(token, session, &self.pattern, None).map_err(Failure::of(attempted))
    }

    /// Nothing matches: says what there is.
    fn nothing(&self, token: &Token, session: &Session) -> Failure {
        let all = Object::find(token, session, &Pattern::default(), None).unwrap_or_default();
        // Nothing at all: its card may be disturbed.
        let failure = match all.is_empty() {
            true => Failure::Missing,
            false => Failure::Final,
        };
        let name = |object: &Object| match self.pattern.id {
            // Ids are bytes: id=%01, not id=01.
            Some(_) => object.pattern().to_string(),
            None => format!("\"{}\"", object.name()),
        };
        let (wanted, others): (Vec<&Object>, Vec<&Object>) =
            all.iter().partition(|object| self.wanted.include(object));
        let wanted: Vec<String> = wanted.into_iter().map(name).collect();
        let there = match (wanted.is_empty(), others.is_empty()) {
            (true, false) => {
                let others: Vec<String> = others.into_iter().map(Object::kind_and_name).collect();
                format!("is nothing of the kind, but {}", some_of(&others))
            }
            _ => listed("is", "are", "nothing of the kind", &wanted),
        };
        let hint = self.pattern.id.as_deref().and_then(meant_id);
        let hint = hint.map_or(String::new(), |id| {
            format!("; an id is bytes, each written as % and two digits: id={id}?")
        });
        failure(Error::new(
            Reason::NoSuchKey,
            format!(
                "looking for {} on {}: nothing matches; there {there}{hint}",
                self.uri, token.identity
            ),
        ))
    }

    fn ambiguous(&self, token: &Token, keys: &[&Object]) -> Error {
        let keys: Vec<String> = keys.iter().map(|key| key.pattern().to_string()).collect();
        let different: BTreeSet<&String> = keys.iter().collect();
        let alike = different.len() < keys.len();
        let cure = match (&self.pattern.id, &self.pattern.label) {
            _ if alike => GIVE_ANOTHER_NAME,
            (None, None) => "add object= or id= to it (in a shell, put the URI into quotes)",
            (None, _) => "add id= to it",
            (_, None) => "add object= to it",
            _ => GIVE_ANOTHER_NAME,
        };
        Error::new(
            Reason::AmbiguousKey,
            format!(
                "looking for {} on {}: the URI fits {}; {cure}",
                self.uri,
                token.identity,
                some_of(&keys)
            ),
        )
    }
}

const GIVE_ANOTHER_NAME: &str = "some have the same label and id: delete what is not needed, or give it \
                                 another label (pkcs11-tool --delete-object, --set-id)";

/// `id=01` where `id=%01` is meant: the bytes are hexadecimal digits themselves.
fn meant_id(id: &[u8]) -> Option<String> {
    let digits = id.strip_prefix(b"0x").unwrap_or(id);
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    (is_hex && digits.len().is_multiple_of(2)).then(|| {
        let pairs = digits.chunks(2).map(String::from_utf8_lossy);
        pairs.map(|pair| format!("%{pair}")).collect()
    })
}
