//! Parsec: keys that a service keeps for us (<https://parallaxsecond.github.io/parsec-book/>).
//!
//! | file | what |
//! |---|---|
//! | `channel` | one connection to the service's socket, with a deadline |
//! | `identity` | who we say we are |
//! | `service` | one service: questions and answers |
//! | `providers` | the service's providers, and their names |
//! | `failure` | failed questions as errors: what to do |
//! | `public` | key types, and public halves |
//! | `policy` | what a key may do |
//! | `key` | the key: signs, decrypts, derives |
//! | `find` | keys by URI, and all there are |
//! | `make` | new keys |

mod channel;
mod failure;
mod find;
mod identity;
mod key;
mod make;
mod policy;
mod providers;
mod public;
mod service;

pub use find::find;
pub use make::generate;
