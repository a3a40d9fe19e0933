//! The module that speaks to the TPM: `hwkey-tpm2.so`, beside `hwkey.so`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ossl_shim::process::{is_privileged, user_id};
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
    refuse_foreign_environment()?;
    let part = Part::open(&directory).map_err(|problem| failed(&problem))?;
    log::debug!("opened hwkey-tpm2.so in {}", directory.display());
    Ok(PART.get_or_init(|| part))
}

/// tss2 itself reads variables, in programs that run with rights that their user has not, too: its log
/// shows authorisation values, and is written where TSS2_LOGFILE says.
fn refuse_foreign_environment() -> Result<()> {
    let is_tss2s = |(name, _): &(OsString, OsString)| name.as_bytes().starts_with(b"TSS2_");
    match is_privileged().then(|| std::env::vars_os().find(is_tss2s)) {
        Some(Some((name, _))) => Err(Error::new(
            Reason::TpmUnavailable,
            format!(
                "the program runs with rights that its user has not, and the environment has {}, which \
                 tss2 would follow; unset it",
                name.to_string_lossy()
            ),
        )),
        _ => Ok(()),
    }
}

/// Where `hwkey.so` is: dladdr(3) would tell the path by which it was opened, which may be relative to
/// a directory that the program has left.
fn own_directory() -> Result<PathBuf> {
    let here = own_directory as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let found = maps.lines().find_map(|line| mapped(line, here));
    let Some((path, inode)) = found else {
        return Err(Error::new(
            Reason::TpmUnavailable,
            "looking for hwkey-tpm2.so beside hwkey.so: /proc/self/maps does not tell where that is; \
             mount /proc",
        ));
    };
    let directory = path.parent().unwrap_or(path);
    match is_trustworthy(path, directory, inode) {
        true => Ok(directory.into()),
        false => Err(Error::new(
            Reason::TpmUnavailable,
            format!(
                "looking for hwkey-tpm2.so: {} is not the directory that hwkey.so was loaded from (a chroot?), \
                 and belongs neither to root nor to the program's user",
                directory.display()
            ),
        )),
    }
}

/// After a chroot(2) the same path is another's, who must not choose the code. The inode may differ for an
/// update, or a file system that counts them twice: then whose the directory is decides.
fn is_trustworthy(path: &Path, directory: &Path, inode: u64) -> bool {
    let is_same = fs::metadata(path).is_ok_and(|file| file.ino() == inode);
    is_same
        || fs::metadata(directory).is_ok_and(|directory| {
            let is_own = [0, user_id()].contains(&directory.uid());
            is_own && directory.mode() & 0o022 == 0
        })
}

/// The file and its inode of a line of proc_pid_maps(5), if that maps `address`.
fn mapped(line: &str, address: usize) -> Option<(&Path, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let parse = |hex| usize::from_str_radix(hex, 16).ok();
    let inode = rest.split_whitespace().nth(3)?.parse();
    let path = rest.find('/').map(|at| &rest[at..])?;
    // After an update of the package the file that is mapped has no name any more.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    (parse(start)?..parse(end)?)
        .contains(&address)
        .then(|| Path::new(path))
        .zip(inode.ok())
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
        let expected = Some((Path::new("/opt/a b/hwkey.so"), 42));
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
