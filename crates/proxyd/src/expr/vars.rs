//! Variables: `proc.`, `sess.`, `txn.`, `req.`, `res.`, `check.` (configuration manual, "set-var").

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::Sample;

/// How long a variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    Process,
    Session,
    Transaction,
    Request,
    Response,
    Check,
}

/// A variable's scope and name, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarName {
    pub scope: Scope,
    /// Without the scope.
    pub name: Arc<str>,
}

impl VarName {
    /// Parses `txn.name`; the error is HAProxy's wording without the place.
    pub fn parse(text: &str) -> Result<VarName, String> {
        const LENGTH_MAX: usize = 256;
        let (scope, name) = [
            ("proc.", Scope::Process),
            ("sess.", Scope::Session),
            ("txn.", Scope::Transaction),
            ("req.", Scope::Request),
            ("res.", Scope::Response),
            ("check.", Scope::Check),
        ]
        .iter()
        .find_map(|&(prefix, scope)| Some((scope, text.strip_prefix(prefix)?)))
        .ok_or_else(|| {
            format!(
                "invalid variable name '{text}'. A variable name must be start by its scope. \
                 The scope can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'"
            )
        })?;
        if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
        {
            return Err(format!("invalid syntax at char '{}'", &name[name.find(bad).unwrap_or(0)..]));
        }
        if name.is_empty() || name.len() > LENGTH_MAX {
            return Err(format!("variable name '{text}' is empty or too long"));
        }
        Ok(VarName { scope, name: name.into() })
    }
}

#[derive(Debug, Default)]
struct Table {
    entries: RefCell<Vec<(Arc<str>, Sample<'static>)>>,
}

impl Table {
    fn get(&self, name: &Arc<str>) -> Option<Sample<'static>> {
        let entries = self.entries.borrow();
        entries.iter().find(|(n, _)| Arc::ptr_eq(n, name) || n == name).map(|(_, value)| value.clone())
    }

    fn set(&self, name: &Arc<str>, value: Option<Sample<'static>>) -> bool {
        let mut entries = self.entries.borrow_mut();
        let at = entries.iter().position(|(n, _)| n == name);
        match (at, value) {
            (Some(at), Some(value)) => entries[at].1 = value,
            (Some(at), None) => {
                entries.swap_remove(at);
            }
            (None, Some(value)) if entries.len() < Vars::COUNT_MAX => entries.push((Arc::clone(name), value)),
            (None, Some(_)) => return false,
            (None, None) => {}
        }
        true
    }
}

/// All variables of one session and its current transaction. Process-wide ones are the [`super::Environment`]'s.
///
/// A scope takes memory when its first variable is set.
#[derive(Debug, Default)]
pub struct Vars {
    /// Shared by the streams of an HTTP/2 connection.
    session: OnceCell<Rc<Table>>,
    shorter: OnceCell<Box<Shorter>>,
}

/// The scopes that live no longer than a transaction, or a check.
#[derive(Debug, Default)]
struct Shorter {
    transaction: Table,
    request: Table,
    response: Table,
    check: Table,
}

impl Shorter {
    fn table(&self, scope: Scope) -> Option<&Table> {
        match scope {
            Scope::Process | Scope::Session => None,
            Scope::Transaction => Some(&self.transaction),
            Scope::Request => Some(&self.request),
            Scope::Response => Some(&self.response),
            Scope::Check => Some(&self.check),
        }
    }
}

impl Vars {
    /// The most variables of one scope; names come from the configuration, so this is never met in earnest.
    pub const COUNT_MAX: usize = 4096;

    /// Variables of another stream of the same session.
    #[must_use]
    pub fn of_same_session(&self) -> Self {
        let session = Rc::clone(self.session.get_or_init(Rc::default));
        Self { session: session.into(), shorter: OnceCell::new() }
    }

    /// A scope that has had a variable.
    fn table(&self, scope: Scope) -> Option<&Table> {
        match scope {
            Scope::Session => self.session.get().map(|table| &**table),
            scope => self.shorter.get()?.table(scope),
        }
    }

    /// `None` when it is not set. Strings are shared, not copied.
    pub fn get(&self, name: &VarName) -> Option<Sample<'static>> {
        self.table(name.scope)?.get(&name.name)
    }

    /// Sets or replaces it; `false` when the scope is full or not kept here.
    pub fn set(&self, name: &VarName, value: Sample<'_>) -> bool {
        let table = match name.scope {
            Scope::Session => Some(&**self.session.get_or_init(Rc::default)),
            scope => self.shorter.get_or_init(Box::default).table(scope),
        };
        table.is_some_and(|table| table.set(&name.name, Some(value.into_static())))
    }

    pub fn unset(&self, name: &VarName) {
        if let Some(table) = self.table(name.scope) {
            table.set(&name.name, None);
        }
    }

    fn clear_scopes(&self, scopes: &[Scope]) {
        for table in scopes.iter().filter_map(|scope| self.table(*scope)) {
            table.entries.borrow_mut().clear();
        }
    }

    /// Forgets what belongs to the request that ended: `txn`, `req`, `res`.
    pub fn end_transaction(&self) {
        if self.shorter.get().is_some() {
            self.clear_scopes(&[Scope::Transaction, Scope::Request, Scope::Response]);
        }
    }

    /// Forgets `req` variables, when the request has been sent.
    pub fn end_request(&self) {
        self.clear_scopes(&[Scope::Request]);
    }

    /// Every variable of a scope, in order of first setting; for `dump_all_vars`.
    pub fn list(&self, scope: Scope) -> Vec<(Arc<str>, Sample<'static>)> {
        self.table(scope).map(|table| table.entries.borrow().clone()).unwrap_or_default()
    }

    /// Forgets everything, when the session ends.
    pub fn clear(&self) {
        self.clear_scopes(&[
            Scope::Transaction,
            Scope::Request,
            Scope::Response,
            Scope::Session,
            Scope::Check,
        ]);
    }
}
