//! What is asked of a key besides signing, as far as it is the same for all hardware: encryption with its
//! public half, peers of a key exchange, and keys that are to be made.

use hwkey_tests::{Bench, KeyType, PIN, Said};

#[test]
fn what_is_encrypted_with_a_loaded_key_openssl_decrypts() {
    let bench = Bench::new("encrypt");
    bench
        .openssl(
            "genpkey -algorithm RSA -pkeyopt bits:2048 -out soft.pem",
            &[],
        )
        .ok();
    // The same key in the token, so that both sides are here.
    bench
        .run("softhsm2-util")
        .args(["--import", "soft.pem", "--token", "encrypt", "--pin", PIN])
        .args(["--label", "both", "--id", "01"])
        .ok();
    let uri = bench.uri("both");
    std::fs::write(bench.path("short"), "to whom it may concern").unwrap();
    std::fs::write(bench.path("full"), [7; 256]).unwrap();
    let oaep = "-pkeyopt rsa_padding_mode:oaep";
    for (message, options) in [
        ("short", String::new()),
        ("full", "-pkeyopt rsa_padding_mode:none".into()),
        ("short", oaep.into()),
        ("short", format!("{oaep} -pkeyopt rsa_oaep_md:sha256")),
        (
            "short",
            format!(
                "{oaep} -pkeyopt rsa_oaep_md:sha384 -pkeyopt rsa_mgf1_md:sha1 -pkeyopt rsa_oaep_label:6162"
            ),
        ),
    ] {
        let arguments = format!("pkeyutl -encrypt -inkey {{}} -in {message} -out secret {options}");
        bench.openssl(&arguments, &[&uri]).ok();
        let arguments = format!("pkeyutl -decrypt -inkey soft.pem -in secret -out plain {options}");
        bench.openssl(&arguments, &[]).ok();
        let read = |name| std::fs::read(bench.path(name)).unwrap();
        assert_eq!(read("plain"), read(message), "{options}");
    }
    let said = Said::by(bench.openssl("pkeyutl -encrypt -inkey {} -in full -out secret", &[&uri]));
    said.logs(
        "warn",
        "data of the wrong length",
        &["256 bytes", "at most 245"],
    );
}

#[test]
fn a_peer_on_another_curve_is_refused_and_one_on_the_same_is_taken() {
    let bench = Bench::new("peers");
    bench.make_keys(&[(KeyType::P256, "own", "01")]);
    for curve in ["P-256", "P-384"] {
        let arguments = "genpkey -algorithm EC -pkeyopt group:{} -out {}";
        bench
            .openssl(arguments, &[curve, &format!("{curve}.key")])
            .ok();
        let arguments = "pkey -in {} -pubout -out {}";
        bench
            .openssl(arguments, &[&format!("{curve}.key"), curve])
            .ok();
    }
    let compress = "ec -pubin -in P-256 -conv_form compressed -pubout -out compressed";
    bench.openssl(compress, &[]).ok();
    let derive = |peer| {
        let arguments = "pkeyutl -derive -inkey {} -peerkey {} -out secret";
        Said::by(bench.openssl(arguments, &[&bench.uri("own"), peer]))
    };
    let said = derive("P-384");
    let curves = "the key is on the curve P-256 and the peer's on P-384";
    assert!(said.queue[0].contains(curves), "{}", said.all);
    // It gets as far as the hardware.
    for peer in ["P-256", "compressed"] {
        let reason = "operation not allowed for the key";
        derive(peer).names(reason, "deriving with pkcs11:", &["own"]);
    }
}

#[test]
fn a_key_is_made_only_where_a_uri_says() {
    let bench = Bench::new("make");
    let generate = |options: &str| {
        let arguments = format!("genpkey -propquery provider=hwkey -out new.pem {options}");
        Said::by(bench.openssl(&arguments, &[]))
    };
    generate("-algorithm EC -pkeyopt group:P-256").logs(
        "warn",
        "hwkey is chosen for software keys",
        &["add -pkeyopt hwkey_uri:tpm2:"],
    );
    for (options, reason, part) in [
        ("EC", "parameter not supported", "ec_paramgen_curve"),
        ("EC -pkeyopt group:SM2", "key type not supported", "SM2"),
        (
            "RSA-PSS",
            "operation not allowed for the key",
            "hwkey_uri:tpm2:",
        ),
        ("ED25519", "key type not supported", "ED25519"),
        (
            "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
            "operation not allowed for the key",
            "hwkey_uri:tpm2:",
        ),
    ] {
        let said = generate(&format!("-algorithm {options} -pkeyopt hwkey_uri:pkcs11:"));
        assert!(
            said.queue[0].contains(&format!(":{reason}:")),
            "{}",
            said.all
        );
        assert!(said.queue[0].contains(part), "{}", said.all);
        assert!(said.all.contains("making a key at pkcs11:"), "{}", said.all);
    }
}

#[test]
fn random_numbers_of_hardware_are_there_under_a_private_name_only() {
    let bench = Bench::new("random");
    let listed = bench.openssl("list -random-generators", &[]).ok();
    let ours: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains("@ hwkey"))
        .collect();
    assert_eq!(ours, ["  TPM2-RAND @ hwkey"]);
    // Even where hwkey comes first.
    bench.configure(&bench.conf().hwkey_first());
    bench.openssl("rand -hex 16", &[]).ok();
}

/// What `openssl pkeyutl` does not let through, since OpenSSL's own decoder looks at points; CMS takes them
/// from the message.
const IMPORT: &str = r#"
import ctypes, sys
lib = ctypes.CDLL("libcrypto.so.3")
for name in ["EVP_PKEY_CTX_new_from_name", "OSSL_PARAM_BLD_new", "OSSL_PARAM_BLD_to_param"]:
    getattr(lib, name).restype = ctypes.c_void_p

def imported(point):
    build = ctypes.c_void_p(lib.OSSL_PARAM_BLD_new())
    assert lib.OSSL_PARAM_BLD_push_utf8_string(build, b"group", b"prime256v1", ctypes.c_size_t(0)) == 1
    assert lib.OSSL_PARAM_BLD_push_octet_string(build, b"pub", point, ctypes.c_size_t(len(point))) == 1
    params = ctypes.c_void_p(lib.OSSL_PARAM_BLD_to_param(build))
    context = ctypes.c_void_p(lib.EVP_PKEY_CTX_new_from_name(None, b"EC", b"provider=hwkey"))
    assert context and lib.EVP_PKEY_fromdata_init(context) == 1
    return lib.EVP_PKEY_fromdata(context, ctypes.byref(ctypes.c_void_p()), 0x86, params) == 1

point = bytes.fromhex(sys.argv[1])
assert imported(point)
assert not imported(point[:-1] + bytes([point[-1] ^ 2]))
assert not imported(bytes([4]) + bytes(64))
"#;

#[test]
fn a_point_beside_the_curve_is_no_peer() {
    let bench = Bench::new("beside");
    let base = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    bench.run("python3").args(["-c", IMPORT, base]).ok();
}
