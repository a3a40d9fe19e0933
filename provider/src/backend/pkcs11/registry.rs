//! The PKCS#11 modules of this process.
//!
//! Modules, sessions and logins exist once per process, however many library contexts or OpenSSLs
//! are in it, so they are kept here and never closed: code of a module may run at any time, and
//! C_Finalize at exit crashes some.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ossl_shim::process::{AppendOnly, PerProcess};

use super::module::{FileId, Module};
use crate::config::Config;
use crate::error::{Error, Reason, Result, system_text};
use crate::uri::Pkcs11Uri;

static MODULES: AppendOnly<Module> = AppendOnly::new();

/// Only one thread opens modules.
static OPENING: PerProcess<Mutex<()>> = PerProcess::new();

/// The modules to be searched for `uri`: the one it names, else those of openssl.cnf, else
/// p11-kit's proxy.
pub fn modules(config: &Config, uri: &Pkcs11Uri) -> Result<Vec<&'static Module>> {
    if let Some(path) = &uri.module_path {
        let path = allowed(Path::new(path), config)?;
        return Ok(vec![open(&path)?]);
    }
    if let Some(name) = &uri.module_name {
        return Ok(vec![open(&named(name, config)?)?]);
    }
    if config.module_paths.is_empty() {
        return Ok(vec![open(&proxy()?)?]);
    }
    let mut modules: Vec<&'static Module> = Vec::new();
    for path in &config.module_paths {
        let module = open(path)?;
        // Two paths may lead to one file (a symbolic link); its tokens are there once.
        if !modules.iter().any(|known| std::ptr::eq(*known, module)) {
            modules.push(module);
        }
    }
    Ok(modules)
}

/// The module at `path`, opened once.
fn open(path: &Path) -> Result<&'static Module> {
    let metadata = fs::metadata(path).map_err(|error| {
        let (path, error) = (path.display(), system_text(&error));
        Error::new(
            Reason::ModuleUnavailable,
            format!(
                "opening the PKCS#11 module {path}: {error}; correct pkcs11-module-path in hwkey's \
                 section of openssl.cnf, or install the package that has the module"
            ),
        )
    })?;
    let id = FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    };
    let known = || MODULES.iter().find(|module| module.file == id);
    if let Some(module) = known() {
        return Ok(module);
    }
    let opening = OPENING.get(Mutex::default);
    let _turn = opening.lock().unwrap_or_else(PoisonError::into_inner);
    match known() {
        Some(module) => Ok(module),
        None => Ok(MODULES.push(Module::open(path, id)?)),
    }
}

/// A module that a URI names: from the system's PKCS#11 directories, `module-dirs`, or the one
/// that openssl.cnf names; its file and directories root's alone. (What openssl.cnf names needs no
/// such check: who writes there can load any code.)
fn allowed(path: &Path, config: &Config) -> Result<PathBuf> {
    let problem = |problem: String, cure: &str| {
        let path = path.display();
        Error::new(
            Reason::ModuleUnavailable,
            format!("the URI's module-path {path}: {problem}; {cure}"),
        )
    };
    let refused = |what: String| {
        problem(
            what,
            "name the module in pkcs11-module-path, or its directory in module-dirs, in hwkey's \
             section of openssl.cnf",
        )
    };
    let real = fs::canonicalize(path)
        .map_err(|error| problem(system_text(&error), "correct the path in the URI"))?;
    let configured = config
        .module_paths
        .iter()
        .any(|known| known == path || *known == real);
    if configured {
        return Ok(real);
    }
    let inside = directories(config).any(|dir| path.parent() == Some(&*dir));
    if !inside {
        return Err(refused("is in no directory for PKCS#11 modules".into()));
    }
    for file in real.ancestors() {
        let metadata = fs::metadata(file).map_err(|error| refused(system_text(&error)))?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(refused(format!(
                "{} can be changed by others than root",
                file.display()
            )));
        }
    }
    Ok(real)
}

/// `module-name`: the file's name without `lib` and `.so`, RFC 7512 §2.3.
fn named(name: &str, config: &Config) -> Result<PathBuf> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(Error::new(
            Reason::ModuleUnavailable,
            format!(
                "the URI's module-name \"{name}\" is no plain name; give the name of the file without \
                 lib and .so, or module-path"
            ),
        ));
    }
    let files = [format!("{name}.so"), format!("lib{name}.so")];
    let mut candidates = directories(config)
        .flat_map(|directory| files.clone().map(|file| directory.join(file)))
        .filter(|path| path.exists());
    match candidates.next() {
        Some(path) => allowed(&path, config),
        None => Err(Error::new(
            Reason::ModuleUnavailable,
            format!(
                "the URI's module-name \"{name}\": no {} in the directories for PKCS#11 modules; \
                 add its directory to module-dirs in hwkey's section of openssl.cnf",
                files.join(" or ")
            ),
        )),
    }
}

fn directories(config: &Config) -> impl Iterator<Item = PathBuf> + use<'_> {
    let system = library_directories();
    let own = ["pkcs11", "softhsm", "opensc"];
    let system = system.flat_map(move |base| own.map(|name| base.join(name)));
    config.module_dirs.iter().cloned().chain(system)
}

/// Where the distributions keep libraries.
fn library_directories() -> impl Iterator<Item = PathBuf> {
    let multiarch = match std::env::consts::ARCH {
        "arm" => "arm-linux-gnueabihf".to_owned(),
        arch => format!("{arch}-linux-gnu"),
    };
    [
        format!("/usr/lib/{multiarch}"),
        "/usr/lib64".into(),
        "/usr/lib".into(),
        "/usr/local/lib".into(),
    ]
    .into_iter()
    .map(PathBuf::from)
}

fn proxy() -> Result<PathBuf> {
    let mut candidates = library_directories().map(|base| base.join("p11-kit-proxy.so"));
    candidates.find(|path| path.exists()).ok_or_else(|| {
        Error::new(
            Reason::ModuleUnavailable,
            "choosing a PKCS#11 module: openssl.cnf names none (pkcs11-module-path in hwkey's \
             section) and p11-kit's proxy is not installed (apt-get install p11-kit-modules)",
        )
    })
}
