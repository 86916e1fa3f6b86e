//! Rules by their text: a line is parsed, run on a request or response, and what came out is shown.
//!
//! Replies and messages are recordings of HAProxy 2.6 for the same lines.

use std::cell::RefCell;

use hacore::diag::{FileId, Span, Word, Words};

use super::super::*;
use crate::expr::fetch::StickQuery;
use crate::expr::{
    AclTable, BackendView, Data, Direction, Environment, FileLoader, FrontendView, LoadError, Now, Payload,
    ProcessView, Sample, ServerView, VarName, Vars,
};
use crate::http::h1::{
    ConnectionField, EncodePlan, Limits, Parsed, ResponseContext, encode_request, encode_response,
    parse_request, parse_response,
};
use crate::http::reply::ErrorPages;
use crate::http::{RequestHead, ResponseHead};
use crate::model::{Mode, ProxyId, ServerId};
use crate::txn::{Endpoint, SessionInfo, StreamInfo};

struct Nothing;

impl Environment for Nothing {
    fn process(&self) -> ProcessView<'_> {
        ProcessView::default()
    }
    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        None
    }
    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        None
    }
    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        None
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
        7
    }
    fn process_variable(&self, _: &VarName) -> Option<Sample<'static>> {
        None
    }
    fn set_process_variable(&self, _: &VarName, _: Option<Sample<'static>>) {}
    fn stick_table(&self, _: &StickQuery<'_>) -> Option<Sample<'static>> {
        None
    }
}

struct Files;

impl FileLoader for Files {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, LoadError> {
        match path {
            "/page" => Ok(Arc::from(&b"HTTP/1.0 403 Nope\r\nX-A: b\r\n\r\nbody"[..])),
            "/text" => Ok(Arc::from(&b"from a file"[..])),
            "/map" => Ok(Arc::from(&b"k v\n"[..])),
            other => Err(LoadError::Open { path: other.into(), reason: "no such file".into() }),
        }
    }
}

fn words(text: &str) -> Vec<Word> {
    let span = Span { file: FileId(0), line: 1, start: 0, end: 0 };
    // Quotes group words; that is all these tests need of the configuration's lexer.
    let mut words = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words.into_iter().map(|word| Word::new(word.into_bytes(), span)).collect()
}

/// All rules of a text, one per line, or the first error.
fn parse(set: RuleSet, lines: &str) -> Result<Vec<Rule>, String> {
    let state = crate::expr::LoadState::default();
    let contexts = set.contexts(ProxyKind::Frontend);
    let expr = state.scope(contexts, Mode::Http, Some("f"), &Files);
    let acls = AclTable::default();
    let captures = RefCell::new(Captures::default());
    let scope = RuleScope {
        set,
        kind: ProxyKind::Frontend,
        expr: &expr,
        acls: &acls,
        captures: &captures,
        http_errors: &|_, _| None,
        experimental: true,
    };
    let mut rules = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let list = words(line);
        let span = Span { file: FileId(0), line: 1, start: 0, end: 0 };
        let mut cursor = Words::new(&list, span);
        rules.push(parse_rule(&mut cursor, Location::default(), &scope).map_err(|error| error.message)?);
        assert!(cursor.is_empty(), "words left over: {line}");
    }
    Ok(rules)
}

/// What a connection owns.
#[derive(Default)]
struct Bench {
    session: SessionInfo,
    stream: StreamInfo,
    request: RequestHead,
    response: ResponseHead,
    vars: Vars,
    pages: ErrorPages,
    reply: Reply,
    effects: Effects,
    scratch: Scratch,
}

impl Bench {
    fn request(text: &str) -> Bench {
        let mut bench = Bench::default();
        bench.session.source = Endpoint::Inet("192.0.2.9:1234".parse().unwrap());
        let parsed = parse_request(&mut bench.request, text.as_bytes(), &Limits::default());
        assert!(matches!(parsed, Parsed::Head { .. }), "{text}");
        bench
    }

