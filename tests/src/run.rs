//! Running real programs.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No program in a test may run longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program to be run.
pub struct Run {
    command: Command,
    input: Vec<u8>,
}

/// What a program left behind.
pub struct Finished {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

/// A program that runs in the background, killed when it goes out of scope.
pub struct Background {
    child: Child,
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        // What the caller's shell says must not matter.
        command.env_remove("HWKEY_LOG").env_remove("OPENSSL_CONF");
        Self {
            command,
            input: Vec::new(),
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// `arguments` split at spaces; `{}` stands for each of `values` in turn.
    #[must_use]
    pub fn words(self, arguments: &str, values: &[&str]) -> Self {
        let mut values = values.iter();
        let run = arguments
            .split_whitespace()
            .fold(self, |run, word| match word.contains("{}") {
                true => run.arg(word.replace("{}", values.next().expect("a value for {}"))),
                false => run.arg(word),
            });
        assert!(
            values.next().is_none(),
            "a value without {{}} in {arguments}"
        );
        run
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What the program reads from its standard input.
    #[must_use]
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_vec();
        self
    }

    /// Runs it to its end, at most two minutes.
    pub fn finish(mut self) -> Finished {
        let line = format!("{:?}", self.command);
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let input = std::mem::take(&mut self.input);
        thread::spawn(move || stdin.write_all(&input));
        let pid = child.id();
        let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("{line} (process {pid}) did not end in {PATIENCE:?}");
            }
            thread::park_timeout(Duration::from_millis(2));
        };
        let text = |reader: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&reader.join().expect("a reader")).into_owned()
        };
        Finished {
            ok: status.success(),
            stdout: text(stdout),
            stderr: text(stderr),
            line: format!("{line} ({status})"),
        }
    }

    /// Runs it and expects success; returns what it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        let finished = self.finish();
        assert!(
            finished.ok,
            "{}\n{}\n{}",
            finished.line, finished.stdout, finished.stderr
        );
        finished.stdout
    }

    /// Runs it and expects failure; returns all that it printed.
    #[track_caller]
    pub fn fails(self) -> String {
        let finished = self.finish();
        let all = finished.all();
        assert!(!finished.ok, "{} succeeded\n{all}", finished.line);
        all
    }

    /// Starts it in the background, its output in `log` (or nowhere).
    pub fn background(self, log: Option<&Path>) -> Background {
        self.start(Stdio::null(), log)
    }

    /// The same, and what to write to for it to read.
    pub fn told(self, log: &Path) -> (Background, ChildStdin) {
        let mut background = self.start(Stdio::piped(), Some(log));
        let input = background.child.stdin.take().expect("piped");
        (background, input)
    }

    fn start(mut self, input: Stdio, log: Option<&Path>) -> Background {
        let line = format!("{:?}", self.command);
        let output = || match log {
            Some(path) => {
                let mut options = std::fs::OpenOptions::new();
                Stdio::from(options.append(true).create(true).open(path).expect("a log"))
            }
            None => Stdio::null(),
        };
        let spawned = self
            .command
            .stdin(input)
            .stdout(output())
            .stderr(output())
            .spawn();
        Background {
            child: spawned.unwrap_or_else(|error| panic!("{line}: {error}")),
        }
    }

    /// The command itself, for what this type can't do.
    pub fn into_command(self) -> Command {
        self.command
    }
}

impl Finished {
    /// Standard output and error.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Background {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        Run::new("kill").args(["-s", name, &pid]).ok();
    }

    /// Does it run with root's rights?
    pub fn is_root(&self) -> bool {
        crate::is_root(self.pid())
    }

    /// Waits for its end.
    pub fn wait(mut self) -> bool {
        self.child.wait().expect("wait").success()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut all);
        }
        all
    })
}
