//! Pages of the documentation, followed command by command.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Card, Finished, Parsec, Run, Tpm, free_port, module, named_nodes};

/// The tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The text of a page.
pub fn page(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

/// The ```sh blocks of a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap())
}

/// How pages reach a TPM in software.
const TPM_OF_PAGES: &str = "swtpm:host=127.0.0.1,port=2321";

/// Where pages have a Parsec service.
const SOCKET_OF_PAGES: &str = "/run/parsec/parsec.sock";

/// What the scripts begin with: the end of all servers, and waiting for what a reader sees by eye.
const PRELUDE: &str = r#"
set -eu -o pipefail
umask 022
finish() {
    kill $(jobs -p) || true
    for file in /tmp/hwkey-try/*.pid /tmp/hwkey-try/queue/pid/master.pid; do
        [ ! -s "$file" ] || kill "$(cat "$file")" || true
    done
    wait
} 2>/dev/null
trap finish EXIT
until_true() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "waited in vain for $*"; tail *.log; exit 1; }
        # Between two looks at the condition, not instead of one.
        sleep 0.02
    done
} 2>/dev/null
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }
handshakes() {
    local log
    for log; do [ "$(grep -c 'Control Channel: TLS' "$log")" -ge 2 ] || return; done
}
# greeted_by NAME URL
greeted_by() { curl --silent "$2" >greeting && grep -q "$1" greeting; }
# shows PORT TEXT: the subject or serial number of the certificate that is shown there. It is shown
# before a client has to show one; another login to the token would disturb a server that reloads.
shows() {
    { openssl s_client -connect "localhost:$1" </dev/null || true; } |
        openssl x509 -noout -serial -subject >shown && grep -q "$2" shown
}
# HAProxy's master forgets a signal that comes too early.
looks=0
told_again_shows() {
    ! shows "$@" || return 0
    looks=$((looks + 1))
    [ $((looks % 50)) -ne 0 ] || kill -USR2 $!
    return 1
}
"#;

/// A page that was followed, command by command, in a directory of its own.
pub struct Followed {
    pub dir: TempDir,
    pub said: Finished,
}

impl Followed {
    /// The README by hand.
    pub fn readme() -> Self {
        Self::through(Run::new("bash"), &by_hand(), &[], &[], &[])
    }

    /// The README by hand, and then `name` in the same shell, with a free port for each of `ports`.
    /// After the block that has the first text of one of `waits`, its command is waited for.
    pub fn page(name: &str, ports: &[&str], waits: &[(&str, &str)]) -> Self {
        let text = page(name);
        let blocks: Vec<&str> = blocks(&text).collect();
        Self::through(Run::new("bash"), &by_hand(), &blocks, ports, waits)
    }

    /// A page that stands by itself, with this card in the reader. Its text is changed by `edit`
    /// before.
    pub fn with_card(
        name: &str,
        card: &Card,
        edit: impl Fn(String) -> String,
        ports: &[&str],
        waits: &[(&str, &str)],
    ) -> Self {
        let text = edit(page(name));
        let blocks: Vec<&str> = blocks(&text).collect();
        Self::through(card.tool("bash"), "", &blocks, ports, waits)
    }

    /// The same, with this TPM in place of the one that the page names.
    pub fn with_tpm(name: &str, tpm: &Tpm, ports: &[&str], waits: &[(&str, &str)]) -> Self {
        let text = page(name);
        assert!(text.contains(TPM_OF_PAGES), "{name}");
        let text = text.replace(TPM_OF_PAGES, &tpm.direct_tcti());
        let blocks: Vec<&str> = blocks(&text).collect();
        Self::through(Run::new("bash"), "", &blocks, ports, waits)
    }

    /// The same, with this service at the place of the usual one.
    pub fn with_parsec(name: &str, parsec: &Parsec, ports: &[&str]) -> Self {
        let text = page(name);
        assert!(text.contains(SOCKET_OF_PAGES), "{name}");
        let text = text.replace(SOCKET_OF_PAGES, parsec.socket().to_str().unwrap());
        let blocks: Vec<&str> = blocks(&text).collect();
        let tools = format!("PATH={}:$PATH\n", parsec.path("").display());
        Self::through(Run::new("bash"), &tools, &blocks, ports, &[])
    }

    fn through(
        shell: Run,
        before: &str,
        blocks: &[&str],
        ports: &[&str],
        waits: &[(&str, &str)],
    ) -> Self {
        for (text, _) in waits {
            assert!(blocks.iter().any(|block| block.contains(text)), "{text}");
        }
        let (dir, programs) = (tempfile::tempdir().unwrap(), programs());
        // Servers change their user: they may go through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let place = dir.path().to_str().unwrap();
        let mut script = format!("{PRELUDE}\n{before}");
        for block in blocks {
            script += block;
            script += "\n";
            for (_, condition) in waits.iter().filter(|(text, _)| block.contains(text)) {
                script += &format!("until_true {condition}\n");
            }
        }
        for port in ports {
            script = script.replace(port, &free_port().to_string());
        }
        let script = script.replace("/tmp/hwkey-try", place).replace(
            "$PWD/target/release/libhwkey.so",
            module().to_str().unwrap(),
        );
        let path = std::env::var("PATH").unwrap();
        let said = shell
            .dir(&repository())
            .args(["-c", &script])
            .env("PATH", format!("{}:{path}", programs.path().display()))
            .finish();
        assert!(said.ok, "{script}\n{}", said.all());
        Self { dir, said }
    }

    /// A file that the commands left.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The commands printed `text`.
    #[track_caller]
    pub fn says(&self, text: &str) {
        assert!(
            self.said.all().contains(text),
            "{text}\n{}",
            self.said.all()
        );
    }
}

/// The commands of the README. The machine has the packages already (ci/test), and the module is
/// built.
fn by_hand() -> String {
    blocks(&page("README.md"))
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("sudo apt-get") && !line.starts_with("cargo build"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// What sudo does for root: nothing, but for the user.
const SUDO: &str = r#"#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2
shift 2
exec setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups -- "$@"
"#;

/// A directory with what may not be the machine's own: sudo, and the Node.js under test.
fn programs() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let sudo = dir.path().join("sudo");
    fs::write(&sudo, SUDO).unwrap();
    fs::set_permissions(&sudo, Permissions::from_mode(0o755)).unwrap();
    if let Some(node) = named_nodes().first() {
        symlink(node, dir.path().join("node")).unwrap();
    }
    dir
}
