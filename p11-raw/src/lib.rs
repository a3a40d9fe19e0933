//! The PKCS#11 calls that the published `cryptoki` 0.12 can't make.
//!
//! - [`Module::sign`]: one `C_Sign` into the caller's buffer. `Session::sign` asks for the size
//!   first, with a second `C_Sign` that a card may answer by asking for a touch or by spending the
//!   context-specific login.
//! - [`Module::attributes`]: attributes into buffers of our own size, one `C_GetAttributeValue` an
//!   object; lengths that the module reports are bounded before anything is allocated.
//!
//! Sessions, objects and errors are cryptoki's, so both crates are used side by side on the same
//! module.

mod attributes;
mod module;
mod sign;

pub use attributes::{AttributeKind, Attributes};
pub use module::Module;
