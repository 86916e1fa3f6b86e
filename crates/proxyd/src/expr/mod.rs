//! The expression engine: samples, fetches, converters, ACL conditions, log formats. Sans-IO.
//!
//! Everything is compiled at load; evaluation reads [`crate::txn`], message heads and an [`Environment`], opens
//! nothing and asks no clock. [`Expr`], [`Condition`] and [`LogFormat`] compare and serialise as their source text.
//!
//! Every fetch, converter and log alias is one item in a table next to its code; [`keywords`] lists them.

pub mod acl;
mod args;
mod context;
pub mod conv;
mod data;
mod eval;
mod expression;
pub mod fetch;
pub mod keywords;
pub mod logformat;
mod pattern_file;
#[cfg(test)]
mod proptests;
mod references;
pub(crate) mod sample;
mod scope;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod vars;

/// The name of a missing feature: names that begin with `lua.` are functions of scripts.
pub(crate) const LUA: &str = "Lua";

pub use acl::{AclTable, Condition, Verdict};
pub use args::{Arg, ArgKind, Args};
pub use context::Contexts;
pub use data::Data;
pub use eval::{
    BackendView, Direction, Environment, EvalCtx, FetchState, FrontendView, Now, Payload, ProcessView,
    ServerView, Side, TlsSide, plain_environment,
};
pub use expression::Expr;
pub use logformat::{LogFormat, LogFormatOptions};
pub use pattern_file::{Look, PatternEntry, PatternFile, PatternFiles};
pub use references::{NameRef, RefKind, RefTarget, References, Resolver};
pub use sample::{Method, Sample, SampleType};
pub use scope::{FileLoader, LoadError, LoadState, NoFiles, ParseScope};
pub use vars::{Scope, VarName, Vars};
