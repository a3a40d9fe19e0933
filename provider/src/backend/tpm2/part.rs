//! The module that speaks to the TPM: `hwkey-tpm2.so`, beside `hwkey.so`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tpm2_abi::host::{Part, Problem};

use crate::error::{Error, Reason, Result};

/// Opened once, for the life of the process and its children.
static PART: OnceLock<Part> = OnceLock::new();

/// The part. What is missing may be installed while the program runs.
pub fn part() -> Result<&'static Part> {
    if let Some(part) = PART.get() {
        return Ok(part);
    }
    let directory = own_directory()?;
    let part = Part::open(&directory).map_err(|problem| failed(&problem))?;
    log::debug!("opened hwkey-tpm2.so in {}", directory.display());
    Ok(PART.get_or_init(|| part))
}

/// Where `hwkey.so` is: dladdr(3) would tell the path by which it was opened, which may be relative to
/// a directory that the program has left.
fn own_directory() -> Result<PathBuf> {
    let here = own_directory as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = maps.lines().find_map(|line| mapped(line, here));
    let directory = path.and_then(Path::parent);
    directory.map(PathBuf::from).ok_or_else(|| {
        Error::new(
            Reason::TpmUnavailable,
            "looking for hwkey-tpm2.so beside hwkey.so: /proc/self/maps does not tell where that is; \
             mount /proc",
        )
    })
}

/// The file of a line of proc_pid_maps(5), if that maps `address`.
fn mapped(line: &str, address: usize) -> Option<&Path> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let parse = |hex| usize::from_str_radix(hex, 16).ok();
    let path = rest.find('/').map(|at| &rest[at..])?;
    // After an update of the package the file that is mapped has no name any more.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    (parse(start)?..parse(end)?)
        .contains(&address)
        .then(|| Path::new(path))
}

fn failed(problem: &Problem) -> Error {
    let cure = match problem {
        Problem::Missing(_) => {
            "install it there (cargo build --release -p hwkey-tpm2 makes it, as libhwkey_tpm2.so)"
        }
        Problem::NotLoadable { text, .. } if text.contains("libtss2") => {
            "install the TPM software stack: libtss2-esys-3.0.2-0 and libtss2-tctildr0 on Debian 12 \
             (names end in t64 on Debian 13), tpm2-tss on Yocto (meta-tpm), Fedora and Alpine"
        }
        Problem::NotLoadable { text, .. } if text.contains("Permission denied") => {
            "let the program's user read it (chmod 644), and go through its directories"
        }
        Problem::NotLoadable { .. } => "install the hwkey-tpm2.so that was built for this system",
        Problem::OtherVersion { .. } | Problem::Foreign(_) => {
            "install hwkey.so and hwkey-tpm2.so of the same release, and restart the program"
        }
        Problem::Garbled(_) => "this is a fault of hwkey: please report it",
    };
    let reason = match problem {
        Problem::Garbled(_) => Reason::Internal,
        _ => Reason::TpmUnavailable,
    };
    Error::new(
        reason,
        format!("opening the part of hwkey that speaks to TPMs: {problem}; {cure}"),
    )
}

/// A question that could not be asked.
pub fn not_answered(problem: &Problem) -> Error {
    failed(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_mapping_is_read_whole() {
        let line =
            "7f0000001000-7f0000002000 r-xp 00001000 fd:00 42        /opt/a b/hwkey.so (deleted)";
        let expected = Some(Path::new("/opt/a b/hwkey.so"));
        assert_eq!(mapped(line, 0x7f00_0000_1fff), expected);
        assert_eq!(mapped(line, 0x7f00_0000_2000), None);
        assert_eq!(
            mapped(
                "7f0000001000-7f0000002000 rw-p 00000000 00:00 0",
                0x7f00_0000_1000
            ),
            None
        );
        assert!(own_directory().unwrap().is_absolute());
    }
}
