//! Limits requests by any key, exactly over all workers, in memory of a fixed size.

pub mod bucket;
pub mod set;
pub mod window;
