//! From a URI or a file to the key, and everything there is in a TPM.

use std::sync::Mutex;

use tpm2_abi::{Area, Listed, Parent, Secret, Source, Task};

use super::auth::{Auth, Holder, Known, ParentAuth, Sources};
use super::failure::{is_of_parent, is_refusal};
use super::key::{Tpm2Key, object};
use super::numbers::{Attributes, public_key};
use super::nv::{certificate, certificate_in};
use super::object::{Form, Meant};
use super::scheme::Abilities;
use super::tpm::{Answer, Tpm, Trouble};
use crate::backend::names::listed;
use crate::backend::pins::KeptPins;
use crate::backend::{Found, Login, Query, Wanted};
use crate::config::Config;
use crate::criterion::Criterion;
use crate::encoding::tss2_key::Tss2Key;
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::pin::{Pin, PinPolicy};
use crate::uri::Tpm2Uri;
use crate::uri::tpm2::Tpm2Object;

/// The objects that `uri` names.
pub fn find(
    config: &Config,
    uri: &Tpm2Uri,
    query: Query<'_>,
    login: &mut Login<'_, '_>,
) -> Result<Vec<Found>> {
    // Programs look for parameters and CRLs beside what they need (s_server).
    if query.wanted == Wanted::Nothing {
        return Ok(Vec::new());
    }
    let found = match &uri.object {
        None if query.criterion.is_none() && query.wanted != Wanted::Anything => {
            return Err(names_no_object(config, uri, query.wanted));
        }
        None => return all(config, query, login),
        Some(Tpm2Object::Nv(index)) => certificate(config, *index, uri, login)?,
        Some(Tpm2Object::Handle(handle)) => {
            let meant = Meant::persistent(*handle, uri.to_string());
            Found::Key(load(config, meant, Some(uri), login)?)
        }
        Some(Tpm2Object::File(path)) => {
            let meant = Meant::in_file(path, uri.to_string())?;
            Found::Key(load(config, meant, Some(uri), login)?)
        }
    };
    let fits = |criterion: &Criterion| match &found {
        Found::Key(key) => criterion.fits_key(key.name().as_bytes(), key.public()),
        Found::Certificate(der) => criterion.fits_certificate(uri.to_string().as_bytes(), der),
        _ => false,
    };
    if !query.criterion.is_none_or(fits) {
        return Ok(Vec::new());
    }
    as_wanted(found, query.wanted, uri)
}

/// The TPM as a whole, where one object is wanted.
fn names_no_object(config: &Config, uri: &Tpm2Uri, wanted: Wanted) -> Error {
    let error = Error::new(
        Reason::NoSuchKey,
        format!(
            "{uri} names no object, and the program wants {wanted}; write tpm2:handle=0x81…, tpm2:nv=0x01… or \
             tpm2:object=FILE"
        ),
    );
    match Tpm::chosen(config).map(|tpm| handles(&tpm)) {
        Ok(Ok(handles)) => error.and(&listed("there is", "there are", "no key", &handles)),
        _ => error,
    }
}

/// A private key stands for its public half, too.
fn as_wanted(found: Found, wanted: Wanted, uri: &Tpm2Uri) -> Result<Vec<Found>> {
    match (found, wanted) {
        (found @ Found::Key(_), Wanted::Anything | Wanted::PrivateKey)
        | (found @ Found::Certificate(_), Wanted::Anything | Wanted::Certificate) => {
            Ok(vec![found])
        }
        (Found::Key(key), Wanted::PublicKey) => Ok(vec![Found::PublicKey(key.public().clone())]),
        _ => Err(Error::new(
            Reason::NoSuchKey,
            format!("{uri} names another kind of object than the program wants: {wanted}"),
        )),
    }
}

/// The key in a TSS2 PRIVATE KEY file that a program has read.
pub fn unwrap(config: &Config, key: Tss2Key, login: &mut Login<'_, '_>) -> Result<Key> {
    load(config, Meant::wrapped(key, None)?, None, login)
}

