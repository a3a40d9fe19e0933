//! TSS2 PRIVATE KEY files as others may have written them ("ASN.1 Specification for TPM 2.0 Key Files").

use std::fs;
use std::path::Path;

use crate::reference::{pem, tagged};

/// The last number of the object identifier 2.23.133.10.1.x.
#[derive(Clone, Copy)]
pub enum Kind {
    Loadable = 3,
    Importable = 4,
    Sealed = 5,
    /// Nobody's.
    Unknown = 99,
}

/// What is in the file, beside the key itself.
pub struct KeyFile<'a> {
    pub kind: Kind,
    /// Whether the key has no authorisation value.
    pub empty_auth: bool,
    /// Command codes, up to 0x7fff, and their parameters.
    pub policy: &'a [(u16, Vec<u8>)],
    /// Of an importable key.
    pub secret: Option<Vec<u8>>,
    pub rsa_parent: bool,
    /// Of four bytes with the highest bit clear: a hierarchy.
    pub parent: u32,
}

/// TPM_RH_OWNER.
pub const OWNER: u32 = 0x4000_0001;

/// Of a key under the owner's usual primary key.
pub const USUAL: KeyFile = KeyFile {
    kind: Kind::Loadable,
    empty_auth: true,
    policy: &[],
    secret: None,
    rsa_parent: false,
    parent: OWNER,
};

impl KeyFile<'_> {
    /// In DER, with the halves that tpm2_create has left in the files `public` and `private`.
    pub fn der(&self, public: &Path, private: &Path) -> Vec<u8> {
        let number = |bytes: &[u8]| tagged(0x02, bytes);
        let octets = |path: &Path| tagged(0x04, &fs::read(path).expect("half a key"));
        let commands = self.policy.iter().map(|(code, parameters)| {
            let code = tagged(0xa0, &number(&code.to_be_bytes()));
            let parameters = tagged(0xa1, &tagged(0x04, parameters));
            tagged(0x30, &[code, parameters].concat())
        });
        let commands: Vec<Vec<u8>> = commands.collect();
        let is_true = tagged(0x01, &[0xff]);
        let mut parts = vec![
            tagged(0x06, &[0x67, 0x81, 0x05, 0x0a, 0x01, self.kind as u8]),
            tagged(
                0xa0,
                &tagged(0x01, &[if self.empty_auth { 0xff } else { 0 }]),
            ),
        ];
        if !commands.is_empty() {
            parts.push(tagged(0xa1, &tagged(0x30, &commands.concat())));
        }
        if let Some(secret) = &self.secret {
            parts.push(tagged(0xa2, &tagged(0x04, secret)));
        }
        if self.rsa_parent {
            parts.push(tagged(0xa5, &is_true));
        }
        parts.extend([
            number(&self.parent.to_be_bytes()),
            octets(public),
            octets(private),
        ]);
        tagged(0x30, &parts.concat())
    }

    /// The same in PEM.
    pub fn pem(&self, public: &Path, private: &Path) -> String {
        pem("TSS2 PRIVATE KEY", &self.der(public, private))
    }
}
