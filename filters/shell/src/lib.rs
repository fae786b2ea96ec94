//! Runs a [`filter_kit`] filter inside a proxy-wasm host, ABI 0.2.1. Empty on other targets than wasm.
//!
//! It speaks the ABI itself and not through the SDK: an export that a filter does not need costs a crossing on every
//! request, the SDK exports them all; and the SDK's getters panic on a status that a host may well return.
#![cfg(target_arch = "wasm32")]

mod call;
mod env;
mod exchange;
mod raw;
mod runtime;
mod wait;

pub use raw::take_memory;
pub use runtime::{Action, Runtime};

#[doc(hidden)]
pub use filter_kit::Filter as __Filter;

/// Writes a module's entry points: `main!(MyFilter)` for a filter that looks at request heads only, and
/// `main!(MyFilter, request_body)`, `response_head`, `response_body` for what else it looks at; only those callbacks
/// are exported. `hold` stands in place of `request_body` where a request may be held; `call` stands beside either of them where a
/// service may be asked, since no body may go on before its answer. Once in each module.
#[macro_export]
macro_rules! main {
    ($filter:ty $(, $phase:ident)*) => {
        thread_local! {
            static RUNTIME: ::core::cell::RefCell<$crate::Runtime<$filter>> =
                ::core::cell::RefCell::new($crate::Runtime::new(&[$(stringify!($phase)),*]));
        }

        /// The host never re-enters a callback; if it did, the outcome is the one for "nothing happened".
        fn with<T>(otherwise: T, call: impl FnOnce(&mut $crate::Runtime<$filter>) -> T) -> T {
            RUNTIME.with(|runtime| match runtime.try_borrow_mut() {
                Ok(mut runtime) => call(&mut runtime),
                Err(_) => otherwise,
            })
        }

        $crate::exports!(head);
        $($crate::exports!($phase);)*
    };
}

/// The exports of one phase; used by [`main!`].
#[doc(hidden)]
#[macro_export]
macro_rules! exports {
    (head) => {
        unsafe extern "C" {
            fn __wasm_call_ctors();
        }

        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            // SAFETY: the linker makes this function; the host calls `_initialize` once, before all else
            #[allow(unsafe_code)]
            unsafe {
                __wasm_call_ctors();
            }
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_abi_version_0_2_1() {}

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
            $crate::take_memory(size)
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
            with((), |runtime| runtime.create(context, parent));
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_configure(root: u32, _size: usize) -> bool {
            with(false, |runtime| runtime.configure(root))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end: bool) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.request_head(context, end))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_delete(context: u32) {
            with((), |runtime| runtime.delete(context));
        }
    };
    (request_body) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_request_body(context: u32, size: usize, end: bool) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.request_body(context, size, end))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.request_trailers(context))
        }
    };
    (hold) => {
        $crate::exports!(request_body);

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_tick(root: u32) {
            with((), |runtime| runtime.tick(root));
        }
    };
    (call) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_grpc_receive(_root: u32, token: u32, _size: usize) {
            with((), |runtime| runtime.answer(token));
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_grpc_close(_root: u32, token: u32, status: u32) {
            with((), |runtime| runtime.failure(token, status));
        }
    };
    (response_head) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_response_headers(context: u32, _count: usize, end: bool) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.response_head(context, end))
        }
    };
    (response_body) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_response_body(context: u32, size: usize, end: bool) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.response_body(context, size, end))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> $crate::Action {
            with($crate::Action::Continue, |runtime| runtime.response_trailers(context))
        }
    };
}
