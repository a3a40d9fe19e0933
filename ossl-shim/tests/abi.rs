//! Our numbers, names, signatures and layouts are those of OpenSSL's headers.
//!
//! A C file made from our declarations is compiled against the headers, one `_Static_assert` for
//! each; a wrong one fails to compile and names itself. `HWKEY_OPENSSL_INCLUDE` (a directory, or
//! several separated by `:`) points the check at another release's headers.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::process::{Command, Output};

use ossl_shim::abi::{NUMBERS, OsslAlgorithm, OsslDispatch, OsslItem, OsslParam, functions, names};

#[test]
fn numbers_signatures_names_and_layouts_are_those_of_the_headers() {
    let output = compile("declared", &probe());
    assert!(
        output.status.success(),
        "the headers disagree with ossl-shim/src/abi:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_wrong_number_signature_name_or_layout_is_noticed() {
    let good = probe();
    let wrong = [
        (
            "OSSL_FUNC_SIGNATURE_SIGN == 3",
            "OSSL_FUNC_SIGNATURE_SIGN == 4",
        ),
        (
            "OSSL_FUNC_keymgmt_has_fn, int (const void *, int)",
            "OSSL_FUNC_keymgmt_has_fn, int (void *, int)",
        ),
        (
            "OSSL_PKEY_PARAM_BITS, \"bits\"",
            "OSSL_PKEY_PARAM_BITS, \"bit\"",
        ),
        (
            "offsetof(OSSL_PARAM, data_size) == ",
            "offsetof(OSSL_PARAM, data_size) == 1 + ",
        ),
    ];
    for (right, wrong) in wrong {
        assert!(good.contains(right), "the probe has no {right}");
        let output = compile("wrong", &good.replace(right, wrong));
        assert!(!output.status.success(), "{wrong} passed the check");
    }
}

fn probe() -> String {
    let mut c = String::from(
        "#include <stddef.h>\n#include <stdarg.h>\n#include <openssl/core.h>\n\
         #include <openssl/core_dispatch.h>\n#include <openssl/core_names.h>\n\
         #include <openssl/core_object.h>\n#include <openssl/params.h>\n\
         #include <openssl/store.h>\n#include <openssl/evp.h>\n\
         #define SAME(type, ours) _Static_assert(__builtin_types_compatible_p(type, ours), #type)\n\
         #define TEXT(macro, ours) _Static_assert(__builtin_strcmp(macro, ours) == 0, #macro)\n",
    );
    for function in functions::DECLARED {
        let (number, value) = (function.number, function.value);
        let (name, signature) = (function.name, (function.signature)());
        writeln!(
            c,
            "_Static_assert(OSSL_FUNC_{number} == {value}, \"{number}\");"
        )
        .unwrap();
        writeln!(c, "SAME(OSSL_FUNC_{name}_fn, {signature});").unwrap();
    }
    for (name, value) in NUMBERS {
        writeln!(c, "_Static_assert({name} == {value}, \"{name}\");").unwrap();
    }
    for (name, value) in names::DECLARED {
        writeln!(c, "TEXT({name}, {:?});", value.to_str().unwrap()).unwrap();
    }
    layouts(&mut c);
    c
}

fn layouts(c: &mut String) {
    macro_rules! layout {
        ($rust:ty, $c:literal: $($field:ident = $c_field:literal),*) => {
            writeln!(c, "_Static_assert(sizeof({}) == {}, \"size of {}\");",
                $c, size_of::<$rust>(), $c).unwrap();
            $(writeln!(c, "_Static_assert(offsetof({}, {}) == {}, \"{}.{}\");",
                $c, $c_field, offset_of!($rust, $field), $c, $c_field).unwrap();)*
        };
    }
    layout!(OsslParam, "OSSL_PARAM": key = "key", data_type = "data_type", data = "data",
        data_size = "data_size", return_size = "return_size");
    layout!(OsslDispatch, "OSSL_DISPATCH": function_id = "function_id", function = "function");
    layout!(OsslAlgorithm, "OSSL_ALGORITHM": names = "algorithm_names",
        properties = "property_definition", implementation = "implementation",
        description = "algorithm_description");
    layout!(OsslItem, "OSSL_ITEM": id = "id", text = "ptr");
}

fn compile(name: &str, source: &str) -> Output {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("abi-{name}.c"));
    std::fs::write(&file, source).unwrap();
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    for include in std::env::var("HWKEY_OPENSSL_INCLUDE")
        .unwrap_or_default()
        .split(':')
    {
        if !include.is_empty() {
            cc.arg("-I").arg(include);
        }
    }
    cc.args(["-std=gnu11", "-fsyntax-only", "-Wall", "-Werror", "-x", "c"])
        .arg(&file)
        .output()
        .expect("a C compiler and OpenSSL's headers: apt-get install gcc libssl-dev")
}
