//! What the oracle cannot ask: files, names, waiting, formats of logs, keywords newer than the installed haproxy.

use std::sync::Arc;

use hacore::diag::{FileId, Severity, Span, Word, Words};

use super::acl::{AclTable, Condition};
use super::testing::{TestEnvironment, request};
use super::{
    Contexts, EvalCtx, Expr, FileLoader, LoadError, LoadState, LogFormat, LogFormatOptions, NameRef, NoFiles,
    Now, Payload, RefTarget, Resolver, Sample, Vars, Verdict, logformat::defaults,
};
use crate::model::{Mode, ProxyId};
use crate::txn::{SessionInfo, StreamInfo};

const SPAN: Span = Span { file: FileId(0), line: 7, start: 0, end: 0 };

/// Two files under fixed names.
struct Files;

impl FileLoader for Files {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, LoadError> {
        let text: &[u8] = match path {
            "hosts.lst" => b"# comment\n\n  one.example\r\ntwo.example\n #sharp\n",
            "hosts.map" => b"one.example  backend one \ntwo.example\tbe2\nempty\n",
            "nets.map" => b"10.0.0.0/8 1\n10.1.0.0/16 2\n::1 3\n",
            "re.map" => b"^(.*)\\.example$ be_\\1\n",
            _ => return Err(LoadError::Open { path: path.to_owned(), reason: "no such file".to_owned() }),
        };
        Ok(text.into())
    }
}

fn words(text: &str) -> Vec<Word> {
    text.split(' ').map(|w| Word::new(w.as_bytes().to_vec(), SPAN)).collect()
}

fn eval(text: &str) -> Option<String> {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &Files);
    let expr = Expr::parse_str(text, SPAN, &scope).unwrap_or_else(|d| panic!("{text}: {}", d.message));
    let (environment, session, vars) = (TestEnvironment::default(), SessionInfo::default(), Vars::default());
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.vars = Some(&vars);
    let text = expr.eval(&ctx)?.into_text()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn refusal(text: &str) -> hacore::diag::Diagnostic {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &Files);
    let list = words(text);
    Expr::parse(&mut Words::new(&list, SPAN), &scope).expect_err(text)
}

#[test]
fn converters_of_newer_versions() {
    for (text, value) in [
        ("int(951782400000),ms_utime(%Y-%m-%dT%H:%M:%S.%N)", Some("2000-02-29T00:00:00.000")),
        ("int(951782400000001),us_utime(%H:%M:%S.%N)", Some("00:00:00.000001")),
        ("str(abc),reverse", Some("cba")),
        ("str(www.haproxy.org),reverse_dom", Some("org.haproxy.www")),
        ("bin(a5),base2", Some("10100101")),
        ("bin(01020304050607),le2dec(:,2)", Some("513:1027:1541:7")),
        ("str(a=1&b=2),param(b)", Some("2")),
        ("str(a=1&b),param(b)", Some("")),
        ("str(a=1&b),param(c)", None),
        ("str(a=1;b=2),param(b,;)", Some("2")),
        ("bin(610a),has_ctl", Some("1")),
        ("bin(6109),has_ctl", Some("0")),
        ("bin(6109),has_ctl(any)", Some("1")),
        ("bin(6109),has_ctl(0x200)", Some("1")),
        ("bin(617f),has_ctl(http)", Some("0")),
        ("bin(617f),has_ctl(4294967296)", Some("1")),
        ("int(3),set-var(txn.n),concat(abcdef),bytes(txn.n,2)", Some("cd")),
        ("str(\"Sun, 06 Nov 1994 08:49:37 GMT\"),date", Some("784111777")),
        ("str(\"Sunday, 06-Nov-94 08:49:37 GMT\"),date", Some("784111777")),
        ("str(\"Sun Nov  6 08:49:37 1994\"),date", Some("784111777")),
        ("str(for=127.0.0.1),rfc7239_is_valid", Some("1")),
        ("str(for=bad!node),rfc7239_is_valid", Some("0")),
        ("str(\"for=\\\"[2001:db8::1]:80\\\";proto=https\"),rfc7239_field(proto)", Some("https")),
        ("str(\"for=\\\"[2001:db8::1]:80\\\"\"),rfc7239_field(for),rfc7239_n2nn", Some("2001:db8::1")),
        ("str(\"for=\\\"[2001:db8::1]:80\\\"\"),rfc7239_field(for),rfc7239_n2np", Some("80")),
        ("str(a),set-var(txn.x,ifnotexists),concat(,txn.x)", Some("aa")),
        ("str(be),nbsrv", Some("2")),
        ("str(fe),fe_exists", Some("1")),
        ("str(be/srv),srv_is_up", Some("1")),
    ] {
        assert_eq!(eval(text).as_deref(), value, "{text}");
    }
}

