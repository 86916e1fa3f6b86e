//! The actions, one family a file; each file has the table of its own.

mod address;
mod capture;
mod flow;
mod header;
mod log;
mod map;
mod normalize;
pub(super) mod redirect;
mod refused;
mod replace;
mod reply;
pub mod restrict;
mod stream;
mod target;
pub(crate) mod variable;
mod wait;

use super::ActionDef;

/// All tables, in the order of the documentation.
pub(super) const TABLES: &[&[ActionDef]] = &[
    flow::ACTIONS,
    reply::ACTIONS,
    redirect::ACTIONS,
    header::ACTIONS,
    replace::ACTIONS,
    target::ACTIONS,
    normalize::ACTIONS,
    variable::ACTIONS,
    capture::ACTIONS,
    address::ACTIONS,
    log::ACTIONS,
    map::ACTIONS,
    stream::ACTIONS,
    wait::ACTIONS,
    refused::ACTIONS,
];

#[cfg(test)]
mod tests;
