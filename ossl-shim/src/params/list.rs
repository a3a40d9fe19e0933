//! Parameters that we pass to a callback of the core.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};

use crate::abi::{OsslParam, data_type};

/// A terminated array that owns its values.
pub struct ParamList {
    params: Vec<OsslParam>,
    values: Vec<Box<[u8]>>,
}

impl Default for ParamList {
    fn default() -> Self {
        Self {
            params: vec![OsslParam::END],
            values: Vec::new(),
        }
    }
}

impl ParamList {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn int(self, key: &'static CStr, value: c_int) -> Self {
        let bytes = value.to_ne_bytes();
        let size = bytes.len();
        self.push(key, data_type::INTEGER, Box::from(bytes), size)
    }

    /// A big number from big-endian bytes.
    #[must_use]
    pub fn big_number(self, key: &'static CStr, big_endian: &[u8]) -> Self {
        let mut native = big_endian.to_vec();
        if cfg!(target_endian = "little") {
            native.reverse();
        }
        let size = native.len();
        self.push(key, data_type::UNSIGNED_INTEGER, native.into(), size)
    }

    #[must_use]
    pub fn utf8(self, key: &'static CStr, value: &CStr) -> Self {
        let bytes = CString::from(value).into_bytes_with_nul();
        let size = bytes.len() - 1;
        self.push(key, data_type::UTF8_STRING, bytes.into(), size)
    }

    #[must_use]
    pub fn octets(self, key: &'static CStr, value: &[u8]) -> Self {
        self.push(key, data_type::OCTET_STRING, value.into(), value.len())
    }

    fn push(
        mut self,
        key: &'static CStr,
        data_type: c_uint,
        mut value: Box<[u8]>,
        data_size: usize,
    ) -> Self {
        let param = OsslParam {
            key: key.as_ptr(),
            data_type,
            // The box's bytes stay where they are when the box moves.
            data: value.as_mut_ptr().cast::<c_void>(),
            data_size,
            return_size: data_type::UNMODIFIED,
        };
        self.values.push(value);
        self.params.insert(self.params.len() - 1, param);
        self
    }

    /// The array, valid while the list lives.
    pub(crate) fn as_ptr(&self) -> *const OsslParam {
        self.params.as_ptr()
    }
}
