//! Certificates in NV indices.

use tpm2_abi::Task;

use super::auth::{Holder, Value};
use super::find::sources;
use super::tpm::Tpm;
use crate::backend::pins::KeptPins;
use crate::backend::{Found, Login};
use crate::config::Config;
use crate::error::{Error, Reason, Result};
use crate::uri::Tpm2Uri;

/// The certificate at `index`. A value is sent only if the URI names one: few indices have any.
pub fn certificate(
    config: &Config,
    index: u32,
    uri: &Tpm2Uri,
    login: &mut Login<'_, '_>,
) -> Result<Found> {
    let tpm = Tpm::chosen(config)?;
    let attempted = format!("reading NV index 0x{index:08x} of {tpm}");
    let read = |auth| tpm.bytes(Task::ReadNv { index, auth });
    let der = match uri.has_pin() {
        false => read(None).map_err(tpm.failed(|| attempted.clone()))?,
        true => {
            let sources = sources(config, Some(uri))?;
            let holder = Holder {
                mark: index.to_be_bytes().to_vec(),
                title: format!("NV index 0x{index:08x} on {tpm}"),
                attempted: attempted.clone(),
                kept: KeptPins::default(),
            };
            let value = Value::new(holder, sources.policy, false);
            let pin = value.sourced(sources.given.as_ref(), login)?;
            value.sent_once(&pin, &tpm, |auth| read(Some(auth)))?
        }
    };
    match certificate_in(&der) {
        Some(der) => Ok(Found::Certificate(der.to_vec())),
        None => Err(Error::new(
            Reason::NoSuchKey,
            format!("{attempted}: it does not hold a certificate in DER"),
        )),
    }
}

/// The DER SEQUENCE at the start of `bytes`, without what follows it: indices are made larger than what
/// is in them.
pub fn certificate_in(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x30, 0x82, high, low, ..] => {
            let size = 4 + usize::from(u16::from_be_bytes([*high, *low]));
            bytes.get(..size)
        }
        _ => None,
    }
}
