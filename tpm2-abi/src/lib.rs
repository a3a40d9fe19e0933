//! The C ABI between `hwkey.so` and `hwkey-tpm2.so`, from both sides.
//!
//! What needs tss2 is a module of its own, `hwkey-tpm2.so`, so that `hwkey.so` loads on machines
//! without a TPM. It is opened at the first TPM key and exports one function, which returns an
//! [`abi::Interface`]: a version, and a call that takes a [`Request`] and answers with a [`Reply`],
//! both as bytes. So no type but bytes crosses, and neither side frees what the other has allocated.
//!
//! ```text
//! hwkey.so  ──  host::Part::open(directory)  ──►  hwkey-tpm2.so: part::export!(answer)
//!           ──  part.call(&Request)          ──►  fn answer(Request) -> Reply
//! ```

pub mod abi;
pub mod host;
mod message;
pub mod part;
mod wire;

pub use message::{
    Area, Cause, Created, DecryptScheme, Description, Failure, Hierarchy, Input, KeyScheme, Listed,
    Lockout, Object, Outcome, Parent, PolicyCommand, PublicKey, Reply, Request, Saved, Secret,
    SignScheme, Source, Task, Template,
};
