//! TPM 2.0, through `hwkey-tpm2.so`, which speaks to the TPM (the crate `tpm2`).
//!
//! | file | what |
//! |---|---|
//! | `part` | the module that speaks to the TPM, opened at the first TPM key |
//! | `tcti` | how the TPM is reached |
//! | `tpm` | one TPM: questions and answers |
//! | `failure` | failed questions as errors: what to do |
//! | `codes` | response codes and their names |
//! | `numbers` | the TCG's numbers for algorithms, curves, attributes |
//! | `object` | what a URI or a file names |
//! | `saved` | contexts that tpm2-tools have saved |
//! | `auth` | authorisation values: where they come from, and that none is sent twice |
//! | `key` | the key: signs, decrypts, derives |
//! | `scheme` | which scheme of the TPM makes a signature |
//! | `salt` | how long a TPM's salts are |
//! | `find` | objects by URI, and all there are |
//! | `nv` | certificates in NV indices |
//! | `make` | new keys |

mod auth;
mod codes;
mod failure;
mod find;
mod key;
mod make;
mod numbers;
mod nv;
mod object;
mod part;
mod salt;
mod saved;
mod scheme;
mod tcti;
mod tpm;

pub use find::{find, unwrap};
pub use make::{generate, random};
