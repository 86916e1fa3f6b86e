//! `mode tcp`.

use super::*;

fn relay(server: SocketAddr) -> Proxyd {
    let mut proxy = listen(&[server]);
    proxy.mode = Mode::Tcp;
    Proxyd::start(vec![proxy])
}

#[test]
fn bytes_pass_both_ways_and_each_side_closes_for_itself() {
    let origin = Origin::new();
    let proxyd = relay(origin.address());
    let mut client = proxyd.client();
    let mut server = origin.accept();
    server.send("banner");
    assert_eq!(client.bytes(6), "banner");
    client.send("question");
    client.finish_sending();
    assert_eq!(server.rest(), "question");
    server.send("answer");
    drop(server);
    assert_eq!(client.rest(), "answer");
}

#[test]
fn a_refused_server_closes_the_client() {
    let mut proxy = listen(&[closed_port()]);
    proxy.mode = Mode::Tcp;
    proxy.retries = 0;
    let proxyd = Proxyd::start(vec![proxy]);
    assert_eq!(proxyd.client().rest(), "");
}
