//! New keys, and random numbers.

use tpm2_abi::{Outcome, Secret, Task, Template};

use super::failure::is_refusal;
use super::find::{load, parent_auth};
use super::numbers::curve_number;
use super::object::{Meant, parent, parent_handle};
use super::tpm::{Tpm, Trouble, is_asking, unexpected};
use crate::backend::Login;
use crate::config::Config;
use crate::encoding::tss2_key::Tss2Key;
use crate::error::{Error, Reason, Result};
use crate::key::{Key, NewKey, RsaUse};
use crate::pin::PinSource;
use crate::uri::Tpm2Uri;
use crate::uri::tpm2::Tpm2Parent;

/// Makes a key under the parent that `uri` names, the owner's primary key if it names none. The TPM does
/// not keep it: it is in what is written of it, a TSS2 PRIVATE KEY.
pub fn generate(config: &Config, uri: &Tpm2Uri, kind: NewKey) -> Result<Key> {
    if uri.object.is_some() {
        return Err(Error::new(
            Reason::InvalidUri,
            format!(
                "making a key as {uri}: it is made in a file, and gets a handle with tpm2_evictcontrol; name \
                 the parent at most: tpm2:parent=owner"
            ),
        ));
    }
    let template = template(kind)?;
    let named = uri.parent.unwrap_or(Tpm2Parent::Owner);
    let tpm = Tpm::chosen(config)?;
    let source = tpm2_abi::Source::Wrapped {
        parent: parent(named, false),
        public: Vec::new(),
        private: Vec::new(),
        secret: None,
        policy: Vec::new(),
    };
    let parent_auth = parent_auth(config, Some(uri), &source, &tpm)?;
    let auth = auth_of_new(config, uri)?;
    let turn = parent_auth.turn();
    let parent_value = parent_auth.value(&tpm)?;
    let outcome = tpm.ask(Task::Create {
        parent: parent(named, false),
        parent_auth: parent_value.clone(),
        template,
        auth: auth.clone(),
    });
    if let Err(Trouble::Tpm(failure)) = &outcome {
        if is_refusal(failure) {
            parent_auth.refused(&parent_value);
        }
    }
    drop(turn);
    let created = outcome.and_then(|outcome| match outcome {
        Outcome::Created(created) => Ok(created),
        _ => Err(unexpected()),
    });
    let created = created.map_err(tpm.failed(|| format!("making a key in {tpm}")))?;
    let key = Tss2Key {
        empty_auth: auth.is_empty(),
        policy: Vec::new(),
        secret: None,
        description: None,
        rsa_parent: false,
        parent: parent_handle(named),
        public: created.public,
        private: created.private,
    };
    let nobody = &mut Login::unattended();
    load(config, Meant::wrapped(key, None)?, Some(uri), nobody)
}

fn template(kind: NewKey) -> Result<Template> {
    let unsupported = |what: String| {
        Error::new(
            Reason::UnsupportedKey,
            format!("making {what} in a TPM: TPMs do not have it; take P-256 or RSA-2048"),
        )
    };
    match kind {
        NewKey::Ec(curve) => match curve_number(curve) {
            Some(curve) => Ok(Template::Ecc { curve }),
            None => Err(unsupported(format!("a key on {curve}"))),
        },
        NewKey::Rsa {
            allowed: RsaUse::PssOnly,
            ..
        } => Err(unsupported("an RSA-PSS key".into())),
        NewKey::Rsa { bits, exponent, .. } => match u16::try_from(bits) {
            Ok(bits) if (1024..=4096).contains(&bits) => Ok(Template::Rsa {
                bits,
                // Some TPMs take the usual one by this number only.
                exponent: exponent.filter(|exponent| *exponent != 65537).unwrap_or(0),
            }),
            _ => Err(unsupported(format!("an RSA key of {bits} bits"))),
        },
    }
}

/// The authorisation value of the new key: the URI's own, never the one that openssl.cnf names for the
/// keys that there are.
fn auth_of_new(config: &Config, uri: &Tpm2Uri) -> Result<Secret> {
    if let Some(pin) = &uri.pin_value {
        return Ok(Secret::copied(pin));
    }
    match &uri.pin_source {
        Some(text) => {
            let pin = PinSource::parse(text, config.any_pin_file_mode)?.read()?;
            Ok(Secret::copied(&pin))
        }
        None => Ok(Secret::default()),
    }
}

/// Fills `bytes` with the TPM's random numbers; with the kernel's if tss2 draws them for a session: it has
/// the TPM then, and waits for us.
pub fn random(config: &Config, bytes: &mut [u8]) -> Result<()> {
    if is_asking() {
        return getrandom::fill(bytes).map_err(|error| {
            Error::new(
                Reason::TokenFailed,
                format!("the kernel gives no random numbers: {error}"),
            )
        });
    }
    let tpm = Tpm::chosen(config)?;
    let count = u32::try_from(bytes.len()).map_err(|_| {
        Error::new(
            Reason::InvalidParameter,
            "more random numbers than fit one request",
        )
    })?;
    let made = tpm.secret(Task::Random { bytes: count });
    let made = made.map_err(tpm.failed(|| format!("taking random numbers from {tpm}")))?;
    if made.len() != bytes.len() {
        return Err(Error::new(
            Reason::Internal,
            "not as many random numbers as were asked for",
        ));
    }
    bytes.copy_from_slice(&made);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_no_tpm_has_are_refused_before_one_is_asked() {
        let rsa = |bits, allowed| {
            template(NewKey::Rsa {
                bits,
                exponent: None,
                allowed,
            })
        };
        assert!(rsa(2048, RsaUse::Any).is_ok());
        assert!(rsa(512, RsaUse::Any).is_err());
        let error = rsa(2048, RsaUse::PssOnly).unwrap_err();
        assert!(error.message().contains("an RSA-PSS key"), "{error}");
    }
}