    fn with_response(mut self, text: &str) -> Bench {
        let context = ResponseContext::of(&self.request);
        let parsed = parse_response(&mut self.response, text.as_bytes(), context, &Limits::default());
        assert!(matches!(parsed, Parsed::Head { .. }), "{text}");
        self
    }

    fn run(&mut self, set: RuleSet, lines: &str) -> Verdict {
        let rules = parse(set, lines).unwrap();
        self.evaluate(set, &rules, &mut Progress::default(), Payload::default(), true)
    }

    fn evaluate(
        &mut self,
        set: RuleSet,
        rules: &[Rule],
        progress: &mut Progress,
        payload: Payload<'_>,
        is_final: bool,
    ) -> Verdict {
        let is_response = set.is_response();
        let mut txn = Txn {
            session: &mut self.session,
            stream: Some(&mut self.stream),
            request: Some(&mut self.request),
            response: is_response.then_some(&mut self.response),
            request_payload: payload,
            response_payload: Payload::default(),
            vars: &self.vars,
            env: &Nothing,
            now: Now::default(),
            direction: if is_response { Direction::Response } else { Direction::Request },
            is_final,
            wait_expired: false,
            pages: &self.pages,
            reply: &mut self.reply,
            effects: &mut self.effects,
            scratch: &mut self.scratch,
        };
        evaluate(rules, progress, &mut txn)
    }

    fn sent(&self) -> String {
        let mut out = Vec::new();
        let plan = EncodePlan { connection: ConnectionField::None, framing: self.request.framing() };
        encode_request(&self.request, &mut out, plan);
        String::from_utf8_lossy(&out).replace("\r\n", "|")
    }

    fn answered(&self) -> String {
        let mut out = Vec::new();
        let plan = EncodePlan { connection: ConnectionField::None, framing: self.reply.head.framing() };
        encode_response(&self.reply.head, &mut out, plan);
        out.extend_from_slice(&self.reply.body);
        String::from_utf8_lossy(&out).replace("\r\n", "|")
    }
}

const GET: &str = "GET /p/a?q=1 HTTP/1.1\r\nHost: a.b\r\nX-A: 1, 2\r\nX-A: 3\r\nCookie: foo=bar; x=y\r\n\r\n";

#[test]
fn requests_are_rewritten() {
    for (lines, expected) in [
        ("set-header X-A new", "GET /p/a?q=1 HTTP/1.1|host: a.b|cookie: foo=bar; x=y|x-a: new||"),
        (
            "add-header X-B %[src]",
            "GET /p/a?q=1 HTTP/1.1|host: a.b|x-a: 1, 2|x-a: 3|cookie: foo=bar; x=y|x-b: 192.0.2.9||",
        ),
        ("del-header x-a", "GET /p/a?q=1 HTTP/1.1|host: a.b|cookie: foo=bar; x=y||"),
        ("del-header X- -m beg", "GET /p/a?q=1 HTTP/1.1|host: a.b|cookie: foo=bar; x=y||"),
        ("del-header ^(X-A|cookie)$ -m reg", "GET /p/a?q=1 HTTP/1.1|host: a.b||"),
        (
            "replace-header Cookie foo=([^;]*);(.*) foo=\\1;ip=%[src];\\2",
            "GET /p/a?q=1 HTTP/1.1|host: a.b|x-a: 1, 2|x-a: 3|cookie: foo=bar;ip=192.0.2.9; x=y||",
        ),
        (
            "replace-value X-A ^([13])$ <\\1>",
            "GET /p/a?q=1 HTTP/1.1|host: a.b|x-a: <1>, 2|x-a: <3>|cookie: foo=bar; x=y||",
        ),
        ("set-path /x%[path]\n del-header ^ -m reg", "GET /x/p/a?q=1 HTTP/1.1||"),
        ("set-pathq /n?m\n del-header ^ -m reg", "GET /n?m HTTP/1.1||"),
        ("set-query a=b\n del-header ^ -m reg", "GET /p/a?a=b HTTP/1.1||"),
        ("set-uri http://h/x\n del-header ^ -m reg", "GET http://h/x HTTP/1.1||"),
        ("set-method POST\n del-header ^ -m reg", "POST /p/a?q=1 HTTP/1.1||"),
        ("replace-path /p(/.*) /n\\1\n del-header ^ -m reg", "GET /n/a?q=1 HTTP/1.1||"),
        ("replace-pathq /p([^?]*)(\\?.*)? \\1/n\\2\n del-header ^ -m reg", "GET /a/n?q=1 HTTP/1.1||"),
        ("set-header X-A no if { path /other }\n del-header ^ -m reg", "GET /p/a?q=1 HTTP/1.1||"),
    ] {
        let mut bench = Bench::request(GET);
        assert_eq!(bench.run(RuleSet::HttpRequest, lines), Verdict::Continue, "{lines}");
        assert_eq!(bench.sent(), expected, "{lines}");
    }
}

