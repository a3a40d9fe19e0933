//! PIN sources: a file, an environment variable, a systemd credential.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use ossl_shim::process::O_NONBLOCK;

use crate::environment::trusted_variable;
use crate::error::{Error, Reason, Result, system_text};
use crate::pin::{Pin, without_line_end};

/// `file:PATH`, `env:NAME` or `credential:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    File {
        path: PathBuf,
        /// `pin-file-mode = any`: a file that everybody can read is accepted.
        any_mode: bool,
    },
    Env(String),
    /// systemd.exec(5), LoadCredential=.
    Credential(String),
}

impl PinSource {
    /// Parses `text`. A plain absolute path is a file too (RFC 7512 leaves the form open).
    pub fn parse(text: &str, any_mode: bool) -> Result<Self> {
        let invalid = |problem: &str| {
            Error::new(
                Reason::PinSourceUnusable,
                format!(
                    "the PIN source {problem}; it must be file:/absolute/path, env:NAME or \
                     credential:NAME"
                ),
            )
        };
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, rest),
            None if text.starts_with('/') => ("file", text),
            None => return Err(invalid("has no kind")),
        };
        if rest.is_empty() {
            return Err(invalid("names nothing"));
        }
        match kind {
            "file" => {
                // file:///path is the same file (RFC 8089).
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(invalid("is a relative path"));
                }
                Ok(Self::File {
                    path: path.into(),
                    any_mode,
                })
            }
            "env" => Ok(Self::Env(rest.into())),
            "credential" if is_plain_name(rest) => Ok(Self::Credential(rest.into())),
            "credential" => Err(invalid("has a path where a credential's name belongs")),
            _ => Err(invalid("is of an unknown kind")),
        }
    }

    /// Reads the PIN now. One newline at its end is not part of it.
    pub fn read(&self) -> Result<Pin> {
        match self {
            Self::File { path, any_mode } => self.read_file(path, !any_mode),
            Self::Env(name) => self.read_variable(name),
            Self::Credential(name) => {
                let directory = trusted_variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    self.unusable(
                        "CREDENTIALS_DIRECTORY is not set; add LoadCredential= to the service",
                    )
                })?;
                // systemd protects the directory itself.
                self.read_file(&Path::new(&directory).join(name), false)
            }
        }
    }

    fn read_file(&self, path: &Path, must_be_private: bool) -> Result<Pin> {
        let io = |error: std::io::Error| {
            let problem = format!(
                "{}: {}; correct pin-source, or the file and who may read it",
                path.display(),
                system_text(&error)
            );
            self.unusable(&problem)
        };
        // A FIFO that nobody writes to would hold up every thread that waits for the login.
        let mut options = File::options();
        let mut file = options
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(self.unusable("it is not a regular file"));
        }
        let mode = metadata.permissions().mode();
        if must_be_private && mode & 0o007 != 0 {
            let path = path.display();
            return Err(self.unusable(&format!(
                "{path} can be used by everybody (mode {:03o}); chmod o= {path}, or set \
                 pin-file-mode = any",
                mode & 0o777
            )));
        }
        let mut failure = None;
        let pin = Pin::filled(|buffer| {
            let mut length = 0;
            while length < buffer.len() {
                match file.read(&mut buffer[length..]) {
                    Ok(0) => break,
                    Ok(read) => length += read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failure = Some(error);
                        return None;
                    }
                }
            }
            // A file that fills the buffer is not a PIN.
            (length < buffer.len()).then(|| without_line_end(&buffer[..length]))
        });
        match (pin, failure) {
            (Some(pin), _) => self.nonempty(pin),
            (None, Some(error)) => Err(io(error)),
            (None, None) => Err(self.unusable("it is longer than any PIN")),
        }
    }

    fn read_variable(&self, name: &str) -> Result<Pin> {
        let value = trusted_variable(name).ok_or_else(|| {
            self.unusable(&format!(
                "the environment has no {name}; set it, or correct pin-source"
            ))
        })?;
        let value = zeroize::Zeroizing::new(value.into_encoded_bytes());
        let pin = Pin::copied(&value[..without_line_end(&value)]);
        self.nonempty(pin.ok_or_else(|| self.unusable("it is longer than any PIN"))?)
    }

    fn nonempty(&self, pin: Pin) -> Result<Pin> {
        if pin.is_empty() {
            return Err(self.unusable("it is empty"));
        }
        Ok(pin)
    }

    #[track_caller]
    fn unusable(&self, problem: &str) -> Error {
        Error::new(
            Reason::PinSourceUnusable,
            format!("reading the PIN from {self}: {problem}"),
        )
    }
}

impl std::fmt::Display for PinSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let file = |path: &str| PinSource::File {
            path: path.into(),
            any_mode: false,
        };
        assert_eq!(PinSource::parse("file:/a", false).unwrap(), file("/a"));
        assert_eq!(PinSource::parse("file:///a", false).unwrap(), file("/a"));
        assert_eq!(PinSource::parse("/a", false).unwrap(), file("/a"));
        assert_eq!(
            PinSource::parse("env:X", false).unwrap(),
            PinSource::Env("X".into())
        );
        for wrong in ["", "x", "file:a", "file:", "credential:../x", "http://x"] {
            assert!(PinSource::parse(wrong, false).is_err(), "{wrong}");
        }
    }
}
