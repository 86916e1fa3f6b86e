//! Diagnostics about configuration text: where, how bad, what the original program would say, and how to fix it.
//!
//! A parser never stops at the first error: it returns `(Option<Model>, Diagnostics)`.
//! What this module does not do: know either daemon's line format; that is a [`render::Style`].

mod collection;
pub mod render;
mod source;
pub mod suggest;
mod words;

pub use collection::{Diagnostic, Diagnostics, PositionForm, Severity};
pub use source::{FileId, SourceFile, SourceMap, Span};
pub use words::{Word, Words};