#[test]
fn a_rewritten_line_can_never_hold_a_line_end() {
    let mut bench = Bench::request(GET);
    bench.vars.set(&VarName::parse("txn.x").unwrap(), Sample::str(b"a\r\nevil: 1".to_vec()));
    bench.run(RuleSet::HttpRequest, "set-header X-B %[var(txn.x)]");
    assert!(!bench.sent().contains("|evil"), "{}", bench.sent());
    assert_eq!(bench.run(RuleSet::HttpRequest, "set-path /%[var(txn.x)]"), Verdict::Failed);
}

#[test]
fn replies_are_those_of_haproxy() {
    for (line, verdict, expected) in [
        (
            "redirect location /x",
            Verdict::Return,
            "302 Found|content-length: 0|location: /x|cache-control: no-cache||",
        ),
        (
            "redirect location /x code 301",
            Verdict::Return,
            "301 Moved Permanently|content-length: 0|location: /x||",
        ),
        (
            "redirect location /x code 303",
            Verdict::Return,
            "303 See Other|content-length: 0|location: /x|cache-control: no-cache||",
        ),
        (
            "redirect location /x code 307",
            Verdict::Return,
            "307 Temporary Redirect|content-length: 0|location: /x|cache-control: no-cache||",
        ),
        (
            "redirect location /x code 308",
            Verdict::Return,
            "308 Permanent Redirect|content-length: 0|location: /x||",
        ),
        (
            "redirect prefix http://p",
            Verdict::Return,
            "302 Found|content-length: 0|location: http://p/p/a?q=1|cache-control: no-cache||",
        ),
        (
            "redirect prefix http://p drop-query",
            Verdict::Return,
            "302 Found|content-length: 0|location: http://p/p/a|cache-control: no-cache||",
        ),
        (
            "redirect prefix http://p append-slash",
            Verdict::Return,
            "302 Found|content-length: 0|location: http://p/p/a?q=1/|cache-control: no-cache||",
        ),
        (
            "redirect prefix /",
            Verdict::Return,
            "302 Found|content-length: 0|location: /p/a?q=1|cache-control: no-cache||",
        ),
        (
            "redirect scheme https",
            Verdict::Return,
            "302 Found|content-length: 0|location: https://a.b/p/a?q=1|cache-control: no-cache||",
        ),
        (
            "redirect location /x set-cookie A=b",
            Verdict::Return,
            "302 Found|content-length: 0|location: /x|cache-control: no-cache|set-cookie: A=b; path=/;||",
        ),
        (
            "redirect location /x clear-cookie A=",
            Verdict::Return,
            "302 Found|content-length: 0|location: /x|cache-control: no-cache|set-cookie: A=; path=/; Max-Age=0;||",
        ),
        (
            "deny",
            Verdict::Deny,
            "403 Forbidden|content-length: 93|cache-control: no-cache|content-type: text/html||<html><body><h1>403 \
             Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n",
        ),
        ("deny hdr X-A b", Verdict::Deny, "403 Forbidden|x-a: b|content-length: 0||"),
        (
            "deny status 418 content-type text/plain string no",
            Verdict::Deny,
            "418 I'm a teapot|content-length: 2|content-type: text/plain||no",
        ),
        ("deny errorfile /page", Verdict::Deny, "403 Nope|x-a: b||body"),
        (
            "auth realm Foo",
            Verdict::Deny,
            "401 Unauthorized|content-length: 112|cache-control: no-cache|content-type: text/html|www-authenticate: \
             Basic realm=\"Foo\"||<html><body><h1>401 Unauthorized</h1>\nYou need a valid user and password to \
             access this content.\n</body></html>\n",
        ),
        ("return", Verdict::Return, "200 OK|content-length: 0||"),
        ("return status 204", Verdict::Return, "204 No Content||"),
        (
            "return status 200 content-type text/plain string hello hdr X-Y z",
            Verdict::Return,
            "200 OK|x-y: z|content-length: 5|content-type: text/plain||hello",
        ),
        (
            "return status 299 content-type text/plain lf-string p=%[path]",
            Verdict::Return,
            "299 Success|content-length: 6|content-type: text/plain||p=/p/a",
        ),
        (
            "return content-type text/plain file /text",
            Verdict::Return,
            "200 OK|content-length: 11|content-type: text/plain||from a file",
        ),
    ] {
        let mut bench = Bench::request(GET);
        assert_eq!(bench.run(RuleSet::HttpRequest, line), verdict, "{line}");
        let version = if line.contains("/page") { "HTTP/1.0 " } else { "HTTP/1.1 " };
        assert_eq!(bench.answered(), format!("{version}{expected}"), "{line}");
    }
}

