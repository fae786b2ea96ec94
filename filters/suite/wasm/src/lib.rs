//! The module's entry points.
