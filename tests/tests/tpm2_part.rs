//! The part that speaks to TPMs is a file of its own: who has no TPM needs neither it nor libtss2.

use std::fs;
use std::path::{Path, PathBuf};

use hwkey_tests::{
    Algorithm, Bench, Conf, Gateway, KeyType, Parent, Run, TpmKey, helper, module, software_works,
};

/// The part beside hwkey.so, as packages name it.
const PART: &str = "hwkey-tpm2.so";

/// A machine with a token, the key files `token.pem` and `tpm.pem`, and a copy of hwkey.so without its
/// part.
struct Installed {
    bench: Bench,
    gateway: Gateway,
}

impl Installed {
    fn new() -> Self {
        let (bench, gateway) = (Bench::new("installed"), Gateway::new());
        let key = TpmKey::new(Algorithm::P256);
        gateway
            .tpm
            .tools_key_file("tpm.pem", Parent::Hierarchy("o"), key);
        fs::copy(gateway.path("tpm.pem"), bench.path("tpm.pem")).unwrap();
        bench.token.make_key(KeyType::P256, "token", "01");
        fs::write(bench.path("message"), "to whom it may concern").unwrap();
        let uri = bench.uri("token");
        bench.openssl("pkey -in {} -out token.pem", &[&uri]).ok();
        fs::create_dir(bench.path("modules")).unwrap();
        fs::copy(module(), bench.path("modules/hwkey.so")).unwrap();
        let installed = Self { bench, gateway };
        let text = installed.conf().text();
        let copied = installed.bench.path("modules/hwkey.so");
        let text = text.replace(module().to_str().unwrap(), copied.to_str().unwrap());
        fs::write(installed.bench.path("openssl.cnf"), text).unwrap();
        installed
    }

    fn conf(&self) -> Conf {
        let conf = self.bench.conf();
        conf.option("tpm2-tcti", &self.gateway.tpm.tcti())
    }

    fn part(&self) -> PathBuf {
        self.bench.path("modules").join(PART)
    }

    /// Puts the part that was built into its place.
    fn install_part(&self) {
        fs::copy(built_part(), self.part()).unwrap();
    }

    /// Compiles C into the part's place.
    fn compile_part(&self, source: &str) {
        let file = self.bench.path("part.c");
        fs::write(&file, source).unwrap();
        let compile = Run::new("cc").args(["-shared", "-fPIC", "-o"]);
        compile.args([&self.part(), &file]).ok();
    }

    /// One process: keys of the token work before and after the TPM's key, which does not.
    #[track_caller]
    fn only_the_tpm_fails(&self, parts: &[&str]) {
        let steps = ["token", "tpm", "token", "tpm"].map(|key| format!("load={key}.pem"));
        let steps = steps.iter().flat_map(|load| match load.contains("token") {
            true => vec![load.as_str(), "sign"],
            false => vec![load.as_str()],
        });
        let outcomes = self.bench.run(helper("steps")).args(steps).ok();
        let outcomes: Vec<&str> = outcomes.lines().collect();
        let [_, _, failed, _, _, again] = outcomes[..] else {
            panic!("{outcomes:#?}");
        };
        assert_eq!(
            [outcomes[0], outcomes[1], outcomes[3], outcomes[4]],
            ["ok"; 4]
        );
        let said = self
            .bench
            .openssl("pkey -in tpm2:handle=0x81000001 -noout", &[]);
        for said in [failed, again, &said.fails()] {
            for part in parts.iter().chain(&["TPM can't be used"]) {
                assert!(said.contains(part), "\"{part}\" is missing in {said}");
            }
        }
        software_works(&self.bench);
    }
}

fn built_part() -> PathBuf {
    module().with_file_name("libhwkey_tpm2.so")
}

/// What a file needs to be loaded.
fn needed(file: &Path) -> Vec<String> {
    let list = Run::new("readelf").arg("-d").arg(file).ok();
    let needed = list.lines().filter(|line| line.contains("(NEEDED)"));
    needed.map(str::to_owned).collect()
}

