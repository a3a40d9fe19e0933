//! hwkey is there, and nobody notices before a hardware key is used: strace of real programs, with
//! and without hwkey in openssl.cnf.

use std::collections::BTreeSet;
use std::fs;

use hwkey_tests::{Bench, Conf, KeyType, free_port, module, wait_until};

/// What the module may cost at a program's start: opening, mapping and closing one file.
const SYSTEM_CALLS: usize = 10;

/// openssl.cnf without hwkey.
const WITHOUT: &str = "openssl_conf = openssl_init\n[openssl_init]\nproviders = provider_sect\n\
                       [provider_sect]\ndefault = default_sect\n[default_sect]\nactivate = 1\n\
                       [req]\ndistinguished_name = dn\n[dn]\n";

/// What one program did, and what it printed.
#[derive(Debug)]
struct Trace {
    system_calls: usize,
    /// Files opened with success.
    opened: BTreeSet<String>,
    threads: usize,
    ok: bool,
    stdout: String,
    stderr: String,
}

impl Trace {
    /// Runs `openssl` with `arguments`.
    fn of(bench: &Bench, arguments: &str) -> Self {
        let record = bench.path("strace.log");
        let openssl = bench.openssl(arguments, &[]).into_command();
        let finished = bench
            .run("strace")
            .args(["-f", "-o"])
            .arg(&record)
            .arg("openssl")
            .args(openssl.get_args())
            .finish();
        let mut trace = Self::read(&fs::read_to_string(record).unwrap());
        trace.ok = finished.ok;
        trace.stdout = finished.stdout;
        trace.stderr = finished.stderr;
        trace
    }

    fn read(record: &str) -> Self {
        // "1234 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3"
        let calls = record.lines().filter_map(|line| {
            let (_, call) = line.split_once(char::is_whitespace)?;
            call.trim_start().split_once('(')
        });
        // brk comes when the heap happens to be full, and lseek when one more decoder looks at a PEM
        // file that the program reads anyway: neither is the price of our being there.
        let counted = |name: &str| !name.contains(' ') && !["brk", "lseek"].contains(&name);
        let calls: Vec<(&str, &str)> = calls.filter(|(name, _)| counted(name)).collect();
        let opened = calls.iter().filter_map(|(name, rest)| {
            let file = rest.split('"').nth(1)?;
            let failed = rest.contains(" = -1 ");
            (matches!(*name, "open" | "openat") && !failed).then(|| file.to_owned())
        });
        let threads = calls.iter().filter(|(name, rest)| {
            matches!(*name, "clone" | "clone3") && rest.contains("CLONE_THREAD")
        });
        Self {
            system_calls: calls.len(),
            opened: opened.collect(),
            threads: threads.count(),
            ok: true,
            stdout: String::new(),
            stderr: String::new(),
        }
    }
}

/// A token with a key, which nobody is to touch, and a software key with its certificate.
fn bench() -> Bench {
    let bench = Bench::new("inert");
    bench.token.make_key(KeyType::P256, "device", "01");
    fs::write(bench.path("message"), "to whom it may concern").unwrap();
    without(&bench);
    bench
        .openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
             -keyout software.key -out software.crt",
            &[],
        )
        .ok();
    bench
}

fn without(bench: &Bench) {
    fs::write(bench.path("openssl.cnf"), WITHOUT).unwrap();
}

/// hwkey first, and the line that makes it stand back all the same.
fn first_but_standing_back(bench: &Bench) {
    let text = bench.conf().text().replace(
        "default = default_sect\nhwkey = hwkey_sect",
        "hwkey = hwkey_sect\ndefault = default_sect",
    );
    assert!(text.contains("hwkey = hwkey_sect\ndefault") && text.contains("?provider!=hwkey"));
    fs::write(bench.path("openssl.cnf"), text).unwrap();
}

/// Writes an openssl.cnf that activates hwkey.
type Configure<'a> = Box<dyn Fn() + 'a>;

