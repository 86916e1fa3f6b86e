//! Whole files in, diagnostics and model out. The sentences were compared with HAProxy 2.6.12's unless said otherwise.

use std::time::Duration;

use hacore::diag::Severity;

use super::{Environment, LoadOptions, Loaded, load_text};
use crate::model::{
    Address, BalanceAlgorithm, CheckKind, Config, ConnectionMode, ErrorReply, Mode, UseBackendTarget,
};

fn load(text: &str) -> Loaded {
    load_text("t.cfg", text, LoadOptions::default(), Environment::default())
}

/// The model of a valid text.
fn model(text: &str) -> Config {
    let loaded = load(text);
    let alerts: Vec<_> = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Alert).collect();
    loaded.config.unwrap_or_else(|| panic!("{alerts:#?}"))
}

/// `line: message` of everything at least as bad as `severity`.
fn findings(text: &str, severity: Severity) -> Vec<String> {
    let loaded = load(text);
    let bad = loaded.diagnostics.iter().filter(|d| d.severity >= severity);
    bad.map(|d| format!("{}: {}", d.span.map_or(0, |span| span.line), d.message)).collect()
}

fn alerts(text: &str) -> Vec<String> {
    findings(text, Severity::Alert)
}

const TIMEOUTS: &str = " timeout client 1s\n timeout connect 1s\n timeout server 1s\n";

#[test]
fn every_error_of_a_file_is_reported_with_its_line() {
    let text = "global\n maxcon 10\n nbthread abc\ndefaults\n timeout client 5x\n timout server 5s\nfrontend f\n bind\nbackend b\n server s1 1.1.1.1:80 chek\n option httpchkk\nbackend b\nbakend c\n";
    assert_eq!(
        alerts(text),
        [
            "2: unknown keyword 'maxcon' in 'global' section; did you mean 'maxconn' maybe ?",
            "3: 'nbthread' passed a missing or unparsable integer value in 'abc'",
            "5: unexpected character 'x' in 'timeout client'",
            "6: unknown keyword 'timout' in 'defaults' section; did you mean 'timeout' maybe ?",
            "8: 'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.",
            "10: 'server b/s1' : unknown keyword 'chek'; did you mean 'check' maybe ?",
            "11: unknown option 'httpchkk'; did you mean 'httpchk' maybe ?",
            "12: backend 'b' has the same name as backend 'b' declared at t.cfg:9.",
            "13: unknown keyword 'bakend' in 'backend' section; did you mean 'backend' maybe ?",
        ]
    );
}

#[test]
fn a_proxy_inherits_from_the_last_defaults_or_the_named_one() {
    let config = model(&format!(
        "defaults\n mode http\n{TIMEOUTS} option http-server-close\ndefaults tcp\n mode tcp\n{TIMEOUTS} retries 7\nfrontend f\n bind :8081\nbackend b from tcp\n balance leastconn\n server s 192.0.2.1:80 weight 5\n"
    ));
    let [f, b] = config.proxies.as_slice() else { panic!() };
    // `defaults tcp` is the last one.
    assert_eq!((f.mode, f.retries, f.connection_mode), (Mode::Tcp, 7, ConnectionMode::KeepAlive));
    assert_eq!((b.mode, b.retries, b.balance.algorithm.clone()), (Mode::Tcp, 7, BalanceAlgorithm::LeastConn));
    assert_eq!(b.servers[0].weight, 5);
    assert_eq!(f.timeouts.client, Some(Duration::from_secs(1)));
}

