//! From a URI to the key, and all that an application has.

use parsec_client::core::interface::operations::list_keys::KeyInfo;
use parsec_client::core::interface::operations::psa_key_attributes::Attributes;
use parsec_client::core::interface::requests::ProviderId;

use super::key::{Confirmed, ParsecKey, export};
use super::policy::Policy;
use super::providers::{kind, named, there_are, title};
use super::public::Kind;
use super::service::Service;
use crate::backend::names::listed;
use crate::backend::{Found, Query, Wanted};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::key::Key;
use crate::uri::ParsecUri;

/// The keys that `uri` names.
pub fn find(config: &Config, uri: &ParsecUri, query: Query<'_>) -> Result<Vec<Found>> {
    // A service keeps no certificates, and programs look for parameters and CRLs beside what they need.
    let is_elsewhere = match query.wanted {
        Wanted::Nothing => true,
        Wanted::Certificate => uri.key.is_none() || query.criterion.is_some(),
        _ => false,
    };
    if is_elsewhere {
        return Ok(Vec::new());
    }
    let service = Service::of(config, uri)?;
    let keys = keys(&service, uri)?;
    match (&uri.key, query.criterion) {
        (Some(name), None) => one(&service, uri, name, &keys, query.wanted),
        (None, None) => all(&service, uri, &keys, query.wanted),
        (name, Some(_)) => {
            let named = keys.all.iter();
            let named = named.filter(|key| name.as_ref().is_none_or(|name| *name == key.name));
            let found = named.filter_map(|key| matching(&service, uri, key, query));
            Ok(found.collect())
        }
    }
}

/// The keys of who asks, in the provider that the URI names if it names one.
struct Keys {
    all: Vec<KeyInfo>,
    provider: Option<ProviderId>,
}

fn keys(service: &Service, uri: &ParsecUri) -> Result<Keys> {
    let attempted = || format!("listing the keys of {service}");
    let mut all = service.keys().map_err(service.failed(attempted))?;
    let provider = uri.provider.map(|provider| named(provider, service));
    let provider = provider.transpose()?;
    if let Some(provider) = provider {
        all.retain(|key| key.provider_id == provider);
    }
    Ok(Keys { all, provider })
}

fn one(
    service: &Service,
    uri: &ParsecUri,
    name: &str,
    keys: &Keys,
    wanted: Wanted,
) -> Result<Vec<Found>> {
    let mut hits = keys.all.iter().filter(|key| key.name == name);
    let Some(hit) = hits.next() else {
        return Err(missing(service, name, keys));
    };
    let others: Vec<String> = hits.map(title_of).collect();
    if !others.is_empty() {
        let all = [&[title_of(hit)][..], &others].concat();
        return Err(Error::new(
            Reason::AmbiguousKey,
            format!(
                "looking for \"{name}\" on {service}: {} have a key of this name; add one of these to the \
                 URI: ;provider={}",
                all.join(" and "),
                keys.all
                    .iter()
                    .filter(|key| key.name == name)
                    .filter_map(|key| kind(key.provider_id))
                    .map(|kind| kind.to_string())
                    .collect::<Vec<_>>()
                    .join(", ;provider=")
            ),
        ));
    }
    as_wanted(load(service, uri, hit)?, wanted, uri)
}

fn title_of(key: &KeyInfo) -> String {
    format!("the {}", title(key.provider_id))
}

fn missing(service: &Service, name: &str, keys: &Keys) -> Error {
    let attempted = format!("looking for key \"{name}\" on {service}");
    // Maybe there is no such provider at all.
    if let Some(provider) = keys.provider {
        match service.providers() {
            Ok(all) if !all.iter().any(|one| one.id == provider) => {
                return Error::new(
                    Reason::NoSuchToken,
                    format!(
                        "{attempted}: the service has no {}; {}",
                        title(provider),
                        there_are(&all)
                    ),
                );
            }
            _ => {}
        }
    }
    let place = keys
        .provider
        .map(|provider| format!(" in the {}", title(provider)));
    let names: Vec<String> = keys.all.iter().map(described).collect();
    Error::new(
        Reason::NoSuchKey,
        format!(
            "{attempted}: nothing matches; {}{} (keys belong to who made them: app=, auth=, the user)",
            listed("there is", "there are", "no key", &names),
            place.unwrap_or_default(),
        ),
    )
    .and("parsec-tool list-keys shows them, parsec-tool create-ecc-key makes one")
}

/// `"device" (tpm)`.
fn described(key: &KeyInfo) -> String {
    match kind(key.provider_id) {
        Some(kind) => format!("\"{}\" ({kind})", key.name),
        None => format!("\"{}\"", key.name),
    }
}

