//! Which PKCS#11 modules a URI means, and which files they are.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Reason, Result, system_text};
use crate::uri::Pkcs11Uri;

/// Where p11-kit is told of the system's modules, pkcs11.conf(5); the first that has a name wins.
/// (A user's own directory is not read: data never chooses code.)
const P11_KIT_CONFIGURATION: [&str; 2] = ["/etc/pkcs11/modules", "/usr/share/p11-kit/modules"];

/// The files of the modules to be searched for `uri`: the one it names, else those of openssl.cnf,
/// else p11-kit's proxy.
pub fn files(config: &Config, uri: &Pkcs11Uri) -> Result<Vec<PathBuf>> {
    if let Some(path) = &uri.module_path {
        return Ok(vec![allowed("module-path", Path::new(path), config)?]);
    }
    if let Some(name) = &uri.module_name {
        return Ok(vec![named(name, config)?]);
    }
    if config.module_paths.is_empty() {
        return Ok(vec![proxy()?]);
    }
    Ok(config.module_paths.clone())
}

/// A module that a URI names: from the system's PKCS#11 directories, `module-dirs`, or the one
/// that openssl.cnf names. (What openssl.cnf names needs no check of its rights: who writes there
/// can load any code.)
fn allowed(attribute: &str, path: &Path, config: &Config) -> Result<PathBuf> {
    let real = canonical(attribute, path)?;
    let mut configured = config.module_paths.iter();
    if configured.any(|known| known == path || *known == real) {
        return Ok(real);
    }
    if !directories(config).any(|dir| path.parent() == Some(&*dir)) {
        let problem = "is in no directory for PKCS#11 modules";
        return Err(refused(attribute, path, problem));
    }
    root_only(attribute, path, real)
}

/// `module-name`, RFC 7512 §2.3: the name under which p11-kit knows the module, else that of its
/// file without `lib` and `.so`.
fn named(name: &str, config: &Config) -> Result<PathBuf> {
    const ATTRIBUTE: &str = "module-name";
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(Error::new(
            Reason::ModuleUnavailable,
            format!(
                "the URI's module-name \"{name}\" is no plain name; give the name of the file without \
                 lib and .so, or module-path"
            ),
        ));
    }
    let files = match known_to_p11_kit(name) {
        // What root has configured may be anywhere.
        Some(file) if file.is_absolute() => {
            let real = canonical(ATTRIBUTE, &file)?;
            return root_only(ATTRIBUTE, &file, real);
        }
        Some(file) => vec![file],
        None => vec![format!("{name}.so").into(), format!("lib{name}.so").into()],
    };
    let mut candidates = directories(config)
        .flat_map(|directory| files.iter().map(move |file| directory.join(file)))
        .filter(|path| path.exists());
    if let Some(path) = candidates.next() {
        return allowed(ATTRIBUTE, &path, config);
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Err(Error::new(
        Reason::ModuleUnavailable,
        format!(
            "the URI's module-name \"{name}\": no {} in the directories for PKCS#11 modules; \
             add its directory to module-dirs in hwkey's section of openssl.cnf",
            files.join(" or ")
        ),
    ))
}

/// The `module:` line of p11-kit's configuration for `name`; a relative one is meant from the
/// directories for PKCS#11 modules.
fn known_to_p11_kit(name: &str) -> Option<PathBuf> {
    let configuration = P11_KIT_CONFIGURATION.into_iter().find_map(|directory| {
        let file = Path::new(directory).join(format!("{name}.module"));
        fs::read_to_string(file).ok()
    })?;
    let mut lines = configuration.lines();
    let module = lines.find_map(|line| line.trim().strip_prefix("module:"))?;
    Some(PathBuf::from(module.trim()))
}

/// Without symbolic links.
fn canonical(attribute: &str, path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|error| {
        let problem = system_text(&error);
        unusable(attribute, path, &problem, "correct it in the URI")
    })
}

/// `real`, if nobody but root can change it or a directory above it.
fn root_only(attribute: &str, path: &Path, real: PathBuf) -> Result<PathBuf> {
    for file in real.ancestors() {
        let metadata =
            fs::metadata(file).map_err(|error| refused(attribute, path, &system_text(&error)))?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            let problem = format!("{} can be changed by others than root", file.display());
            return Err(refused(attribute, path, &problem));
        }
    }
    Ok(real)
}

#[track_caller]
fn refused(attribute: &str, path: &Path, problem: &str) -> Error {
    let cure = "name the module in pkcs11-module-path, or its directory in module-dirs, in hwkey's \
                section of openssl.cnf";
    unusable(attribute, path, problem, cure)
}

#[track_caller]
fn unusable(attribute: &str, path: &Path, problem: &str, cure: &str) -> Error {
    let path = path.display();
    Error::new(
        Reason::ModuleUnavailable,
        format!("the URI's {attribute} {path}: {problem}; {cure}"),
    )
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
