//! `acl(name[,…])`: named ACLs as a sample (manual, "acl" of section 7.3.2).

use super::{Fetch, fetch};
use crate::expr::conv::ConverterState;
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, ParseScope, Sample, SampleType, Verdict};

const S: ArgKind = ArgKind::Str;

pub(super) const FETCHES: &[Fetch] = &[fetch(
    "acl",
    SampleType::Bool,
    Contexts::EVERYWHERE,
    all,
    "true if all named ACLs match; '!' before a name negates it",
)
.args(1, &[S, S, S, S, S, S, S, S, S, S, S, S])
.check(find)];

/// The ACLs must be defined above; lines that are added to them later count too.
fn find(args: &mut Args, scope: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let mut found = Vec::new();
    for index in 0..args.len() {
        let text = args.text(index).unwrap_or_default();
        let (negated, name) = match text.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let acl = scope.acls.and_then(|table| table.find(name, scope));
        found.push((acl.ok_or_else(|| format!("no such ACL : '{name}'"))?, negated));
    }
    args.state = ConverterState::Acls(found);
    Ok(())
}

fn all<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    let ConverterState::Acls(acls) = &args.state else { return None };
    let mut result = Verdict::Pass;
    for (acl, negated) in acls {
        let verdict = acl.eval(ctx);
        result = result.and(if *negated { verdict.negate() } else { verdict });
    }
    state.may_change |= result == Verdict::Wait;
    Some(Sample::Bool(result == Verdict::Pass))
}
