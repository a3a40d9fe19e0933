//! `OSSL_PARAM` arrays: read ([`ParamsIn`]), answered ([`ParamsOut`]), made ([`ParamList`]) and
//! described ([`Descriptor`]).

mod describe;
mod incoming;
mod list;
mod outgoing;

pub use crate::abi::names;
pub use describe::Descriptor;
pub use incoming::{IntOrText, ParamsIn};
pub use list::ParamList;
pub use outgoing::ParamsOut;
