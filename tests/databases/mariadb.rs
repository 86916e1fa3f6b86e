//! MariaDB behind `option mysql-check`.

use std::process::Command;

use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};

use super::*;

#[test]
fn mysql_check_logs_in_to_mariadb() {
    const NAME: &str = "mysql_check_logs_in_to_mariadb";
    let (Some(server), Some(install)) = (installed("mariadbd"), installed("mariadb-install-db")) else {
        return skip(NAME, "mariadb-server is not installed");
    };
    let net = Net::new(2);
    let base = tempfile::tempdir().unwrap();
    let data = folder_of("mysql", base.path(), "data");
    let log = base.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let made = Command::new(install)
        .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .args(nix::unistd::geteuid().is_root().then_some("--user=mysql"))
        .arg(format!("--datadir={}", data.display()))
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status();
    assert!(made.unwrap().success(), "{}", std::fs::read_to_string(&log).unwrap());
    let users = data.join("users.sql");
    std::fs::write(&users, "CREATE USER IF NOT EXISTS 'proxy_check'@'%';\n").unwrap();
    let mut command = command_as("mysql", server);
    command
        .args(["--no-defaults", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", data.join("sock").display()))
        .arg(format!("--init-file={}", users.display()))
        .arg(format!("--bind-address={}", net.ip(41)))
        .arg("--port=3306");
    let mut mariadb = Server::start(&mut command, &log);
    expect("mariadb", || TcpStream::connect(net.at(41, 3306)).ok());

    let faster = [("inter 2s fall 3 rise 2", "inter 200ms fall 1 rise 1")];
    let sample = net.sample("mariadb.cfg", 1, &faster);
    let stranger = "
listen stranger
    bind {ip}:3307
    option mysql-check user stranger
    server db1 {db} check inter 200ms fall 1 rise 1
";
    let stranger =
        stranger.replace("{ip}", &net.ip(1).to_string()).replace("{db}", &net.at(41, 3306).to_string());
    let daemon = Daemon::proxy(&proxyd(), &(sample + &stranger)).unwrap();
    let socket = daemon.path("admin.sock");
    let health = |server: &str| admin(&socket, &format!("show server health {server}"));
    let told = expect("a check that logged in", || {
        let told = health("mysql/db1");
        told.contains("verdict: L7OK").then_some(told)
    });
    assert!(told.contains("MariaDB"), "{told}");
    let told = expect("a check that was refused", || {
        let told = health("stranger/db1");
        told.contains("verdict: L7STS").then_some(told)
    });
    assert!(told.contains("Access denied"), "{told}");
    expect("the standby is no server at all", || {
        health("mysql/db2").contains("verdict: L4CON").then_some(())
    });
    // Through the proxy comes the server's own greeting.
    expect("the greeting", || ask(net.at(1, 3306), b"").filter(|greeting| greeting.contains("MariaDB")));
    mariadb.kill();
    expect("the killed server is found", || up(&socket, "mysql").is_empty().then_some(()));
}