#[test]
fn default_server_counts_for_the_servers_after_it() {
    let config = model(&format!(
        "backend b\n{TIMEOUTS} server a 192.0.2.1:80\n default-server inter 3s fall 5 rise 1 maxconn 10\n server b 192.0.2.2 check\n server c 192.0.2.3:+10 backup\n"
    ));
    let servers = &config.proxies[0].servers;
    assert_eq!((servers[0].inter, servers[0].maxconn), (Duration::from_secs(2), 0));
    assert_eq!(
        (servers[1].inter, servers[1].fall, servers[1].rise, servers[1].maxconn),
        (Duration::from_secs(3), 5, 1, 10)
    );
    assert!(servers[1].check && servers[1].port_from_client && !servers[0].port_from_client);
    assert_eq!((servers[2].port_offset, servers[2].backup), (Some(10), true));
    assert_eq!(servers.iter().map(|s| s.numeric_id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn bind_takes_lists_ranges_and_families() {
    let config = model(&format!(
        "frontend f\n{TIMEOUTS} bind 127.0.0.1:8001-8003,[::1]:9000 name x maxconn 5\n bind /run/x.sock mode 660\n bind fd@7\n"
    ));
    let binds = &config.proxies[0].binds;
    let ports: Vec<_> = binds
        .iter()
        .map(|bind| match &bind.address {
            Address::Inet(address) => address.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        ports,
        [
            "127.0.0.1:8001",
            "127.0.0.1:8002",
            "127.0.0.1:8003",
            "[::1]:9000",
            "Unix(\"/run/x.sock\")",
            "Fd(7)"
        ]
    );
    assert_eq!(
        (binds[3].name.as_deref(), binds[3].maxconn, binds[4].unix_mode),
        (Some("x"), Some(5), Some(0o660))
    );
}

#[test]
fn backends_are_found_wherever_they_stand() {
    let config = model(&format!(
        "defaults\n mode http\n{TIMEOUTS}frontend f\n bind :8081\n acl a path_beg /a\n use_backend x if a\n use_backend %[path] if a\n default_backend y\nbackend x\n server s 192.0.2.1:80\nbackend y\n server s 192.0.2.1:80\n"
    ));
    let f = &config.proxies[0];
    assert!(
        matches!(f.use_backend[0].target, UseBackendTarget::Static(id) if config.proxy(id).unwrap().name == "x")
    );
    assert!(matches!(f.use_backend[1].target, UseBackendTarget::Dynamic(_)));
    assert_eq!(config.proxy(f.default_backend.unwrap()).unwrap().name, "y");
    assert_eq!(
        alerts("frontend f\n bind :8081\n default_backend nope\n"),
        ["3: Proxy 'f': unable to find required default_backend: 'nope'."]
    );
}

#[test]
fn keywords_of_the_other_side_are_ignored_with_a_warning() {
    let text = format!("frontend f\n bind :8081\n{} balance roundrobin\n", " timeout client 1s\n");
    assert_eq!(
        findings(&text, Severity::Warning),
        ["4: 'balance' ignored because frontend 'f' has no backend capability."]
    );
    assert_eq!(
        alerts("frontend f\n bind :8081\n server s 1.1.1.1:80\n"),
        ["3: 'server' not allowed because frontend 'f' has no backend capability."]
    );
}

#[test]
fn checks_are_compiled_and_the_tutorials_forms_are_taken_as_what_they_mean() {
    let config = model(&format!(
        "defaults\n mode http\n{TIMEOUTS}backend a\n option httpchk GET /health\n http-check send ver HTTP/1.1 hdr Host x\n http-check expect status 200-299\nbackend b\n http-check GET /api/health HTTP/1.1\\r\\nHost:\\ example.com\nbackend c\n option tcpchk\n tcp-check send PING\\r\\n\n tcp-check expect string +PONG\n"
    ));
    let [a, b, c] = config.proxies.as_slice() else { panic!() };
    assert_eq!(a.check.rules.len(), 2);
    let CheckKind::Http { method, uri, version, headers, .. } = &b.check.kind else { panic!() };
    assert_eq!((method.as_str(), uri.as_str(), version.as_str()), ("GET", "/api/health", "HTTP/1.1"));
    assert_eq!(headers, &[("Host".to_owned(), "example.com".to_owned())]);
    assert_eq!((&c.check.kind, c.check.rules.len()), (&CheckKind::TcpSequence, 2));
}

#[test]
fn a_forgotten_argument_of_balance_shows_the_fix() {
    let loaded = load("backend b\n balance url_param\n");
    let alert = loaded.diagnostics.iter().find(|d| d.severity == Severity::Alert).unwrap();
    assert_eq!(alert.message, "'balance url_param' requires an URL parameter name.");
    assert!(alert.help[0].contains("balance url_param userid"));
}

#[test]
fn error_locations_replace_error_pages() {
    let config = model(&format!(
        "defaults\n mode http\n{TIMEOUTS}frontend f\n bind :8081\n errorloc303 503 http://sorry/\n"
    ));
    let reply = config.proxies[0].error_replies.get(&503);
    assert_eq!(reply, Some(&ErrorReply::Location { status: 303, url: "http://sorry/".into() }));
}

#[test]
fn http_error_takes_texts_files_and_formats() {
    let start = format!("defaults\n mode http\n{TIMEOUTS}frontend f\n bind :8081\n");
    let config = model(&format!(
        "{start} http-error status 503 content-type text/plain hdr X-A \"%[path]\" lf-string \"gone: %[src]\"\n \
         http-error status 404 content-type text/plain hdr x-a b lf-string constant\n http-error status 500\n"
    ));
    let replies = &config.proxies[0].error_replies;
    let ErrorReply::Described(reply) = &replies[&503] else { panic!("{replies:?}") };
    assert_eq!((reply.status, reply.headers[0].0.as_str()), (503, "x-a"));
    let message =
        b"HTTP/1.1 404 Not Found\r\nx-a: b\r\ncontent-length: 8\r\ncontent-type: text/plain\r\n\r\nconstant";
    assert!(matches!(&replies[&404], ErrorReply::File { bytes, .. } if **bytes == message[..]));
    assert!(matches!(&replies[&500], ErrorReply::File { .. }));
    for (line, said) in [
        ("status 503 lf-string x", "a content type must be defined when non-empty payload is configured"),
        ("status 503 string a lf-string b", "unexpected 'lf-string' argument, 'string' already defined"),
        ("status 503 hdr content-length 1", "header 'content-length' is forbidden"),
        ("status 503 strin a", "unknown keyword 'strin'"),
        ("status 503 content-type a/b lf-string %[nope]", "unknown fetch method 'nope'"),
        ("status 503 errorfiles nowhere", "nowhere"),
        ("string a", "expects at least a <status> as arguments"),
    ] {
        let loaded = load(&format!("{start} http-error {line}\n"));
        let alerts: Vec<_> = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Alert).collect();
        assert!(alerts[0].message.contains(said), "{line}: {alerts:#?}");
        assert!(alerts[0].span.is_some());
    }
}

#[test]
fn http_error_takes_a_page_of_an_http_errors_section() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("503.http");
    std::fs::write(&page, "HTTP/1.1 503 Own\r\ncontent-length: 3\r\n\r\nown").unwrap();
    let config = model(&format!(
        "defaults\n mode http\n{TIMEOUTS}http-errors pages\n errorfile 503 {}\nfrontend f\n bind :8081\n \
         http-error status 503 errorfiles pages\n",
        page.display()
    ));
    let reply = &config.proxies[0].error_replies[&503];
    assert!(matches!(reply, ErrorReply::File { bytes, .. } if bytes.ends_with(b"own")), "{reply:?}");
}

#[test]
fn conditionals_choose_what_is_read() {
    let config = model(&format!(
        ".if defined(NOPE)\n garbage here\n.elif 1\nfrontend yes\n bind :8081\n timeout client 1s\n.else\n more garbage\n.endif\nglobal\n setenv X 5\n.if streq(\"$X\",5)\n maxconn 77\n.endif\nbackend \"b${{X}}\"\n{TIMEOUTS}"
    ));
    assert_eq!(config.proxies.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["yes", "b5"]);
    assert_eq!(config.global.maxconn, Some(77));
    assert_eq!(alerts(".if 1\n"), ["1: non-terminated '.if' block."]);
    assert_eq!(alerts(".endif\n"), ["1: lone '.endif' with no matching '.if'."]);
}

#[test]
fn a_last_line_without_line_feed_is_refused() {
    assert_eq!(
        alerts("global\n daemon"),
        ["2: Missing LF on last line, file might have been truncated at position 8."]
    );
}

#[test]
fn options_of_later_releases_are_refused_with_their_feature() {
    assert_eq!(
        alerts("backend b\n stick-table type ip size 1m\n"),
        ["2: 'stick-table' needs stick tables, which this version does not have yet."]
    );
}

#[test]
fn a_missing_feature_is_one_alert_that_names_the_other_lines() {
    let text = "frontend f\n mode http\n http-request track-sc0 src table b\n http-request lua.f\n\
                backend b\n filter spoe config spoe.conf\n stick-table type ip size 1m\n use-server %[lua.g] if TRUE\n";
    let found = alerts(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].ends_with("stick tables, which this version does not have yet. So does line 7."),
        "{found:?}"
    );
    assert!(
        found[1].ends_with("needs Lua, which this version does not have yet. So does line 8."),
        "{found:?}"
    );
    assert_eq!(found[2], "6: 'filter spoe' needs SPOE, which this version does not have yet.");
}

#[test]
fn tracking_in_a_circle_is_found() {
    let text =
        format!("backend b\n{TIMEOUTS} server a 192.0.2.1:80 track b\n server b 192.0.2.1:80 track a\n");
    assert!(alerts(&text)[0].contains("circular"), "{:?}", alerts(&text));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "((global|defaults|frontend f|backend b|listen l|peers p)\n)?([ a-z0-9:./%\\[\\]{}\"'$#-]{0,40}\n){0,8}") {
        let _ = load(&text);
    }

    #[test]
    fn no_arguments_of_real_keywords_panic(keyword in 0usize..1000, arguments in "[ a-z0-9:./%(){},-]{0,30}") {
        let all: Vec<_> = super::keywords::tables().collect();
        let keyword = all[keyword % all.len()];
        for section in super::section::SECTIONS.iter().filter(|section| keyword.places.has(section.place)) {
            let _ = load(&format!("{} x\n {} {arguments}\n", section.name, keyword.name));
        }
    }

    #[test]
    fn no_server_or_bind_line_panics(word in 0usize..1000, arguments in "[ a-z0-9:./%,-]{0,20}") {
        let servers: Vec<_> = super::keywords::server::keywords().collect();
        let binds: Vec<_> = super::keywords::bind::keywords().collect();
        let (server, bind) = (servers[word % servers.len()].name, binds[word % binds.len()].name);
        let _ = load(&format!("listen l\n bind 127.0.0.1:8081 {bind} {arguments}\n server s 192.0.2.1:80 {server} {arguments}\n"));
    }
}

