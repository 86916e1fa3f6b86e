//! What a parser of expressions must know about the place it parses for.

use std::sync::Arc;

use hacore::diag::{Diagnostic, Diagnostics};

use super::{AclTable, Contexts, NameRef, PatternFiles, References};
use crate::model::Mode;

/// Why a pattern or map file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("failed to open pattern file <{path}>")]
    Open { path: String, reason: String },
    #[error("'{path}' has more than {limit} entries")]
    TooLong { path: String, limit: usize },
}

/// Reads the files that `-f` and maps name: the configuration loader's part, so that nothing here opens a file.
pub trait FileLoader {
    /// The whole file.
    fn load(&self, path: &str) -> Result<Arc<[u8]>, LoadError>;
}

/// A loader that has no files; for tests and places where files make no sense.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl FileLoader for NoFiles {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, LoadError> {
        Err(LoadError::Open { path: path.to_owned(), reason: "no files here".to_owned() })
    }
}

/// Where the expression stands, and what the load collects.
pub struct ParseScope<'a> {
    /// The points at which the expression may be evaluated; a fetch must have its data at one of them.
    pub contexts: Contexts,
    /// The proxy's mode (`tcp` when there is no proxy).
    pub mode: Mode,
    /// Name of the proxy in which the expression stands, for messages and for names left out.
    pub proxy: Option<&'a str>,
    pub loader: &'a dyn FileLoader,
    /// Names to resolve when everything was read.
    pub references: &'a References,
    /// Pattern and map files, one per path, shared by all that use them.
    pub pattern_files: &'a PatternFiles,
    /// Warnings that do not make the expression invalid.
    pub warnings: &'a std::cell::RefCell<Diagnostics>,
    /// The ACLs that `acl(…)` may name.
    pub acls: Option<&'a AclTable>,
    /// Set by what reads the addresses of server connections; see [`crate::model::Global::reads_server_ends`].
    pub reads_server_ends: &'a std::cell::Cell<bool>,
}

impl<'a> ParseScope<'a> {
    /// The same scope for another set of contexts.
    pub fn within(&self, contexts: Contexts) -> ParseScope<'a> {
        ParseScope { contexts, ..*self }
    }

    pub(crate) fn refer(&self, mut reference: NameRef) -> Arc<NameRef> {
        reference.proxy = self.proxy.map(Box::from);
        let reference = Arc::new(reference);
        self.references.add(Arc::clone(&reference));
        reference
    }

    pub(crate) fn warn(&self, diagnostic: Diagnostic) {
        self.warnings.borrow_mut().push(diagnostic);
    }
}

/// Owns what a [`ParseScope`] borrows; one per load.
#[derive(Debug, Default)]
pub struct LoadState {
    pub references: References,
    pub pattern_files: Arc<PatternFiles>,
    pub warnings: std::cell::RefCell<Diagnostics>,
    pub reads_server_ends: std::cell::Cell<bool>,
}

impl LoadState {
    pub fn scope<'a>(
        &'a self,
        contexts: Contexts,
        mode: Mode,
        proxy: Option<&'a str>,
        loader: &'a dyn FileLoader,
    ) -> ParseScope<'a> {
        ParseScope {
            contexts,
            mode,
            proxy,
            loader,
            references: &self.references,
            pattern_files: &self.pattern_files,
            warnings: &self.warnings,
            acls: None,
            reads_server_ends: &self.reads_server_ends,
        }
    }
}
