//! The PKCS#11 calls that hwkey makes, on one function list.
//!
//! The published `cryptoki` 0.12 can't make some of them: its `Session::sign` calls `C_Sign` twice
//! (the first asks for the size; a card may ask for a touch then, or spend the context-specific
//! login), and it reads attributes in more calls than there are objects. Nor can it share the rest:
//! it keeps the function list to itself, and modules of p11-kit (the proxy, the client) make a new
//! instance, with sessions of its own, for each `C_GetFunctionList`. So the calls are here, and the
//! types (errors, attributes, mechanisms, token information) are cryptoki's.

mod attributes;
mod digest;
mod locks;
mod module;
mod objects;
mod session;
mod sign;
mod slots;
mod verify;

pub use attributes::{AttributeKind, Attributes};
pub use module::Module;
pub use objects::ObjectHandle;
pub use session::{Session, User};
pub use slots::{Mechanisms, SlotId};