/// The key that is meant, which must be in the TPM or let itself be loaded, and whose authorisation
/// value must be right.
pub fn load(
    config: &Config,
    meant: Meant,
    uri: Option<&Tpm2Uri>,
    login: &mut Login<'_, '_>,
) -> Result<Key> {
    let mut tpm = Tpm::chosen(config)?;
    let parent_auth = parent_auth(config, uri, &meant.source, &tpm)?;
    let area = inspect(&mut tpm, &meant, &parent_auth)?;
    let attempted = format!("using key \"{}\" on {tpm}", meant.name);
    let public = public_key(&area).map_err(|error| error.within(&attempted))?;
    let holder = Holder {
        mark: area.name.clone(),
        title: format!("key {} on {tpm}", meant.name),
        attempted,
        kept: KeptPins::default(),
    };
    let authorise = |auth| {
        let parent_auth = parent_auth.value(&tpm).map_err(Trouble::Part)?;
        let object = object(&meant.source, &area.name, auth, parent_auth);
        tpm.done(Task::Authorise { object })
    };
    let (known, sources) = (known(&area, &meant, uri), sources(config, uri)?);
    let auth = Auth::settle(holder, known, sources, &tpm, login, &authorise)?;
    let form = match meant.form {
        Form::Uri { uri, .. } => Form::Uri {
            uri,
            has_value: auth.is_needed(),
        },
        other => other,
    };
    let hashes = tpm.description.as_ref().map(|known| known.hashes.clone());
    let hashes = hashes.unwrap_or_default();
    let abilities = Abilities::new(&area, &hashes, config.hashes_in_token);
    Ok(Key::new(Tpm2Key {
        abilities,
        tpm,
        source: meant.source,
        object_name: area.name,
        name: meant.name,
        form,
        public,
        auth,
        parent_auth,
        rejection: Mutex::new(None),
    }))
}

/// What is known of the object's authorisation value.
fn known(area: &Area, meant: &Meant, uri: Option<&Tpm2Uri>) -> Known {
    let attributes = Attributes::of(area);
    let by_policy = matches!(&meant.source, Source::Wrapped { policy, .. } if !policy.is_empty());
    // tpm2-openssl's "?pass" says that there is one.
    let asks = uri.is_some_and(|uri| uri.asks);
    // A storage key is a parent, and does nothing else for programs: its value is for that.
    let is_parent = attributes.restricted() && !attributes.sign();
    Known {
        needed: match (is_parent, asks) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => meant.needs_auth,
        },
        no_da: attributes.no_da(),
        can_be_tried: attributes.user_with_auth() && !by_policy,
    }
}

fn inspect(tpm: &mut Tpm, meant: &Meant, parent_auth: &ParentAuth) -> Result<Area> {
    let _turn = parent_auth.turn();
    let value = parent_auth.value(tpm)?;
    let outcome = tpm.inspect(tpm2_abi::Object {
        source: meant.source.clone(),
        name: None,
        auth: Secret::default(),
        parent_auth: value.clone(),
    });
    if let Err(Trouble::Tpm(failure)) = &outcome {
        if is_refusal(failure) && is_of_parent(failure) {
            parent_auth.refused(&value);
        }
    }
    outcome.map_err(|trouble| {
        let attempted = format!("loading key \"{}\" on {tpm}", meant.name);
        let error = tpm.failed(|| attempted)(trouble);
        if error.reason() != Reason::NoSuchKey {
            return error;
        }
        match handles(tpm) {
            Ok(handles) => error.and(&listed("there is", "there are", "none", &handles)),
            Err(_) => error,
        }
    })
}

/// The persistent keys that there are.
fn handles(tpm: &Tpm) -> Answer<Vec<String>> {
    let listed = tpm.listing()?.into_iter();
    let handle = |one| match one {
        Listed::Key { handle, .. } => Some(format!("0x{handle:08x}")),
        Listed::Certificate { .. } => None,
    };
    Ok(listed.filter_map(handle).collect())
}

/// Where the key's authorisation value may come from.
pub fn sources(config: &Config, uri: Option<&Tpm2Uri>) -> Result<Sources> {
    let given = uri.and_then(|uri| uri.pin_value.as_ref());
    let mut policy = config.pin_policy(
        uri.and_then(|uri| uri.pin_source.as_deref()),
        given.is_some(),
    )?;
    if uri.is_some_and(|uri| uri.asks) {
        policy.source = None;
    }
    Ok(Sources {
        policy,
        given: given.and_then(|pin| Pin::copied(pin)),
    })
}

