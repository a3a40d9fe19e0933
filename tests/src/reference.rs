//! Reference files as others may have written them.

/// A reference file in pkcs11-provider's format, its DER changed by `damage`.
pub fn reference(uri: &str, damage: impl FnOnce(&mut Vec<u8>)) -> String {
    let description = tagged(0x1A, b"PKCS#11 Provider URI v1.0");
    let mut der = tagged(0x30, &[description, tagged(0x0C, uri.as_bytes())].concat());
    damage(&mut der);
    pem("PKCS#11 PROVIDER URI", &der)
}

/// A value in DER.
pub fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short value");
    let [high, low] = length.to_be_bytes();
    let header: &[u8] = match length {
        0..128 => &[tag, low],
        128..256 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [header, value].concat()
}

/// DER as a PEM block.
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = openssl::base64::encode_block(der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
