//! Names in arguments (backends, servers, tables, user lists) that may be declared after the line that uses them.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use hacore::diag::{Diagnostic, Diagnostics, Span};

use crate::model::{ProxyId, ServerId};

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefKind {
    Frontend,
    Backend,
    /// `[backend/]server`.
    Server,
    Table,
    UserList,
}

impl RefKind {
    pub fn noun(self) -> &'static str {
        match self {
            RefKind::Frontend => "frontend",
            RefKind::Backend => "backend",
            RefKind::Server => "server",
            RefKind::Table => "table",
            RefKind::UserList => "userlist",
        }
    }
}

/// What a name turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefTarget {
    Proxy(ProxyId),
    Server(ProxyId, ServerId),
    /// The proxy that declares the stick table.
    Table(ProxyId),
    /// The index of the user list in declaration order.
    UserList(u32),
}

/// A name used in an argument; resolved once, after all files were read.
#[derive(Debug)]
pub struct NameRef {
    pub kind: RefKind,
    /// As written; empty means the proxy in which the expression stands.
    pub name: Box<str>,
    /// The fetch or converter, for messages.
    pub keyword: &'static str,
    /// Position among its arguments, from 1.
    pub argument: usize,
    /// The proxy in which the expression stands.
    pub proxy: Option<Box<str>>,
    pub span: Span,
    target: OnceLock<RefTarget>,
}

impl NameRef {
    pub fn new(kind: RefKind, name: &str, keyword: &'static str, argument: usize, span: Span) -> Self {
        Self { kind, name: name.into(), keyword, argument, proxy: None, span, target: OnceLock::new() }
    }

    /// `None` until [`References::resolve`] found it.
    pub fn target(&self) -> Option<RefTarget> {
        self.target.get().copied()
    }

    pub fn proxy_id(&self) -> Option<ProxyId> {
        match self.target()? {
            RefTarget::Proxy(id) | RefTarget::Table(id) | RefTarget::Server(id, _) => Some(id),
            RefTarget::UserList(_) => None,
        }
    }
}

/// Knows all names once everything was read.
pub trait Resolver {
    /// `reference.name` is empty when the proxy of the expression itself is meant.
    fn resolve(&self, reference: &NameRef) -> Option<RefTarget>;
}

/// All names that one load has used; filled by the parsers, resolved at its end.
#[derive(Debug, Default)]
pub struct References {
    list: RefCell<Vec<Arc<NameRef>>>,
}

impl References {
    pub fn add(&self, reference: Arc<NameRef>) {
        self.list.borrow_mut().push(reference);
    }

    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Resolves every name, and reports those that nothing bears, in HAProxy's words.
    pub fn resolve(&self, resolver: &dyn Resolver) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for reference in self.list.borrow().iter() {
            match resolver.resolve(reference) {
                Some(target) => {
                    let _ = reference.target.set(target);
                }
                None => diagnostics.push(
                    Diagnostic::alert(format!(
                        "unable to find {} '{}' referenced in arg {} of sample fetch keyword '{}' in proxy '{}'.",
                        reference.kind.noun(),
                        reference.name,
                        reference.argument,
                        reference.keyword,
                        reference.proxy.as_deref().unwrap_or("<NONE>"),
                    ))
                    .at(reference.span),
                ),
            }
        }
        diagnostics
    }
}
