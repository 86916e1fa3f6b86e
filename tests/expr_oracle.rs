//! Expressions evaluated by the genuine haproxy and by proxyd's engine give the same bytes.
//!
//! Every expression becomes one `http-request return` rule of a haproxy configuration; each of several requests is
//! sent once per rule, and the body is compared with what `Expr::eval` says about the same request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use hacore::diag::{FileId, Span, Word, Words};
use proxyd::expr::acl::{AclTable, Condition};
use proxyd::expr::{
    BackendView, Contexts, Data, Environment, EvalCtx, Expr, FrontendView, LoadState, LogFormat,
    LogFormatOptions, NoFiles, Now, ParseScope, Payload, ProcessView, Sample, ServerView, VarName, Vars,
};
use proxyd::http::{RequestHead, Version};
use proxyd::model::{Mode, ProxyId, ServerId};
use proxyd::txn::{Endpoint, SessionInfo, StreamInfo};
use testkit::daemon::Daemon;
use testkit::{environment, port};

#[path = "expr_oracle/cases.rs"]
mod cases;

/// The little that the expressions of this test ask of the process.
#[derive(Default)]
struct TestEnvironment {
    variables: RefCell<Vec<(VarName, Sample<'static>)>>,
}

impl Environment for TestEnvironment {
    fn process(&self) -> ProcessView<'_> {
        ProcessView { hostname: "test", pid: 1, thread: 1, thread_group: 1, ..ProcessView::default() }
    }

    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        Some(FrontendView { name: "oracle", numeric_id: 2, is_http: true, ..FrontendView::default() })
    }

    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        None
    }

    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        None
    }

    fn find_frontend(&self, name: &[u8]) -> Option<ProxyId> {
        (name == b"oracle").then_some(ProxyId(0))
    }

    fn find_backend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }

    fn find_server(&self, _: ProxyId, _: &[u8]) -> Option<ServerId> {
        None
    }

    fn environment_variable(&self, name: &str) -> Option<Data<'_>> {
        (name == "ORACLE").then_some(Data::Borrowed(b"from the environment"))
    }

    fn random_u64(&self) -> u64 {
        4
    }

    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>> {
        self.variables.borrow().iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>) {
        let mut variables = self.variables.borrow_mut();
        variables.retain(|(n, _)| n != name);
        variables.extend(value.map(|value| (name.clone(), value)));
    }
}

const SPAN: Span = Span { file: FileId(0), line: 1, start: 0, end: 0 };

