//! Servers that end with their test, even if the test is killed.

use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command};

use crate::{Background, Run};

/// A program that is killed when this goes out of scope, or when this process ends in any way.
pub struct Kept {
    keeper: Option<Background>,
    /// What the keeper reads from; its end is the program's.
    lifeline: Option<ChildStdin>,
}

/// Starts the program, hands on the signals that it reads of, and kills it at the end of its input.
const KEEPER: &str = "\"$@\" </dev/null & while read -r signal; do kill -s \"$signal\" $!; done; kill -KILL $!; wait";

impl Run {
    /// Starts it in the background, its output in `log`.
    pub fn kept(self, log: &Path) -> Kept {
        let (keeper, lifeline) = keeper(&self.into_command()).told(log);
        Kept {
            keeper: Some(keeper),
            lifeline: Some(lifeline),
        }
    }
}

impl Kept {
    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        let mut lifeline = self.lifeline.as_ref().expect("until it is dropped");
        writeln!(lifeline, "{name}").expect("the keeper has ended");
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Some(keeper) = self.keeper.take() {
            keeper.wait();
        }
    }
}

/// The keeper with the program's arguments, environment and directory.
fn keeper(command: &Command) -> Run {
    let keeper = Run::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    let keeper = match command.get_current_dir() {
        Some(dir) => keeper.dir(dir),
        None => keeper,
    };
    command.get_envs().fold(keeper, |keeper, (name, value)| {
        let name = name.to_str().expect("a name");
        match value {
            Some(value) => keeper.env(name, value),
            None => keeper.env_remove(name),
        }
    })
}