#[test]
fn redirect_scheme_keeps_the_path_of_an_absolute_target() {
    let mut bench = Bench::request("GET http://h:80/rs?a=b HTTP/1.1\r\n\r\n");
    bench.run(RuleSet::HttpRequest, "redirect scheme https");
    assert_eq!(bench.reply.head.headers.find(b"location"), Some(&b"https:///rs?a=b"[..]));
}

#[test]
fn rules_decide() {
    for (set, lines, expected) in [
        (RuleSet::HttpRequest, "allow if { path_beg /p }\n deny", Verdict::Allow),
        (RuleSet::HttpRequest, "allow unless { path_beg /p }\n reject", Verdict::Reject),
        (RuleSet::HttpRequest, "silent-drop if { src 192.0.2.0/24 }", Verdict::SilentDrop),
        (RuleSet::HttpRequest, "tarpit deny_status 429", Verdict::Tarpit),
        (RuleSet::TcpRequestContent, "accept if { src 192.0.2.9 }\n reject", Verdict::Allow),
        (RuleSet::TcpRequestConnection, "reject if { src 192.0.2.9 }", Verdict::Reject),
        (RuleSet::TcpRequestConnection, "expect-proxy layer4 if { src 192.0.2.9 }", Verdict::Continue),
    ] {
        assert_eq!(Bench::request(GET).run(set, lines), expected, "{lines}");
    }
}

#[test]
fn variables_and_their_conditions() {
    let mut bench = Bench::request(GET);
    bench.run(
        RuleSet::HttpRequest,
        "set-var(txn.a) int(1)
         set-var(txn.a,ifnotexists) int(2)
         set-var(txn.b,ifexists) int(3)
         set-var-fmt(txn.c) \"p=%[path]\"
         set-var(txn.d) int(5)
         set-var(txn.d,iflt) int(9)
         set-var(txn.e) int(5)
         unset-var(txn.e)
         set-header X-Vars %[var(txn.a)]/%[var(txn.b)]/%[var(txn.c)]/%[var(txn.d)]/%[var(txn.e)]",
    );
    assert_eq!(bench.request.headers.find(b"x-vars"), Some(&b"1//p=/p/a/9/"[..]));
}

#[test]
fn captures_addresses_levels_timeouts() {
    let mut bench = Bench::request(GET);
    bench.run(
        RuleSet::HttpRequest,
        "capture req.hdr(host) len 2
         capture path len 10
         set-src req.hdr(x-real),ipmask(32) if { req.hdr(x-real) -m found }
         set-src str(198.51.100.7)
         set-src-port int(99)
         set-log-level silent
         set-priority-class int(-3)
         set-timeout client 3s
         disable-l7-retry
         early-hint Link \"</s.css>; rel=preload\"",
    );
    let captured: Vec<_> = bench.stream.request_captures.iter().flatten().collect();
    assert_eq!(captured, [&b"a."[..], b"/p/a"]);
    assert_eq!(bench.session.source, Endpoint::Inet("198.51.100.7:99".parse().unwrap()));
    assert_eq!((bench.stream.log_level, bench.effects.priority_class), (Some(255), -3));
    assert_eq!(bench.effects.client_timeout, Some(std::time::Duration::from_secs(3)));
    assert!(bench.effects.disable_l7_retry);
    assert_eq!(bench.effects.early_hints.find(b"link"), Some(&b"</s.css>; rel=preload"[..]));
}

