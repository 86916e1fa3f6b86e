//! From `haproxy.cfg` to the model.
//!
//! [`load`] reads all files, gives each line to the keyword that begins it, resolves names, checks the whole, and
//! returns the model with everything that was found. Nothing here opens a listener or runs anything.

pub mod arguments;
pub(crate) mod check_rules;
pub mod condition;
pub mod dump;
pub mod environment;
pub mod explain;
mod expression;
pub mod keyword;
pub mod keywords;
pub mod lexer;
pub mod lints;
mod loader;
mod postcheck;
mod preprocessor;
mod resolve;
mod section;
pub mod support;
#[cfg(test)]
mod tests;
pub mod upgrade;

use std::path::{Path, PathBuf};

use hacore::diag::{Diagnostic, Diagnostics, PositionForm, SourceMap, Span, Word};

pub use environment::Environment;
pub use loader::{LoadOptions, Loader, Running};

use crate::model::Config;
use preprocessor::{Conditionals, TIGHT};

/// The code that marks a notice of `-dD`, which HAProxy shows as `[DIAG]`.
pub const DIAG: &str = "DIAG";

/// What a load gives: the model if nothing was fatal, and all findings.
#[derive(Debug)]
pub struct Loaded {
    pub config: Option<Config>,
    pub diagnostics: Diagnostics,
    pub sources: SourceMap,
    /// The files that were read, in order; directories are expanded.
    pub files: Vec<String>,
    /// Each file with at least one alert of its own.
    pub failed_files: Vec<String>,
    /// A file could not be opened; HAProxy says nothing more then.
    pub unreadable: bool,
    /// `zero-warning` or `-dW`: warnings are fatal.
    pub zero_warning: bool,
    /// The variables after `setenv` and relatives.
    pub environment: Environment,
}

/// After this many findings a file is not read any further: it is no configuration.
const FINDINGS_MAX: usize = 1_000;

/// Whether `enabled(NAME)` is true in conditions.
pub fn option_enabled(name: &str) -> bool {
    matches!(name, "FAST-FORWARD" | "GETADDRINFO" | "REUSEPORT" | "SPLICE")
}

/// Reads the files and directories in order.
pub fn load(paths: &[String], options: LoadOptions, environment: Environment) -> Loaded {
    let mut loader = Loader::new(options, environment);
    let files = match expand(paths) {
        Ok(files) => files,
        Err(diagnostic) => {
            loader.push(diagnostic);
            Vec::new()
        }
    };
    loader.environment.set("HAPROXY_CFGFILES", files.join(";"));
    let local_peer = loader.options.local_peer.clone().unwrap_or_else(host_name);
    loader.environment.set("HAPROXY_LOCALPEER", local_peer.clone());
    loader.environment.set("HAPROXY_STARTUP_VERSION", crate::version::full());
    loader.environment.set("HAPROXY_BRANCH", "3.2");
    if loader.options.master_worker {
        loader.environment.set("HAPROXY_MWORKER", "1");
    }
    loader.global.local_peer = local_peer;
    let mut failed_files = Vec::new();
    for file in &files {
        match std::fs::read(file) {
            Ok(text) => {
                if read_text(&mut loader, file, text) {
                    failed_files.push(file.clone());
                }
            }
            Err(error) => {
                let error = describe(&error);
                loader.push(
                    Diagnostic::alert(format!("Could not open configuration file {file} : {error}"))
                        .positioned(PositionForm::Omitted),
                );
            }
        }
    }
    let config = if failed_files.is_empty() && !loader.diagnostics.has_alerts() {
        postcheck::finish(&mut loader)
    } else {
        Config::default()
    };
    give(loader, config, files, failed_files)
}

fn give(mut loader: Loader, config: Config, files: Vec<String>, failed_files: Vec<String>) -> Loaded {
    let zero_warning = loader.options.zero_warning;
    let unreadable = failed_files.is_empty() && loader.file_names.is_empty();
    let environment = std::mem::take(&mut loader.environment);
    let (config, diagnostics, sources) = loader.into_parts(config);
    Loaded { config, diagnostics, sources, files, failed_files, unreadable, zero_warning, environment }
}

/// Reads one text as a file of that name, for tests and tools.
pub fn load_text(name: &str, text: &str, options: LoadOptions, environment: Environment) -> Loaded {
    let mut loader = Loader::new(options, environment);
    let failed = read_text(&mut loader, name, text.as_bytes().to_vec());
    let config = if failed { Config::default() } else { postcheck::finish(&mut loader) };
    let failed_files = if failed { vec![name.to_owned()] } else { Vec::new() };
    give(loader, config, vec![name.to_owned()], failed_files)
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".into())
}

