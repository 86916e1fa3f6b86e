//! What is registered, in the format of `haproxy -dKall`.

use super::acl::derived_acls;
use super::{conv, fetch};

/// `-dKsmp`: one line a fetch.
pub fn fetch_lines() -> Vec<String> {
    let mut lines: Vec<(&str, String)> = fetch::all()
        .map(|f| {
            (f.name, format!("{} {}{}: {}", f.contexts.row(), f.name, f.args.display(), f.output.name()))
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// `-dKcnv`: one line a converter.
pub fn converter_lines() -> Vec<String> {
    let mut lines: Vec<String> = conv::all()
        .map(|c| format!("{}{}: {} => {}", c.name, c.args.display(), c.output.name(), c.input.name()))
        .collect();
    lines.sort();
    lines
}

/// `-dKacl`: one line an ACL keyword that implies a matching method.
pub fn acl_lines() -> Vec<String> {
    let mut lines: Vec<String> =
        derived_acls().values().map(|a| format!("{} = {} -m {}", a.name, a.fetch, a.method.name())).collect();
    lines.sort();
    lines
}
