//! Settings that are one number, one timer or one flag with a message of a common form.

use super::super::keyword::{Context, Statement};

pub(super) const SECONDS_MAX_US: u64 = 4_294_967_295;

/// A boolean with keepalived's usual message when it is none.
pub(super) fn flag(statement: &mut Statement<'_>, context: &mut Context<'_>) -> Option<bool> {
    match statement.flag() {
        Ok(on) => Some(on),
        Err(_) => {
            let message = format!("Invalid value for {} specified", statement.keyword());
            context.warn(statement.last_span(), message);
            None
        }
    }
}

/// A whole number; on an error the message of `wrong` with the word that was no number.
pub(super) fn int(
    statement: &mut Statement<'_>,
    context: &mut Context<'_>,
    range: std::ops::RangeInclusive<i64>,
    wrong: impl FnOnce(&str) -> String,
) -> Option<i64> {
    match statement.int(context, range) {
        Ok(value) => Some(value),
        Err(text) => {
            context.warn(statement.last_span(), wrong(text));
            None
        }
    }
}

/// A timer; on an error the message of `wrong` with the word that was none.
pub(super) fn timer(
    statement: &mut Statement<'_>,
    context: &mut Context<'_>,
    range_us: std::ops::RangeInclusive<u64>,
    wrong: impl FnOnce(&str) -> String,
) -> Option<u64> {
    match statement.timer(context, range_us) {
        Ok(value) => Some(value),
        Err(text) => {
            context.warn(statement.last_span(), wrong(text));
            None
        }
    }
}