#[test]
fn dump_all_vars_writes_each_type_in_its_own_way() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &NoFiles);
    let (environment, session, vars) = (TestEnvironment::default(), SessionInfo::default(), Vars::default());
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.vars = Some(&vars);
    for setting in [
        "str('John \"Doe\"\\'),set-var(txn.name)",
        "bin(48656c6c6f),set-var(txn.data)",
        "int(42),set-var(sess.count)",
        "bool(true),set-var(txn.user_active)",
        "ipv4(192.168.0.1),set-var(req.client)",
        "meth(GET),set-var(res.method)",
        "int(7),set-var(proc.global)",
    ] {
        Expr::parse_str(setting, SPAN, &scope).unwrap().eval(&ctx);
    }
    let dump = |text: &str| {
        let expr = Expr::parse_str(text, SPAN, &scope).unwrap_or_else(|d| panic!("{text}: {}", d.message));
        String::from_utf8(expr.eval(&ctx).unwrap().into_text().unwrap().into_vec()).unwrap()
    };
    assert_eq!(
        dump("dump_all_vars"),
        "sess.count=42, txn.name=\"John \\\"Doe\\\"\\\\\", txn.data=x48656c6c6f, txn.user_active=true, \
         req.client=192.168.0.1, res.method=\"GET\", proc.global=7"
    );
    assert_eq!(dump("dump_all_vars(txn,user_)"), "txn.user_active=true");
    assert_eq!(dump("dump_all_vars(,c,;)"), "sess.count=42;req.client=192.168.0.1");
    assert!(refusal("dump_all_vars(check)").message.contains("invalid scope 'check'"));
}

#[test]
fn capture_req_stores_what_fits_and_passes_the_value_on() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &NoFiles);
    let (environment, vars) = (TestEnvironment::default(), Vars::default());
    let session = SessionInfo { frontend: Some(ProxyId(0)), ..SessionInfo::default() };
    let stream =
        StreamInfo { request_captures: vec![Some(b"old".to_vec()), None].into(), ..StreamInfo::default() };
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    (ctx.vars, ctx.stream) = (Some(&vars), Some(&stream));
    let eval =
        |text: &str| Expr::parse_str(text, SPAN, &scope).unwrap().eval(&ctx).map(|value| value.into_static());
    assert_eq!(eval("capture.req.hdr(0)"), Some(Sample::str("old")));
    assert_eq!(eval("str(abcdef),capture-req(0)"), Some(Sample::str("abcdef")));
    assert_eq!(eval("capture.req.hdr(0)"), Some(Sample::str("abcd")));
    assert_eq!(eval("str(abcdef),capture-req(5)"), Some(Sample::str("abcdef")));
    assert_eq!(eval("str(abcdef),capture-res(0)"), Some(Sample::str("abcdef")));
    assert_eq!((eval("capture.req.hdr(1)"), stream.request_captures.len()), (None, 2));
}