#[test]
fn rules_of_a_defaults_section_are_inherited_by_one_kind_of_proxy() {
    let with = |rule: &str, rest: &str| alerts(&format!("defaults d\n{TIMEOUTS} {rule}\n{rest}"));
    let content = "tcp-request content accept";
    let at = "(defaults section at t.cfg:1)";
    assert_eq!(
        with(content, "defaults e from d\n"),
        [format!(
            "6: a defaults section cannot inherit from a defaults section defining TCP/HTTP rules {at}."
        )]
    );
    assert_eq!(
        with(content, "listen l from d\n bind :1\n"),
        ["6: a listen section cannot inherit from a defaults section defining TCP/HTTP rules."]
    );
    assert_eq!(
        with(content, "frontend f from d\n bind :1\nbackend b from d\n"),
        [format!(
            "8: frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules {at}."
        )]
    );
    assert_eq!(
        with("tcp-request session accept", "backend b from d\n"),
        [format!(
            "6: a backend section cannot inherit from a defaults section defining 'tcp-request connection' or \
             'tcp-request session' rules {at}."
        )]
    );
    assert_eq!(
        with("tcp-response content accept", "frontend f from d\n bind :1\n"),
        [format!(
            "6: a frontend section cannot inherit from a defaults section defining 'tcp-response content' rules {at}."
        )]
    );
}

