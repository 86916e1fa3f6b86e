//! Redis with Sentinel: the master is killed, clients reach the next; and a former master that returns.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};

use super::*;

const MASTERS: [u8; 2] = [21, 22];
const SENTINELS: [u8; 3] = [31, 32, 33];

fn redis(net: Net, base: &Path, host: u8, replica_of: Option<u8>) -> Server {
    let folder = base.join(format!("redis{host}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("redis-server");
    command.current_dir(&folder).args(["--port", "6379", "--save", "", "--appendonly", "no"]);
    command.args(["--bind", &net.ip(host).to_string(), "--repl-diskless-sync-delay", "0"]);
    command.args(["--replica-announce-ip", &net.ip(host).to_string()]);
    if let Some(master) = replica_of {
        command.args(["--replicaof", &net.ip(master).to_string(), "6379"]);
    }
    let server = Server::start(&mut command, &base.join(format!("redis{host}.log")));
    expect("redis", || say(net.at(host, 6379), "PING").filter(|answer| answer.starts_with("+PONG")));
    server
}

fn sentinel(net: Net, base: &Path, host: u8) -> Server {
    let text = format!(
        "port 26379\nbind {ip}\nsentinel announce-ip {ip}\nsentinel monitor mymaster {master} 6379 2\nsentinel down-after-milliseconds mymaster 1000\n\
         sentinel failover-timeout mymaster 3000\nsentinel parallel-syncs mymaster 1\n",
        ip = net.ip(host),
        master = net.ip(MASTERS[0])
    );
    let file = base.join(format!("sentinel{host}.conf"));
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("redis-sentinel");
    command.arg(&file).current_dir(base);
    Server::start(&mut command, &base.join(format!("sentinel{host}.log")))
}

fn write(session: &mut BufReader<TcpStream>, number: u64) -> Option<()> {
    session.get_mut().write_all(format!("SET k{number} {number}\r\n").as_bytes()).ok()?;
    let mut line = String::new();
    session.read_line(&mut line).ok()?;
    (line == "+OK\r\n").then_some(())
}

fn writer(address: SocketAddr) -> Writer {
    Writer::start(
        move || {
            let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            Some(BufReader::new(stream))
        },
        write,
    )
}

fn master(net: Net) -> Option<String> {
    say(net.at(SENTINELS[0], 26379), "SENTINEL get-master-addr-by-name mymaster")?
        .lines()
        .nth(2)
        .map(str::to_owned)
}

/// One command; sentinels do not close at the end of an answer.
fn say(address: SocketAddr, command: &str) -> Option<String> {
    ask_within(address, format!("{command}\r\n").as_bytes(), Duration::from_millis(100))
}

/// The quorum check never has two masters; the usual check may while the former one has not been demoted.
#[test]
fn redis_clients_follow_sentinels_master_and_never_a_second_one() {
    const NAME: &str = "redis_clients_follow_sentinels_master_and_never_a_second_one";
    if installed("redis-server").is_none() || installed("redis-sentinel").is_none() {
        return skip(NAME, "redis-server or redis-sentinel is not installed");
    }
    let net = Net::new(1);
    let base = tempfile::tempdir().unwrap();
    let mut old = redis(net, base.path(), MASTERS[0], None);
    let _new = redis(net, base.path(), MASTERS[1], Some(MASTERS[0]));
    let _sentinels: Vec<Server> = SENTINELS.iter().map(|host| sentinel(net, base.path(), *host)).collect();
    for host in SENTINELS {
        expect("sentinels that know each other and the replica", || {
            let answer = say(net.at(host, 26379), "SENTINEL ckquorum mymaster")?;
            let master = say(net.at(host, 26379), "SENTINEL master mymaster")?;
            let field =
                |name: &str| master.lines().skip_while(|line| *line != name).nth(2).map(str::to_owned);
            let whole = field("num-slaves").as_deref() == Some("1")
                && field("num-other-sentinels").as_deref() == Some("2");
            (answer.starts_with("+OK 3") && whole).then_some(())
        });
    }
    let faster = [("inter 1s fall 2 rise 1", "inter 200ms fall 2 rise 1")];
    let proxy = |program: &Path, sample: &str, host| {
        let mut daemon = Daemon::proxy(program, &net.sample(sample, host, &faster)).unwrap();
        daemon.await_listening(net.at(host, 6379)).unwrap();
        (daemon, writer(net.at(host, 6379)))
    };
    let mut sides = vec![
        ("proxyd, role check", proxy(&proxyd(), "redis-sentinel.cfg", 1)),
        ("proxyd, quorum check", proxy(&proxyd(), "redis-sentinel-quorum.cfg", 2)),
    ];
    if let Some(haproxy) = installed("haproxy") {
        sides.push(("haproxy, role check", proxy(&haproxy, "redis-sentinel.cfg", 3)));
    }
    let start = Instant::now();
    for (name, (daemon, writer)) in &sides {
        writer.await_writes_after(start, 10);
        expect("the master alone", || {
            (up(&daemon.path("admin.sock"), "redis") == ["redis1"]).then_some(name)
        });
    }
    let killed = Instant::now();
    old.kill();
    expect("a new master", || (master(net)? == net.ip(MASTERS[1]).to_string()).then_some(()));
    let promoted = Instant::now();
    for (name, (_, writer)) in &sides {
        writer.await_writes_after(promoted, 20);
        println!("redis master killed, {name}: {:?} without a write", writer.gap_after(killed));
    }

    // The former master returns and believes that it is one still, until a sentinel tells it otherwise.
    let _old = redis(net, base.path(), MASTERS[0], None);
    let mut most = vec![0; sides.len()];
    expect("the former master as a replica", || {
        for (most, (_, (daemon, _))) in most.iter_mut().zip(&sides) {
            *most = up(&daemon.path("admin.sock"), "redis").len().max(*most);
        }
        let role = say(net.at(MASTERS[0], 6379), "INFO replication")?;
        role.contains("role:slave").then_some(())
    });
    for (most, (name, _)) in most.iter().zip(&sides) {
        println!("redis former master returns, {name}: at most {most} masters UP");
    }
    assert_eq!(most[1], 1, "the quorum check let two masters in");
}
