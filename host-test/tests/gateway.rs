//! The embedded gateway between real sockets. Everything is bounded in time: a socket that hangs fails its test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "gateway/access.rs"]
mod access;
#[path = "gateway/bad_input.rs"]
mod bad_input;
#[path = "gateway/filters.rs"]
mod filters;
#[path = "gateway/forwarded.rs"]
mod forwarded;
#[path = "gateway/grpc.rs"]
mod grpc;
#[path = "support/grpc.rs"]
mod grpc_server;
#[path = "gateway/mirror.rs"]
mod mirror;
#[path = "gateway/proxy.rs"]
mod proxy;
#[path = "gateway/reload.rs"]
mod reload;
#[path = "gateway/retry.rs"]
mod retry;
#[path = "gateway/routes.rs"]
mod routes;
#[path = "gateway/support.rs"]
mod support;