#[test]
fn a_rule_after_a_final_one_without_condition_is_warned_about() {
    let text = format!(
        "defaults d\n mode http\n{TIMEOUTS} http-request deny\nfrontend f from d\n bind :1\n http-request allow\n http-request deny\n http-request set-nice 1\n"
    );
    let found = findings(&text, Severity::Warning);
    let noop: Vec<_> = found.iter().filter(|finding| finding.contains("further entries are NOOP")).collect();
    assert_eq!(noop.len(), 2, "inherited rules say nothing: {found:?}");
}

#[test]
fn an_acl_of_very_many_lines_is_read_and_dropped() {
    let lines = " acl a path /x\n".repeat(30_000);
    assert_eq!(alerts(&format!("frontend f\n mode http\n{TIMEOUTS} bind :1\n{lines}")), [""; 0]);
}

#[test]
fn inherited_rules_are_not_rules_placed_before() {
    let text = format!(
        "defaults d\n{TIMEOUTS} tcp-request content accept\nfrontend f from d\n bind :1\n tcp-request connection accept\n"
    );
    assert!(!findings(&text, Severity::Warning).iter().any(|finding| finding.contains("placed after")));
}

#[test]
fn acl_as_a_sample_needs_acls_that_exist_and_do_not_depend_on_themselves() {
    let proxy = |acls: &str| format!("defaults\n mode http\n{TIMEOUTS}frontend f\n bind :80\n{acls}");
    assert_eq!(alerts(&proxy(" acl a path /x\n acl b acl(a,!TRUE)\n http-request deny if b\n")), [""; 0]);
    assert_eq!(
        alerts(&proxy(" acl b acl(nope)\n")),
        [
            "8: error detected while parsing ACL 'b' : ACL keyword 'acl' : invalid args in fetch method 'acl' : no such ACL : 'nope'"
        ]
    );
    assert_eq!(
        alerts(&proxy(" acl a path /x\n acl b acl(a)\n acl a acl(b)\n")),
        ["10: ACL 'a' depends on itself through 'acl()'"]
    );
}

