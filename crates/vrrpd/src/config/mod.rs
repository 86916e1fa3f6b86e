//! Reading `keepalived.conf`: text to [`crate::model::Config`].
//!
//! Files become lines (`preproc`), lines words (`lexer`, pest), words statements (`tree`), statements a draft (the
//! keyword tables in `keywords`), the draft the model (`resolve`). Reading never stops at the first error.
//! Nothing here touches an interface or starts a program.

mod environment;
mod glob;
mod keyword;
mod keywords;
mod lexer;
mod preproc;
mod repeat;
mod resolve;
pub mod support;
mod tree;
mod value;
mod verdict;

#[cfg(test)]
mod daemon_tests;
#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use hacore::diag::render::Style;
use hacore::diag::{Diagnostic, Diagnostics, SourceMap};

use crate::model::Config;

pub use environment::{Environment, SystemEnvironment};
pub use keyword::{KeywordInfo, Support};
pub use keywords::all as keywords;
pub use verdict::{Outcome, Verdict};

/// The [`Diagnostic::code`] of "SECURITY VIOLATION".
pub const CODE_SCRIPT_SECURITY: &str = "script-security";
/// Of what is read but not carried out.
pub const CODE_UNSUPPORTED: &str = "unsupported";
/// Of remarks that keepalived does not make in a test.
pub const CODE_NOTE: &str = "note";
/// Of interfaces that `dynamic_interfaces` waits for.
pub const CODE_INTERFACE: &str = "interface";
/// Of a missing parameter, at which keepalived ends at once.
pub const CODE_FATAL_PARAMETER: &str = "missing-parameter";
/// Of files that should have been there.
pub const CODE_INCLUDE: &str = "include";

/// Where iproute2 keeps its tables of names, the administrator's folder first (ip-route(8)).
const IPROUTE_DIRS: [&str; 3] = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2"];

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-i`; default the host name up to its first dot.
    pub config_id: Option<String>,
    /// Seed of `${_RANDOM}` unless the file has `random_seed`; pass the time.
    pub random_seed: u64,
}

/// Reads files as keepalived does: all of them, all their includes, all errors.
///
/// The model is there unless an alert says why it cannot be: see [`Verdict::of`].
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> (Option<Config>, Diagnostics, SourceMap) {
    load_in(paths, options, &SystemEnvironment)
}

/// [`load`] with another view of the machine.
pub fn load_in(
    paths: &[PathBuf],
    options: &LoadOptions,
    environment: &dyn Environment,
) -> (Option<Config>, Diagnostics, SourceMap) {
    let mut reader =
        preproc::Preprocessor::new(environment, options.config_id.as_deref(), options.random_seed);
    paths.iter().for_each(|path| reader.read_main(path));
    build(reader, environment)
}

/// Reads text that is no file; relative includes are looked up in the current directory.
pub fn load_text(
    text: &[u8],
    options: &LoadOptions,
    environment: &dyn Environment,
) -> (Option<Config>, Diagnostics, SourceMap) {
    let mut reader =
        preproc::Preprocessor::new(environment, options.config_id.as_deref(), options.random_seed);
    reader.read_text("keepalived.conf", text);
    build(reader, environment)
}

/// The network namespace that files ask for, without a look at anything else: their other words mean the interfaces in
/// there.
pub fn net_namespace(paths: &[PathBuf], options: &LoadOptions) -> Option<String> {
    let environment = SystemEnvironment;
    let mut reader =
        preproc::Preprocessor::new(&environment, options.config_id.as_deref(), options.random_seed);
    paths.iter().for_each(|path| reader.read_main(path));
    let nodes = tree::build(&reader.lines, &mut reader.diagnostics);
    let wanted = |node: &&tree::Node| node.keyword() == "net_namespace";
    let blocks = nodes.iter().filter(|node| node.keyword() == "global_defs");
    let found =
        nodes.iter().find(wanted).or_else(|| blocks.flat_map(|block| block.children()).find(wanted))?;
    found.words.get(1).map(|word| word.as_str().to_owned())
}

fn build(
    reader: preproc::Preprocessor<'_>,
    environment: &dyn Environment,
) -> (Option<Config>, Diagnostics, SourceMap) {
    let preproc::Preprocessor { sources, mut diagnostics, lines, .. } = reader;
    let nodes = tree::build(&lines, &mut diagnostics);
    drop(lines);
    let mut context = keyword::Context {
        diagnostics: &mut diagnostics,
        environment,
        dynamic_interfaces: false,
        iproute_dirs: IPROUTE_DIRS.map(str::to_owned).to_vec(),
        missing_interface: false,
    };
    let draft = keywords::top::read(&nodes, &mut context);
    let config = resolve::resolve(draft, &mut context);
    let config = (!diagnostics.has_alerts()).then_some(config);
    (config, diagnostics, sources)
}

/// keepalived's line format: `(FILE: Line N) message`.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepalivedStyle;

impl Style for KeepalivedStyle {
    fn headline(&self, diagnostic: &Diagnostic, sources: &SourceMap) -> String {
        match diagnostic.span {
            Some(span) => format!("({}: Line {}) {}", sources.name(span.file), span.line, diagnostic.message),
            None => diagnostic.message.clone(),
        }
    }
}
