//! Keywords that act on a request before or beside its way to a server.

use super::*;

const LAST: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
const EMPTY_ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The `listen` of a configuration text, with a port of the kernel's choice.
pub(super) fn configured(text: &str) -> Proxy {
    let text = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\nlisten web\n bind 127.0.0.1:1\n{text}"
    );
    let loaded = crate::config::load_text("t.cfg", &text, Default::default(), Default::default());
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    anywhere(config).proxies.remove(0)
}

/// The same configuration with a port of the kernel's choice.
fn anywhere(mut config: Config) -> Config {
    config.proxies[0].binds[0].address = Address::Inet(([127, 0, 0, 1], 0).into());
    config
}

#[test]
fn option_http_buffer_request_keeps_a_request_until_its_body_is_there() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.options.http_buffer_request = true;
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    // No server is there to say this.
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ab");
    origin.listener.set_nonblocking(true).unwrap();
    assert!(origin.listener.accept().is_err());
    origin.listener.set_nonblocking(false).unwrap();
    client.send("cd");
    let mut server = origin.accept();
    assert_eq!(server.head(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(server.bytes(4), "abcd");
    server.send(EMPTY_ANSWER);
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_body_that_does_not_come_in_time_gives_408() {
    let mut proxy = listen(&[closed_port()]);
    proxy.options.http_buffer_request = true;
    proxy.timeouts.http_request = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nab");
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
}

#[test]
fn wait_for_body_lets_rules_see_a_chunked_body() {
    let proxyd = Proxyd::start(vec![configured(
        " http-request wait-for-body time 10s\n http-request return status 200 hdr x-body \"%[req.body]\"\n",
    )]);
    let mut client = proxyd.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n",
    );
    client.send("2\r\nde\r\n0\r\n\r\n");
    assert!(client.rest().contains("x-body: abcde\r\n"));
}

#[test]
fn monitor_fail_turns_the_answer_into_503() {
    let proxyd = Proxyd::start(vec![configured(" monitor-uri /up\n monitor fail if { hdr(x-bad) 1 }\n")]);
    let mut client = proxyd.client();
    client.send("GET /up HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 200 "));
    let mut client = proxyd.client();
    client.send("GET /up HTTP/1.1\r\nhost: h\r\nx-bad: 1\r\nconnection: close\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 503 "));
}

#[test]
fn http_send_name_header_tells_the_server_its_name() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.send_name_header = Some("x-server".into());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\nx-server: forged\r\n\r\n");
    let mut server = origin.accept();
    let head = server.head();
    assert!(head.contains("x-server: s0\r\n") && !head.contains("forged"), "{head}");
}

#[test]
fn option_http_ignore_probes_says_nothing_to_a_silent_client() {
    let mut proxy = listen(&[]);
    proxy.options.http_ignore_probes = true;
    proxy.timeouts.http_request = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    assert_eq!(proxyd.client().rest(), "");
}

#[test]
fn option_prefer_last_server_keeps_a_session_on_its_server() {
    let origins = [Origin::new(), Origin::new()];
    let mut proxy = listen(&[origins[0].address(), origins[1].address()]);
    proxy.options.prefer_last_server = true;
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET /1 HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origins[0].accept();
    server.head();
    server.send(EMPTY_ANSWER);
    client.head();
    client.send("GET /2 HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(server.head().starts_with("GET /2 "));
}

#[test]
fn ignore_persist_makes_the_cookie_count_for_nothing() {
    let origins = [Origin::new(), Origin::new()];
    let (first, second) = (origins[0].address(), origins[1].address());
    let proxyd = Proxyd::start(vec![configured(&format!(
        " cookie SRV insert indirect\n ignore-persist if {{ path /any }}\n server s0 {first} cookie c0\n server s1 {second} cookie c1\n"
    ))]);
    let mut client = proxyd.client();
    client.send("GET /any HTTP/1.1\r\nhost: h\r\ncookie: SRV=c1\r\n\r\n");
    let mut server = origins[0].accept();
    assert!(server.head().starts_with("GET /any "));
}

#[test]
fn early_hint_is_sent_before_the_answer() {
    let proxyd = Proxyd::start(vec![configured(
        " http-request early-hint link \"</s.css>; rel=preload\"\n http-request return status 200\n",
    )]);
    let mut client = proxyd.client();
    client.send(LAST);
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: </s.css>; rel=preload\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 200 "));
}

#[test]
fn set_timeout_server_replaces_the_configured_one() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![configured(&format!(
        " http-request set-timeout server 30ms\n server s {}\n",
        origin.address()
    ))]);
    let mut client = proxyd.client();
    client.send(LAST);
    let _server = origin.accept();
    assert!(client.rest().starts_with("HTTP/1.1 504 "));
}