/// Where the authorisation value of the key's parent may come from.
pub fn parent_auth(
    config: &Config,
    uri: Option<&Tpm2Uri>,
    source: &Source,
    tpm: &Tpm,
) -> Result<ParentAuth> {
    let parent = match source {
        Source::Wrapped { parent, .. } => Some(*parent),
        _ => None,
    };
    let given = uri.and_then(|uri| uri.parent_pin_value.as_ref());
    let named = uri.and_then(|uri| uri.parent_pin_source.as_deref());
    let own = config.pin_policy(named, true)?;
    let policy = PinPolicy {
        source: own.source.or_else(|| match given {
            Some(_) => None,
            None => config.tpm2_parent_pin_source.clone(),
        }),
        prompt: None,
        ..own
    };
    let title = match parent {
        Some(Parent::Persistent(handle)) => format!("parent 0x{handle:08x} on {tpm}"),
        _ => format!("the parent's hierarchy on {tpm}"),
    };
    let holder = Holder {
        mark: title.clone().into_bytes(),
        attempted: format!("loading a key under {title}"),
        title,
        kept: KeptPins::default(),
    };
    Ok(ParentAuth::new(
        holder,
        Sources {
            policy,
            given: given.and_then(|pin| Pin::copied(pin)),
        },
        match parent {
            Some(Parent::Persistent(handle)) => Some(handle),
            _ => None,
        },
    ))
}

/// A URI that names no object: a name for each there is, or what matches a criterion.
fn all(config: &Config, query: Query<'_>, login: &mut Login<'_, '_>) -> Result<Vec<Found>> {
    let tpm = Tpm::chosen(config)?;
    let listed = tpm.listing();
    let listed = listed.map_err(tpm.failed(|| format!("listing what is in {tpm}")))?;
    let mut found = Vec::new();
    for one in listed {
        match query.criterion {
            None => found.push(named(&one, &tpm)),
            Some(criterion) => {
                found.extend(matching(config, &one, criterion, query.wanted, login)?)
            }
        }
    }
    if found.is_empty() && query.criterion.is_none() {
        return Err(Error::new(
            Reason::NoSuchKey,
            format!(
                "listing tpm2:: there are no persistent keys and no certificates in {tpm}; make a key with \
                 openssl genpkey -propquery provider=hwkey -pkeyopt hwkey_uri:tpm2:, or with tpm2-tools and \
                 tpm2_evictcontrol"
            ),
        ));
    }
    Ok(found)
}

fn named(one: &Listed, tpm: &Tpm) -> Found {
    let (object, what) = match one {
        Listed::Key { handle, area } => (Tpm2Object::Handle(*handle), what(area)),
        Listed::Certificate { index, .. } => (Tpm2Object::Nv(*index), "certificate".into()),
    };
    Found::Name {
        uri: uri_of(object).to_string(),
        description: format!("{what} on {tpm}"),
    }
}

fn what(area: &Area) -> String {
    let attributes = Attributes::of(area);
    let use_ = match (attributes.restricted(), attributes.sign()) {
        (true, false) => "storage key",
        (true, true) => "restricted signing key",
        (false, _) => "key",
    };
    match public_key(area) {
        Ok(public) => format!(
            "{} {use_}, {} bit",
            public.type_name().to_string_lossy(),
            public.bits()
        ),
        Err(_) => use_.into(),
    }
}

fn uri_of(object: Tpm2Object) -> Tpm2Uri {
    Tpm2Uri {
        object: Some(object),
        ..Tpm2Uri::default()
    }
}

fn matching(
    config: &Config,
    one: &Listed,
    criterion: &Criterion,
    wanted: Wanted,
    login: &mut Login<'_, '_>,
) -> Result<Option<Found>> {
    let wants = |kind: Wanted| wanted == Wanted::Anything || wanted == kind;
    Ok(match one {
        Listed::Certificate { index, der } if wants(Wanted::Certificate) => {
            let uri = uri_of(Tpm2Object::Nv(*index)).to_string();
            let der =
                certificate_in(der).filter(|der| criterion.fits_certificate(uri.as_bytes(), der));
            der.map(|der| Found::Certificate(der.to_vec()))
        }
        Listed::Key { handle, area } => {
            let uri = uri_of(Tpm2Object::Handle(*handle));
            let Some(public) = public_key(area).ok() else {
                return Ok(None);
            };
            if !criterion.fits_key(uri.to_string().as_bytes(), &public) {
                return Ok(None);
            }
            if wants(Wanted::PrivateKey) {
                let meant = Meant::persistent(*handle, uri.to_string());
                return load(config, meant, Some(&uri), login).map(|key| Some(Found::Key(key)));
            }
            wants(Wanted::PublicKey).then_some(Found::PublicKey(public))
        }
        Listed::Certificate { .. } => None,
    })
}
