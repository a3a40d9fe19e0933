//! Entries that make a key: an own object of ours from `gen_init` to `gen_cleanup`.

use std::ffi::{c_int, c_void};

use super::{KeyManagement, Selection};
use crate::abi::{Callback, OsslParam};
use crate::boundary::enter;
use crate::operation::on;
use crate::ownership::{ContextRef, Held, HeldKey, Owned};
use crate::params::{Descriptor, ParamsIn};
use crate::provider::Provider;

pub(super) unsafe extern "C" fn gen_init<P: Provider, T: KeyManagement<P>>(
    provctx: *mut c_void,
    selection: c_int,
    params: *const OsslParam,
) -> *mut c_void {
    // SAFETY: the core passes our context and its terminated array.
    let (context, params) = unsafe { (ContextRef::<P>::new(provctx), ParamsIn::new(params)) };
    enter(context, c"keymgmt_gen_init", |context| {
        let mut value = T::begin(Selection(selection));
        T::set_new(&mut value, &params)?;
        Ok(Owned::hand_over(Held { context, value }))
    })
}

pub(super) unsafe extern "C" fn gen_set_params<P: Provider, T: KeyManagement<P>>(
    genctx: *mut c_void,
    params: *const OsslParam,
) -> c_int {
    // SAFETY: the core passes what `gen_init` made and its terminated array.
    unsafe {
        let params = ParamsIn::new(params);
        on::<P, T::New, _>(genctx, c"keymgmt_gen_set_params", |_, new| {
            T::set_new(new, &params)?;
            Ok(1)
        })
    }
}

pub(super) unsafe extern "C" fn gen_settable_params<P: Provider, T: KeyManagement<P>>(
    _: *mut c_void,
    _: *mut c_void,
) -> *const OsslParam {
    Descriptor::table(T::NEW)
}

/// Makes the key. The callback is for the steps of a search for primes, of which hardware tells nothing.
pub(super) unsafe extern "C" fn generate<P: Provider, T: KeyManagement<P>>(
    genctx: *mut c_void,
    _: Option<Callback>,
    _: *mut c_void,
) -> *mut c_void {
    // SAFETY: the core passes what `gen_init` made.
    unsafe {
        on::<P, T::New, _>(genctx, c"keymgmt_gen", |context, new| {
            let inner = context.get();
            let key = inner.core.shielded(|| T::generate(&inner.provider, new))?;
            Ok(Owned::<HeldKey<P>>::hand_over(Held {
                context,
                value: Some(key),
            }))
        })
    }
}

pub(super) unsafe extern "C" fn gen_cleanup<P: Provider, T: KeyManagement<P>>(genctx: *mut c_void) {
    // SAFETY: the core gives back what `gen_init` made.
    unsafe { Owned::<Held<P, T::New>>::free_late(genctx) };
}