/// What is asked: the text in `%[…]`, the words of a condition, or a whole format.
#[derive(Debug, Clone, Copy)]
enum Question<'t> {
    Expression(&'t str),
    Condition(&'t str),
    Format(&'t str),
}

impl Question<'_> {
    /// The value and its length: an empty value and none at all differ in the second.
    fn rule(&self, number: usize) -> String {
        let rule = "http-request return status 200 content-type text/plain";
        let guard = format!("{{ req.fhdr(x-case) -m str {number} }}");
        match self {
            Question::Expression(text) => {
                format!("{rule} lf-string '<%[{text}]><%[{text},length]>' if {guard}")
            }
            // A line of its own before the answer: `or` in the condition must not reach the guard.
            Question::Condition(text) => {
                format!("http-request set-var(txn.verdict{number}) bool(true) if {text}")
            }
            Question::Format(text) => format!("{rule} lf-string '{text}' if {guard}"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Question::Expression(text) | Question::Condition(text) | Question::Format(text) => text,
        }
    }
}

fn questions() -> Vec<Question<'static>> {
    let expressions = cases::EXPRESSIONS.iter().flat_map(|t| t.lines()).map(Question::Expression);
    let conditions = cases::CONDITIONS.lines().map(Question::Condition);
    let formats = cases::FORMATS.lines().map(Question::Format);
    expressions.chain(conditions).chain(formats).filter(|q| !q.text().trim().is_empty()).collect()
}

const HEAD: &str = "global\n    setenv ORACLE \"from the environment\"\n    maxconn 50\ndefaults\n    mode http\n    \
    timeout client 20s\n    timeout server 20s\n    timeout connect 20s\n    option http-buffer-request\n\
    frontend oracle\n    bind 127.0.0.1:PORT\n    http-request set-var(txn.text) str(alpha)\n    \
    http-request set-var(txn.number) int(7)\n    http-request set-var(txn.bin) bin(00ff41)\n    \
    http-request set-var(txn.ip) src\n    http-request set-var(txn.key) str(a2V5)\n";
const TAIL: &str = "    http-request return status 200 content-type text/plain string no\n";

/// Rule `n` stands on this line of the configuration.
fn line_of(number: usize) -> usize {
    HEAD.lines().count() + 1 + number
}

fn configuration(questions: &[Question<'_>], refused: &HashSet<usize>, port: u16) -> String {
    let mut text = HEAD.replace("PORT", &port.to_string());
    for (number, question) in questions.iter().enumerate() {
        if refused.contains(&number) {
            text.push_str("    # refused\n");
        } else {
            text.push_str(&format!("    {}\n", question.rule(number)));
        }
    }
    for (number, _) in questions.iter().enumerate().filter(|(_, q)| matches!(q, Question::Condition(_))) {
        let guard = format!("{{ req.fhdr(x-case) -m str {number} }} {{ var(txn.verdict{number}) -m bool }}");
        text.push_str(&format!(
            "    http-request return status 200 content-type text/plain string yes if {guard}\n"
        ));
    }
    text + TAIL
}

/// The numbers of the rules that haproxy refuses, with its words.
fn refused(haproxy: &std::path::Path, questions: &[Question<'_>]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for _ in 0..200 {
        let skip: HashSet<usize> = found.iter().map(|(n, _)| *n).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(questions, &skip, 1)).unwrap();
        let output = Command::new(haproxy).args(["-c", "-f"]).arg(&file).output().unwrap();
        if output.status.success() {
            return found;
        }
        let before = found.len();
        for line in String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|l| l.contains("parsing [") && !l.contains("[WARNING]"))
        {
            let number = line
                .split("haproxy.cfg:")
                .nth(1)
                .and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
            if let Some(number) = number.and_then(|line| line.checked_sub(line_of(0))) {
                found.push((number, line.to_owned()));
            }
        }
        assert!(
            found.len() > before,
            "refused for another reason:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    found
}

struct Request {
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
}

impl Request {
    fn bytes(&self, number: usize) -> Vec<u8> {
        let mut out =
            format!("{} {} HTTP/1.1\r\nx-case: {number}\r\n", self.method, self.target).into_bytes();
        for (name, value) in self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body);
        out
    }

    fn head(&self, number: usize) -> RequestHead {
        let mut head = RequestHead::default();
        head.set_start_line(self.method.as_bytes(), self.target.as_bytes(), Version::HTTP_11).unwrap();
        head.headers.add(b"x-case", number.to_string().as_bytes()).unwrap();
        for (name, value) in self.headers {
            head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }
}

/// One keep-alive connection to haproxy.
struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        for _ in 0..2 {
            if self.stream.is_none() {
                let stream = TcpStream::connect(self.address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                self.stream = Some(BufReader::new(stream));
            }
            let stream = self.stream.as_mut().unwrap();
            if stream.get_mut().write_all(request).is_ok()
                && let Some(body) = read_response(stream)
            {
                return body;
            }
            self.stream = None;
        }
        panic!("no answer to {:?}", String::from_utf8_lossy(request));
    }
}

fn read_response(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Splits a configuration line's words as the file's lexer would: blanks, and single and double quotes.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.into_iter().map(|w| Word::new(w.into_bytes(), SPAN)).collect()
}

/// Our answer; `Err` when our parser refuses.
fn ours(question: Question<'_>, request: &Request, number: usize) -> Result<Vec<u8>, String> {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("oracle"), &NoFiles);
    let head = request.head(number);
    let environment = TestEnvironment::default();
    let address = |port| Endpoint::Inet(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
    let session = SessionInfo {
        source: address(1000),
        destination: address(80),
        frontend: Some(ProxyId(0)),
        ..SessionInfo::default()
    };
    let stream = StreamInfo {
        request_line: format!("{} {} HTTP/1.1", request.method, request.target).into_bytes(),
        ..StreamInfo::default()
    };
    let vars = Vars::default();
    let set = |name: &str, value: Sample<'_>| vars.set(&VarName::parse(name).unwrap(), value);
    set("txn.text", Sample::str("alpha"));
    set("txn.number", Sample::Int(7));
    set("txn.bin", Sample::bin(&b"\x00\xff\x41"[..]));
    set("txn.ip", Sample::ip(IpAddr::from([127, 0, 0, 1])));
    set("txn.key", Sample::str("a2V5"));
    let mut ctx = EvalCtx::new(&session, &environment, Now::default());
    ctx.stream = Some(&stream);
    ctx.request = Some(&head);
    ctx.vars = Some(&vars);
    ctx.request_payload =
        Payload { data: request.body, complete: true, announced_bytes: Some(request.body.len() as u64) };
    match question {
        Question::Expression(text) => {
            let list = [Word::new(text.as_bytes().to_vec(), SPAN)];
            Expr::parse(&mut Words::new(&list, SPAN), &scope).map_err(|d| d.message)?;
            render(&format!("<%[{text}]><%[{text},length]>"), &scope, &ctx)
        }
        Question::Condition(text) => {
            let list = words(text);
            let acls = AclTable::default();
            let condition = Condition::parse_body(&mut Words::new(&list, SPAN), &acls, &scope, false)
                .map_err(|d| d.message)?;
            Ok(if condition.eval(&ctx) { b"yes".to_vec() } else { b"no".to_vec() })
        }
        Question::Format(text) => render(text, &scope, &ctx),
    }
}

fn render(text: &str, scope: &ParseScope<'_>, ctx: &EvalCtx<'_>) -> Result<Vec<u8>, String> {
    let format = LogFormat::parse_str(text, SPAN, LogFormatOptions::HTTP, scope).map_err(|d| d.message)?;
    let mut out = Vec::new();
    format.render(ctx, &mut out);
    Ok(out)
}

#[test]
fn expressions_conditions_and_formats_give_what_haproxy_gives() {
    const TEST: &str = "expressions_conditions_and_formats_give_what_haproxy_gives";
    let Some(haproxy) = environment::installed("haproxy") else {
        return environment::skip(TEST, "haproxy is not installed");
    };
    let questions = questions();
    let refused = refused(&haproxy, &questions);
    let skip: HashSet<usize> = refused.iter().map(|(number, _)| *number).collect();
    let mut problems = Vec::new();
    for (number, verdict) in &refused {
        if let Ok(answer) = ours(questions[*number], &cases::REQUESTS[0], *number) {
            let text = questions[*number].text();
            problems.push(format!(
                "{text}\n  haproxy {verdict}\n  ours    {:?}",
                String::from_utf8_lossy(&answer)
            ));
        }
    }
    let address = port::free_tcp().unwrap();
    let mut daemon = Daemon::proxy(&haproxy, &configuration(&questions, &skip, address.port())).unwrap();
    daemon.await_listening(address).unwrap();
    let mut client = Client { address, stream: None };
    let mut compared = 0;
    for (number, question) in questions.iter().enumerate().filter(|(number, _)| !skip.contains(number)) {
        for (which, request) in cases::REQUESTS.iter().enumerate() {
            let genuine = client.ask(&request.bytes(number));
            let answer =
                ours(*question, request, number).unwrap_or_else(|e| format!("refused: {e}").into_bytes());
            compared += 1;
            if genuine != answer {
                problems.push(format!(
                    "{} (request {which})\n  haproxy {:?}\n  ours    {:?}",
                    question.text(),
                    String::from_utf8_lossy(&genuine),
                    String::from_utf8_lossy(&answer)
                ));
            }
        }
    }
    assert!(compared > 500, "only {compared} comparisons");
    assert!(problems.is_empty(), "{} of {compared} differ:\n{}", problems.len(), problems.join("\n"));
}

/// Lines of a keyword list, without comments.
fn listed(name: &str) -> Option<HashSet<String>> {
    let text = std::fs::read_to_string(environment::shared()?.join("keywords").join(name)).ok()?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Some(lines.map(str::to_owned).collect())
}

/// How many lines of a list are ours too, the signature included, and the others.
fn coverage(file: &str, ours: &[String]) -> Option<(usize, Vec<String>)> {
    let reference = listed(file)?;
    let ours: HashSet<&str> = ours.iter().map(String::as_str).collect();
    let mut missing: Vec<String> =
        reference.iter().filter(|line| !ours.contains(line.as_str())).cloned().collect();
    missing.sort();
    Some((reference.len(), missing))
}

#[test]
fn nearly_every_fetch_and_converter_of_haproxy_is_registered_with_its_signature() {
    const TEST: &str = "nearly_every_fetch_and_converter_of_haproxy_is_registered_with_its_signature";
    use proxyd::expr::keywords;
    let lists = [
        ("haproxy-3.5-smp.txt", keywords::fetch_lines(), 90),
        ("haproxy-3.5-cnv.txt", keywords::converter_lines(), 81),
        ("haproxy-3.5-acl.txt", keywords::acl_lines(), 100),
    ];
    for (file, ours, percent) in lists {
        let Some((total, missing)) = coverage(file, &ours) else {
            return environment::skip(TEST, "the keyword lists are not beside the workspace");
        };
        let common = total - missing.len();
        assert!(
            common * 100 >= total * percent,
            "{file}: {common} of {total}, missing:\n{}",
            missing.join("\n")
        );
    }
}

/// The name of a keyword line: what stands before `(`, `:` or `=`.
fn name_of(line: &str) -> &str {
    let line = line.rsplit("] ").next().unwrap_or(line);
    line.split(['(', ':', ' ']).next().unwrap_or(line)
}

#[test]
fn at_least_94_percent_of_haproxy_2_6_are_known_by_name() {
    const TEST: &str = "at_least_94_percent_of_haproxy_2_6_are_known_by_name";
    use proxyd::expr::keywords;
    for (file, ours) in [
        ("haproxy-2.6-smp.txt", keywords::fetch_lines()),
        ("haproxy-2.6-cnv.txt", keywords::converter_lines()),
    ] {
        let Some(reference) = listed(file) else {
            return environment::skip(TEST, "the keyword lists are not beside the workspace");
        };
        let ours: HashSet<&str> = ours.iter().map(|line| name_of(line)).collect();
        let missing: Vec<&str> =
            reference.iter().map(|line| name_of(line)).filter(|name| !ours.contains(name)).collect();
        let common = reference.len() - missing.len();
        assert!(common * 100 >= reference.len() * 94, "{file}: {common} of {}: {missing:?}", reference.len());
    }
}
