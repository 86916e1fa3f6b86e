//! The checks of services that are known by name.

use super::*;

const MARIADB: &[u8] = b"\x59\0\0\0\x0a5.5.5-10.11.6-MariaDB\0\x01\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0";

#[tokio::test]
async fn built_in_checks_are_judged_as_by_haproxy() {
    const MYSQL_OK: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    const MYSQL_DENIED: &[u8] = b"\x16\0\0\x02\xff\x15\x04#28000Access denied";
    const MYSQL_BLOCKED: &[u8] = b"\x0f\0\0\0\xff\x69\x04Host blocked";
    let hello = || builtin::ssl_hello(*b"time");
    let smtp = || builtin::smtp("HELO localhost");
    let bob = || builtin::mysql_user("bob", false);
    let pgsql = || builtin::pgsql("bob");
    type Row = (Program, &'static [Act], &'static str, Option<u32>, &'static str);
    let table: Vec<Row> = vec![
        (builtin::redis(), &[Read, Write(b"+PONG\r\n"), Wait], "L7OK", Some(0), "Redis server is ok"),
        (builtin::redis(), &[Read, Write(b"-ERR\r\n"), Close], "L7STS", Some(0), "-ERR"),
        (builtin::redis(), &[Read, Close], "L7STS", Some(0), "TCPCHK got an empty response at step 2"),
        (hello(), &[Read, Write(b"\x16\x03\x01\0\x05"), Wait], "L6OK", None, ""),
        (hello(), &[Read, Write(b"\x15\x03\x01\0\x02\x02\x28"), Wait], "L6OK", None, ""),
        (hello(), &[Read, Write(b"garbage\r\n"), Wait], "L6RSP", None, ""),
        (hello(), &[Read, Close], "L6RSP", None, "TCPCHK got an empty response at step 2"),
        (
            smtp(),
            &[Write(b"220 hi\r\n"), Read, Write(b"250 ok\r\n"), Read, Write(b"221 bye\r\n"), Wait],
            "L7OK",
            Some(221),
            "bye",
        ),
        (smtp(), &[Write(b"220 hi\r\n"), Read, Write(b"550 ok\r\n"), Close], "L7STS", Some(550), "ok"),
        (
            smtp(),
            &[Write(b"220 hi\r\n"), Read, Write(b"250 ok\r\n"), Read, Write(b"500 bye\r\n"), Wait],
            "L7STS",
            Some(500),
            "bye",
        ),
        (smtp(), &[Write(b"554 hi\r\n"), Wait], "L7STS", Some(554), "hi"),
        (smtp(), &[Write(b"garbage\r\n"), Wait], "L7RSP", None, "garbage"),
        (smtp(), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 2"),
        (builtin::mysql(), &[Write(MARIADB), Wait], "L7OK", Some(0), "5.5.5-10.11.6-MariaDB"),
        (builtin::mysql(), &[Write(MYSQL_BLOCKED), Wait], "L7STS", Some(1129), "Host blocked"),
        (builtin::mysql(), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 2"),
        (builtin::mysql(), &[Write(b"garbage long enough"), Close], "L7RSP", None, ""),
        (bob(), &[Write(MARIADB), Read, Write(MYSQL_OK), Wait], "L7OK", Some(0), "5.5.5-10.11.6-MariaDB"),
        (
            bob(),
            &[Write(MARIADB), Read, Write(MYSQL_DENIED), Wait],
            "L7STS",
            Some(1045),
            "#28000Access denied",
        ),
        (bob(), &[Write(MYSQL_BLOCKED), Wait], "L7STS", Some(1129), "Host blocked"),
        (pgsql(), &[Read, Write(b"R\0\0\0\x08\0\0\0\0"), Wait], "L7OK", Some(0), "PostgreSQL server is ok"),
        (
            pgsql(),
            &[Read, Write(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"), Wait],
            "L7OK",
            Some(0),
            "PostgreSQL server is ok",
        ),
        (pgsql(), &[Read, Write(b"E\0\0\0\x20SFATAL\0C28000\0Mno pg_hba\0\0"), Wait], "L7RSP", None, "FATAL"),
        (pgsql(), &[Read, Write(b"garbage\r\n"), Wait], "L7STS", Some(0), "PostgreSQL unknown error"),
        (pgsql(), &[Read, Close], "L7RSP", None, "TCPCHK got an empty response at step 3"),
        (
            builtin::ldap(),
            &[Read, Write(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0"), Wait],
            "L7OK",
            Some(0),
            "",
        ),
        (
            builtin::ldap(),
            &[Read, Write(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\0\x04\0"), Wait],
            "L7STS",
            Some(49),
            "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9",
        ),
        (
            builtin::ldap(),
            &[Read, Write(b"xxxxxxxxxxxxxxxxxxxxxxxx"), Close],
            "L7RSP",
            None,
            "Not LDAPv3 protocol",
        ),
        (
            builtin::spop(),
            &[Read, Write(b"\0\0\0\x08garbagezzz"), Wait],
            "L7RSP",
            None,
            "invalid frame received",
        ),
    ];
    for (program, script, word, code, description) in table {
        let context = format!("{script:?}");
        let (result, _) = probe(program, script, LONG).await;
        assert_eq!(said(&result), (word, code, description), "{context}");
    }
}

#[tokio::test]
async fn built_in_checks_send_haproxys_bytes() {
    let table: Vec<(Program, &'static [Act], &'static [u8])> = vec![
        (builtin::redis(), &[Read, Close], b"*1\r\n$4\r\nPING\r\n"),
        (
            builtin::mysql_user("bob", false),
            &[Read, Close],
            b"%\0\0\x01\0\x82\0\0\0\x80\0\x01!\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0bob\0\0\x01\0\0\0\x01",
        ),
        (builtin::mysql_user("bob", true), &[Read, Close], b"\n\0\0\x01\0\x80\0\0\x01bob\0\0\x01\0\0\0\x01"),
        (builtin::pgsql("bob"), &[Read, Close], b"\0\0\0\x12\0\x03\0\0user\0bob\0\0"),
        (builtin::ldap(), &[Read, Close], b"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\0\x80\0"),
        (
            builtin::spop(),
            &[Read, Close],
            b"\0\0\0N\x01\0\0\0\x01\0\0\x12supported-versions\x08\x032.0\x0emax-frame-size\x03\xfc\xf0\x06\x0ccapabilities\x08\0\x0bhealthcheck\x11",
        ),
        (
            builtin::ssl_hello([0x15, 0x70, b'H', b'A']),
            &[Read, Close],
            b"\x16\x03\0\0y\x01\0\0u\x03\0\x15pHAHAPROXYSSLCHK\nHAPROXYSSLCHK\n\0\0N\0\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0\x07\0\x08\0\t\0\n\0\x0b\0\x0c\0\r\0\x0e\0\x0f\0\x10\0\x11\0\x12\0\x13\0\x14\0\x15\0\x16\0\x17\0\x18\0\x19\0\x1a\0\x1b\0/\x000\x001\x002\x003\x004\x005\x006\x007\x008\x009\0:\x01\0",
        ),
    ];
    for (program, script, bytes) in table {
        let (_, sent) = probe(program, script, LONG).await;
        assert_eq!(sent, bytes, "{}", String::from_utf8_lossy(bytes));
    }
}