/// The URI names no key.
fn all(service: &Service, uri: &ParsecUri, keys: &Keys, wanted: Wanted) -> Result<Vec<Found>> {
    let names: Vec<String> = keys.all.iter().map(described).collect();
    if wanted != Wanted::Anything {
        return Err(Error::new(
            Reason::NoSuchKey,
            format!(
                "{uri} names no key, and the program wants {wanted}; write parsec:NAME; {}",
                listed("there is", "there are", "no key", &names)
            ),
        ));
    }
    if names.is_empty() {
        return Err(Error::new(
            Reason::NoSuchKey,
            format!(
                "listing {uri}: {service} has no keys of this client; make one with parsec-tool \
                 create-ecc-key --key-name NAME, or openssl genpkey -propquery provider=hwkey -algorithm EC \
                 -pkeyopt ec_paramgen_curve:P-256 -pkeyopt hwkey_uri:parsec:NAME"
            ),
        ));
    }
    Ok(keys
        .all
        .iter()
        .map(|key| Found::Name {
            uri: uri_of(uri, key).to_string(),
            description: format!(
                "{}, {}, {}",
                what(&key.attributes),
                Policy::from(key.attributes),
                title(key.provider_id)
            ),
        })
        .collect())
}

fn what(attributes: &Attributes) -> String {
    let (kind, has_private) = match Kind::of(attributes) {
        Ok(known) => known,
        Err(_) => return format!("{}, {} bit", attributes.key_type, attributes.bits),
    };
    let key = match has_private {
        true => "key",
        false => "public key",
    };
    match kind {
        Kind::Ec(curve) => format!("EC {key} on {curve}"),
        Kind::Rsa | Kind::RsaPss => format!("RSA {key}, {} bit", attributes.bits),
    }
}

/// What finds this key again, for who finds it now.
fn uri_of(uri: &ParsecUri, key: &KeyInfo) -> ParsecUri {
    ParsecUri {
        key: Some(key.name.clone()),
        provider: kind(key.provider_id),
        ..uri.clone()
    }
}

/// One that fits a search, unless it is none of ours or just gone.
fn matching(service: &Service, uri: &ParsecUri, key: &KeyInfo, query: Query<'_>) -> Option<Found> {
    let found = match load(service, uri, key) {
        Ok(found) => found,
        Err(error) => {
            log::debug!("passed over in a search: {error}");
            return None;
        }
    };
    let fits = query.criterion.is_none_or(|criterion| match &found {
        Found::Key(key) => criterion.fits_key(key.name().as_bytes(), key.public()),
        Found::PublicKey(public) => criterion.fits_key(key.name.as_bytes(), public),
        _ => false,
    });
    let mut found = as_wanted(found, query.wanted, uri).ok()?;
    fits.then(|| found.pop()).flatten()
}

/// A private key stands for its public half, too.
fn as_wanted(found: Found, wanted: Wanted, uri: &ParsecUri) -> Result<Vec<Found>> {
    match (found, wanted) {
        (found @ Found::Key(_), Wanted::Anything | Wanted::PrivateKey)
        | (found @ Found::PublicKey(_), Wanted::Anything | Wanted::PublicKey) => Ok(vec![found]),
        (Found::Key(key), Wanted::PublicKey) => Ok(vec![Found::PublicKey(key.public().clone())]),
        (_, Wanted::Certificate) => Err(Error::new(
            Reason::NoSuchKey,
            format!(
                "{uri} is a key, and the program wants a certificate: Parsec keeps none, take a file"
            ),
        )),
        _ => Err(Error::new(
            Reason::NoSuchKey,
            format!("{uri} is a public key, and the program wants {wanted}"),
        )),
    }
}

/// The key as the service has it.
pub fn load(service: &Service, uri: &ParsecUri, key: &KeyInfo) -> Result<Found> {
    let attempted = format!(
        "loading key \"{}\" on {service}, {}",
        key.name,
        title(key.provider_id)
    );
    let kind = Kind::of(&key.attributes).map_err(|error| error.within(&attempted));
    let (kind, has_private) = kind?;
    let exported = export(service, key.provider_id, &key.name);
    let exported = exported.map_err(service.failed(|| attempted.clone()))?;
    let public = kind.public(&exported);
    let public = public.map_err(|error| error.within(&attempted))?;
    if !has_private {
        return Ok(Found::PublicKey(public));
    }
    Ok(Found::Key(Key::new(ParsecKey {
        service: service.clone(),
        provider: key.provider_id,
        name: key.name.clone(),
        uri: uri_of(uri, key).to_string(),
        kind,
        policy: Policy::from(key.attributes),
        public,
        confirmed: Confirmed::now(),
        user: service.identity().user(),
    })))
}
