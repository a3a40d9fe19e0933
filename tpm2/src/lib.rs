//! The part of hwkey that speaks to a TPM 2.0 through tss2.
//!
//! A request goes down this table: it gets the connection of its TCTI for itself, is tried until it
//! works or can't, and leaves nothing behind in the TPM.
//!
//! | file | what |
//! |---|---|
//! | `connections` | one connection per TCTI and process, for one task at a time |
//! | `tcti` | what a TCTI's name tells: who else can reach the TPM by it |
//! | `turn` | between processes, where no resource manager keeps them apart |
//! | `attempt` | recovery: what is lost is begun anew, what is full is waited for |
//! | `codes` | response codes: which remedy each one asks for |
//! | `room` | slots that a killed process has left full |
//! | `tpm` | what a task has at hand |
//! | `kept` | what is kept between tasks: saved contexts, mostly |
//! | `task/` | one file per task |
//! | `key` | from where a key is to an object that can be used |
//! | `primary` | the primary keys that all tools share |
//! | `grant` | how a command is authorised, and kept from listeners |
//! | `policy` | what a key wants to be shown first |
//! | `hash` | digests with the ticket that restricted keys want |
//! | `area` | public areas, in the terms of the interface |
//! | `esys/` | the calls; `unsafe` |

mod area;
mod attempt;
mod codes;
mod connections;
mod esys;
mod grant;
mod hash;
mod kept;
mod key;
mod policy;
mod primary;
mod room;
mod task;
mod tcti;
mod tpm;
mod turn;

use ossl_shim::process::without_sigpipe;
use tpm2_abi::{Reply, Request};

tpm2_abi::export!(answer);

/// Answers a request.
pub fn answer(request: Request) -> Reply {
    // A TPM daemon that goes away must not end the program.
    without_sigpipe(|| {
        room::note(&request.task);
        let mut lease = connections::lease(&request.tcti)?;
        attempt::run(&mut lease, &request.task)
    })
}
