//! `C_GetAttributeValue`, PKCS#11 v3.1 §5.7.5.

use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv, RvError};
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_FALSE, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_ALLOWED_MECHANISMS, CKA_ALWAYS_AUTHENTICATE, CKA_CLASS, CKA_EC_PARAMS, CKA_EC_POINT,
    CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_SIGN, CKA_VALUE,
};

use crate::module::{Module, function};
use crate::objects::ObjectHandle;
use crate::session::Session;
use crate::slots::Mechanisms;

/// No attribute that we read is larger; a module that says so is not believed.
const LIMIT: usize = 1 << 20;

/// The attributes that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    Class,
    KeyType,
    Id,
    Label,
    Sign,
    AlwaysAuthenticate,
    Modulus,
    PublicExponent,
    EcParams,
    EcPoint,
    Value,
    AllowedMechanisms,
}

impl AttributeKind {
    fn code(self) -> CK_ATTRIBUTE_TYPE {
        match self {
            Self::Class => CKA_CLASS,
            Self::KeyType => CKA_KEY_TYPE,
            Self::Id => CKA_ID,
            Self::Label => CKA_LABEL,
            Self::Sign => CKA_SIGN,
            Self::AlwaysAuthenticate => CKA_ALWAYS_AUTHENTICATE,
            Self::Modulus => CKA_MODULUS,
            Self::PublicExponent => CKA_PUBLIC_EXPONENT,
            Self::EcParams => CKA_EC_PARAMS,
            Self::EcPoint => CKA_EC_POINT,
            Self::Value => CKA_VALUE,
            Self::AllowedMechanisms => CKA_ALLOWED_MECHANISMS,
        }
    }

    /// Room for the value and one byte at least: an attribute whose length comes back as it was
    /// given has not been answered.
    fn usual_size(self) -> usize {
        match self {
            Self::Class | Self::KeyType | Self::Sign | Self::AlwaysAuthenticate => 16,
            Self::PublicExponent => 32,
            Self::EcParams => 64,
            Self::Id | Self::Label | Self::EcPoint | Self::AllowedMechanisms => 256,
            Self::Modulus => 1025,
            Self::Value => 4096,
        }
    }
}

/// What was read of one object. An attribute that the object does not have, or does not show, is
/// absent.
#[derive(Debug, Default)]
pub struct Attributes(Vec<(AttributeKind, Vec<u8>)>);

impl Attributes {
    /// The bytes of an attribute.
    pub fn bytes(&self, kind: AttributeKind) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| *known == kind);
        found.map(|(_, value)| value.as_slice())
    }

    /// A `CK_ULONG` attribute.
    #[allow(clippy::useless_conversion)] // CK_ULONG has 32 bits on some targets.
    pub fn number(&self, kind: AttributeKind) -> Option<u64> {
        let bytes = self.bytes(kind)?.try_into().ok()?;
        Some(CK_ULONG::from_ne_bytes(bytes).into())
    }

    /// A list of mechanisms. `None` if there is none, or none in it.
    pub fn mechanisms(&self, kind: AttributeKind) -> Option<Mechanisms> {
        let numbers = self.bytes(kind)?.chunks_exact(size_of::<CK_ULONG>());
        let numbers: Vec<CK_ULONG> = numbers
            .filter_map(|bytes| Some(CK_ULONG::from_ne_bytes(bytes.try_into().ok()?)))
            .collect();
        (!numbers.is_empty()).then_some(Mechanisms(numbers))
    }

    /// A `CK_BBOOL` attribute.
    pub fn flag(&self, kind: AttributeKind) -> Option<bool> {
        self.bytes(kind)?.first().map(|byte| *byte != CK_FALSE)
    }
}

impl Module {
    /// Reads `kinds` of `object`: one call, and two more for each attribute that is unusually
    /// large or that the module passed over (some stop at the first one they can't answer).
    pub fn attributes(
        &self,
        session: &Session,
        object: ObjectHandle,
        kinds: &[AttributeKind],
    ) -> Result<Attributes> {
        let mut values: Vec<Vec<u8>> = kinds.iter().map(|k| vec![0; k.usual_size()]).collect();
        let mut template: Vec<CK_ATTRIBUTE> = kinds
            .iter()
            .zip(&mut values)
            .map(|(kind, value)| attribute(*kind, value.as_mut_ptr(), value.len()))
            .collect();
        let answer = self.call(session, object, &mut template)?;
        let lengths: Vec<CK_ULONG> = template
            .iter()
            .map(|answered| answered.ulValueLen)
            .collect();

        let mut found = Vec::with_capacity(kinds.len());
        for ((kind, mut value), length) in kinds.iter().copied().zip(values).zip(lengths) {
            let read = match usize::try_from(length) {
                Ok(length) if length < value.len() => {
                    value.truncate(length);
                    Some(value)
                }
                _ if length == CK_UNAVAILABLE_INFORMATION && answer == Answer::Partial => None,
                _ => self.read_one(session, object, kind)?,
            };
            found.extend(read.map(|value| (kind, value)));
        }
        Ok(Attributes(found))
    }

    /// Asks for the size first.
    fn read_one(
        &self,
        session: &Session,
        object: ObjectHandle,
        kind: AttributeKind,
    ) -> Result<Option<Vec<u8>>> {
        let mut template = [attribute(kind, ptr::null_mut(), 0)];
        let answer = self.call(session, object, &mut template)?;
        let length = template[0].ulValueLen;
        if answer != Answer::Whole || length == CK_UNAVAILABLE_INFORMATION {
            return Ok(None);
        }
        let size = usize::try_from(length)?;
        if size > LIMIT {
            return Err(Error::InvalidValue);
        }
        let mut value = vec![0; size];
        let mut template = [attribute(kind, value.as_mut_ptr(), size)];
        let answer = self.call(session, object, &mut template)?;
        let length = usize::try_from(template[0].ulValueLen)?;
        value.truncate(length);
        Ok((answer == Answer::Whole && length <= size).then_some(value))
    }

    fn call(
        &self,
        session: &Session,
        object: ObjectHandle,
        template: &mut [CK_ATTRIBUTE],
    ) -> Result<Answer> {
        let get = function!(self, C_GetAttributeValue);
        let count = CK_ULONG::try_from(template.len())?;
        // SAFETY: the session is open in this module; each element of the template points to a
        // buffer of its length, or is a size query with a null pointer.
        let code = unsafe { get(session.0, object.0, template.as_mut_ptr(), count) };
        match Rv::from(code) {
            Rv::Ok => Ok(Answer::Whole),
            Rv::Error(RvError::AttributeSensitive | RvError::AttributeTypeInvalid) => {
                Ok(Answer::Partial)
            }
            Rv::Error(RvError::BufferTooSmall) => Ok(Answer::TooSmall),
            Rv::Error(error) => Err(Error::Pkcs11(error, Function::GetAttributeValue)),
        }
    }
}

/// How `C_GetAttributeValue` answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Whole,
    /// Some attribute does not exist or is not shown.
    Partial,
    TooSmall,
}

fn attribute(kind: AttributeKind, value: *mut u8, length: usize) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind.code(),
        pValue: value.cast(),
        // Bounded by LIMIT.
        ulValueLen: length as CK_ULONG,
    }
}