/// The right configurations: in the documented order, without default_properties, and in the wrong
/// order with them.
fn active(bench: &Bench) -> [(&'static str, Configure<'_>); 3] {
    let with = |conf: Conf| Box::new(move || bench.configure(&conf));
    [
        ("default first", with(bench.conf())),
        (
            "no default_properties",
            with(bench.conf().without_properties()),
        ),
        (
            "hwkey first",
            Box::new(move || first_but_standing_back(bench)),
        ),
    ]
}

#[test]
fn the_module_needs_only_the_c_library() {
    let needed: Vec<String> = tool("readelf", "-d")
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split(['[', ']']).nth(1)?.to_owned()))
        .collect();
    assert!(!needed.is_empty());
    for library in needed {
        let allowed = library.starts_with("libc.so") || library.starts_with("ld-linux");
        assert!(allowed, "the module needs {library}");
    }
}

#[test]
fn the_module_exports_its_entry_point_only() {
    let exported = tool("nm", "-D --defined-only");
    let names: Vec<&str> = exported
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(names, ["OSSL_provider_init"]);
}

#[test]
fn programs_without_hardware_keys_open_one_file_more() {
    let bench = bench();
    let module = module().display().to_string();
    for command in [
        "version",
        "dgst -sha256 message",
        "dgst -sha256 -sign software.key -out s message",
        "genpkey -algorithm EC -pkeyopt group:P-256 -out new.key",
        "x509 -in software.crt -noout -subject",
        "rand -hex 16",
    ] {
        without(&bench);
        let before = Trace::of(&bench, command);
        assert!(before.ok, "{command}: {}", before.stderr);
        for (name, configure) in active(&bench) {
            configure();
            let after = Trace::of(&bench, command);
            let context = format!("openssl {command}, {name}");
            assert!(after.ok, "{context}: {}", after.stderr);
            assert_eq!(after.stderr, before.stderr, "{context}");
            let more: Vec<&String> = after.opened.difference(&before.opened).collect();
            assert_eq!(more, [&module], "{context}");
            assert_eq!(after.threads, before.threads, "{context}");
            let calls = (before.system_calls, after.system_calls);
            assert!(
                calls.1 <= calls.0 + SYSTEM_CALLS,
                "{context}: from {} to {} system calls",
                calls.0,
                calls.1
            );
        }
    }
}

#[test]
fn a_tls_handshake_with_software_keys_touches_no_token() {
    let bench = bench();
    let module = module().display().to_string();
    let handshake = || {
        let port = free_port();
        let record = bench.path("server.strace");
        let _ = fs::remove_file(&record);
        let server = bench
            .openssl(
                "s_server -accept {} -key software.key -cert software.crt -groups P-256 -naccept 1 -www",
                &[&port.to_string()],
            )
            .into_command();
        let server = bench
            .run("strace")
            .args(["-f", "-o"])
            .arg(&record)
            .arg("openssl")
            .args(server.get_args())
            .background(None);
        // Not by connecting: the server serves one connection.
        wait_until("a listening server", || {
            fs::read_to_string(&record).is_ok_and(|record| {
                let mut lines = record.lines();
                lines.any(|line| line.contains("listen(") && line.ends_with("= 0"))
            })
        });
        let line = format!(
            "s_client -connect 127.0.0.1:{port} -CAfile software.crt -verify_return_error -groups P-256 -quiet"
        );
        let client = bench.run("sh").args(["-c"]).arg(format!(
            "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | strace -f -o client.strace openssl {line}"
        ));
        let page = client.ok();
        assert!(page.contains("TLSv1.3"), "{page}");
        assert!(server.wait(), "the server failed");
        ["server.strace", "client.strace"]
            .map(|file| Trace::read(&fs::read_to_string(bench.path(file)).unwrap()))
    };
    without(&bench);
    let before = handshake();
    for (name, configure) in active(&bench) {
        configure();
        for (side, (before, after)) in before.iter().zip(handshake()).enumerate() {
            let more: Vec<&String> = after.opened.difference(&before.opened).collect();
            assert_eq!(more, [&module], "{name}, side {side}");
            assert_eq!(after.threads, before.threads, "{name}, side {side}");
        }
    }
}

