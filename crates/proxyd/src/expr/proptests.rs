//! Parsers never panic, whatever the text; evaluation of what they accept does not either.

use hacore::diag::{FileId, Span, Word, Words};
use proptest::prelude::*;

use super::acl::{AclTable, Condition};
use super::testing::{TestEnvironment, request};
use super::{Contexts, EvalCtx, Expr, LoadState, LogFormat, LogFormatOptions, NoFiles, Now, Payload, Vars};
use crate::model::Mode;
use crate::txn::{SessionInfo, StreamInfo};

const SPAN: Span = Span { file: FileId(0), line: 1, start: 0, end: 0 };

/// Text made of pieces that mean something to the parsers, and of any bytes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let names =
        super::fetch::all().map(|f| f.name).chain(super::conv::all().map(|c| c.name)).collect::<Vec<_>>();
    let signs = vec![
        "(",
        ")",
        ",",
        "%",
        "[",
        "]",
        "{",
        "}",
        "%[",
        "%{",
        "+Q",
        "\"",
        "'",
        "\\",
        " ",
        "1",
        "-1",
        "0",
        "txn.a",
        "x-a",
        ":",
        "_",
        "$.a",
        "a,b",
        "/",
        "24",
        "utf8",
        "sha256",
        "%%",
        "ci",
        "o",
        "(a:str)",
        "99999999999999999999",
    ];
    let piece = prop_oneof![
        proptest::sample::select(names).prop_map(|name| name.as_bytes().to_vec()),
        proptest::sample::select(signs).prop_map(|sign| sign.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn with_context(body: &[u8], f: impl FnOnce(&EvalCtx<'_>)) {
    let environment = TestEnvironment::default();
    let (session, stream, vars) = (SessionInfo::default(), StreamInfo::default(), Vars::default());
    let head = request("GET", "/a/b?x=1&y=%zz", &[("host", "a:1"), ("x-a", "1,\"2,\\"), ("cookie", "a=b;c")]);
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.stream = Some(&stream);
    ctx.request = Some(&head);
    ctx.vars = Some(&vars);
    ctx.request_payload = Payload { data: body, complete: false, announced_bytes: None };
    f(&ctx);
}

proptest! {
    #[test]
    fn expressions_never_panic(list in proptest::collection::vec(text(), 0..3), body in any::<Vec<u8>>()) {
        let load = LoadState::default();
        let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("p"), &NoFiles);
        let list: Vec<Word> = list.into_iter().map(|bytes| Word::new(bytes, SPAN)).collect();
        if let Ok(expr) = Expr::parse_anywhere(&mut Words::new(&list, SPAN), &scope) {
            with_context(&body, |ctx| {
                let _ = expr.eval(ctx);
            });
        }
    }

    #[test]
    fn converters_take_every_input(
        input in any::<Vec<u8>>(),
        name in proptest::sample::select(super::conv::all().map(|c| c.name).collect::<Vec<_>>()),
        args in proptest::sample::select(vec!["", "(1)", "(1,a)", "(a)", "(txn.a)", "(a,b)", "(sha256,a2V5)", "(-3,a,2)"]),
    ) {
        let load = LoadState::default();
        let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("p"), &NoFiles);
        for fetch in ["req.body", "req.body,hex", "int(-9223372036854775808)", "ipv6(::1)", "method"] {
            let text = format!("{fetch},{name}{args}");
            if let Ok(expr) = Expr::parse_str(&text, SPAN, &scope) {
                with_context(&input, |ctx| {
                    let _ = expr.eval(ctx);
                });
            }
        }
    }

    #[test]
    fn conditions_never_panic(list in proptest::collection::vec(text(), 0..8)) {
        let load = LoadState::default();
        let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("p"), &NoFiles);
        let list: Vec<Word> = list.into_iter().map(|bytes| Word::new(bytes, SPAN)).collect();
        let acls = AclTable::default();
        if let Some(name) = list.first() {
            let _ = acls.define(name, &mut Words::new(&list[1..], SPAN), &scope);
        }
        if let Ok(condition) = Condition::parse_body(&mut Words::new(&list, SPAN), &acls, &scope, false) {
            with_context(b"", |ctx| {
                let _ = condition.eval(ctx);
            });
        }
    }

    #[test]
    fn formats_never_panic(bytes in text()) {
        let load = LoadState::default();
        let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("p"), &NoFiles);
        for options in [LogFormatOptions::LOG, LogFormatOptions::HTTP] {
            if let Ok(format) = LogFormat::parse(&Word::new(bytes.clone(), SPAN), options, &scope) {
                with_context(b"", |ctx| format.render(ctx, &mut Vec::new()));
            }
        }
    }
}
