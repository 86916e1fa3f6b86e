//! Telling the outside about state changes.

pub mod security;
