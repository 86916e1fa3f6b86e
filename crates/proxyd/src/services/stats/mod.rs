//! Statistics of proxies and of the process, as values; [`encode`] makes text of them.
//!
//! ```text
//! Snapshot ── walk, collect ──▶ StatRow ── encode ──▶ CSV, typed, JSON
//!          ── info ───────────▶ InfoField ─ encode ─▶ lines, typed, JSON
//! ```

pub mod collect;
pub mod columns;
pub mod encode;
pub mod form;
pub mod info;
pub mod page;
mod row;
pub mod walk;

pub use columns::{COLUMN_COUNT, COLUMNS, Column, ColumnInfo};
pub use row::{ObjectKind, StatRow, Value};
