//! What is read of an object on a token.

use std::fmt;

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki_sys::{
    CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY, CKK_RSA, CKO_CERTIFICATE, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
};
use der::Decode;
use der::asn1::{ObjectIdentifier, OctetStringRef, PrintableStringRef};
use p11_raw::{AttributeKind, Attributes, Mechanisms, ObjectHandle, Session};

use super::attempt::{Attempt, Failure};
use super::token::Token;
use crate::error::{Error, Reason, Result};
use crate::key::{Curve, Edwards, PublicKey};
use crate::uri::pkcs11::{ObjectType, Pkcs11Uri};

/// What an object is searched by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub id: Option<Vec<u8>>,
    pub label: Option<Vec<u8>>,
}

impl Pattern {
    pub fn of(uri: &Pkcs11Uri) -> Self {
        Self {
            id: uri.id.clone(),
            label: uri.object.clone(),
        }
    }

    /// What the other half of the key is searched by: cards give the halves different labels.
    pub fn of_other_half(&self) -> Self {
        match &self.id {
            Some(_) => Self {
                id: self.id.clone(),
                label: None,
            },
            None => self.clone(),
        }
    }

    fn template(&self, class: Option<ObjectClass>) -> Vec<Attribute> {
        let mut template = vec![Attribute::Token(true)];
        template.extend(class.map(Attribute::Class));
        template.extend(self.id.clone().map(Attribute::Id));
        template.extend(self.label.clone().map(Attribute::Label));
        template
    }
}

/// The attributes of a URI: `id=%01;object=device`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = Pkcs11Uri {
            id: self.id.clone(),
            object: self.label.clone(),
            ..Pkcs11Uri::default()
        };
        f.write_str(uri.to_string().trim_start_matches("pkcs11:"))
    }
}

/// A key or certificate on a token.
#[derive(Debug)]
pub struct Object {
    pub handle: ObjectHandle,
    pub class: ObjectType,
    pub id: Vec<u8>,
    pub label: Vec<u8>,
    attributes: Attributes,
}

/// The attributes that are read of every object, in one call.
const KINDS: &[AttributeKind] = &[
    AttributeKind::Class,
    AttributeKind::KeyType,
    AttributeKind::Id,
    AttributeKind::Label,
    AttributeKind::Sign,
    AttributeKind::AlwaysAuthenticate,
    AttributeKind::Modulus,
    AttributeKind::PublicExponent,
    AttributeKind::EcParams,
    AttributeKind::EcPoint,
    // The last: seldom there, and some modules stop at what they don't have.
    AttributeKind::AllowedMechanisms,
];

impl Object {
    /// The keys and certificates that match; one search for all kinds unless `class` is given.
    pub fn find(
        token: &Token,
        session: &Session,
        pattern: &Pattern,
        class: Option<ObjectClass>,
    ) -> std::result::Result<Vec<Self>, cryptoki::error::Error> {
        let raw = token.module.raw();
        let handles = raw.find_objects(session, &pattern.template(class))?;
        let mut objects = Vec::new();
        for handle in handles {
            let attributes = raw.attributes(session, handle, KINDS)?;
            objects.extend(Self::of(handle, attributes));
        }
        Ok(objects)
    }

    /// `None` for objects that are neither key pairs nor certificates.
    fn of(handle: ObjectHandle, attributes: Attributes) -> Option<Self> {
        #[allow(clippy::useless_conversion)] // CK_ULONG has 32 bits on some targets.
        let class = match attributes.number(AttributeKind::Class)? {
            class if class == u64::from(CKO_PRIVATE_KEY) => ObjectType::Private,
            class if class == u64::from(CKO_PUBLIC_KEY) => ObjectType::Public,
            class if class == u64::from(CKO_CERTIFICATE) => ObjectType::Certificate,
            _ => return None,
        };
        let bytes = |kind| attributes.bytes(kind).unwrap_or_default().to_vec();
        Some(Self {
            handle,
            class,
            id: bytes(AttributeKind::Id),
            label: bytes(AttributeKind::Label),
            attributes,
        })
    }

    /// CKA_SIGN; a token that does not tell is asked when it signs.
    pub fn may_sign(&self) -> bool {
        self.attributes.flag(AttributeKind::Sign) != Some(false)
    }

    /// CKA_ALLOWED_MECHANISMS; `None` allows all.
    pub fn allowed_mechanisms(&self) -> Option<Mechanisms> {
        self.attributes.mechanisms(AttributeKind::AllowedMechanisms)
    }

    /// CKA_ALWAYS_AUTHENTICATE.
    pub fn always_authenticate(&self) -> bool {
        self.attributes.flag(AttributeKind::AlwaysAuthenticate) == Some(true)
    }

    /// The label, or the id where there is none.
    pub fn name(&self) -> String {
        if self.label.is_empty() {
            let hex: String = self.id.iter().map(|byte| format!("{byte:02x}")).collect();
            return format!("id {hex}");
        }
        String::from_utf8_lossy(&self.label).into_owned()
    }

    /// For people: `private key "device"`.
    pub fn kind_and_name(&self) -> String {
        let kind = match self.class {
            ObjectType::Private => "private key",
            ObjectType::Public => "public key",
            ObjectType::Certificate => "certificate",
        };
        format!("{kind} \"{}\"", self.name())
    }

    /// The URI of exactly this object.
    pub fn uri(&self, token: &Token) -> Pkcs11Uri {
        let Pattern { id, label } = self.pattern();
        Pkcs11Uri {
            object: label,
            id,
            object_type: Some(self.class),
            ..token.uri()
        }
    }

