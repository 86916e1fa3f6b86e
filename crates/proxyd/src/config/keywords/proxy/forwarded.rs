//! `option forwarded`.

use super::old;
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix};
use crate::config::loader::Loader;
use crate::model::{Forwarded, ForwardedValue};

pub const KEYWORDS: &[Keyword] = &[old(
    "option forwarded",
    Places::BACK,
    "[ proto ] [ host | host-expr <e> ] [ by | by-expr <e> ] [ by_port | by_port-expr <e> ] \
     [ for | for-expr <e> ] [ for_port | for_port-expr <e> ]",
    "Adds Forwarded (RFC 7239).",
    forwarded,
)];

fn forwarded(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.prefix != Prefix::None {
        loader.proxy()?.forwarded = None;
        return line.end();
    }
    let mut option = Forwarded::default();
    if line.words.is_empty() {
        option.proto = true;
        option.from = Some(ForwardedValue::Own);
    }
    while let Some(word) = line.words.next() {
        let (name, is_expression) = match word.as_str().strip_suffix("-expr") {
            Some(name) => (name, true),
            None => (word.as_str(), false),
        };
        let place = match name {
            "proto" if !is_expression => {
                option.proto = true;
                continue;
            }
            "host" => &mut option.host,
            "by" => &mut option.by,
            "by_port" => &mut option.by_port,
            "for" => &mut option.from,
            "for_port" => &mut option.from_port,
            _ => {
                return Err(
                    line.alert_at(word, format!("'option forwarded' : unknown keyword '{}'", word.as_str()))
                );
            }
        };
        let value = if is_expression {
            ForwardedValue::Expression(expression::expression(loader, line)?)
        } else {
            ForwardedValue::Own
        };
        if place.replace(value).is_some() {
            let message = format!("'option forwarded' : '{name}' is set twice");
            return Err(line.alert_at(word, message));
        }
    }
    loader.proxy()?.forwarded = Some(option);
    Ok(())
}
