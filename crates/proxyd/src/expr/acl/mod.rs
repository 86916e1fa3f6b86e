//! ACLs and conditions (configuration manual, sections 7.1 and 7.2).

mod condition;
mod derived;
mod expression;
mod matcher;
pub(crate) mod pattern;
mod table;

pub use condition::{Condition, Verdict};
pub use derived::{DerivedAcl, derived_acls};
pub use expression::AclExpr;
pub use matcher::{MatchMethod, Matcher};
pub(crate) use pattern::{PatternSet, compile_regex};
pub use table::{Acl, AclTable};
