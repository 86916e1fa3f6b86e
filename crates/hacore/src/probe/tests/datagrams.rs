//! UDP and DNS.

use tokio::net::UdpSocket;

use super::*;

/// What a server makes of a datagram.
type Reply = fn(&[u8]) -> Option<Vec<u8>>;

/// A server that answers the first datagram with what `answer` makes of it; nothing: it stays silent.
async fn serve_udp(answer: Reply) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((count, peer)) = socket.recv_from(&mut question).await {
            if let Some(answer) = answer(&question[..count]) {
                let _ = socket.send_to(&answer, peer).await;
            }
        }
    });
    address
}

async fn refusing() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_udp_server_replies_refuses_or_is_silent() {
    let wanted = UdpCheck { payload: b"hi".to_vec(), require_reply: true, reply_bytes: 2..=4 };
    let quiet = UdpCheck { require_reply: false, ..wanted.clone() };
    let echo = serve_udp(|bytes| Some(bytes.to_vec())).await;
    let long = serve_udp(|_| Some(vec![0; 9])).await;
    let silent = serve_udp(|_| None).await;
    for (check, address, word) in [
        (&wanted, echo, "L7OK"),
        (&wanted, long, "L7RSP"),
        (&wanted, silent, "L7TOUT"),
        (&quiet, silent, "L4OK"),
        (&wanted, refusing().await, "L4CON"),
        (&quiet, refusing().await, "L4CON"),
    ] {
        let result = udp(check, address, None, Duration::from_millis(150)).await;
        assert_eq!(result.status.word(), word, "{check:?} {result:?}");
    }
}

#[tokio::test]
async fn a_dns_server_is_judged_by_its_answers_code() {
    let check = DnsCheck { name: "example.org".to_owned(), record_type: 1 };
    let table: [(Reply, &str, &str); 6] = [
        (|bytes| Some([&bytes[..2], &[0x81, 0x80], &bytes[4..]].concat()), "L7OK", "NOERROR"),
        (|bytes| Some([&bytes[..2], &[0x81, 0x83], &bytes[4..]].concat()), "L7STS", "NXDOMAIN"),
        (|bytes| Some([&bytes[..2], &[0x81, 0x82], &bytes[4..]].concat()), "L7STS", "SERVFAIL"),
        (|bytes| Some(bytes.to_vec()), "L7RSP", "a question for an answer"),
        (|_| Some(b"?".to_vec()), "L7RSP", "a truncated DNS header"),
        (|_| None, "L7TOUT", ""),
    ];
    for (answer, word, text) in table {
        let address = serve_udp(answer).await;
        let result = dns(&check, address, None, Duration::from_millis(150), 0x4242).await;
        assert_eq!((result.status.word(), &*result.description), (word, text));
    }
    assert_eq!(dns(&check, refusing().await, None, LONG, 1).await.status.word(), "L4CON");
}