#[test]
fn set_priority_class_overtakes_in_the_queue() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![configured(&format!(
        " option httpclose\n http-request set-priority-class int(-5) if {{ path /urgent }}\n server s {} maxconn 1\n",
        origin.address()
    ))]);
    let mut clients: Vec<Client> = Vec::new();
    for path in ["/first", "/later", "/urgent"] {
        let mut client = proxyd.client();
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
        clients.push(client);
        let expected = clients.len() as u32;
        while proxyd.backend().sessions.current() < expected {
            std::thread::yield_now();
        }
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let mut server = origin.accept();
        order.push(server.head().split(' ').nth(1).unwrap().to_owned());
        server.send(EMPTY_ANSWER);
    }
    assert_eq!(order, ["/first", "/urgent", "/later"]);
}

#[test]
fn silent_drop_answers_nothing() {
    let proxyd = Proxyd::start(vec![configured(" http-request silent-drop rst-ttl 64\n")]);
    let mut client = proxyd.client();
    client.send(LAST);
    let mut rest = Vec::new();
    // With this distance the reset arrives.
    assert!(client.stream.read_to_end(&mut rest).is_err());
    assert!(rest.is_empty());
}

#[test]
fn stats_uri_serves_the_page_to_those_who_may_see_it() {
    let proxyd = Proxyd::start(vec![configured(
        " stats enable\n stats uri /stats\n stats auth admin:secret\n stats refresh 5s\n",
    )]);
    let ask = |target: &str, fields: &str| {
        let mut client = proxyd.client();
        client.send(&format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{fields}\r\n"));
        client.rest()
    };
    let refused = ask("/stats", "");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(refused.contains("www-authenticate: Basic realm=\"HAProxy Statistics\"\r\n"), "{refused}");
    assert!(ask("/stats", "authorization: Basic YWRtaW46c2VjcmVU\r\n").starts_with("HTTP/1.1 401 "));
    let allowed = "authorization: Basic YWRtaW46c2VjcmV0\r\n";
    let page = ask("/stats", allowed);
    assert!(page.contains("content-type: text/html\r\n") && page.contains("refresh: 5\r\n"), "{page}");
    assert!(page.contains("<h2 id=\"web\">web</h2>"));
    assert!(!ask("/stats;norefresh", allowed).contains("refresh: 5"));
    let csv = ask("/stats;csv;norefresh", allowed);
    assert!(
        csv.contains("content-type: text/plain\r\n") && csv.contains("transfer-encoding: chunked\r\n"),
        "{csv}"
    );
    assert!(csv.contains("\r\n# pxname,svname,") && csv.contains("\nweb,FRONTEND,"), "{csv}");
    assert!(ask("/other", allowed).starts_with("HTTP/1.1 503 "));
}

#[test]
fn http_auth_asks_the_user_list() {
    let text = "userlist staff\n group admins\n user ann insecure-password pw groups admins\ndefaults\n mode http\n timeout client 10s\nfrontend web\n bind 127.0.0.1:1\n http-request return status 200 if { http_auth_group(staff) admins }\n http-request auth unless { http_auth(staff) }\n";
    let loaded = crate::config::load_text("t.cfg", text, Default::default(), Default::default());
    let mut config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    config.proxies[0].binds[0].address = Address::Inet(([127, 0, 0, 1], 0).into());
    let proxyd = Proxyd::start_with(config);
    for (credentials, status) in [("YW5uOnB3", "200"), ("YW5uOnB4", "401")] {
        let mut client = proxyd.client();
        client.send(&format!(
            "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Basic {credentials}\r\n\r\n"
        ));
        let answer = client.rest();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn wait_for_body_ends_with_408_when_the_body_does_not_come() {
    let proxyd = Proxyd::start(vec![configured(
        " http-request wait-for-body time 30ms\n http-request return status 200\n",
    )]);
    let mut client = proxyd.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nab");
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
}

#[test]
fn http_response_wait_for_body() {
    let origin = Origin::new();
    let mut proxy = configured(
        " http-response wait-for-body time 10s\n http-response set-header x-body \"%[res.body]\"\n server s 127.0.0.1:1\n",
    );
    proxy.servers[0].address = Address::Inet(origin.address());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    server.send("cd");
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-body: abcd\r\n\r\n");
    assert_eq!(client.bytes(4), "abcd");
}

#[test]
fn http_response_wait_for_body_ends_with_504() {
    let origin = Origin::new();
    let mut proxy = configured(" http-response wait-for-body time 30ms\n server s 127.0.0.1:1\n");
    proxy.servers[0].address = Address::Inet(origin.address());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(LAST);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    assert!(client.rest().starts_with("HTTP/1.1 504 "));
}

#[test]
fn a_head_request_gets_no_body_whatever_rules_made_of_its_method() {
    let origin = Origin::new();
    let mut proxy = configured(" http-request set-method GET\n server s 127.0.0.1:1\n");
    proxy.servers[0].address = Address::Inet(origin.address());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("HEAD / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origin.accept();
    assert!(server.head().starts_with("GET / "));
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd");
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    client.send("GET /2 HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(server.head().starts_with("GET /2 "), "on the same connection");
    server.send(EMPTY_ANSWER);
    assert_eq!(client.head(), EMPTY_ANSWER);
}

#[test]
fn switch_mode_goes_on_with_http() {
    let mut proxy = configured(
        " mode tcp\n tcp-request inspect-delay 10s\n tcp-request content switch-mode http if HTTP\n tcp-request content reject\n http-request return status 204\n",
    );
    proxy.mode = Mode::Tcp;
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    }
    let mut other = proxyd.client();
    other.send("not HTTP at all\r\n");
    assert_eq!(other.rest(), "");
}

#[test]
fn option_forwarded() {
    let origin = Origin::new();
    let mut proxy =
        configured(" option forwarded proto for by by_port-expr int(10)\n server s 127.0.0.1:1\n");
    proxy.servers[0].address = Address::Inet(origin.address());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let head = origin.accept().head();
    assert!(head.contains("\r\nforwarded: proto=http;by=\"127.0.0.1:10\";for=127.0.0.1\r\n"), "{head}");
}

#[test]
fn h1_case_adjust() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.options.h1_case_adjust_bogus_client = true;
    proxy.options.h1_case_adjust_bogus_server = true;
    let mut config = Config { proxies: vec![proxy], ..Config::default() };
    config.global.h1_case_adjust.insert("host".into(), "Host".into());
    config.global.h1_case_adjust.insert("content-length".into(), "Content-Length".into());
    let proxyd = Proxyd::start_with(config);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: host:1\r\n\r\n");
    let mut server = origin.accept();
    assert_eq!(server.head(), "GET / HTTP/1.1\r\nHost: host:1\r\n\r\n");
    server.send(EMPTY_ANSWER);
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn unpublished_backends_are_passed_over() {
    let text = "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
        frontend web\n bind 127.0.0.1:1\n force-be-switch if { req.hdr(x-force) 1 }\n use_backend a\n default_backend b\n\
        backend a\n be-unpublished\n http-request return status 201\n\
        backend b\n http-request return status 202\n";
    let loaded = crate::config::load_text("t.cfg", text, Default::default(), Default::default());
    let mut config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    config.proxies[0].binds[0].address = Address::Inet(([127, 0, 0, 1], 0).into());
    let proxyd = Proxyd::start_with(config);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 202 "));
    client.send("GET / HTTP/1.1\r\nhost: h\r\nx-force: 1\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 201 "));
}

#[test]
fn proto_h1_refuses_the_preface_of_http_2() {
    let mut proxy = listen(&[closed_port()]);
    proxy.binds[0].protocol = Some("h1".to_owned());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 405 "));
}

#[test]
fn http_error_describes_the_error_of_each_request() {
    let proxy = configured(
        " http-error status 403 content-type text/plain hdr x-path %[path] lf-string \"no %[path] for you\"\n \
         http-error status 503 content-type application/json lf-string \"{\\\"path\\\":\\\"%[path]\\\"}\"\n \
         http-request deny if { path /secret }\n",
    );
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET /secret HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(
        client.head(),
        "HTTP/1.1 403 Forbidden\r\nx-path: /secret\r\ncontent-length: 18\r\ncontent-type: text/plain\r\n\r\n"
    );
    assert_eq!(client.bytes(18), "no /secret for you");
    // There is no server: the page of the stream's own error.
    client.send("GET /other HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"path\":\"/other\"}"), "{answer}");
}

#[test]
fn bc_src_and_bc_dst_are_the_ends_of_the_server_connection_reused_or_not() {
    let origin = Origin::new();
    let text = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\nlisten web\n bind 127.0.0.1:1\n \
         server s {}\n http-response set-header x-ends %[bc_src]:%[bc_src_port]>%[bc_dst]:%[bc_dst_port]\n",
        origin.address()
    );
    let loaded = crate::config::load_text("t.cfg", &text, Default::default(), Default::default());
    let proxyd = Proxyd::start_with(anywhere(loaded.config.unwrap()));
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origin.accept();
    let expected = format!("x-ends: {}>{}\r\n", server.peer(), origin.address());
    for turn in 0..2 {
        if turn > 0 {
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        }
        server.head();
        server.send(EMPTY_ANSWER);
        let head = client.head();
        assert!(head.contains(&expected), "{head} lacks {expected}");
    }
}
