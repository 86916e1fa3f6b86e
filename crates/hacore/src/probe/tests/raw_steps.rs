//! `tcp-check` with its expects.

use super::*;

#[tokio::test]
async fn tcp_check_expects_are_judged_as_by_haproxy() {
    let negated = |pattern| with(pattern, |e| e.negated = true);
    type Row = (Step, &'static [Act], &'static str, Option<u32>, &'static str);
    let table: Vec<Row> = vec![
        (expect(string("hello")), &[Write(b"xx hello"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (expect(string("hello")), &[Dribble(b"hello"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (
            expect(string("hello")),
            &[Write(b"xx hel"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content 'hello' at step 1",
        ),
        (expect(string("hello")), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 1"),
        (
            expect(string("hello")),
            &[Reset, Close],
            "SOCKERR",
            None,
            "Connection reset by peer at step 1 of tcp-check (expect string 'hello')",
        ),
        (
            negated(string("hello")),
            &[Write(b"xx hello"), Wait],
            "L7RSP",
            None,
            "TCPCHK matched unwanted content 'hello' at step 1",
        ),
        (negated(string("abc")), &[Write(b"xb"), Close], "L7OK", Some(0), "(tcp-check)"),
        (expect(regex("^a+$")), &[Write(b"aaaa"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (
            expect(regex("^a+$")),
            &[Write(b"bbb"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content (regex) at step 1",
        ),
        (
            expect(Pattern::Binary(Text::Fixed(b"ac".to_vec()))),
            &[Write(b"xab"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content (binary) at step 1",
        ),
        (
            expect(Pattern::BinaryRegex(regex::bytes::Regex::new("^61..63$").unwrap())),
            &[Write(b"azc"), Wait],
            "L7OK",
            Some(0),
            "(tcp-check)",
        ),
        (
            with(string("zz"), |e| e.min_recv_bytes = Some(0)),
            &[Write(b"azc"), Wait],
            "L7RSP",
            None,
            "TCPCHK did not match content 'zz' at step 1",
        ),
        (
            with(regex("a"), |e| (e.min_recv_bytes, e.negated) = (Some(2), true)),
            &[Dribble(b"xyz"), Wait],
            "L7OK",
            Some(0),
            "(tcp-check)",
        ),
        (
            Step { comment: Some("a b".to_owned()), ..expect(string("zz")) },
            &[Write(b"azc"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content 'zz' at step 1 comment: a b",
        ),
        (
            with(string("zz"), |e| e.on_error = Some("oops".into())),
            &[Write(b"azc"), Close],
            "L7RSP",
            None,
            "oops",
        ),
        (
            with(string("azc"), |e| e.on_success = Some("yes".into())),
            &[Write(b"azc"), Close],
            "L7OK",
            Some(0),
            "yes",
        ),
        (
            expect(string("hello")),
            &[Endless(b"\0\0\0\0\0\0\0\0")],
            "L7RSP",
            None,
            "TCPCHK did not match content 'hello' at step 1",
        ),
    ];
    for (step, script, word, code, description) in table {
        let (result, _) = probe(tcp_check(vec![step]), script, LONG).await;
        assert_eq!(said(&result), (word, code, description), "{script:?}");
    }
    for waits in [with(regex("a"), |e| e.min_recv_bytes = Some(10)), negated(string("hello"))] {
        let (result, _) = probe(tcp_check(vec![waits]), &[Write(b"azc"), Wait], SHORT).await;
        assert_eq!(result.status, CheckStatus::Layer7Timeout);
    }
}

#[tokio::test]
async fn the_redis_master_check_of_the_manual_talks_in_turns() {
    let steps = || {
        vec![
            Step::new(Action::Connect(Connect::default())),
            Step::new(Action::Send("PING\r\n".into())),
            expect(string("+PONG")),
            Step::new(Action::Send("info replication\r\n".into())),
            expect(string("role:master")),
            Step::new(Action::Send("QUIT\r\n".into())),
            expect(string("+OK")),
        ]
    };
    const MASTER: &[Act] =
        &[Read, Write(b"+PONG\r\n"), Read, Write(b"$9\r\nrole:master\r\n"), Read, Write(b"+OK\r\n"), Close];
    let (result, sent) = probe(tcp_check(steps()), MASTER, LONG).await;
    assert_eq!(said(&result), ("L7OK", Some(0), "(tcp-check)"));
    assert_eq!(sent, b"PING\r\ninfo replication\r\nQUIT\r\n");
    const REPLICA: &[Act] = &[Read, Write(b"+PONG\r\n"), Read, Write(b"$9\r\nrole:slave\r\n"), Wait];
    let (result, _) = probe(tcp_check(steps()), REPLICA, SHORT).await;
    assert_eq!(said(&result), ("L7TOUT", None, " at step 5 of tcp-check (expect string 'role:master')"));
}
