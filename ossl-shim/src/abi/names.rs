//! Parameter names of `openssl/core_names.h`.

use std::ffi::CStr;

macro_rules! names {
    ($($rust:ident = $value:literal, $c:literal;)*) => {
        $(#[doc = concat!("`", $c, "`")]
        pub const $rust: &CStr = $value;)*

        /// All of the above with their C macro, for the header check.
        pub const DECLARED: &[(&str, &CStr)] = &[$(($c, $value)),*];
    };
}

names! {
    PROVIDER_NAME = c"name", "OSSL_PROV_PARAM_NAME";
    PROVIDER_VERSION = c"version", "OSSL_PROV_PARAM_VERSION";
    PROVIDER_BUILDINFO = c"buildinfo", "OSSL_PROV_PARAM_BUILDINFO";
    PROVIDER_STATUS = c"status", "OSSL_PROV_PARAM_STATUS";

    OBJECT_TYPE = c"type", "OSSL_OBJECT_PARAM_TYPE";
    OBJECT_DATA_TYPE = c"data-type", "OSSL_OBJECT_PARAM_DATA_TYPE";
    OBJECT_DATA_STRUCTURE = c"data-structure", "OSSL_OBJECT_PARAM_DATA_STRUCTURE";
    OBJECT_REFERENCE = c"reference", "OSSL_OBJECT_PARAM_REFERENCE";
    OBJECT_DATA = c"data", "OSSL_OBJECT_PARAM_DATA";
    OBJECT_DESC = c"desc", "OSSL_OBJECT_PARAM_DESC";

    PASSPHRASE_INFO = c"info", "OSSL_PASSPHRASE_PARAM_INFO";

    STORE_EXPECT = c"expect", "OSSL_STORE_PARAM_EXPECT";
    STORE_SUBJECT = c"subject", "OSSL_STORE_PARAM_SUBJECT";
    STORE_ISSUER = c"name", "OSSL_STORE_PARAM_ISSUER";
    STORE_SERIAL = c"serial", "OSSL_STORE_PARAM_SERIAL";
    STORE_DIGEST = c"digest", "OSSL_STORE_PARAM_DIGEST";
    STORE_FINGERPRINT = c"fingerprint", "OSSL_STORE_PARAM_FINGERPRINT";
    STORE_ALIAS = c"alias", "OSSL_STORE_PARAM_ALIAS";

    KEY_BITS = c"bits", "OSSL_PKEY_PARAM_BITS";
    KEY_MAX_SIZE = c"max-size", "OSSL_PKEY_PARAM_MAX_SIZE";
    KEY_SECURITY_BITS = c"security-bits", "OSSL_PKEY_PARAM_SECURITY_BITS";
    KEY_DEFAULT_DIGEST = c"default-digest", "OSSL_PKEY_PARAM_DEFAULT_DIGEST";
    KEY_MANDATORY_DIGEST = c"mandatory-digest", "OSSL_PKEY_PARAM_MANDATORY_DIGEST";
    KEY_GROUP_NAME = c"group", "OSSL_PKEY_PARAM_GROUP_NAME";
    KEY_PUB = c"pub", "OSSL_PKEY_PARAM_PUB_KEY";
    KEY_ENCODED_PUB = c"encoded-pub-key", "OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY";
    KEY_EC_PUB_X = c"qx", "OSSL_PKEY_PARAM_EC_PUB_X";
    KEY_EC_PUB_Y = c"qy", "OSSL_PKEY_PARAM_EC_PUB_Y";
    KEY_EC_ENCODING = c"encoding", "OSSL_PKEY_PARAM_EC_ENCODING";
    KEY_EC_POINT_FORMAT = c"point-format", "OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT";
    KEY_EC_DECODED_FROM_EXPLICIT = c"decoded-from-explicit", "OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS";
    KEY_RSA_N = c"n", "OSSL_PKEY_PARAM_RSA_N";
    KEY_RSA_E = c"e", "OSSL_PKEY_PARAM_RSA_E";

    SIGNATURE_ALGORITHM_ID = c"algorithm-id", "OSSL_SIGNATURE_PARAM_ALGORITHM_ID";
    SIGNATURE_PAD_MODE = c"pad-mode", "OSSL_SIGNATURE_PARAM_PAD_MODE";
    SIGNATURE_DIGEST = c"digest", "OSSL_SIGNATURE_PARAM_DIGEST";
    SIGNATURE_DIGEST_SIZE = c"digest-size", "OSSL_SIGNATURE_PARAM_DIGEST_SIZE";
    SIGNATURE_PROPERTIES = c"properties", "OSSL_SIGNATURE_PARAM_PROPERTIES";
    SIGNATURE_PSS_SALTLEN = c"saltlen", "OSSL_SIGNATURE_PARAM_PSS_SALTLEN";
    SIGNATURE_MGF1_DIGEST = c"mgf1-digest", "OSSL_SIGNATURE_PARAM_MGF1_DIGEST";
    SIGNATURE_MGF1_PROPERTIES = c"mgf1-properties", "OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES";

    PAD_NONE = c"none", "OSSL_PKEY_RSA_PAD_MODE_NONE";
    PAD_PKCS1 = c"pkcs1", "OSSL_PKEY_RSA_PAD_MODE_PKCSV15";
    PAD_PSS = c"pss", "OSSL_PKEY_RSA_PAD_MODE_PSS";
    SALTLEN_DIGEST = c"digest", "OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST";
    SALTLEN_AUTO = c"auto", "OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO";
}
