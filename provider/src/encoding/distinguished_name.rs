//! Comparing X.509 names, RFC 5280 §7.1: neither the kind of string, nor the case of letters, nor the
//! number of spaces makes a difference.

use der::asn1::{Any, BmpString, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::{Name, RelativeDistinguishedName};

/// Whether both are one name.
pub fn same_name(one: &Name, other: &Name) -> bool {
    canonical(one) == canonical(other)
}

/// The values of one relative name, sorted: it is a set.
type Relative = Vec<(ObjectIdentifier, Value)>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    /// What is no string: its DER.
    Bytes(Vec<u8>),
}

fn canonical(name: &Name) -> Vec<Relative> {
    name.iter_rdn().map(relative).collect()
}

fn relative(name: &RelativeDistinguishedName) -> Relative {
    let mut values: Relative = name
        .iter()
        .map(|attribute| (attribute.oid, value(&attribute.value)))
        .collect();
    values.sort();
    values
}

fn value(any: &Any) -> Value {
    match text(any) {
        Some(text) => {
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            Value::Text(words.join(" ").to_ascii_lowercase())
        }
        None => Value::Bytes(any.to_der().unwrap_or_default()),
    }
}

fn text(any: &Any) -> Option<String> {
    match any.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            String::from_utf8(any.value().to_vec()).ok()
        }
        // Taken for Latin-1, as OpenSSL does.
        Tag::TeletexString => Some(any.value().iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let string = BmpString::from_der(&any.to_der().ok()?).ok()?;
            Some(string.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of one attribute, CN, whose value has the tag and the bytes.
    fn name(tag: u8, value: &[u8]) -> Name {
        let wrap = |tag: u8, inside: &[u8]| [&[tag, inside.len() as u8], inside].concat();
        let oid = [6, 3, 0x55, 4, 3];
        let attribute = wrap(0x30, &[&oid[..], &wrap(tag, value)].concat());
        Name::from_der(&wrap(0x30, &wrap(0x31, &attribute))).unwrap()
    }

    #[test]
    fn spelling_does_not_matter_and_content_does() {
        let utf8 = name(12, b"Gateway  One");
        for (tag, same) in [
            (12, &b"gateway one"[..]),
            (19, b" GATEWAY one "),
            (20, b"Gateway One"),
            (30, b"\0G\0a\0t\0e\0w\0a\0y\0 \0O\0n\0e"),
        ] {
            assert!(same_name(&utf8, &name(tag, same)), "{tag}");
        }
        assert!(!same_name(&utf8, &name(12, b"gateway two")));
        assert!(!same_name(&utf8, &name(4, b"gateway one")));
    }
}