#[test]
fn responses_are_rewritten() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: x\r\n\r\n";
    let mut bench = Bench::request(GET).with_response(response);
    let lines = "set-status 503 reason \"Slow Down\"\n del-header server\n set-header X-S %[status]";
    assert_eq!(bench.run(RuleSet::HttpResponse, lines), Verdict::Continue);
    assert_eq!((bench.response.status(), bench.response.reason()), (503, &b"Slow Down"[..]));
    assert!(!bench.response.headers.contains(b"server"));
    let mut bench = Bench::request(GET).with_response(response);
    assert_eq!(bench.run(RuleSet::HttpResponse, "deny"), Verdict::Deny);
    assert_eq!(bench.reply.head.status(), 502);
}

#[test]
fn wait_for_body_asks_the_same_rule_again() {
    let mut bench = Bench::request("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
    let rules = parse(
        RuleSet::HttpRequest,
        "add-header X-Once 1\n wait-for-body time 1s at-least 3 if METH_POST\n add-header X-After 1",
    )
    .unwrap();
    let mut progress = Progress::default();
    let payload = |data| Payload { data, complete: false, announced_bytes: Some(4) };
    let first = bench.evaluate(RuleSet::HttpRequest, &rules, &mut progress, payload(b"ab"), true);
    assert!(matches!(first, Verdict::WaitForBody { at_least_bytes: 3, .. }));
    let second = bench.evaluate(RuleSet::HttpRequest, &rules, &mut progress, payload(b"abc"), true);
    assert_eq!(second, Verdict::Continue);
    assert_eq!(bench.request.headers.count(b"x-once"), 1);
    assert_eq!(bench.request.headers.count(b"x-after"), 1);
}

#[test]
fn tcp_content_rules_wait_for_data_until_it_is_final() {
    let mut bench = Bench::request(GET);
    let rules = parse(RuleSet::TcpRequestContent, "reject if WAIT_END").unwrap();
    let payload = Payload { data: b"ab", complete: false, announced_bytes: None };
    let mut progress = Progress::default();
    assert_eq!(
        bench.evaluate(RuleSet::TcpRequestContent, &rules, &mut progress, payload, false),
        Verdict::Wait
    );
    assert_eq!(
        bench.evaluate(RuleSet::TcpRequestContent, &rules, &mut progress, payload, true),
        Verdict::Reject
    );
}

#[test]
fn maps_change_from_traffic() {
    let mut bench = Bench::request(GET);
    let lines = "set-map(/map) %[path] new\n set-header X-M %[path,map(/map,none)]";
    assert_eq!(bench.run(RuleSet::HttpRequest, lines), Verdict::Continue);
}

/// Messages of HAProxy 2.6 for the same lines.
#[test]
fn wrong_rules_are_refused_in_haproxys_words() {
    let rule = |name: &str, message: &str| {
        format!("error detected in frontend 'f' while parsing 'http-request {name}' rule : {message}")
    };
    for (line, expected) in [
        ("set-header a", rule("set-header", "expects exactly 2 arguments.")),
        (
            "set-header a b c",
            "'http-request set-header' expects either 'if' or 'unless' followed by a condition but found 'c'"
                .into(),
        ),
        (
            "set-header a b if foo",
            "error detected while parsing an 'http-request set-header' condition : no such ACL : 'foo'"
                .into(),
        ),
        ("del-header", rule("del-header", "expects at least 1 argument.")),
        ("del-header a -m foo", rule("del-header", "-m with unsupported matching method 'foo'.")),
        ("replace-header a b", rule("replace-header", "expects exactly 3 arguments.")),
        ("deny deny_status", rule("deny", "'status' expects <status_code> as argument.")),
        ("deny deny_status abc", rule("deny", "Unexpected status code '0'.")),
        ("deny deny_status 700", rule("deny", "Unexpected status code '700'.")),
        (
            "deny status 403 string x",
            rule("deny", "a content type must be defined when non-empty payload is configured."),
        ),
        (
            "deny status 403 content-type text/plain string a file b",
            rule("deny", "unexpected 'file' argument, 'string' already defined."),
        ),
        ("return hdr a", rule("return", "'hdr' expects <name> and <value> as arguments.")),
        ("return content-type a/b file /nonexist", rule("return", "error opening file '/nonexist'.")),
        ("redirect", rule("redirect", "redirection type expected ('prefix', 'location', or 'scheme').")),
        ("redirect location", rule("redirect", "missing argument for 'location'.")),
        (
            "redirect location /x code 300",
            rule(
                "redirect",
                "'code': unsupported HTTP code '300' (must be one of 301, 302, 303, 307 or 308).",
            ),
        ),
        (
            "set-var(a) str(x)",
            rule(
                "set-var(a)",
                "invalid variable name 'a'. A variable name must be start by its scope. The scope can be 'proc', \
                 'sess', 'txn', 'req', 'res' or 'check'.",
            ),
        ),
        ("set-var(txn.a)", rule("set-var(txn.a)", "missing fetch method.")),
        ("set-var(txn.a,foo) str(x)", rule("set-var(txn.a,foo)", "unknown condition \"foo\".")),
        ("set-path", rule("set-path", "expects exactly 1 argument <format>.")),
        ("auth realm", rule("auth", "missing realm value.")),
        ("capture req.hdr(a) len 0", rule("capture", "length must be > 0.")),
        ("capture req.hdr(a) foo 3", rule("capture", "expects 'len' or 'id', found 'foo'.")),
        (
            "set-log-level foo",
            rule("set-log-level", "expects exactly 1 argument (log level name or 'silent')."),
        ),
        (
            "set-mark foo",
            rule("set-mark", "invalid character starting at 'foo' (integer/hex value expected)."),
        ),
        ("set-map(/map) a", rule("set-map(/map)", "expects exactly 2 arguments.")),
        ("wait-for-body", rule("wait-for-body", "expects time <time> [ at-least <bytes> ].")),
        ("wait-for-body time 1s at-least x", rule("wait-for-body", "unexpected character 'x'.")),
        ("set-timeout server 1s", rule("set-timeout", "proxy 'f' has no backend capability.")),
        ("use-service foo", rule("use-service", "'foo' unknown service name.")),
        (
            "strict-mode foo",
            rule("strict-mode", "Unexpected value 'foo'. Only 'on' and 'off' are supported."),
        ),
    ] {
        assert_eq!(parse(RuleSet::HttpRequest, line).err(), Some(expected), "{line}");
    }
}

#[test]
fn missing_features_are_refused_by_name() {
    for (line, feature) in [
        ("track-sc0 src", "stick tables"),
        ("sc-inc-gpc0(0)", "stick tables"),
        ("lua.foo", "Lua"),
        ("send-spoe-group a b", "SPOE"),
        ("cache-use c", "the HTTP cache"),
        ("do-resolve(txn.a,b) src", "run-time DNS resolution"),
    ] {
        let message = parse(RuleSet::HttpRequest, line).unwrap_err();
        let ending = format!("needs {feature}, which this version does not have yet.");
        assert!(message.ends_with(&ending), "{message}");
    }
    let message = parse(RuleSet::HttpResponse, "set-path /x").unwrap_err();
    assert!(message.starts_with("'http-response' expects 'allow'"), "{message}");
    assert!(message.ends_with(", but got 'set-path'."), "{message}");
}

#[test]
fn every_action_is_documented_and_stands_somewhere() {
    for def in action_defs() {
        assert!(def.doc.ends_with('.') && !def.sets.is_empty(), "{}", def.name);
    }
}
