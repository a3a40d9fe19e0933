//! Writes Rust's ABI types the way the C headers spell them, so that a C compiler can compare.

use std::ffi::{c_char, c_int, c_void};

use super::{
    Callback, CoreBio, CoreContext, CoreHandle, OsslAlgorithm, OsslDispatch, OsslItem, OsslParam,
    PassphraseCallback, PropertiesCallback, ProviderCallback, UnsignedChar, VaList,
};

/// A type that crosses the ABI, with its spelling in C.
pub trait CType {
    fn c() -> String;
}

macro_rules! c_types {
    ($($rust:ty => $c:literal),* $(,)?) => {
        $(impl CType for $rust {
            fn c() -> String {
                $c.into()
            }
        })*
    };
}

c_types! {
    () => "void",
    c_void => "void",
    c_int => "int",
    UnsignedChar => "unsigned char",
    c_char => "char",
    u32 => "uint32_t",
    usize => "size_t",
    CoreHandle => "OSSL_CORE_HANDLE",
    CoreContext => "OPENSSL_CORE_CTX",
    CoreBio => "OSSL_CORE_BIO",
    OsslParam => "OSSL_PARAM",
    OsslDispatch => "OSSL_DISPATCH",
    OsslAlgorithm => "OSSL_ALGORITHM",
    OsslItem => "OSSL_ITEM",
    VaList => "va_list",
    Option<Callback> => "OSSL_CALLBACK *",
    Option<PassphraseCallback> => "OSSL_PASSPHRASE_CALLBACK *",
    ProviderCallback => "int (*)(const OSSL_CORE_HANDLE *, void *)",
    PropertiesCallback => "int (*)(const char *, void *)",
}

impl<T: CType> CType for *const T {
    fn c() -> String {
        format!("const {} *", T::c())
    }
}

impl<T: CType> CType for *mut T {
    fn c() -> String {
        format!("{} *", T::c())
    }
}

/// A function pointer type, spelt as a C function type.
pub trait CSignature {
    fn c() -> String;
}

macro_rules! c_signatures {
    ($($($arg:ident)*;)*) => {
        $(impl<R: CType $(, $arg: CType)*> CSignature for unsafe extern "C" fn($($arg),*) -> R {
            fn c() -> String {
                let args: Vec<String> = vec![$($arg::c()),*];
                let args = if args.is_empty() { "void".into() } else { args.join(", ") };
                format!("{} ({args})", R::c())
            }
        })*
    };
}

c_signatures! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}
