//! The commands in the documentation work as they are printed.

use std::path::{Path, PathBuf};

use hwkey_tests::{Run, module};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// The ```sh blocks of a page, as one script.
fn script(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_readme_can_be_followed_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    // The machine has the packages already (ci/test), and the module is built.
    let script: String = script(&page("README.md"))
        .lines()
        .filter(|line| !line.starts_with("sudo apt-get") && !line.starts_with("cargo build"))
        .map(|line| format!("{line}\n"))
        .collect();
    let script = script.replace("/tmp/hwkey-try", place).replace(
        "$OLDPWD/target/release/libhwkey.so",
        module().to_str().unwrap(),
    );
    let script = format!("set -eux\n{script}");
    Run::new("bash")
        .dir(&repository())
        .args(["-c", &script])
        .ok();
    let reference = std::fs::read_to_string(dir.path().join("device.key.pem")).unwrap();
    assert!(reference.contains("object=device"), "{reference}");
    assert!(dir.path().join("signature").metadata().unwrap().len() > 60);
}

#[test]
fn the_example_configuration_loads_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let example = page("openssl.cnf.example");
    let line = example
        .lines()
        .find(|line| line.starts_with("module = "))
        .expect("a module line");
    let ours = format!("module = {}", module().display());
    let conf = dir.path().join("openssl.cnf");
    std::fs::write(&conf, example.replace(line, &ours)).unwrap();
    let providers = Run::new("openssl")
        .args(["list", "-providers"])
        .env("OPENSSL_CONF", &conf)
        .ok();
    assert!(
        providers.contains("hwkey") && providers.contains("default"),
        "{providers}"
    );
    // Every option that is commented out is one that the module asks for.
    let known = page("provider/src/config.rs");
    let options = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| !name.contains(' '));
    let mut count = 0;
    for (name, _) in options {
        assert!(
            known.contains(&format!("c\"{name}\"")),
            "{name} is no option"
        );
        count += 1;
    }
    assert!(count >= 8, "the example shows only {count} options");
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let pages = Run::new("git")
        .dir(&repository())
        .args(["ls-files", "*.md"])
        .ok();
    assert!(pages.contains("README.md"));
    for name in pages.lines() {
        let text = page(name);
        let directory = repository().join(name).parent().unwrap().to_owned();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            let external = file.contains("://") || file.is_empty();
            assert!(
                external || directory.join(file).exists(),
                "{name}: {target}"
            );
        }
    }
}
