//! `Authorization` (RFC 7617, RFC 6750).

use super::{Fetch, fetch};
use crate::expr::conv::encode::b64_decode;
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, RefTarget, Sample, SampleType};

const REQ: Contexts = Contexts::REQUEST;
const STR: SampleType = SampleType::Str;

pub(super) const FETCHES: &[Fetch] = &[
    fetch("http_auth", SampleType::Bool, REQ, http_auth, "user and password are in a user list")
        .args(1, &[ArgKind::UserList]),
    fetch("http_auth_group", STR, REQ, http_auth_group, "the user's name, to be matched with groups")
        .args(1, &[ArgKind::UserList]),
    fetch(
        "http_auth_user",
        STR,
        REQ,
        |_, c, _| Some(Sample::str(basic(c)?.0)),
        "the user of Basic authentication",
    ),
    fetch(
        "http_auth_pass",
        STR,
        REQ,
        |_, c, _| Some(Sample::str(basic(c)?.1)),
        "the password of Basic authentication",
    ),
    fetch(
        "http_auth_type",
        STR,
        REQ,
        |_, c, _| Some(Sample::str(scheme(c, b"authorization")?.0)),
        "the authentication scheme",
    ),
    fetch("http_auth_bearer", STR, REQ, bearer, "the token of Bearer authentication")
        .args(0, &[ArgKind::Str]),
];

/// Scheme and credentials of a header.
fn scheme<'a>(ctx: &EvalCtx<'a>, name: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let headers = &ctx.request?.headers;
    let value = headers.get(headers.position(name, 0)?)?.value;
    let blank = memchr::memchr(b' ', value)?;
    Some((value.get(..blank)?, value.get(blank..)?.trim_ascii()))
}

fn basic(ctx: &EvalCtx<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, credentials) = scheme(ctx, b"authorization")?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = b64_decode(credentials)?;
    let colon = memchr::memchr(b':', &decoded)?;
    Some((decoded.get(..colon)?.to_vec(), decoded.get(colon + 1..)?.to_vec()))
}

fn user_list(args: &Args) -> Option<u32> {
    match args.name(0)?.target()? {
        RefTarget::UserList(index) => Some(index),
        _ => None,
    }
}

fn http_auth<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let Some((user, password)) = basic(ctx) else { return Some(Sample::Bool(false)) };
    Some(Sample::Bool(ctx.env.authenticate(user_list(args)?, &user, &password, None)))
}

/// Only an authenticated user has groups; the ACL's patterns are the groups' names.
fn http_auth_group<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    let (user, password) = basic(ctx)?;
    let list = user_list(args)?;
    if !ctx.env.authenticate(list, &user, &password, None) {
        return None;
    }
    if !state.iterate {
        return Some(Sample::str(user));
    }
    let group = ctx.env.group_of(list, &user, state.position)?;
    state.position += 1;
    state.more = true;
    Some(Sample::Str(group))
}

fn bearer<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let name = args.bytes(0).unwrap_or(b"authorization");
    if !name.eq_ignore_ascii_case(b"authorization") {
        return Some(Sample::str(ctx.request?.headers.find_all(name).next().unwrap_or_default()));
    }
    let (scheme, token) = scheme(ctx, name)?;
    scheme.eq_ignore_ascii_case(b"bearer").then(|| Sample::str(token))
}
