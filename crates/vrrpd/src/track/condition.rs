//! What a tracker has found, whatever it means to those who follow it.

/// One finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No result yet.
    Unknown,
    /// As it should be.
    Good,
    /// Not so.
    Bad,
    /// The number in a file.
    Value(i64),
}
