//! The checks of services that HAProxy knows by name, as programs: what is sent, and how the answer is judged.
//!
//! Bytes, judgements and descriptions were compared with HAProxy 2.6 (manual, "option redis-check" and so on).

use super::steps::{Action, Expect, Judge, Judgement, Pattern, Program, Step, Text};
use crate::health::CheckStatus;

use Judgement::{Fail, Match, More};

fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::new(Action::Send(Text::Fixed(bytes.into())))
}

fn judged(judge: Judge, error_status: CheckStatus) -> Step {
    let mut expect = Expect::new(Pattern::Protocol(judge));
    expect.error_status = Some(error_status);
    Step::new(Action::Expect(expect))
}

fn program(steps: Vec<Step>) -> Program {
    Program { steps, ..Program::default() }
}

/// A program whose descriptions count the connection as the first step.
fn connecting_program(mut steps: Vec<Step>) -> Program {
    steps.insert(0, Step::new(Action::Connect(super::steps::Connect::default())));
    program(steps)
}

/// `option redis-check`.
pub fn redis() -> Program {
    program(vec![send(*b"*1\r\n$4\r\nPING\r\n"), judged(judge_redis, CheckStatus::Layer7Status)])
}

fn judge_redis(bytes: &[u8], ended: bool) -> Judgement {
    const PONG: &[u8] = b"+PONG\r\n";
    if memchr::memmem::find(bytes, PONG).is_some() {
        return Match(None, "Redis server is ok".to_owned());
    }
    if ended { Fail(CheckStatus::Layer7Status, None, first_line(bytes)) } else { More }
}

/// `option ssl-hello-chk`: an SSLv3 hello, answered by a TLS record of any version. `random` fills the hello's first
/// four random bytes (HAProxy puts the time there).
pub fn ssl_hello(random: [u8; 4]) -> Program {
    let mut hello = vec![0x16, 3, 0, 0, 0x79, 1, 0, 0, 0x75, 3, 0];
    hello.extend_from_slice(&random);
    hello.extend_from_slice(b"HAPROXYSSLCHK\nHAPROXYSSLCHK\n");
    hello.extend_from_slice(&[0, 0, 0x4e]);
    for suite in (0x01..=0x1b).chain(0x2f..=0x3a) {
        hello.extend_from_slice(&[0, suite]);
    }
    hello.extend_from_slice(&[1, 0]);
    let mut answer = judged(judge_ssl_hello, CheckStatus::Layer6Response);
    if let Action::Expect(expect) = &mut answer.action {
        expect.ok_status = Some(CheckStatus::Layer6Ok);
        expect.timeout_status = Some(CheckStatus::Layer6Timeout);
    }
    program(vec![send(hello), answer])
}

fn judge_ssl_hello(bytes: &[u8], _ended: bool) -> Judgement {
    match bytes.first() {
        None => More,
        // A handshake record, or an alert: both come from something that speaks TLS.
        Some(0x15 | 0x16) => Match(None, String::new()),
        Some(_) => Fail(CheckStatus::Layer6Response, None, String::new()),
    }
}

/// `option smtpchk [HELO|EHLO DOMAIN]`. `hello` is the greeting line without its end, `HELO localhost` by default.
pub fn smtp(hello: &str) -> Program {
    connecting_program(vec![
        judged(judge_smtp_banner, CheckStatus::Layer7Response),
        // HAProxy looks at the banner in two steps; the numbers in the descriptions count both.
        Step::new(Action::Comment),
        send(format!("{hello}\r\n")),
        judged(judge_smtp_hello, CheckStatus::Layer7Status),
        send(*b"QUIT\r\n"),
        judged(judge_smtp_quit, CheckStatus::Layer7Status),
    ])
}

/// The reply lines that are complete, each a code and a text.
fn smtp_lines(bytes: &[u8]) -> Vec<Option<(u32, String)>> {
    let complete = bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    complete
        .map(|line| {
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            let (code, text) = line.split_at_checked(3)?;
            let code = code.parse().ok().filter(|_| code.bytes().all(|b| b.is_ascii_digit()))?;
            Some((code, text.trim_start_matches([' ', '-']).to_owned()))
        })
        .collect()
}

fn judge_smtp_banner(bytes: &[u8], ended: bool) -> Judgement {
    let first = match smtp_lines(bytes).into_iter().next() {
        None if !ended => return More,
        first => first.flatten(),
    };
    match first {
        Some((code @ 200..=299, text)) => Match(Some(code), text),
        Some((code, text)) => Fail(CheckStatus::Layer7Status, Some(code), text),
        None => Fail(CheckStatus::Layer7Response, None, first_line(bytes)),
    }
}

/// The reply to the hello is the second, after however many lines the banner and the reply have.
fn judge_smtp_hello(bytes: &[u8], ended: bool) -> Judgement {
    judge_smtp_reply(bytes, ended, 1)
}