#[test]
fn hwkey_itself_does_not_need_tss2_and_the_part_does() {
    assert!(!needed(&module()).iter().any(|line| line.contains("tss2")));
    assert!(
        needed(&built_part())
            .iter()
            .any(|line| line.contains("tss2-esys"))
    );
}

#[test]
fn a_missing_part_is_told_and_may_be_installed_while_the_program_runs() {
    let installed = Installed::new();
    installed.only_the_tpm_fails(&["there is no ", PART, "install it there"]);
    let log = installed.bench.path("steps.log");
    let mut steps = hwkey_tests::Steps::of(installed.bench.run(helper("steps")), &log);
    steps.fails("load=tpm.pem", "install it there");
    installed.install_part();
    steps.ok("load=tpm.pem");
    steps.ok("sign");
}

#[test]
fn an_older_or_newer_part_is_told() {
    let installed = Installed::new();
    for version in [0, 1000] {
        installed.compile_part(&format!(
            "static const struct {{ unsigned version; const char *release; void *call; }}
             interface = {{ {version}, \"9.8.7\", 0 }};
             const void *hwkey_tpm2_interface(void) {{ return &interface; }}"
        ));
        installed.only_the_tpm_fails(&[
            "of hwkey 9.8.7",
            &format!("speaks version {version} of the interface"),
            "of the same release",
        ]);
    }
}

#[test]
fn a_foreign_file_in_the_part_s_place_is_told() {
    let installed = Installed::new();
    installed.compile_part("int something_else(void) { return 0; }");
    installed.only_the_tpm_fails(&["is no part of hwkey", "of the same release"]);
    fs::write(installed.part(), "no library at all").unwrap();
    installed.only_the_tpm_fails(&[PART, "that was built for this system"]);
}

/// In a mount namespace of its own, where the directory of libtss2-esys is another file's.
#[test]
fn a_machine_without_libtss2_is_told_which_package_to_install() {
    let installed = Installed::new();
    installed.install_part();
    let uri = "tpm2:handle=0x81000001";
    let hidden = |then: &str| {
        let script = format!(
            "for file in /usr/lib/*/libtss2-*; do mount --bind /dev/null \"$file\"; done; {then}"
        );
        let unshare = installed.bench.run("unshare");
        unshare.args(["--mount", "sh", "-ec", &script])
    };
    hidden("openssl dgst -sha256 -sign token.pem -out s message").ok();
    let steps = helper("steps").display().to_string();
    let load = "load=token.pem sign load=tpm.pem load=token.pem sign";
    let outcomes = hidden(&format!("{steps} {load}")).ok();
    let outcomes: Vec<&str> = outcomes.lines().collect();
    assert_eq!(
        [outcomes[0], outcomes[1], outcomes[3], outcomes[4]],
        ["ok"; 4]
    );
    let said = hidden(&format!("openssl pkey -in {uri} -noout")).fails();
    for said in [outcomes[2], &said] {
        for part in ["TPM can't be used", "libtss2-esys-3.0.2-0", "Yocto"] {
            assert!(said.contains(part), "\"{part}\" is missing in {said}");
        }
    }
    installed.bench.openssl("pkey -in tpm.pem -noout", &[]).ok();
}

#[test]
fn without_a_key_of_the_tpm_neither_the_part_nor_libtss2_is_opened() {
    let installed = Installed::new();
    installed.install_part();
    let opened = |key: &str| {
        let record = installed.bench.path("strace.log");
        let _ = fs::remove_file(&record);
        let strace = installed
            .bench
            .run("strace")
            .args(["-f", "-o"])
            .arg(&record);
        strace
            .args([
                "openssl", "dgst", "-sha256", "-sign", key, "-out", "s", "message",
            ])
            .ok();
        let record = fs::read_to_string(record).unwrap();
        [PART, "tss2", "connect(", "/dev/tpm"].map(|sign| record.contains(sign))
    };
    assert_eq!(opened("token.pem"), [false; 4]);
    assert_eq!(opened("tpm.pem")[..3], [true; 3]);
}