#[test]
fn garbage_is_refused_in_bounded_messages() {
    let endless = format!("global\n {}\n", "a".repeat(10_000_000));
    let [long] = &alerts(&endless)[..] else { panic!() };
    assert!(long.len() < 5_000);
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let found = alerts(&text);
    assert!(!found.is_empty() && found.len() <= 1_001);
    assert!(!found.iter().any(|message| message.contains('\u{1b}')));
    let deep = format!("{}global\n{}", ".if 1\n".repeat(5_000), ".endif\n".repeat(5_000));
    assert_eq!(alerts(&deep).first().unwrap(), "1025: too many nested '.if', max is 1024.");
}

#[test]
fn defaults_cannot_begin_with_a_later_one_or_themselves() {
    let text = "defaults a from b\n mode http\ndefaults b from a\n mode http\ndefaults c from c\n bogus\n";
    assert_eq!(
        alerts(text),
        [
            "1: defaults section 'b' not found for defaults 'a'.",
            "5: defaults section 'c' not found for defaults 'c'.",
            "6: unknown keyword 'bogus' in 'defaults' section",
        ]
    );
}

#[test]
fn what_is_found_at_the_end_has_a_place_too() {
    let text = format!(
        "defaults\n mode http\n{TIMEOUTS}userlist u\n user x groups none\n group g users nobody\nfrontend f\n bind :80\n \
         use_backend nope if TRUE\n default_backend none\n errorfiles missing\nbackend b\n use-server gone if TRUE\n \
         server a 1.1.1.1:80 track b/c\n server c 1.1.1.1:80 track b/a\n server a 1.1.1.2:80\n server d 1.1.1.1:80 track q/x\n \
         http-request deny if {{ nbsrv(nowhere) gt 1 }}\n"
    );
    let loaded = load(&text);
    let alerts: Vec<_> = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Alert).collect();
    assert!(alerts.len() >= 9, "{alerts:#?}");
    assert!(alerts.iter().all(|alert| alert.span.is_some()), "{alerts:#?}");
}