fn judge_smtp_quit(bytes: &[u8], ended: bool) -> Judgement {
    judge_smtp_reply(bytes, ended, 2)
}

fn judge_smtp_reply(bytes: &[u8], ended: bool, number: usize) -> Judgement {
    let replies = smtp_replies(bytes);
    match replies.into_iter().nth(number) {
        Some((code @ 200..=299, text)) => Match(Some(code), text),
        Some((code, text)) => Fail(CheckStatus::Layer7Status, Some(code), text),
        None if !ended => More,
        None => Fail(CheckStatus::Layer7Status, None, String::new()),
    }
}

/// Complete replies: a line whose code is followed by a dash is continued by the next (RFC 5321 §4.2.1).
fn smtp_replies(bytes: &[u8]) -> Vec<(u32, String)> {
    let complete = bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    let last_lines = complete.filter(|line| line.get(3) != Some(&b'-'));
    last_lines.filter_map(|line| smtp_lines(line).into_iter().next().flatten()).collect()
}

/// `option mysql-check`: the greeting only.
pub fn mysql() -> Program {
    connecting_program(vec![judged(judge_mysql_greeting, CheckStatus::Layer7Response)])
}

/// `option mysql-check user NAME [post-41|pre-41]`: a login without password.
pub fn mysql_user(user: &str, pre_41: bool) -> Program {
    let mut login = Vec::new();
    if pre_41 {
        login.extend_from_slice(&[0, 0x80, 0, 0, 1]);
    } else {
        // Capabilities 0x8200 (protocol 4.1, secure connection), packets of up to 16 MB, utf8, 23 bytes of filler.
        login.extend_from_slice(&[0, 0x82, 0, 0, 0, 0x80, 0, 1, 0x21]);
        login.extend_from_slice(&[0; 23]);
    }
    login.extend_from_slice(user.as_bytes());
    login.extend_from_slice(&[0, 0]);
    let mut packet = mysql_header(login.len(), 1);
    packet.extend_from_slice(&login);
    packet.extend_from_slice(&mysql_header(1, 0));
    packet.push(1);
    connecting_program(vec![
        send(packet),
        judged(judge_mysql_greeting, CheckStatus::Layer7Response),
        judged(judge_mysql_login, CheckStatus::Layer7Status),
    ])
}

fn mysql_header(length: usize, sequence: u8) -> Vec<u8> {
    let length = length.to_le_bytes();
    vec![length[0], length[1], length[2], sequence]
}

/// The first MySQL packet's payload and what follows it, if complete.
fn mysql_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(4)?;
    let length = header.iter().take(3).rev().fold(0usize, |length, b| length << 8 | usize::from(*b));
    rest.split_at_checked(length)
}

fn judge_mysql_greeting(bytes: &[u8], ended: bool) -> Judgement {
    match mysql_packet(bytes) {
        Some((packet, _)) => mysql_verdict(packet, packet),
        None if ended => Fail(CheckStatus::Layer7Response, None, String::new()),
        None => More,
    }
}

fn judge_mysql_login(bytes: &[u8], ended: bool) -> Judgement {
    let greeting = mysql_packet(bytes);
    match greeting.and_then(|(greeting, rest)| Some((greeting, mysql_packet(rest)?))) {
        Some((greeting, (packet, _))) => mysql_verdict(packet, greeting),
        None if ended => Fail(CheckStatus::Layer7Response, None, String::new()),
        None => More,
    }
}

/// A success is described by the greeting's version, which follows the protocol's number.
fn mysql_verdict(packet: &[u8], greeting: &[u8]) -> Judgement {
    match packet {
        [0xff, low, high, message @ ..] => {
            let code = u32::from(u16::from_le_bytes([*low, *high]));
            Fail(CheckStatus::Layer7Status, Some(code), text(message))
        }
        [_, ..] => Match(None, c_text(greeting.get(1..).unwrap_or_default())),
        [] => Fail(CheckStatus::Layer7Response, None, String::new()),
    }
}

/// `option pgsql-check user NAME`.
pub fn pgsql(user: &str) -> Program {
    let mut body = vec![0, 3, 0, 0];
    body.extend_from_slice(b"user\0");
    body.extend_from_slice(user.as_bytes());
    body.extend_from_slice(&[0, 0]);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut startup = length.to_be_bytes().to_vec();
    startup.extend_from_slice(&body);
    connecting_program(vec![send(startup), judged(judge_pgsql, CheckStatus::Layer7Response)])
}

