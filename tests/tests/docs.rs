//! The commands in the documentation work as they are printed.

use std::fs;

use hwkey_tests::{Followed, Run, module, page, repository};

#[test]
fn the_readme_can_be_followed_by_hand() {
    let followed = Followed::readme();
    let reference = followed.read("device.key.pem");
    assert!(reference.contains("object=device"), "{reference}");
    let signature = followed.dir.path().join("signature");
    assert!(signature.metadata().unwrap().len() > 60);
}

#[test]
fn the_page_on_openssl_cnf_tells_an_active_hwkey_from_a_missing_one() {
    let followed = Followed::page("docs/openssl-cnf.md", &[], &[]);
    // In the README's file (there and here), in the copy of Debian's, and by the module's name alone.
    let printed = &followed.said.stdout;
    assert_eq!(printed.matches("name: hwkey\n").count(), 4, "{printed}");
    assert_eq!(printed.matches("status: active").count(), 7, "{printed}");
    followed.says("hwkey: debug: logged in to token \"gateway\"");
    followed.says("unregistered scheme");
    followed.says("hwkey is not active");
}

#[test]
fn the_page_on_keys_leads_to_their_uris_references_certificates_and_pins() {
    let followed = Followed::page("docs/keys-and-uris.md", &[], &[]);
    assert!(followed.read("web.key.pem").contains("id=%03;object=web"));
    for listed in [
        "id=%02;object=broker;type=private",
        "id=%03;object=web;type=private",
        "id=%03;object=web;type=cert",
        "Verified OK",
        "web.crt: OK",
    ] {
        followed.says(listed);
    }
    // The PIN sources were read, and nobody was asked.
    assert!(!followed.said.stderr.contains("hwkey: "));
    let list = Run::new("ls").args(["-lR"]).dir(followed.dir.path()).ok();
    assert!(list.contains("-rw-r----- 1 root www-data "), "{list}");
}

#[test]
fn the_page_on_migrating_shows_what_is_left_behind() {
    let followed = Followed::page("docs/migrating.md", &[], &[]);
    followed.says("pkcs11-module-token-pin is pkcs11-provider's option and has no effect here");
    followed.says("pin-source = file:/path/to/pin");
    assert!(followed.read("migrated.pem").contains("object=device"));
    // Every option of pkcs11-provider that the module answers is in the table.
    let answered = page("provider/src/config.rs");
    let answered = answered.split("const FOREIGN: ").nth(1).unwrap();
    let answered = answered.split("];").next().unwrap();
    let text = page("docs/migrating.md");
    for option in answered.split("c\"pkcs11-module-").skip(1) {
        let option = option.split('"').next().unwrap();
        assert!(text.contains(&format!("-{option}`")), "{option}");
    }
}

#[test]
fn the_pages_have_exactly_the_options_that_the_module_asks_for() {
    let source = page("provider/src/config.rs");
    let list = source.split("const OPTIONS: ").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    let mut asked: Vec<&str> = list.split("c\"").skip(1).collect();
    for name in &mut asked {
        *name = name.split('"').next().unwrap();
    }
    asked.sort_unstable();
    assert!(asked.contains(&"pin-source"), "{asked:?}");

    let text = page("docs/openssl-cnf.md");
    let options = text.split("\n## Options\n").nth(1).unwrap();
    let options = options.split("\n## ").next().unwrap();
    let headings = options
        .lines()
        .filter_map(|line| line.strip_prefix("### `"));
    let mut explained: Vec<&str> = headings.map(|line| line.trim_end_matches('`')).collect();
    explained.sort_unstable();
    assert_eq!(explained, asked);

    let manual = page("docs/man/hwkey.7");
    let options = manual.split("\n.Sh CONFIGURATION\n").nth(1).unwrap();
    let options = options.split("\n.Sh ").next().unwrap();
    let items = options
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ic "));
    let mut explained: Vec<&str> = items.map(|line| line.split(' ').next().unwrap()).collect();
    explained.sort_unstable();
    assert_eq!(explained, asked);
}

#[test]
fn the_manual_page_has_no_fault() {
    let manual = repository().join("docs/man/hwkey.7");
    let man = Run::new("man")
        .args(["--warnings", "-l"])
        .arg(&manual)
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .finish();
    assert!(man.ok && man.stderr.is_empty(), "{}", man.stderr);
    assert!(man.stdout.contains("pkcs11-module-path"), "{}", man.stdout);
    Run::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .arg(&manual)
        .ok();
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
    fs::write(&conf, example.replace(line, &ours)).unwrap();
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
    let mut dead = Vec::new();
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
            if !external && !directory.join(file).exists() {
                dead.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}
