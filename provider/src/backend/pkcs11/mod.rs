//! PKCS#11 tokens.
//!
//! | file | what |
//! |---|---|
//! | `choice` | which modules a URI means, and which files they are |
//! | `registry` | the modules of this process, opened at first use and never closed |
//! | `module` | one module: its slots and tokens |
//! | `life` | initialisation in each process, and again where nothing else heals |
//! | `elf` | for which machine a module is |
//! | `token` | one token: where it is, what is lost with it |
//! | `identity` | what a token is known by, and whether a URI means it |
//! | `sessions` | the pool of sessions of a token |
//! | `login` | one login, however many threads want it; no PIN is spent twice |
//! | `attempt` | recovery: what is lost is begun anew |
//! | `candidates` | the tokens that a URI may mean |
//! | `search` | objects by URI |
//! | `listing` | everything on the tokens, or what matches a criterion |
//! | `halves` | which objects are one key pair |
//! | `object` | what was read of one object |
//! | `key` | the key: signs, and finds itself again after a loss |
//! | `touch` | cards that want to be touched before they sign |
//! | `mechanisms` | the mechanisms for schemes and digests, and their input |
//! | `plan` | which of them makes a signature |
//! | `failure` | result codes: their names, what they mean, what to do |

mod attempt;
mod candidates;
mod choice;
mod elf;
mod failure;
mod halves;
mod identity;
mod key;
mod life;
mod listing;
mod login;
mod mechanisms;
mod module;
mod object;
mod plan;
mod registry;
mod search;
mod sessions;
mod token;
mod touch;

pub use search::find;
