//! The log: for programs that print nothing of OpenSSL's error queue.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};
use ossl_shim::process::{O_NONBLOCK, SyslogLevel, write_stderr, write_syslog};

use crate::environment::trusted_variable;
use crate::text::one_line;

/// The environment variable that wins over `log-level`.
pub const LEVEL_VARIABLE: &str = "HWKEY_LOG";

/// `log-target` of openssl.cnf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Stderr,
    Syslog,
    File(PathBuf),
}

impl Target {
    /// `stderr`, `syslog` or `file:PATH`; a relative path would be another file in each program.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stderr" => Some(Self::Stderr),
            "syslog" => Some(Self::Syslog),
            _ => {
                let path = text.strip_prefix("file:")?;
                path.starts_with('/').then(|| Self::File(path.into()))
            }
        }
    }
}

/// The level named `text`: error, warn, info, debug or trace.
pub fn parse_level(text: &str) -> Option<LevelFilter> {
    match text {
        "error" => Some(LevelFilter::Error),
        "warn" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        "trace" => Some(LevelFilter::Trace),
        _ => None,
    }
}

/// Starts the log, once for the process: a second OpenSSL in it (or a second library context)
/// finds it running.
pub fn start(level: LevelFilter, target: Target) {
    let wanted = trusted_variable(LEVEL_VARIABLE).and_then(|text| parse_level(text.to_str()?));
    let level = wanted.unwrap_or(level);
    if TARGET.set(target).is_ok() && log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

static TARGET: OnceLock<Target> = OnceLock::new();
static LOGGER: Logger = Logger;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Lines of libraries that repeat what we report better.
        const REPEATING: [&str; 4] = [
            "cryptoki",
            "parsec_client",
            "parsec_interface",
            "psa_crypto",
        ];
        let repeats = |library: &&str| metadata.target().starts_with(*library);
        metadata.level() <= log::max_level() && !REPEATING.iter().any(repeats)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level().as_str().to_lowercase();
        let text = one_line(&record.args().to_string());
        match TARGET.get().unwrap_or(&Target::Stderr) {
            Target::Stderr => write_stderr(&format!("hwkey: {level}: {text}\n")),
            Target::Syslog => write_syslog(severity(record.level()), &format!("hwkey: {text}")),
            Target::File(path) => {
                // Opened for each line: rotation needs no signal, and nothing is held open in the
                // program. A log that can't be written must not stop a signature.
                let line = format!("[{}] {level}: {text}\n", std::process::id());
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    // A FIFO without a reader must not hold up a signature either.
                    .custom_flags(O_NONBLOCK)
                    .open(path);
                let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
            }
        }
    }

    fn flush(&self) {}
}

fn severity(level: Level) -> SyslogLevel {
    match level {
        Level::Error => SyslogLevel::Error,
        Level::Warn => SyslogLevel::Warning,
        Level::Info => SyslogLevel::Info,
        Level::Debug | Level::Trace => SyslogLevel::Debug,
    }
}
