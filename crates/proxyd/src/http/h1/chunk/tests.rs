use proptest::prelude::*;

use super::super::{LAST_CHUNK, encode_chunk_end, encode_chunk_start};
use super::*;

/// Feeds `input` in the given pieces, keeping what was not consumed as a connection's buffer does.
fn decode(
    input: &[u8],
    pieces: impl Iterator<Item = usize>,
) -> Result<(Vec<u8>, Vec<u8>, usize), ParseError> {
    let mut decoder = ChunkDecoder::default();
    let (mut body, mut start) = (Vec::new(), 0);
    for end in pieces.chain([input.len()]) {
        loop {
            match decoder.decode(&input[start..end], &Limits::default())? {
                ChunkStep::Data { data } => {
                    body.extend_from_slice(&input[start..][data.clone()]);
                    start += data.end;
                }
                ChunkStep::NeedMore { consumed } => {
                    start += consumed;
                    break;
                }
                ChunkStep::Done { consumed, trailers } => {
                    return Ok((body, input[start..][trailers].to_vec(), start + consumed));
                }
            }
        }
    }
    Ok((body, b"(more)".to_vec(), start))
}

fn verdict(input: &str) -> String {
    match decode(input.as_bytes(), std::iter::empty()) {
        Ok((body, trailers, _)) => {
            format!("{}|{}", body.escape_ascii(), trailers.escape_ascii())
        }
        Err(_) => "refused".into(),
    }
}

/// Accepted and refused as HAProxy 2.6 does (recorded from the real program).
#[test]
fn chunk_lines() {
    for (input, expected) in [
        ("2\r\nab\r\n0\r\n\r\n", "ab|"),
        ("2\nab\n0\n\n", "ab|"),
        ("2;a=b\r\nab\r\n0\r\n\r\n", "ab|"),
        ("2 \t;a\r\nab\r\n00;x\r\n\r\n", "ab|"),
        ("000000000000000000000000000002\r\nab\r\n0\r\n\r\n", "ab|"),
        (" 2\r\nab\r\n0\r\n\r\n", "refused"),
        ("\r\n2\r\nab\r\n0\r\n\r\n", "refused"),
        ("0x2\r\nab\r\n0\r\n\r\n", "refused"),
        ("-2\r\nab\r\n0\r\n\r\n", "refused"),
        ("2;a\rb\r\nab\r\n0\r\n\r\n", "refused"),
        ("2\r\nabc\r\n0\r\n\r\n", "refused"),
        ("2\r\nab0\r\n\r\n", "refused"),
        ("2\rab\r\n0\r\n\r\n", "refused"),
        ("ffffffffffffffff\r\nab", "refused"),
        ("7fffffffffffffff\r\nab", "refused"),
        ("100000000\r\nab", "ab|(more)"),
        ("2\r\nab\r\n0\r\nX: y\r\nZ: w\r\n\r\n", "ab|X: y\\r\\nZ: w\\r\\n"),
        ("2\r\nab\r\n0\r\nX(: y\r\n\r\n", "refused"),
        ("2\r\nab\r\n0\r\n y\r\n\r\n", "refused"),
    ] {
        assert_eq!(verdict(input), expected, "{input}");
    }
    assert_eq!(verdict(&format!("2;{}\r\n", "e".repeat(9000))), "refused");
}

#[test]
fn trailers_go_out_in_lower_case_and_cannot_change_the_framing() {
    let mut out = Vec::new();
    encode_trailers(b"X-Sum:  1\r\nContent-Length: 5\r\n", &Limits::default(), &mut out);
    assert_eq!(out, b"0\r\nx-sum: 1\r\n\r\n");
    out.clear();
    encode_trailers(b"", &Limits::default(), &mut out);
    assert_eq!(out, LAST_CHUNK);
}

#[test]
fn chunk_sizes_are_written_in_short_hexadecimal() {
    for (length, expected) in [(1, "1\r\n"), (15, "F\r\n"), (16, "10\r\n"), (0xabcd, "ABCD\r\n")] {
        let mut out = Vec::new();
        encode_chunk_start(&mut out, length);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn split_anywhere_gives_the_same_body(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        trailer in any::<bool>(),
        cuts in prop::collection::btree_set(0usize..300, 0..20),
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            encode_chunk_start(&mut input, chunk.len());
            input.extend_from_slice(chunk);
            encode_chunk_end(&mut input);
        }
        input.extend_from_slice(if trailer { b"0\r\nx: y\r\n\r\n" } else { LAST_CHUNK });
        let total = input.len();
        input.extend_from_slice(b"GET / next");
        let (body, trailers, used) = decode(&input, cuts.into_iter().filter(|&cut| cut < total)).unwrap();
        prop_assert_eq!(body, chunks.concat());
        prop_assert_eq!(trailers, if trailer { b"x: y\r\n".to_vec() } else { vec![] });
        prop_assert_eq!(used, total);
    }

    #[test]
    fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&input, [input.len() / 2].into_iter());
    }
}
