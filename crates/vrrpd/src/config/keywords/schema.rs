//! Blocks that are read and checked word for word but not carried out yet: a schema of their keywords in place of
//! parsers.

use crate::model::BlockNode;

use super::super::keyword::{Context, KeywordInfo, Statement, Support, missing_parameter};
use super::super::tree::Node;

/// What a block may contain.
pub(in crate::config) struct Schema {
    pub(in crate::config) fields: &'static [&'static [Field]],
}

/// One keyword of a block.
pub(in crate::config) struct Field {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) doc: &'static str,
    pub(in crate::config) check: Check,
}

/// How the words after a keyword are checked.
#[derive(Clone, Copy)]
pub(in crate::config) enum Check {
    /// No argument is looked at.
    Bare,
    /// One word at least.
    Text,
    /// A whole number.
    Int(i64, i64),
    /// Seconds, at least a microsecond.
    Timer,
    /// `[<BOOL>]`.
    Flag,
    /// One of these, with the message about any other (`{}` is the word).
    Word(&'static [&'static str], &'static str),
    /// Still read, with a message that names the new word.
    Deprecated(&'static str),
    /// A block with its own schema.
    Block(&'static Schema),
}

pub(super) const fn field(name: &'static str, check: Check, doc: &'static str) -> Field {
    Field { name, doc, check }
}

impl Check {
    fn arguments(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Text | Self::Word(..) => "<STRING>",
            Self::Int(..) | Self::Deprecated(_) => "<NUMBER>",
            Self::Timer => "<TIMER>",
            Self::Flag => "[<BOOL>]",
            Self::Block(_) => "{…}",
        }
    }
}

impl Schema {
    fn all(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().flat_map(|part| part.iter())
    }

    /// Adds all keywords, those of inner blocks too.
    pub(super) fn infos(&self, block: &'static str, out: &mut Vec<KeywordInfo>) {
        for field in self.all() {
            let arguments = field.check.arguments();
            out.push(KeywordInfo {
                block,
                name: field.name,
                arguments,
                doc: field.doc,
                support: Support::NotYet,
            });
            if let Check::Block(inner) = field.check {
                // An inner block of several outer ones is listed once.
                let name = if field.name == "url" && block == "SSL_GET" {
                    "SSL_GET/url"
                } else {
                    inner_name(field.name)
                };
                if !out.iter().any(|info| info.block == name) {
                    inner.infos(name, out);
                }
            }
        }
    }
}

fn inner_name(name: &'static str) -> &'static str {
    match name {
        "url" => "HTTP_GET/url",
        "host" => "SMTP_CHECK/host",
        other => other,
    }
}

/// Checks a block's statements and keeps them as they are.
pub(super) fn check(schema: &'static Schema, node: &Node, c: &mut Context<'_>) -> BlockNode {
    let mut block = words(node);
    for child in node.children() {
        let Some(first) = child.words.first() else { continue };
        let Some(field) = schema.all().find(|field| first == field.name) else {
            c.unknown(first, schema.all().map(|field| field.name));
            continue;
        };
        if let (false, Some(open)) = (matches!(field.check, Check::Block(_)), &child.block) {
            c.warn(open.open, "Unexpected '{' - ignoring");
        }
        block.children.push(match field.check {
            Check::Block(inner) => check(inner, child, c),
            other => {
                if !statement(other, child, c) {
                    continue;
                }
                words(child)
            }
        });
    }
    block
}

/// A block of values as it stands.
pub(super) fn values(node: &Node) -> BlockNode {
    let mut block = words(node);
    block.children = node.children().iter().map(values).collect();
    block
}

fn words(node: &Node) -> BlockNode {
    BlockNode {
        keyword: node.keyword().to_owned(),
        arguments: node.words.iter().skip(1).map(|word| word.as_str().to_owned()).collect(),
        children: Vec::new(),
    }
}

/// Whether the statement is kept.
fn statement(check: Check, node: &Node, c: &mut Context<'_>) -> bool {
    let mut s = Statement::new(node);
    let keyword = s.keyword();
    if !matches!(check, Check::Bare | Check::Flag) && s.peek().is_none() {
        missing_parameter(node, c);
        return false;
    }
    let wrong = match check {
        Check::Int(low, high) => s.int(c, low..=high).err().map(|text| message(keyword, text)),
        Check::Timer => s.timer(c, 1..=4_294_967_295).err().map(|text| message(keyword, text)),
        Check::Flag => s.flag().err().map(|text| format!("Invalid {keyword} parameter {text}")),
        Check::Word(known, message) => {
            let word = s.text();
            (!known.contains(&word.as_str())).then(|| message.replace("{}", &word))
        }
        Check::Deprecated(new) => {
            c.warn(s.span(), format!("{keyword} is deprecated - please use '{new}'"));
            None
        }
        Check::Bare | Check::Text | Check::Block(_) => None,
    };
    let good = wrong.is_none();
    if let Some(wrong) = wrong {
        c.warn(s.last_span(), wrong);
    }
    good
}

fn message(keyword: &str, text: &str) -> String {
    match keyword {
        "persistence_timeout" => "persistence_timeout invalid".into(),
        "delay_loop" => format!("virtual server delay loop '{text}' invalid - ignoring"),
        "connect_port" => format!("Invalid checker connect_port '{text}'"),
        "weight" => format!("Real server weight {text} is outside range 0-2147483647"),
        _ => format!("{keyword} '{text}' is invalid - ignoring"),
    }
}
