//! What hwkey makes, and software that has nothing to do with it.

use std::fs;

use super::{Algorithm, Gateway};
use crate::{Run, wait_until};

impl Gateway {
    /// Makes a key where `uri` says, through hwkey, and writes the TSS2 PRIVATE KEY to `file`.
    pub fn make_key(&self, algorithm: Algorithm, uri: &str, file: &str) {
        let arguments = format!(
            "genpkey -propquery provider=hwkey {} -pkeyopt hwkey_uri:{{}} -out {{}}",
            algorithm.options()
        );
        self.openssl(&arguments, &[uri, file]).ok();
    }

    /// Keys of these algorithms: each that there is in the TPM by its handle, and one in a file. The
    /// public half of `key` is in `<key>.pub`.
    pub fn make_keys(&self, algorithms: &[Algorithm]) -> Vec<(Algorithm, String)> {
        let mut keys = Vec::new();
        for (number, &algorithm) in algorithms.iter().enumerate() {
            let handle = format!("0x810000{number:02}");
            self.tpm.persist(&handle, super::TpmKey::new(algorithm));
            let uri = format!("tpm2:handle={handle}");
            fs::rename(
                self.path(&format!("{handle}.pub")),
                self.path(&format!("{uri}.pub")),
            )
            .expect("its public key");
            keys.push((algorithm, uri));
            let file = format!("{algorithm:?}.pem");
            self.make_key(algorithm, "tpm2:", &file);
            self.public_key(&file, &format!("{file}.pub"));
            keys.push((algorithm, file));
        }
        keys
    }

    /// The key signs, and software with its public half agrees.
    #[track_caller]
    pub fn signs(&self, key: &str) {
        self.public_key(key, "made.pem");
        let sign = "dgst -sha256 -sign {} -out signature message";
        self.openssl(sign, &[key]).ok();
        let verify = "dgst -sha256 -verify made.pem -signature signature message";
        self.software(verify, &[]).ok();
    }

    /// `openssl` without any hardware.
    pub fn software(&self, arguments: &str, values: &[&str]) -> Run {
        Run::new("openssl")
            .dir(&self.path(""))
            .words(arguments, values)
    }

    /// Nothing of what was done stays in the TPM. (The resource manager takes its time.)
    pub fn has_nothing_loaded(&self) {
        wait_until("nothing loaded in the TPM", || self.tpm.loaded().is_empty());
    }
}