/// The system's words for an error, without Rust's "(os error N)".
pub fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Replaces directories by their `*.cfg` files in byte order, as HAProxy does.
fn expand(paths: &[String]) -> Result<Vec<String>, Diagnostic> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |error: &std::io::Error| {
            let error = describe(error);
            Diagnostic::alert(format!("Cannot open configuration file/directory {path} : {error}"))
                .positioned(PositionForm::Omitted)
        };
        if path == "-" {
            files.push("/dev/stdin".to_owned());
            continue;
        }
        let metadata = std::fs::metadata(Path::new(path)).map_err(|error| unreadable(&error))?;
        if !metadata.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(|error| unreadable(&error))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| is_configuration(path))
            .collect();
        found.sort();
        files.extend(found.into_iter().map(|path| path.to_string_lossy().into_owned()));
    }
    Ok(files)
}

fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    !name.starts_with('.') && name.len() > 4 && name.ends_with(".cfg") && path.is_file()
}

/// Reads one file's lines; true if it had an alert.
fn read_text(loader: &mut Loader, name: &str, text: Vec<u8>) -> bool {
    let alerts_before = loader.diagnostics.count(hacore::diag::Severity::Alert);
    let file = loader.sources.add(name, text);
    loader.file_names.push(name.into());
    let Some(source) = loader.sources.file(file).cloned() else { return true };
    let mut conditionals = Conditionals::default();
    let count = source.line_count();
    for number in 1..=count {
        if loader.diagnostics.len() >= FINDINGS_MAX {
            let message = format!("too many errors ({FINDINGS_MAX}), the rest of the file is not read.");
            loader.push(Diagnostic::alert(message).at(Span::line(file, number)));
            conditionals = Conditionals::default();
            break;
        }
        let line = source.line(number);
        if number == count && !source.text.ends_with(b"\n") {
            let message = format!(
                "Missing LF on last line, file might have been truncated at position {}.",
                line.len() + 1
            );
            loader.push(Diagnostic::alert(message).at(Span::line(file, number)).positioned(TIGHT));
        }
        let stray = memchr::memchr(0, line);
        if let Some(at) = stray {
            let message = format!("Stray NUL character at position {}.", at + 1);
            loader.push(Diagnostic::alert(message).at(Span::line(file, number)).positioned(TIGHT));
        }
        let line = stray.map_or(line, |at| line.get(..at).unwrap_or_default());
        let section = loader.pseudo_section().to_owned();
        let environment = &loader.environment;
        let variable = |wanted: &str| match wanted {
            ".FILE" => Some(name.to_owned()),
            ".LINE" => Some(number.to_string()),
            ".SECTION" => Some(section.clone()),
            _ => environment.variable(wanted).map(str::to_owned),
        };
        match lexer::split(line, file, number, &variable) {
            Ok(words) => read_line(loader, &words, &mut conditionals),
            Err(error) => loader.push(lex_diagnostic(&error, line, file, number)),
        }
    }
    if conditionals.open() {
        let at = Span::line(file, count);
        loader.push(Diagnostic::alert("non-terminated '.if' block.").at(at).positioned(TIGHT));
    }
    loader.finish_section();
    loader.section = None;
    loader.diagnostics.count(hacore::diag::Severity::Alert) > alerts_before
}

fn lex_diagnostic(
    error: &lexer::LexError,
    line: &[u8],
    file: hacore::diag::FileId,
    number: u32,
) -> Diagnostic {
    /// Longer lines are cut around the position.
    const SHOWN_MAX: usize = 80;
    let span = Span { file, line: number, start: error.at as u32, end: error.at as u32 + 1 };
    let message = if error.shows_line {
        let indent = line.iter().take_while(|b| b.is_ascii_whitespace()).count().min(error.at);
        let from = if error.at - indent > SHOWN_MAX / 2 { error.at - SHOWN_MAX / 2 } else { indent };
        let to = line.len().min(from + SHOWN_MAX);
        let shown: String = String::from_utf8_lossy(line.get(from..to).unwrap_or_default())
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        format!(
            "{} at position {}:\n  {}{shown}{}\n  {}^",
            error.message,
            error.at + 1,
            if from > indent { "..." } else { "" },
            if to < line.len() { "..." } else { "" },
            " ".repeat(error.at - from + if from > indent { 3 } else { 0 })
        )
    } else {
        format!("{}.", error.message)
    };
    Diagnostic::alert(message).at(span).positioned(TIGHT)
}

fn read_line(loader: &mut Loader, words: &[Word], conditionals: &mut Conditionals) {
    let Some(first) = words.first().filter(|word| !word.as_str().is_empty()) else { return };
    if first.as_str().starts_with('.') {
        if let Err(diagnostic) = conditionals.directive(words, loader) {
            loader.push(diagnostic);
        }
        return;
    }
    if !conditionals.active() {
        return;
    }
    if loader.options.lints {
        let is_global = loader.section.is_some_and(|section| section.place == keyword::Places::GLOBAL);
        loader.facts.line(words, is_global);
    }
    if let Err(diagnostic) = section::read(loader, words) {
        loader.push(diagnostic);
    }
}

impl Loader {
    /// What `.SECTION` stands for.
    fn pseudo_section(&self) -> &str {
        match self.section {
            None => "",
            Some(section) if self.section_name.is_empty() => section.kind,
            Some(_) => &self.section_name,
        }
    }
}
