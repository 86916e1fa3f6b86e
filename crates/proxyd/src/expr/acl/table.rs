//! Named ACLs of one proxy, and the predefined ones.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use hacore::diag::{Diagnostic, FileId, Span, Word, Words};
use parking_lot::Mutex;

use super::AclExpr;
use super::condition::Verdict;
use crate::expr::{Contexts, EvalCtx, ParseScope};

/// One ACL: all `acl` lines of a name; any of them may match.
#[derive(Debug)]
pub struct Acl {
    pub name: Box<str>,
    /// Lines may be added after a condition already uses the name, so the list is one of set-once links.
    first: OnceLock<Arc<Link>>,
    /// The end of the list, so that a file may have very many lines of one name.
    last: Mutex<Option<Arc<Link>>>,
}

#[derive(Debug)]
struct Link {
    expr: AclExpr,
    next: OnceLock<Arc<Link>>,
}

impl Acl {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), first: OnceLock::new(), last: Mutex::new(None) }
    }

    pub(super) fn push(&self, expr: AclExpr) {
        let link = Arc::new(Link { expr, next: OnceLock::new() });
        let mut last = self.last.lock();
        let slot = last.as_ref().map_or(&self.first, |link| &link.next);
        let _ = slot.set(Arc::clone(&link));
        *last = Some(link);
    }

    pub fn expressions(&self) -> impl Iterator<Item = &AclExpr> {
        std::iter::successors(self.first.get(), |link| link.next.get()).map(|link| &link.expr)
    }

    /// Where at least one of its expressions has data.
    pub fn contexts(&self) -> Contexts {
        self.expressions().fold(Contexts::default(), |all, expr| all | expr.contexts())
    }

    pub fn eval(&self, ctx: &EvalCtx<'_>) -> Verdict {
        let mut result = Verdict::Fail;
        for expr in self.expressions() {
            result = result.or(expr.eval(ctx));
            if result == Verdict::Pass {
                break;
            }
        }
        result
    }
}

impl Drop for Acl {
    /// One link after the other: a long list must not become a deep recursion.
    fn drop(&mut self) {
        *self.last.get_mut() = None;
        let mut next = self.first.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.next.take();
        }
    }
}

/// The ACLs that conditions of one proxy may name.
#[derive(Debug, Default, Clone)]
pub struct AclTable {
    named: RefCell<HashMap<Box<str>, Arc<Acl>>>,
}

/// Names and definitions of the manual's section 7.4.
const PREDEFINED: &[(&str, &str)] = &[
    ("FALSE", "always_false"),
    ("HTTP", "req.proto_http"),
    ("HTTP_1.0", "req.ver 1.0"),
    ("HTTP_1.1", "req.ver 1.1"),
    ("HTTP_2.0", "req.ver 2.0"),
    ("HTTP_3.0", "req.ver 3.0"),
    ("HTTP_CONTENT", "req.hdr_val(content-length) gt 0"),
    ("HTTP_URL_ABS", "url_reg ^[^/:]*://"),
    ("HTTP_URL_SLASH", "url_beg /"),
    ("HTTP_URL_STAR", "url *"),
    ("LOCALHOST", "src 127.0.0.1/8 ::1"),
    ("METH_CONNECT", "method CONNECT"),
    ("METH_DELETE", "method DELETE"),
    ("METH_GET", "method GET HEAD"),
    ("METH_HEAD", "method HEAD"),
    ("METH_OPTIONS", "method OPTIONS"),
    ("METH_POST", "method POST"),
    ("METH_PUT", "method PUT"),
    ("METH_TRACE", "method TRACE"),
    ("RDP_COOKIE", "req.rdp_cookie_cnt gt 0"),
    ("REQ_CONTENT", "req.len gt 0"),
    ("TRUE", "always_true"),
    ("WAIT_END", "wait_end"),
];

impl AclTable {
    /// `acl <name> <criterion> [flags] [patterns]`: adds an expression to the ACL of that name.
    pub fn define(
        &self,
        name: &Word,
        words: &mut Words<'_>,
        scope: &ParseScope<'_>,
    ) -> Result<(), Diagnostic> {
        let text = name.as_str();
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.:".contains(*c))) {
            return Err(Diagnostic::alert(format!(
                "character '{bad}' is not permitted in acl name '{text}'"
            ))
            .at(name.span));
        }
        if text.eq_ignore_ascii_case("or") {
            return Err(Diagnostic::alert(format!(
                "acl name '{text}' will never match. 'or' is used to express a logical disjunction within a condition"
            ))
            .at(name.span));
        }
        let expr = AclExpr::parse(words, scope)
            .map_err(|d| prefixed(d, &format!("error detected while parsing ACL '{text}'")))?;
        if let Some(known) = self.named.borrow().get(text)
            && refers_to(&expr, known)
        {
            let message = format!("ACL '{text}' depends on itself through 'acl()'");
            return Err(Diagnostic::alert(message).at(name.span));
        }
        let mut named = self.named.borrow_mut();
        named.entry(text.into()).or_insert_with(|| Arc::new(Acl::new(text))).push(expr);
        Ok(())
    }

    /// The ACL of this name: the proxy's own, or a predefined one.
    pub fn find(&self, name: &str, scope: &ParseScope<'_>) -> Option<Arc<Acl>> {
        if let Some(acl) = self.named.borrow().get(name) {
            return Some(Arc::clone(acl));
        }
        let (name, definition) = PREDEFINED.iter().find(|(predefined, _)| *predefined == name)?;
        let span = Span::line(FileId(0), 0);
        let words: Vec<Word> =
            definition.split(' ').map(|w| Word::new(w.as_bytes().to_vec(), span)).collect();
        let expr = AclExpr::parse(&mut Words::new(&words, span), scope).ok()?;
        let acl = Arc::new(Acl::new(name));
        acl.push(expr);
        self.named.borrow_mut().insert((*name).into(), Arc::clone(&acl));
        Some(acl)
    }

    /// Whether no condition has asked for the ACL of this name.
    pub fn is_unused(&self, name: &str) -> bool {
        self.named.borrow().get(name).is_some_and(|acl| Arc::strong_count(acl) == 1)
    }

    /// Names for "did you mean".
    pub fn names(&self) -> Vec<String> {
        let named = self.named.borrow();
        let own = named.keys().map(|name| name.to_string());
        own.chain(PREDEFINED.iter().map(|(name, _)| (*name).to_owned())).collect()
    }
}

/// Whether an expression asks for `acl`, directly or through the ACLs that it names.
fn refers_to(expr: &AclExpr, acl: &Arc<Acl>) -> bool {
    expr.expr()
        .named_acls()
        .any(|named| Arc::ptr_eq(named, acl) || named.expressions().any(|inner| refers_to(inner, acl)))
}

/// The same diagnostic with HAProxy's `<where> : ` before its message.
pub(super) fn prefixed(mut diagnostic: Diagnostic, prefix: &str) -> Diagnostic {
    diagnostic.message = format!("{prefix} : {}", diagnostic.message);
    diagnostic
}