fn judge_pgsql(bytes: &[u8], ended: bool) -> Judgement {
    match bytes {
        // An authentication request, with any method, shows a server that accepts this user.
        [b'R', rest @ ..] if rest.len() >= 8 => Match(None, "PostgreSQL server is ok".to_owned()),
        [b'R', ..] if !ended => More,
        [b'E', rest @ ..] => match rest.get(5..).filter(|field| field.contains(&0)) {
            Some(severity) => Fail(CheckStatus::Layer7Response, None, c_text(severity)),
            None if !ended => More,
            None => Fail(CheckStatus::Layer7Response, None, String::new()),
        },
        _ => Fail(CheckStatus::Layer7Status, None, "PostgreSQL unknown error".to_owned()),
    }
}

/// `option ldap-check`: an anonymous bind, version 3.
pub fn ldap() -> Program {
    let bind = *b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
    program(vec![send(bind), judged(judge_ldap, CheckStatus::Layer7Response)])
}

fn judge_ldap(bytes: &[u8], ended: bool) -> Judgement {
    const ANSWER_MIN_BYTES: usize = 14;
    let not_ldap = || Fail(CheckStatus::Layer7Response, None, "Not LDAPv3 protocol".to_owned());
    if bytes.len() < ANSWER_MIN_BYTES {
        return if ended { not_ldap() } else { More };
    }
    match ldap_result(bytes) {
        None => not_ldap(),
        Some(0) => Match(None, String::new()),
        Some(code) => {
            let text = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";
            Fail(CheckStatus::Layer7Status, Some(u32::from(code)), text.to_owned())
        }
    }
}

/// The result code of a bind response (RFC 4511 §4.2.2).
fn ldap_result(bytes: &[u8]) -> Option<u8> {
    let message = ber(bytes, 0x30)?;
    let id = ber(message, 0x02)?;
    let response = ber(message.get(2 + id.len()..)?, 0x61)?;
    match ber(response, 0x0a)? {
        [code] => Some(*code),
        _ => None,
    }
}

/// The content of a BER element with this tag, as far as it has come.
fn ber(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long => {
            let count = usize::from(long & 0x7f);
            let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
            (digits.iter().fold(0, |length, b| length << 8 | usize::from(*b)), rest)
        }
    };
    Some(&rest[..length.min(rest.len())])
}

/// `option spop-check`: a HELLO that says it is a health check.
pub fn spop() -> Program {
    let mut frame = vec![0, 0, 0, 0x4e, 1, 0, 0, 0, 1, 0, 0];
    frame.extend_from_slice(b"\x12supported-versions\x08\x032.0");
    frame.extend_from_slice(b"\x0emax-frame-size\x03\xfc\xf0\x06");
    frame.extend_from_slice(b"\x0ccapabilities\x08\x00");
    frame.extend_from_slice(b"\x0bhealthcheck\x11");
    program(vec![send(frame), judged(judge_spop, CheckStatus::Layer7Response)])
}

fn judge_spop(bytes: &[u8], ended: bool) -> Judgement {
    let invalid = || Fail(CheckStatus::Layer7Response, None, "invalid frame received".to_owned());
    let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
    let Some(frame) = length.and_then(|length| bytes.get(4..)?.get(..length)) else {
        return if ended { invalid() } else { More };
    };
    const AGENT_HELLO: u8 = 101;
    match frame.first() {
        Some(&AGENT_HELLO) => Match(None, "SPOA server is ok".to_owned()),
        _ => invalid(),
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    text(line)
}

fn c_text(bytes: &[u8]) -> String {
    text(bytes.split(|b| *b == 0).next().unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JUDGES: [Judge; 10] = [
        judge_redis,
        judge_ssl_hello,
        judge_smtp_banner,
        judge_smtp_hello,
        judge_smtp_quit,
        judge_mysql_greeting,
        judge_mysql_login,
        judge_pgsql,
        judge_ldap,
        judge_spop,
    ];

    proptest! {
        /// Whatever a server sends, in whatever pieces, is judged without panic.
        #[test]
        fn judges_take_anything(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for judge in JUDGES {
                for end in 0..=bytes.len() {
                    judge(&bytes[..end], false);
                }
                judge(&bytes, true);
            }
        }

        /// A good answer that comes in pieces is waited for and not judged too early.
        #[test]
        fn split_answers_are_waited_for(at in any::<prop::sample::Index>()) {
            let answers: [(Judge, &[u8]); 6] = [
                (judge_redis, b"+PONG\r\n"),
                (judge_smtp_banner, b"220-hi\r\n220 ready\r\n"),
                (judge_smtp_hello, b"220 ready\r\n250-one\r\n250 two\r\n"),
                (judge_mysql_login, b"\x02\0\0\0\x0a5\x07\0\0\x02\0\0\0\x02\0\0\0"),
                (judge_pgsql, b"R\0\0\0\x08\0\0\0\0"),
                (judge_ldap, b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0"),
            ];
            for (judge, answer) in answers {
                let early = judge(&answer[..at.index(answer.len()).max(1)], false);
                prop_assert!(!matches!(early, Fail(..)), "{early:?}");
                prop_assert!(matches!(judge(answer, false), Match(..)));
            }
        }
    }
}
