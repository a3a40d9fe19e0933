//! What a URI or a file names in the TPM.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ossl_shim::process::O_NONBLOCK;
use tpm2_abi::{Hierarchy, Parent, PolicyCommand, Source};

use super::saved;
use crate::encoding::tss2_key::Tss2Key;
use crate::error::{Error, Reason, Result, system_text};
use crate::reference::{self, Named};
use crate::uri::Tpm2Uri;
use crate::uri::tpm2::{Tpm2Object, Tpm2Parent};

/// An object, as far as a file or a URI tells of it.
pub struct Meant {
    pub source: Source,
    /// What the key is called in messages.
    pub name: String,
    /// Whether it has an authorisation value, where that is told.
    pub needs_auth: Option<bool>,
    /// What stands for the key in a PEM file.
    pub form: Form,
}

/// What can be written of the key.
#[derive(Clone)]
pub enum Form {
    Uri {
        uri: String,
        /// Whether the object has an authorisation value: a reference tells, where it was found out.
        has_value: bool,
    },
    Tss2(Tss2Key),
    /// A saved context: it does not outlive the TPM's next start.
    Saved(String),
}

/// TPM_CC_PolicyAuthValue and TPM_CC_PolicyPassword.
const WITH_AUTH: [u32; 2] = [0x16b, 0x18c];

impl Meant {
    /// A persistent object.
    pub fn persistent(handle: u32, uri: String) -> Self {
        Self {
            source: Source::Persistent(handle),
            name: format!("0x{handle:08x}"),
            needs_auth: None,
            form: Form::Uri {
                uri,
                has_value: true,
            },
        }
    }

    /// A key in a TSS2 PRIVATE KEY file; `file` is its name, if it is known.
    pub fn wrapped(key: Tss2Key, file: Option<&Path>) -> Result<Self> {
        let name = match (file, &key.description) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(description)) => description.clone(),
            (None, None) => "TSS2 PRIVATE KEY".into(),
        };
        let by_policy =
            !key.policy.is_empty() && !key.policy.iter().any(|(code, _)| WITH_AUTH.contains(code));
        let command = |(code, parameters): &(u32, Vec<u8>)| PolicyCommand {
            code: *code,
            parameters: parameters.clone(),
        };
        Ok(Self {
            source: Source::Wrapped {
                parent: parent_of(&key)?,
                public: key.public.clone(),
                private: key.private.clone(),
                secret: key.secret.clone(),
                policy: key.policy.iter().map(command).collect(),
            },
            name,
            needs_auth: Some(!key.empty_auth && !by_policy),
            form: Form::Tss2(key),
        })
    }

    /// What is in the file at `path`, named by a URI.
    pub fn in_file(path: &Path, uri: String) -> Result<Self> {
        let content = read(path)?;
        if let Some(context) = saved::read(&content) {
            return Ok(Self {
                source: Source::Saved(context),
                name: path.display().to_string(),
                needs_auth: None,
                form: Form::Saved(uri),
            });
        }
        if let Some(handle) = saved::persistent(&content) {
            return Ok(Self::persistent(handle, uri_of_handle(handle)));
        }
        match tss2(&content)? {
            Some(key) => Self::wrapped(key, Some(path)),
            None => Err(unreadable(
                path,
                "it is neither a TSS2 PRIVATE KEY nor a context or a handle that tpm2-tools have saved",
            )),
        }
    }
}

fn uri_of_handle(handle: u32) -> String {
    let uri = Tpm2Uri {
        object: Some(Tpm2Object::Handle(handle)),
        ..Tpm2Uri::default()
    };
    uri.to_string()
}

/// The key of a file in PEM, with any text around it, or in DER.
fn tss2(content: &[u8]) -> Result<Option<Tss2Key>> {
    const BEGIN: &[u8] = b"-----BEGIN TSS2 PRIVATE KEY-----";
    const END: &[u8] = b"-----END TSS2 PRIVATE KEY-----";
    let find = |what: &[u8]| {
        content
            .windows(what.len())
            .position(|window| window == what)
    };
    let der = match (find(BEGIN), find(END)) {
        (Some(start), Some(end)) if start < end => {
            reference::der_from_pem(&content[start..end + END.len()])?
        }
        (Some(start), _) => reference::der_from_pem(&content[start..])?,
        (None, _) => Some(content.to_vec()),
    };
    Ok(match der.map(|der| reference::from_der(&der)) {
        Some(Ok(Named::Tss2(key))) => Some(key),
        _ => None,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |error: std::io::Error| unreadable(path, &system_text(&error));
    // A FIFO would hold up the program.
    let mut options = fs::File::options();
    let file = options
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .map_err(io)?;
    let limit = reference::LIMIT as u64;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content).map_err(io)?;
    Ok(content)
}

#[track_caller]
fn unreadable(path: &Path, problem: &str) -> Error {
    Error::new(
        Reason::InvalidReference,
        format!("reading the TPM key {}: {problem}", path.display()),
    )
}

fn parent_of(key: &Tss2Key) -> Result<Parent> {
    let named = match key.parent {
        0x4000_0001 => Tpm2Parent::Owner,
        0x4000_000b => Tpm2Parent::Endorsement,
        0x4000_000c => Tpm2Parent::Platform,
        0x4000_0007 => Tpm2Parent::Null,
        handle if handle >> 24 == 0x81 => Tpm2Parent::Handle(handle),
        other => {
            return Err(Error::new(
                Reason::InvalidReference,
                format!(
                    "the parent of the TSS2 PRIVATE KEY is 0x{other:08x}, which is neither a hierarchy nor \
                     a persistent handle"
                ),
            ));
        }
    };
    Ok(parent(named, key.rsa_parent))
}

pub fn parent(named: Tpm2Parent, rsa: bool) -> Parent {
    let hierarchy = match named {
        Tpm2Parent::Handle(handle) => return Parent::Persistent(handle),
        Tpm2Parent::Owner => Hierarchy::Owner,
        Tpm2Parent::Endorsement => Hierarchy::Endorsement,
        Tpm2Parent::Platform => Hierarchy::Platform,
        Tpm2Parent::Null => Hierarchy::Null,
    };
    Parent::Primary { hierarchy, rsa }
}

/// As a TSS2 PRIVATE KEY file names it.
pub fn parent_handle(named: Tpm2Parent) -> u32 {
    match named {
        Tpm2Parent::Owner => 0x4000_0001,
        Tpm2Parent::Endorsement => 0x4000_000b,
        Tpm2Parent::Platform => 0x4000_000c,
        Tpm2Parent::Null => 0x4000_0007,
        Tpm2Parent::Handle(handle) => handle,
    }
}
