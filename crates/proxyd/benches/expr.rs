//! Cost of evaluation: a chain of 20 conditions as files have them, a single fetch, and the httplog line.

use std::cell::RefCell;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hacore::diag::{FileId, Span, Word, Words};
use proxyd::expr::acl::{AclTable, Condition};
use proxyd::expr::logformat::defaults;
use proxyd::expr::{
    BackendView, Contexts, Data, Environment, EvalCtx, Expr, FrontendView, LoadState, LogFormat,
    LogFormatOptions, NoFiles, Now, ProcessView, Sample, ServerView, VarName,
};
use proxyd::http::{RequestHead, Version};
use proxyd::model::{Mode, ProxyId, ServerId};
use proxyd::txn::{Endpoint, SessionInfo, StreamInfo};

/// Answers from constants.
#[derive(Default)]
struct Constants(RefCell<u64>);

impl Environment for Constants {
    fn process(&self) -> ProcessView<'_> {
        ProcessView::default()
    }
    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        Some(FrontendView { name: "web", is_http: true, ..FrontendView::default() })
    }
    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        Some(BackendView { name: "app", ..BackendView::default() })
    }
    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        Some(ServerView { name: "app1", ..ServerView::default() })
    }
    fn find_frontend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }
    fn find_backend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }
    fn find_server(&self, _: ProxyId, _: &[u8]) -> Option<ServerId> {
        None
    }
    fn environment_variable(&self, _: &str) -> Option<Data<'_>> {
        None
    }
    fn random_u64(&self) -> u64 {
        self.0.replace_with(|n| *n + 1)
    }
    fn process_variable(&self, _: &VarName) -> Option<Sample<'static>> {
        None
    }
    fn set_process_variable(&self, _: &VarName, _: Option<Sample<'static>>) {}
}

const SPAN: Span = Span { file: FileId(0), line: 1, start: 0, end: 0 };

/// None but the last holds for the request below.
const CHAIN: [&str; 20] = [
    "{ path_beg /api }",
    "{ path_beg /static /images /css }",
    "{ path_end .gif .png .jpg .css .js }",
    "{ hdr(host) -i static.example.com }",
    "{ hdr_beg(host) -i img. video. }",
    "{ hdr_end(host) -i .example.org }",
    "{ src 10.0.0.0/8 192.168.0.0/16 }",
    "{ method POST PUT }",
    "METH_DELETE",
    "{ path /login }",
    "{ path -i /Logout }",
    "{ urlp(debug) 1 }",
    "{ req.cook(admin) -m found }",
    "{ req.hdr(x-forwarded-for) -m ip 10.0.0.0/8 }",
    "{ req.hdr_cnt(x-a) gt 1 }",
    "{ path_reg ^/v[0-9]+/users/[0-9]+$ }",
    "{ hdr_sub(user-agent) -i bot }",
    "{ dst_port 8443 }",
    "{ path_dir admin }",
    "!HTTP_1.0",
];

fn evaluation(c: &mut Criterion) {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST | Contexts::LOG, Mode::Http, Some("web"), &NoFiles);
    let acls = AclTable::default();
    let parse = |text: &str| {
        let words: Vec<Word> = text.split(' ').map(|w| Word::new(w.as_bytes().to_vec(), SPAN)).collect();
        Condition::parse_body(&mut Words::new(&words, SPAN), &acls, &scope, false).expect("a valid condition")
    };
    let chain: Vec<Condition> = CHAIN.iter().map(|text| parse(text)).collect();
    let path = Expr::parse_str("path", SPAN, &scope).expect("a valid expression");
    let log =
        LogFormat::parse_str(defaults::HTTP, SPAN, LogFormatOptions::LOG, &scope).expect("a valid format");

    let mut head = RequestHead::default();
    head.set_start_line(b"GET", b"/shop/item?id=7&lang=en", Version::HTTP_11).expect("it fits");
    for (name, value) in [
        ("host", "www.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("x-forwarded-for", "203.0.113.7"),
    ] {
        head.headers.add(name.as_bytes(), value.as_bytes()).expect("it fits");
    }
    let environment = Constants::default();
    let source = "198.51.100.4:40000".parse().map(Endpoint::Inet).unwrap_or_default();
    let destination = "198.51.100.1:80".parse().map(Endpoint::Inet).unwrap_or_default();
    let session = SessionInfo { source, destination, frontend: Some(ProxyId(0)), ..SessionInfo::default() };
    let stream = StreamInfo {
        backend: Some(ProxyId(1)),
        server: Some(ServerId(0)),
        request_line: b"GET /shop/item?id=7&lang=en HTTP/1.1".to_vec(),
        status: 200,
        ..StreamInfo::default()
    };
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.request = Some(&head);
    ctx.stream = Some(&stream);

    c.bench_function("acl_chain_of_20", |b| {
        b.iter(|| chain.iter().position(|condition| condition.eval(black_box(&ctx))));
    });
    c.bench_function("fetch_path", |b| b.iter(|| path.eval(black_box(&ctx)).is_some()));
    let mut line = Vec::with_capacity(1024);
    c.bench_function("httplog_line", |b| {
        b.iter(|| {
            line.clear();
            log.render(black_box(&ctx), &mut line);
            line.len()
        });
    });
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
