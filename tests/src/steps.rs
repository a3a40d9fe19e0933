//! One process that loads keys and signs as a test goes on (src/bin/steps.rs).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;

use crate::{Background, Run, wait_until};

/// The process.
pub struct Steps {
    input: ChildStdin,
    output: PathBuf,
    outcomes: usize,
    process: Background,
}

impl Steps {
    /// Starts `run`, which is the program `steps`; its outcomes and its log are in this file.
    pub fn of(run: Run, output: &Path) -> Self {
        let (process, input) = run.arg("-").told(output);
        Self {
            input,
            output: output.into(),
            outcomes: 0,
            process,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Begins a step that has an outcome.
    pub fn begin(&mut self, step: &str) {
        writeln!(self.input, "{step}").expect("the process has ended");
    }

    /// Waits for the outcome of the oldest step that has been begun.
    pub fn outcome(&mut self) -> String {
        let outcomes = || {
            let output = fs::read_to_string(&self.output).expect("its output");
            let lines = output.lines().map(str::to_owned);
            let is_outcome = |line: &String| line == "ok" || line.starts_with("failed: ");
            lines.filter(is_outcome).collect::<Vec<String>>()
        };
        wait_until("the outcome of a step", || outcomes().len() > self.outcomes);
        let outcome = outcomes().swap_remove(self.outcomes);
        self.outcomes += 1;
        outcome
    }

    /// Takes a step, and returns its outcome.
    pub fn take(&mut self, step: &str) -> String {
        self.begin(step);
        self.outcome()
    }

    /// Takes a step that succeeds.
    #[track_caller]
    pub fn ok(&mut self, step: &str) {
        let outcome = self.take(step);
        assert_eq!(outcome, "ok", "{step}");
    }

    /// Takes a step that fails for a reason with this text.
    #[track_caller]
    pub fn fails(&mut self, step: &str, reason: &str) {
        let outcome = self.take(step);
        assert!(outcome.contains(reason), "{step}: {outcome}");
    }

    /// All that it wrote.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

/// What a test that fails can't tell otherwise.
impl Drop for Steps {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("steps: {}", self.output());
        }
    }
}
