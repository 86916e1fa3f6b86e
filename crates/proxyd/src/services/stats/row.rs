//! One row of statistics: a frontend, backend, server or listener.

use std::borrow::Cow;

use super::columns::{COLUMN_COUNT, Column};
use super::walk::Columns;

/// What a row is about; the number is the `type` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    Frontend = 0,
    Backend = 1,
    Server = 2,
    Listener = 3,
}

impl ObjectKind {
    /// The letter of the typed format.
    pub fn letter(self) -> char {
        match self {
            ObjectKind::Frontend => 'F',
            ObjectKind::Backend => 'B',
            ObjectKind::Server => 'S',
            ObjectKind::Listener => 'L',
        }
    }

    /// The name in the JSON format.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Frontend => "Frontend",
            ObjectKind::Backend => "Backend",
            ObjectKind::Server => "Server",
            ObjectKind::Listener => "Listener",
        }
    }

    /// The bit of `show stat <iid> <type> <sid>`: 1 frontends, 2 backends, 4 servers, 8 listeners.
    pub const fn filter_bit(self) -> u32 {
        1 << (self as u8)
    }
}

/// A value with its type as the typed format names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    U32(u32),
    U64(u64),
    S32(i32),
    Text(Cow<'static, str>),
}

impl Value {
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Value::Text(text.into())
    }

    /// `u32`, `u64`, `s32`, `str`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::U32(_) => "u32",
            Value::U64(_) => "u64",
            Value::S32(_) => "s32",
            Value::Text(_) => "str",
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::U32(n) => n.fmt(f),
            Value::U64(n) => n.fmt(f),
            Value::S32(n) => n.fmt(f),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// The values of one object; a column without meaning for it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatRow {
    pub kind: ObjectKind,
    /// `iid`: the proxy's number.
    pub proxy_number: u32,
    /// `sid`: the server's or listener's number, 0 for the others.
    pub object_number: u32,
    values: Vec<Option<Value>>,
    wanted: Columns,
}

impl StatRow {
    /// An empty row but for the columns that name the object.
    pub fn new(kind: ObjectKind, proxy: &str, service: &str, proxy_number: u32, object_number: u32) -> Self {
        let mut row = Self {
            kind,
            proxy_number,
            object_number,
            values: vec![None; COLUMN_COUNT],
            wanted: Columns::ALL,
        };
        row.set(Column::ProxyName, Value::text(proxy.to_owned()));
        row.set(Column::ServiceName, Value::text(service.to_owned()));
        row.set(Column::ProcessNumber, Value::U32(1));
        row.set(Column::ProxyNumber, Value::U32(proxy_number));
        row.set(Column::ServerNumber, Value::U32(object_number));
        row.set(Column::Type, Value::U32(u32::from(kind as u8)));
        row
    }

    /// The same, for which only some columns will be looked up.
    pub fn only(mut self, columns: Columns) -> Self {
        self.wanted = columns;
        self
    }

    /// Whether it is worth while to find out what [`Self::set`] would be given.
    pub fn wants(&self, column: Column) -> bool {
        self.wanted.has(column)
    }

    pub fn set(&mut self, column: Column, value: Value) {
        if !self.wants(column) {
            return;
        }
        if let Some(slot) = self.values.get_mut(column as usize) {
            *slot = Some(value);
        }
    }

    pub fn value(&self, column: Column) -> Option<&Value> {
        self.values.get(column as usize)?.as_ref()
    }

    /// All columns in order.
    pub fn values(&self) -> impl Iterator<Item = (&'static super::ColumnInfo, Option<&Value>)> {
        super::COLUMNS.iter().zip(self.values.iter().map(Option::as_ref))
    }
}