#[test]
fn when_lets_a_value_pass_under_its_condition() {
    use crate::txn::{Cause, Phase, Termination};
    let load = LoadState::default();
    let acls = AclTable::default();
    let base = load.scope(Contexts::LOG, Mode::Http, Some("fe"), &NoFiles);
    let scope = super::ParseScope { acls: Some(&acls), ..base };
    let name = Word::new(b"slow".to_vec(), SPAN);
    let list = words("int(3) ge 2");
    acls.define(&name, &mut Words::new(&list, SPAN), &scope).unwrap();
    let environment = TestEnvironment::default();
    let session = SessionInfo { frontend: Some(ProxyId(0)), ..SessionInfo::default() };
    let passes = |condition: &str, stream: &StreamInfo| {
        let text = format!("int(1),when({condition})");
        let expr = Expr::parse_str(&text, SPAN, &scope).unwrap_or_else(|d| panic!("{text}: {}", d.message));
        let mut ctx = EvalCtx::new(&session, &environment, Now::default());
        ctx.stream = Some(stream);
        expr.eval(&ctx).is_some()
    };
    let fine = StreamInfo { status: 200, server: Some(crate::model::ServerId(0)), ..StreamInfo::default() };
    let termination = Termination { cause: Cause::ServerTimeout, phase: Phase::Headers };
    let failed = StreamInfo { status: 504, termination, ..StreamInfo::default() };
    let applet = StreamInfo { status: 200, service: Some("<STATS>"), ..StreamInfo::default() };
    for (condition, expected) in [
        ("normal", [true, false, true]),
        ("error", [false, true, false]),
        ("!error", [true, false, true]),
        ("!normal", [false, true, false]),
        ("forwarded", [true, false, false]),
        ("toapplet", [false, false, true]),
        ("processed", [true, false, true]),
        ("stopping", [false, false, false]),
        ("acl,slow", [true, true, true]),
        ("!acl,slow", [false, false, false]),
    ] {
        assert_eq!(
            [&fine, &failed, &applet].map(|stream| passes(condition, stream)),
            expected,
            "{condition}"
        );
    }
    assert!(refusal("int(1),when(never)").message.contains("unknown condition 'never'"));
    assert!(refusal("int(1),when(acl,none)").message.contains("no such ACL : 'none'"));
}

#[test]
fn aes_gcm_round_trip() {
    let key = "Zm9vb2Zvb29mb29wZm9vbw==";
    let nonce = "AAAAAAAAAAAAAAAA";
    let text =
        format!("str(hello),aes_gcm_enc(128,{nonce},{key},txn.tag),aes_gcm_dec(128,{nonce},{key},txn.tag)");
    assert_eq!(eval(&text).as_deref(), Some("hello"));
}

#[test]
fn maps_give_the_value_of_the_finest_match() {
    for (text, value) in [
        ("str(one.example),map(hosts.map)", Some("backend one")),
        ("str(none),map(hosts.map)", None),
        ("str(none),map(hosts.map,fallback)", Some("fallback")),
        ("str(empty),map(hosts.map)", Some("")),
        ("str(www.two.example),map_end(hosts.map)", Some("be2")),
        ("ipv4(10.1.2.3),map_ip_int(nets.map)", Some("2")),
        ("ipv4(10.9.2.3),map_ip_int(nets.map)", Some("1")),
        ("ipv6(::1),map_ip(nets.map)", Some("3")),
        ("str(x.example),map_regm(re.map)", Some("be_x")),
        ("str(x),map(virt@empty,none)", Some("none")),
        ("str(x),map(opt@missing,none)", Some("none")),
    ] {
        assert_eq!(eval(text).as_deref(), value, "{text}");
    }
    assert!(refusal("str(x),map(missing)").message.ends_with("failed to open pattern file <missing>."));
    assert!(refusal("str(x),map_int(hosts.map)").message.contains("is not a number"));
}

#[test]
fn maps_change_at_run_time() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, None, &Files);
    let expr = Expr::parse_str("str(new),map_str_int(virt@m)", SPAN, &scope).unwrap();
    let (environment, session) = (TestEnvironment::default(), SessionInfo::default());
    let ctx = EvalCtx::new(&session, &environment, Now::default());
    assert_eq!(expr.eval(&ctx), None);
    let file = &load.pattern_files.all()[0];
    let entry = |value: &str| super::PatternEntry::new(*b"new", value.as_bytes(), 0);
    file.update(|entries| entries.push(entry("5"))).unwrap();
    assert_eq!(expr.eval(&ctx), Some(Sample::Int(5)));
    assert!(file.update(|entries| entries.push(entry("x"))).is_err());
    assert_eq!((expr.eval(&ctx), file.len()), (Some(Sample::Int(5)), 1));
}

#[test]
fn pattern_files_hold_one_pattern_a_line() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, None, &Files);
    let (environment, session, acls) =
        (TestEnvironment::default(), SessionInfo::default(), AclTable::default());
    for (host, expected) in [("ONE.example", true), ("#sharp", true), ("# comment", false), ("", false)] {
        let head = request("GET", "/", &[("host", host)]);
        let mut ctx = EvalCtx::new(&session, &environment, Now::default());
        ctx.request = Some(&head);
        let list = words("{ hdr(host) -i -f hosts.lst }");
        let condition = Condition::parse_body(&mut Words::new(&list, SPAN), &acls, &scope, false).unwrap();
        assert_eq!(condition.eval(&ctx), expected, "{host}");
    }
}

