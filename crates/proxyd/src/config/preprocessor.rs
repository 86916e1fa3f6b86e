//! `.if`, `.elif`, `.else`, `.endif`, `.notice`, `.warning`, `.alert`, `.diag`
//! (configuration manual, section 2.4 "Conditional blocks").

use hacore::diag::{Diagnostic, PositionForm, Span, Word};

use super::condition::{self, Facts};
use super::loader::Loader;

/// The deepest nesting of `.if`; more is an alert.
const NESTING_MAX: usize = 1024;

/// How these messages show the position: `parsing [file:line]: `, without the usual blank.
pub const TIGHT: PositionForm = PositionForm::Between("parsing [", "]: ");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The lines here are read.
    Taken,
    /// Not read; an `.elif` or `.else` may still be.
    Waiting,
    /// Not read, and nothing of this block will be any more.
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    state: State,
    in_else: bool,
}

/// The stack of open `.if` blocks of one file.
#[derive(Debug, Default)]
pub struct Conditionals {
    blocks: Vec<Block>,
}

impl Conditionals {
    /// Whether lines are read at the moment.
    pub fn active(&self) -> bool {
        self.blocks.iter().all(|block| block.state == State::Taken)
    }

    /// Whether a block is still open at the end of the file.
    pub fn open(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Handles a line that begins with a dot. The caller reports the error.
    pub fn directive(&mut self, words: &[Word], loader: &mut Loader) -> Result<(), Diagnostic> {
        let Some((directive, arguments)) = words.split_first() else { return Ok(()) };
        let alert = |message: String| Diagnostic::alert(message).at(directive.span).positioned(TIGHT);
        match directive.as_str() {
            ".if" => {
                if self.blocks.len() >= NESTING_MAX {
                    return Err(alert(format!("too many nested '.if', max is {NESTING_MAX}.")));
                }
                if !self.active() {
                    self.blocks.push(Block { state: State::Over, in_else: false });
                    return Ok(());
                }
                // The block is opened even if the condition is wrong, so that its `.endif` is not wrong too.
                self.blocks.push(Block { state: State::Waiting, in_else: false });
                let holds = evaluate(directive, arguments, loader)?;
                self.set(if holds { State::Taken } else { State::Waiting });
                Ok(())
            }
            ".elif" => {
                let Some(block) = self.blocks.last().copied() else {
                    return Err(alert("lone '.elif' with no matching '.if'.".into()));
                };
                if block.in_else {
                    return Err(alert("'.elif' after '.else' is not permitted.".into()));
                }
                match block.state {
                    State::Taken | State::Over => self.set(State::Over),
                    State::Waiting => {
                        let holds = evaluate(directive, arguments, loader)?;
                        self.set(if holds { State::Taken } else { State::Waiting });
                    }
                }
                Ok(())
            }
            ".else" => {
                no_argument(directive, arguments)?;
                let Some(block) = self.blocks.last_mut() else {
                    return Err(alert("lone '.else' with no matching '.if'.".into()));
                };
                if block.in_else {
                    return Err(alert("'.else' after '.else' is not permitted.".into()));
                }
                block.in_else = true;
                block.state = if block.state == State::Waiting { State::Taken } else { State::Over };
                Ok(())
            }
            ".endif" => {
                no_argument(directive, arguments)?;
                match self.blocks.pop() {
                    Some(_) => Ok(()),
                    None => Err(alert("lone '.endif' with no matching '.if'.".into())),
                }
            }
            _ if !self.active() => Ok(()),
            ".notice" | ".warning" | ".alert" | ".diag" => message(directive, arguments, loader),
            other => Err(alert(format!("unknown directive '{other}'.")).did_you_mean(
                other,
                [".if", ".elif", ".else", ".endif", ".notice", ".warning", ".alert", ".diag"],
            )),
        }
    }

    fn set(&mut self, state: State) {
        if let Some(block) = self.blocks.last_mut() {
            block.state = state;
        }
    }
}

fn no_argument(directive: &Word, arguments: &[Word]) -> Result<(), Diagnostic> {
    match arguments.first() {
        None => Ok(()),
        Some(word) => {
            let message = format!("Unexpected argument '{}' for '{}'.", word.as_str(), directive.as_str());
            Err(Diagnostic::alert(message).at(word.span).positioned(TIGHT))
        }
    }
}

fn message(directive: &Word, arguments: &[Word], loader: &mut Loader) -> Result<(), Diagnostic> {
    if let Some(extra) = arguments.get(1) {
        let message = format!(
            "Unexpected argument '{}' for '{}'. Use quotes if the message should contain spaces.",
            extra.as_str(),
            directive.as_str()
        );
        return Err(Diagnostic::alert(message).at(extra.span).positioned(TIGHT));
    }
    let text = format!("'{}'.", arguments.first().map_or("", Word::as_str));
    let diagnostic = match directive.as_str() {
        ".notice" => Diagnostic::notice(text),
        ".warning" => Diagnostic::warning(text),
        ".alert" => Diagnostic::alert(text),
        _ if !loader.options.diagnostic_mode => return Ok(()),
        _ => Diagnostic { code: Some(super::DIAG), ..Diagnostic::notice(text) },
    };
    loader.push(diagnostic.at(directive.span).positioned(TIGHT));
    Ok(())
}

fn evaluate(directive: &Word, arguments: &[Word], loader: &Loader) -> Result<bool, Diagnostic> {
    let text = arguments.iter().map(Word::as_str).collect::<Vec<_>>().join(" ");
    let variable = |name: &str| loader.environment.variable(name).map(str::to_owned);
    let facts = Facts { variable: &variable, enabled: &super::option_enabled };
    condition::evaluate(&text, &facts).map_err(|error| {
        let column = directive.as_str().len() + 1 + error.at;
        let message = format!(
            "{} in '{}' at position {}:\n  {} {text}\n  {}^",
            error.message,
            directive.as_str(),
            error.at + 1,
            directive.as_str(),
            " ".repeat(column)
        );
        let span: Span = arguments.first().map_or(directive.span, |word| word.span);
        Diagnostic::alert(message).at(span).positioned(TIGHT)
    })
}
