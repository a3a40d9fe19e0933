//! Descriptions of the parameters that a function takes or answers.

use std::ffi::{CStr, c_uint};
use std::ptr;

use crate::abi::{OsslParam, data_type};

/// One parameter that can be read or set. Tables end with [`Descriptor::END`].
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Descriptor(OsslParam);

// SAFETY: the only pointer in it is the key, a `&'static CStr`.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// The end of a table.
    pub const END: Self = Self(OsslParam::END);

    /// An integer of the caller's size.
    pub const fn int(key: &'static CStr) -> Self {
        Self::of(key, data_type::INTEGER)
    }

    /// An unsigned integer of any size, big numbers included.
    pub const fn unsigned(key: &'static CStr) -> Self {
        Self::of(key, data_type::UNSIGNED_INTEGER)
    }

    /// UTF-8 text.
    pub const fn utf8(key: &'static CStr) -> Self {
        Self::of(key, data_type::UTF8_STRING)
    }

    /// Bytes.
    pub const fn octets(key: &'static CStr) -> Self {
        Self::of(key, data_type::OCTET_STRING)
    }

    const fn of(key: &'static CStr, data_type: c_uint) -> Self {
        Self(OsslParam {
            key: key.as_ptr(),
            data_type,
            data: ptr::null_mut(),
            data_size: 0,
            return_size: data_type::UNMODIFIED,
        })
    }

    /// The table as C reads it.
    ///
    /// # Panics
    /// If the table has no end, which every test that touches it would show.
    pub(crate) fn table(table: &'static [Self]) -> *const OsslParam {
        assert!(
            table.last().is_some_and(|last| last.0.key.is_null()),
            "a parameter table ends with Descriptor::END"
        );
        table.as_ptr().cast()
    }
}