#[test]
fn acls_of_one_name_are_alternatives_even_when_added_later() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, None, &NoFiles);
    let acls = AclTable::default();
    let name = Word::new(b"static".to_vec(), SPAN);
    acls.define(&name, &mut Words::new(&words("path_beg /img"), SPAN), &scope).unwrap();
    let list = words("unless static !HTTP_1.0 || { always_false }");
    let condition = Condition::parse_body(&mut Words::new(&list[1..], SPAN), &acls, &scope, true).unwrap();
    acls.define(&name, &mut Words::new(&words("path_end .css"), SPAN), &scope).unwrap();
    let (environment, session) = (TestEnvironment::default(), SessionInfo::default());
    for (path, expected) in [("/img/x", false), ("/a.css", false), ("/a.js", true)] {
        let head = request("GET", path, &[]);
        let mut ctx = EvalCtx::new(&session, &environment, Now::default());
        ctx.request = Some(&head);
        assert_eq!(condition.eval(&ctx), expected, "{path}");
    }
    assert_eq!(condition.text(), "unless static !HTTP_1.0 || { always_false }");
}

#[test]
fn missing_data_is_waited_for_until_the_end() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::TCP_REQUEST_CONTENT, Mode::Tcp, None, &NoFiles);
    let (environment, session, acls) =
        (TestEnvironment::default(), SessionInfo::default(), AclTable::default());
    // A TLS 1.2 ClientHello with server_name "a.example", cut at every length.
    let name = b"a.example";
    let sni = [&[0, 0, 0, 14, 0, 12, 0, 0, 9][..], name].concat();
    let body = [&[3, 3][..], &[0; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, 18], &sni].concat();
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 1, 0, handshake.len() as u8][..], &handshake].concat();
    let list = words("{ req.ssl_sni -i a.example }");
    let condition = Condition::parse_body(&mut Words::new(&list, SPAN), &acls, &scope, false).unwrap();
    for cut in 0..=record.len() {
        let mut ctx = EvalCtx::new(&session, &environment, Now::default());
        ctx.request_payload = Payload { data: &record[..cut], complete: false, announced_bytes: None };
        ctx.is_final = false;
        let expected = if cut == record.len() { Verdict::Pass } else { Verdict::Wait };
        assert_eq!(condition.check(&ctx), expected, "{cut} bytes");
        ctx.is_final = true;
        assert_eq!(condition.check(&ctx), if cut == record.len() { Verdict::Pass } else { Verdict::Fail });
    }
}

#[test]
fn refusals_say_what_haproxy_says_and_what_was_meant() {
    for (text, message, suggestion) in [
        ("pathh", "unknown fetch method 'pathh'", Some("path")),
        ("path,lowr", "unknown converter 'lowr'", Some("lower")),
        ("str(a)lower", "missing comma after fetch keyword 'str'", None),
        (
            "req.hdr(a,b)",
            "fetch method 'req.hdr' : failed to parse 'b' as type 'integer' at position 2",
            None,
        ),
        (
            "str(a),field(1)",
            "invalid arg 2 in converter 'field' : missing arguments (got 1/2), type 'string' expected",
            None,
        ),
        ("src,add(x)", "invalid args in converter 'add' : expects an integer or a variable name", None),
        ("str(a", "fetch method 'str' : expected ')'", None),
        (
            "status",
            "fetch method 'status' extracts information from 'HTTP response', none of which is available here",
            None,
        ),
    ] {
        let diagnostic = refusal(text);
        assert_eq!(
            (diagnostic.message.as_str(), diagnostic.replacement.as_deref()),
            (message, suggestion),
            "{text}"
        );
        assert_eq!(diagnostic.severity, Severity::Alert);
    }
}

#[test]
fn look_around_is_refused_with_the_reason() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, None, &NoFiles);
    let list = words("{ path_reg ^/(?!admin) }");
    let error =
        Condition::parse_body(&mut Words::new(&list, SPAN), &AclTable::default(), &scope, false).unwrap_err();
    assert!(error.message.contains("look-around"), "{}", error.message);
}

