//! The side of `hwkey.so`: opens the part and asks it.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::slice;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::abi::{Entry, Interface, SYMBOL, VERSION};
use crate::wire::{from_bytes, to_bytes};
use crate::{Reply, Request};

/// The file's name beside `hwkey.so`, and beside cargo's `libhwkey.so`.
pub const FILE_NAMES: [&str; 2] = ["hwkey-tpm2.so", "libhwkey_tpm2.so"];

/// The opened part. It is never closed.
pub struct Part(&'static Interface);

/// Why there is no part, or no answer.
#[derive(Debug)]
pub enum Problem {
    /// There is no such file.
    Missing(PathBuf),
    /// dlopen(3) fails, most often for want of libtss2: its words.
    NotLoadable { path: PathBuf, text: String },
    /// It is no part of hwkey.
    Foreign(PathBuf),
    /// It speaks another version.
    OtherVersion {
        path: PathBuf,
        version: u32,
        release: String,
    },
    /// The answer can't be read, or there is none.
    Garbled(String),
}

impl Part {
    /// Opens the part in `directory`.
    pub fn open(directory: &Path) -> Result<Self, Problem> {
        let candidates = FILE_NAMES.map(|name| directory.join(name));
        let found = candidates
            .iter()
            .find(|path| fs::symlink_metadata(path).is_ok());
        let path = found.ok_or_else(|| Problem::Missing(candidates[0].clone()))?;
        // SAFETY: loading runs the initialisers of the part and of tss2. The file lies beside hwkey.so
        // itself, so whoever can write it can write that.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| Problem::NotLoadable {
            path: path.clone(),
            text: innermost(&error),
        })?;
        // SAFETY: a symbol of this name has this type, in every version.
        let entry = unsafe { library.get::<Entry>(SYMBOL) }.map(|entry| *entry);
        // Code of it may run at any time from now on.
        std::mem::forget(library);
        let foreign = || Problem::Foreign(path.clone());
        let entry = entry.map_err(|_| foreign())?;
        // SAFETY: as above; the function takes nothing and returns a constant.
        let interface = unsafe { entry().as_ref() }.ok_or_else(foreign)?;
        if interface.version != VERSION {
            // SAFETY: the release is a C string in every version.
            let release = unsafe { CStr::from_ptr(interface.release) };
            return Err(Problem::OtherVersion {
                path: path.clone(),
                version: interface.version,
                release: release.to_string_lossy().into_owned(),
            });
        }
        Ok(Self(interface))
    }

    /// Asks the part.
    pub fn call(&self, request: &Request) -> Result<Reply, Problem> {
        let request = to_bytes(request).map_err(Problem::Garbled)?;
        let mut answer: Option<Result<Reply, String>> = None;
        // SAFETY: the part has our version, so the function has this signature; the request lives
        // through the call, and `take` is only called within it, with `answer`.
        let answered = unsafe {
            let to = (&raw mut answer).cast();
            (self.0.call)(request.as_ptr(), request.len(), take, to)
        };
        match answer {
            Some(reply) if answered == 1 => reply.map_err(Problem::Garbled),
            _ => Err(Problem::Garbled("there is no answer".into())),
        }
    }
}

/// # Safety
/// `to` must be the `answer` of [`Part::call`], and `reply` must have `length` readable bytes.
unsafe extern "C" fn take(to: *mut c_void, reply: *const u8, length: usize) {
    // SAFETY: the caller's promise.
    let (answer, bytes) = unsafe {
        let answer = &mut *to.cast::<Option<Result<Reply, String>>>();
        (answer, slice::from_raw_parts(reply, length))
    };
    let read = catch_unwind(AssertUnwindSafe(|| from_bytes(bytes)));
    *answer = read.ok();
}

/// dlerror's text is the innermost source.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "there is no {}", path.display()),
            Self::NotLoadable { text, .. } => f.write_str(text),
            Self::Foreign(path) => write!(f, "{} is no part of hwkey", path.display()),
            Self::OtherVersion {
                path,
                version,
                release,
            } => write!(
                f,
                "{} (of hwkey {release}) speaks version {version} of the interface, this hwkey \
                 ({}) version {VERSION}",
                path.display(),
                env!("CARGO_PKG_VERSION")
            ),
            Self::Garbled(problem) => write!(f, "hwkey-tpm2.so: {problem}"),
        }
    }
}
