//! The persistence cookie.

use super::*;

fn backend_with_cookie(servers: &[SocketAddr]) -> Proxy {
    let mut proxy = listen(servers);
    proxy.cookie = Some(Cookie { name: "SRV".into(), insert: true, indirect: true, ..Cookie::default() });
    for (index, server) in proxy.servers.iter_mut().enumerate() {
        server.cookie = Some(format!("c{index}"));
    }
    proxy
}

#[test]
fn cookie_insert_indirect_tells_the_client_and_keeps_the_server_unaware() {
    let origins = [Origin::new(), Origin::new()];
    let proxyd = Proxyd::start(vec![backend_with_cookie(&[origins[0].address(), origins[1].address()])]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origins[0].accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(client.head().contains("set-cookie: SRV=c0; path=/\r\n"));
    let mut bound = proxyd.client();
    bound.send("GET / HTTP/1.1\r\nhost: h\r\ncookie: a=b; SRV=c1\r\n\r\n");
    let mut server = origins[1].accept();
    assert_eq!(server.head(), "GET / HTTP/1.1\r\nhost: h\r\ncookie: a=b\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(bound.head(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}