#[test]
fn names_are_resolved_at_the_end_of_the_load() {
    struct Names;
    impl Resolver for Names {
        fn resolve(&self, reference: &NameRef) -> Option<RefTarget> {
            (&*reference.name == "be").then_some(RefTarget::Proxy(ProxyId(1)))
        }
    }
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &NoFiles);
    let expr = Expr::parse_str("nbsrv(be)", SPAN, &scope).unwrap();
    Expr::parse_str("nbsrv(nope)", SPAN, &scope).unwrap();
    let diagnostics = load.references.resolve(&Names);
    let messages: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        ["unable to find backend 'nope' referenced in arg 1 of sample fetch keyword 'nbsrv' in proxy 'fe'."]
    );
    let (environment, session) = (TestEnvironment::default(), SessionInfo::default());
    let ctx = EvalCtx::new(&session, &environment, Now::default());
    assert_eq!(expr.eval(&ctx), Some(Sample::Int(2)));
}

fn render(format: &str, options: LogFormatOptions) -> String {
    let load = LoadState::default();
    let scope = load.scope(Contexts::LOG, Mode::Http, Some("fe"), &NoFiles);
    let format =
        LogFormat::parse_str(format, SPAN, options, &scope).unwrap_or_else(|d| panic!("{}", d.message));
    let (environment, vars) = (TestEnvironment::default(), Vars::default());
    let session = SessionInfo {
        source: crate::txn::Endpoint::Inet("192.0.2.1:4711".parse().unwrap()),
        destination: crate::txn::Endpoint::Inet("[2001:db8::1]:443".parse().unwrap()),
        frontend: Some(ProxyId(0)),
        accepted_us: 951_782_400_123_000,
        tls: true,
        ..SessionInfo::default()
    };
    let stream = StreamInfo {
        request_line: b"GET /a\x01\"b?q=1 HTTP/1.1".to_vec(),
        status: 200,
        request_captures: vec![Some(b"a|b".to_vec()), None].into(),
        timing: crate::txn::Timing {
            start_us: 1_000_000,
            request_first_byte_us: Some(1_005_000),
            request_done_us: Some(1_006_000),
            queue_done_us: Some(1_008_000),
            connect_done_us: Some(1_011_000),
            response_head_us: Some(1_015_000),
            end_us: Some(1_020_000),
            ..crate::txn::Timing::default()
        },
        ..StreamInfo::default()
    };
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.stream = Some(&stream);
    ctx.vars = Some(&vars);
    let mut out = Vec::new();
    format.render(&ctx, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn httplog_line() {
    assert_eq!(
        render(defaults::HTTP, LogFormatOptions::LOG),
        "192.0.2.1:4711 [29/Feb/2000:00:00:00.123] fe~ fe/<NOSRV> 1/2/3/4/15 200 0 - - ---- 0/0/0/0/0 0/0 {a#7Cb|} \"GET /a#01#22b?q=1 HTTP/1.1\""
    );
}

#[test]
fn flags_of_log_formats() {
    for (format, line) in [
        ("%{+X}ci:%{+X}cp %{+X}fi", "C0000201:1267 20010DB8000000000000000000000001"),
        ("%{+Q}[str(a)] %{+Q}[var(txn.none)] %[var(txn.none)]", "\"a\" \"\" -"),
        ("%{+E}[str(\"a]\")]   %%   x", "a\\] % x"),
        ("%T|%Ts|%ms", "29/Feb/2000:00:00:00 +0000|951782400|123"),
        ("%HM %HU %HP %HQ %HV", "GET /a#01#22b?q=1 /a#01#22b ?q=1 HTTP/1.1"),
        ("%hrl %{+Q}hrl %{+Q}hr", "a#7Cb - \"a#7Cb\" \"\" \"{a#7Cb|}\""),
        ("0/0 %hs %hsl %{+Q}hs end", "0/0 end"),
        (
            "%{+json}o%(status)ST%(who:str)[src] %(n:sint)[int(5)]%(none)[var(txn.none)]",
            "{\"status\": 200, \"who\": \"192.0.2.1\", \"n\": 5, \"none\": null}",
        ),
    ] {
        assert_eq!(render(format, LogFormatOptions::LOG), line, "{format}");
    }
}

#[test]
fn fhdr_reads_a_header_that_a_rule_wrote_without_its_blanks() {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &Files);
    let expr = Expr::parse_str("req.fhdr(x)", SPAN, &scope).unwrap();
    let (environment, session) = (TestEnvironment::default(), SessionInfo::default());
    let mut head = request("GET", "/", &[("host", "h")]);
    head.headers.set(b"x", b"  a  b  ").unwrap();
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.request = Some(&head);
    assert_eq!(expr.eval(&ctx), Some(Sample::str("a  b")));
}