    /// How to find this object, and its other half, again.
    pub fn pattern(&self) -> Pattern {
        Pattern {
            id: (!self.id.is_empty()).then(|| self.id.clone()),
            label: (!self.label.is_empty()).then(|| self.label.clone()),
        }
    }

    /// The public key that the object's own attributes hold. `Ok(None)` if they don't (the private
    /// half of an EC key seldom does).
    pub fn public_key(&self, token: &Token) -> Result<Option<PublicKey>> {
        self.read_public_key().map_err(|error| {
            error.within(&format!(
                "loading from {}, key \"{}\"",
                token.identity,
                self.name()
            ))
        })
    }

    fn read_public_key(&self) -> Result<Option<PublicKey>> {
        let bytes = |kind| {
            self.attributes
                .bytes(kind)
                .filter(|bytes| !bytes.is_empty())
        };
        let Some(key_type) = self.attributes.number(AttributeKind::KeyType) else {
            return Ok(None);
        };
        #[allow(clippy::useless_conversion)] // CK_ULONG has 32 bits on some targets.
        match key_type {
            kind if kind == u64::from(CKK_RSA) => {
                let modulus = bytes(AttributeKind::Modulus);
                let exponent = bytes(AttributeKind::PublicExponent);
                match (modulus, exponent) {
                    (Some(modulus), Some(exponent)) => PublicKey::rsa(modulus, exponent).map(Some),
                    _ => Ok(None),
                }
            }
            kind if kind == u64::from(CKK_EC) => {
                let params = bytes(AttributeKind::EcParams);
                let curve = params.map(curve).transpose()?;
                match (curve, bytes(AttributeKind::EcPoint)) {
                    (Some(curve), Some(point)) => {
                        let point = unwrapped(1 + 2 * curve.field_size(), point);
                        PublicKey::ec(curve, point).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            kind if kind == u64::from(CKK_EC_EDWARDS) => {
                let params = bytes(AttributeKind::EcParams);
                let curve = params.map(edwards).transpose()?;
                match (curve, bytes(AttributeKind::EcPoint)) {
                    (Some(curve), Some(point)) => {
                        let point = unwrapped(curve.key_size(), point);
                        PublicKey::edwards(curve, point).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            kind if kind == u64::from(CKK_EC_MONTGOMERY) => Err(unsupported("X25519 and X448")),
            kind => Err(unsupported(&format!("CKK 0x{kind:x}"))),
        }
    }

    /// The X.509 certificate in DER.
    pub fn certificate(&self, token: &Token, session: &Session) -> Attempt<Vec<u8>> {
        let (name, identity) = (self.name(), &token.identity);
        let attempted = || format!("reading the certificate \"{name}\" on {identity}");
        let kinds = [AttributeKind::Value];
        let read = token.module.raw().attributes(session, self.handle, &kinds);
        let read = read.map_err(Failure::of(attempted))?;
        let value = read
            .bytes(AttributeKind::Value)
            .filter(|value| !value.is_empty());
        value.map(<[u8]>::to_vec).ok_or_else(|| {
            let cure = "it has no CKA_VALUE; write it to the token again";
            Error::new(Reason::NoSuchKey, format!("{}: {cure}", attempted())).into()
        })
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(
        Reason::UnsupportedKey,
        format!(
            "hwkey signs with RSA, EC (P-224 to P-521, secp256k1, Brainpool) and EdDSA keys, not with \
             {what}"
        ),
    )
}

/// CKA_EC_PARAMS holds the OID of a named curve (PKCS#11 v3.1 §6.3.3).
fn curve(params: &[u8]) -> Result<Curve> {
    let oid = ObjectIdentifier::from_der(params)
        .map_err(|_| unsupported("a key whose CKA_EC_PARAMS do not name a curve"))?;
    Curve::by_oid(oid).ok_or_else(|| unsupported(&format!("the curve {}", curve_name(oid))))
}

/// For EdDSA they hold the curve's OID (RFC 8410), or its name (PKCS#11 v3.0 §2.3.10).
fn edwards(params: &[u8]) -> Result<Edwards> {
    let by_name = PrintableStringRef::from_der(params).ok();
    match by_name.as_ref().map(PrintableStringRef::as_str) {
        Some("edwards25519") => return Ok(Edwards::Ed25519),
        Some("edwards448") => return Ok(Edwards::Ed448),
        _ => {}
    }
    let oid = ObjectIdentifier::from_der(params).ok();
    let known = [Edwards::Ed25519, Edwards::Ed448];
    let curve = known.into_iter().find(|curve| Some(curve.oid()) == oid);
    curve.ok_or_else(|| unsupported("an EdDSA key on an unknown curve"))
}

/// CKA_EC_POINT is an OCTET STRING around the point; some modules leave it out. `size` is that of
/// the point.
fn unwrapped(size: usize, point: &[u8]) -> &[u8] {
    if point.len() == size {
        return point;
    }
    <&OctetStringRef>::from_der(point).map_or(point, OctetStringRef::as_bytes)
}

/// The name by which people know a curve that we don't do.
fn curve_name(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    let name = match oid.as_str() {
        "1.2.840.10045.3.1.1" => "P-192",
        "1.3.36.3.3.2.8.1.1.1" => "brainpoolP160r1",
        "1.3.36.3.3.2.8.1.1.3" => "brainpoolP192r1",
        "1.3.36.3.3.2.8.1.1.5" => "brainpoolP224r1",
        "1.3.36.3.3.2.8.1.1.9" => "brainpoolP320r1",
        _ => return oid,
    };
    format!("{name} ({oid})")
}
