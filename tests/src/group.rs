//! Servers that fork.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Run;

/// How long a server may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server with the processes that it starts: all of them end with this.
pub struct Group {
    leader: Child,
    end: &'static str,
}

impl Run {
    /// Starts it as the leader of a process group, its output in `log`.
    pub fn group(self, log: &Path) -> Group {
        let mut command = self.into_command();
        let mut options = fs::OpenOptions::new();
        let log = options.append(true).create(true).open(log).expect("a log");
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let started = command.spawn();
        Group {
            leader: started.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            end: "TERM",
        }
    }
}

impl Group {
    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.leader.id()
    }

    /// It is asked to end by this signal, not by SIGTERM.
    #[must_use]
    pub fn ends_by(mut self, signal: &'static str) -> Self {
        self.end = signal;
        self
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        Run::new("kill").args(["-s", name, "--", &pid]).ok();
    }

    fn has_ended(&self) -> bool {
        status(self.pid(), "State").starts_with('Z')
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.pid().to_string();
        let _ = Run::new("kill").args(["-s", self.end, "--", &pid]).finish();
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < deadline {
            // Between two looks at the condition, not instead of one.
            thread::park_timeout(Duration::from_millis(10));
        }
        // What it did not take with it. Only then is it waited for: until that its number is not
        // given to others.
        let group = format!("-{pid}");
        let _ = Run::new("kill").args(["-s", "KILL", "--", &group]).finish();
        let _ = self.leader.wait();
    }
}

/// Does this process run with root's rights?
pub fn is_root(pid: u32) -> bool {
    status(pid, "Uid").split_whitespace().any(|id| id == "0")
}

/// A line of /proc/PID/status.
fn status(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
    let value = lines.find_map(|(known, value)| (known == name).then_some(value));
    value.expect(name).trim().to_owned()
}