#[test]
fn software_keys_stay_with_the_default_provider() {
    let bench = bench();
    for (name, configure) in active(&bench) {
        configure();
        for command in [
            "genpkey -algorithm EC -pkeyopt group:P-256 -out ec.key",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key",
            "genpkey -algorithm ED25519 -out ed25519.key",
            "ecparam -name secp384r1 -genkey -noout -out p384.key",
            "req -x509 -new -key ec.key -subj /CN=x -out ec.crt",
            "verify -CAfile ec.crt ec.crt",
            "dgst -sha256 -sign rsa.key -out s message",
            "pkey -in rsa.key -pubout -out rsa.pub",
            "dgst -sha256 -verify rsa.pub -signature s message",
            "pkey -in ec.key -pubout -out ec.pub",
            "pkeyutl -derive -inkey ec.key -peerkey ec.pub -out secret",
            "pkcs12 -export -inkey ec.key -in ec.crt -passout pass:x -out ec.p12",
            "pkey -in ec.key -outform DER -out ec.der",
        ] {
            let finished = bench.openssl(command, &[]).finish();
            assert!(
                finished.ok && !finished.stderr.contains("hwkey"),
                "openssl {command}, {name}: {}",
                finished.stderr
            );
        }
        // And the hardware key is there when it is wanted.
        let uri = bench.uri("device");
        let signed = bench
            .openssl("dgst -sha256 -sign {} -out s message", &[&uri])
            .finish();
        assert!(
            signed.ok && signed.stderr.is_empty(),
            "{name}: {}",
            signed.stderr
        );
    }
}

#[test]
fn failing_programs_fail_as_before() {
    let bench = bench();
    for command in [
        "pkey -in nowhere.pem -noout",
        "pkey -in message -noout",
        "x509 -in software.key -noout",
        "dgst -sha256 nowhere",
        "pkey -in software.crt -noout",
    ] {
        without(&bench);
        let before = bench.openssl(command, &[]).finish();
        assert!(!before.ok, "{command}");
        bench.configure(&bench.conf());
        let after = bench.openssl(command, &[]).finish();
        assert!(!after.ok, "{command}");
        assert_eq!(
            anonymous(&after.stderr),
            anonymous(&before.stderr),
            "{command}"
        );
    }
}

#[test]
fn loading_and_signing_has_no_memory_error_and_leaks_nothing() {
    let bench = bench();
    bench.configure(&bench.conf());
    let record = bench.path("valgrind.log");
    bench
        .run("valgrind")
        .args(["--leak-check=full", "--show-leak-kinds=definite"])
        .args(["--errors-for-leak-kinds=none", "--error-exitcode=9"])
        .args(["--num-callers=40", "--fullpath-after="])
        .arg(format!("--log-file={}", record.display()))
        .args(["openssl", "dgst", "-sha256", "-sign"])
        .arg(bench.uri("device"))
        .args(["-out", "s", "message"])
        .ok();
    // SoftHSM and OpenSSL may lose what they like.
    let record = fs::read_to_string(record).unwrap();
    assert!(record.contains("ERROR SUMMARY: "), "{record}");
    let blocks = record.split("== \n");
    let lost: Vec<&str> = blocks
        .filter(|block| block.contains("definitely lost in") && block.contains("hwkey"))
        .collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// What a tool says of the module.
fn tool(program: &str, options: &str) -> String {
    hwkey_tests::Run::new(program)
        .args(options.split(' '))
        .arg(module())
        .ok()
}

/// Without the thread's number at the start of each entry of OpenSSL's queue.
fn anonymous(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| match line.split_once(":error:") {
        Some((_, entry)) => format!("error:{entry}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}
