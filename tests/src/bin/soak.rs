//! Full load on a proxy for a while: servers come and go, clients reset, the configuration is reloaded, and every response
//! is checked against the nonce of its request.
//!
//! `soak --proxy PATH [--seconds 60] [--connections 64] [--seed 1] [--reload 5]`: prints a line now and then and a summary, and ends
//! with 1 when a response was not the request's own, or when memory grew after the warm-up.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// Longest body of a request or response.
const BODY_MAX_BYTES: usize = 200_000;
/// Room for one read.
const READ_BYTES: usize = 16384;
/// Requests on one connection at most.
const REQUESTS_MAX: usize = 50;
/// A response that takes longer than this is an error.
const PATIENCE: Duration = Duration::from_secs(20);
/// The share of the time after which memory must be flat.
const WARM_UP: f64 = 0.3;
/// What memory may grow by after that.
const GROWTH_MAX_KIB: u64 = 8 * 1024;
const SERVERS: usize = 3;

struct Options {
    proxy: PathBuf,
    seconds: u64,
    connections: usize,
    seed: u64,
    reload_s: u64,
}

fn options() -> Result<Options> {
    let mut options = Options { proxy: PathBuf::new(), seconds: 60, connections: 64, seed: 1, reload_s: 5 };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--proxy" => options.proxy = value.into(),
            "--seconds" => options.seconds = value.parse()?,
            "--connections" => options.connections = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--reload" => options.reload_s = value.parse()?,
            _ => bail!("unknown flag {flag}"),
        }
    }
    ensure!(options.proxy.is_file(), "--proxy PATH names the program");
    Ok(options)
}

/// A small generator: reproducible, and shared by the tasks of the one thread.
#[derive(Clone)]
struct Random(Rc<Cell<u64>>);

impl Random {
    fn next(&self) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state >> 8
    }

    fn below(&self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn length(&self) -> usize {
        match self.below(4) {
            0 => 0,
            1 => self.below(BODY_MAX_BYTES as u64) as usize,
            _ => self.below(2000) as usize,
        }
    }
}

/// A body that no other nonce has.
fn body(nonce: u64, length: usize) -> Vec<u8> {
    let word = nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.iter().copied().cycle().take(length).collect()
}

#[derive(Default)]
struct Counts {
    right: Cell<u64>,
    /// 502, 503, 504 and connections that ended without an answer, while servers came and went.
    refused: Cell<u64>,
    /// Answers that broke off.
    cut: Cell<u64>,
    resets: Cell<u64>,
    wrong: Cell<u64>,
    reloads: Cell<u64>,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// One message's head and body.
struct Message {
    first_line: String,
    nonce: u64,
    wanted_bytes: usize,
    body: Vec<u8>,
}

struct Reader {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Reader {
    fn new(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new() }
    }

    async fn more(&mut self) -> Result<()> {
        self.held.reserve(READ_BYTES);
        let count = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.held)).await??;
        ensure!(count > 0, "closed");
        Ok(())
    }

    async fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.held.len() < count {
            self.more().await?;
        }
        Ok(self.held.drain(..count).collect())
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.held.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2).await?;
                return Ok(String::from_utf8_lossy(line.get(..end).unwrap_or_default()).into_owned());
            }
            self.more().await?;
        }
    }

    async fn message(&mut self) -> Result<Message> {
        let mut message =
            Message { first_line: self.line().await?, nonce: 0, wanted_bytes: 0, body: Vec::new() };
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            let number = || value.trim().parse::<u64>().unwrap_or(0);
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = number() as usize,
                "transfer-encoding" => chunked = true,
                "x-nonce" => message.nonce = number(),
                "x-wanted" => message.wanted_bytes = number() as usize,
                _ => {}
            }
        }
        if !chunked {
            message.body = self.take(length).await?;
            return Ok(message);
        }
        loop {
            let size = usize::from_str_radix(self.line().await?.trim(), 16)?;
            message.body.extend(self.take(size).await?);
            self.line().await?;
            if size == 0 {
                return Ok(message);
            }
        }
    }
}

/// A server that answers with the request's nonce, and now and then cuts a connection.
async fn serve(listener: TcpListener, random: Random) {
    while let Ok((stream, _)) = listener.accept().await {
        let random = random.clone();
        tokio::task::spawn_local(async move {
            let mut reader = Reader::new(stream);
            while let Ok(request) = reader.message().await {
                if !request.body.is_empty() && request.body != body(request.nonce, request.body.len()) {
                    // The client sees that its answer has no nonce.
                    let _ = reader.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    continue;
                }
                let answer = answer(&request, random.below(2) == 0);
                let cut = if random.below(2000) == 0 { answer.len() / 2 } else { answer.len() };
                if reader.stream.write_all(answer.get(..cut).unwrap_or_default()).await.is_err()
                    || cut < answer.len()
                {
                    return;
                }
            }
        });
    }
}

fn answer(request: &Message, chunked: bool) -> Vec<u8> {
    let body = body(request.nonce, request.wanted_bytes);
    let nonce = request.nonce;
    if !chunked {
        let head = format!("HTTP/1.1 200 OK\r\nx-nonce: {nonce}\r\ncontent-length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), &body].concat();
    }
    let mut out =
        format!("HTTP/1.1 200 OK\r\nx-nonce: {nonce}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for piece in body.chunks(7000) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

async fn client(address: SocketAddr, random: Random, counts: Rc<Counts>, end: Instant) {
    while Instant::now() < end {
        let Ok(stream) = TcpStream::connect(address).await else {
            count(&counts.refused);
            continue;
        };
        let _ = stream.set_nodelay(true);
        let mut reader = Reader::new(stream);
        for _ in 0..=random.below(REQUESTS_MAX as u64) {
            if Instant::now() >= end || !request(&mut reader, &random, &counts).await {
                break;
            }
        }
    }
}

/// One request and its answer; false when the connection is over.
async fn request(reader: &mut Reader, random: &Random, counts: &Counts) -> bool {
    let nonce = random.next() | 1;
    let (sent, wanted) = (random.length(), random.length());
    let method = if sent > 0 { "POST" } else { "GET" };
    let head = format!(
        "{method} /{nonce} HTTP/1.1\r\nhost: soak\r\nx-nonce: {nonce}\r\nx-wanted: {wanted}\r\ncontent-length: {sent}\r\n\r\n"
    );
    let bytes = [head.as_bytes(), &body(nonce, sent)].concat();
    if random.below(200) == 0 {
        let part = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let _ = reader.stream.write_all(part).await;
        let _ = reader.stream.set_zero_linger();
        count(&counts.resets);
        return false;
    }
    if reader.stream.write_all(&bytes).await.is_err() {
        count(&counts.refused);
        return false;
    }
    let began = reader.held.len();
    match reader.message().await {
        Ok(message) if message.first_line.contains(" 200 ") => {
            let is_right = message.nonce == nonce && message.body == body(nonce, wanted);
            count(if is_right { &counts.right } else { &counts.wrong });
            is_right
        }
        Ok(_) => {
            count(&counts.refused);
            false
        }
        Err(_) => {
            count(if reader.held.len() > began { &counts.cut } else { &counts.refused });
            false
        }
    }
}

/// Takes servers out and in through the admin socket, and reloads.
async fn disturb(socket: PathBuf, daemon: &Daemon, random: Random, counts: Rc<Counts>, reload_s: u64) {
    let mut last_reload = Instant::now();
    loop {
        let server = random.below(SERVERS as u64);
        for command in ["disable server", "shutdown sessions server", "enable server"] {
            if let Ok(mut stream) = UnixStream::connect(&socket).await {
                let _ = stream.write_all(format!("{command} app/s{server}\n").as_bytes()).await;
                let mut reply = Vec::new();
                let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut reply)).await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if reload_s > 0 && last_reload.elapsed().as_secs() >= reload_s {
            last_reload = Instant::now();
            if daemon.signal(Signal::SIGUSR2).is_ok() {
                count(&counts.reloads);
            }
        }
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[allow(clippy::print_stdout, reason = "a tool that reports")]
async fn run(options: Options) -> Result<bool> {
    let random = Random(Rc::new(Cell::new(options.seed.max(1))));
    let mut servers = String::new();
    for index in 0..SERVERS {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        servers.push_str(&format!("    server s{index} {}\n", listener.local_addr()?));
        tokio::task::spawn_local(serve(listener, random.clone()));
    }
    let (address, log) = (port::free_tcp()?, port::free_udp()?);
    let configuration = format!(
        "global\n    stats socket {{dir}}/admin level admin\n    nbthread 2\n    log {log} local0\n\
         defaults\n    mode http\n    log global\n    option httplog\n    option splice-auto\n    option redispatch\n    retries 3\n\
         \x20   timeout connect 2s\n    timeout client 30s\n    timeout server 30s\n    timeout queue 10s\n\
         frontend web\n    bind {address}\n    option forwardfor\n    default_backend app\n\
         backend app\n    balance leastconn\n    http-reuse always\n{servers}"
    );
    let mut daemon = Daemon::proxy(&options.proxy, &configuration)?;
    daemon.await_listening(address)?;
    println!("soak: seed {}, {} connections, {} s", options.seed, options.connections, options.seconds);
    let counts = Rc::new(Counts::default());
    let start = Instant::now();
    let end = start + Duration::from_secs(options.seconds);
    let clients: Vec<_> = (0..options.connections)
        .map(|_| tokio::task::spawn_local(client(address, random.clone(), Rc::clone(&counts), end)))
        .collect();
    let disturbing =
        disturb(daemon.path("admin"), &daemon, random.clone(), Rc::clone(&counts), options.reload_s);
    let watching = watch(daemon.pid(), &counts, start, end);
    let memory = tokio::select! { memory = watching => memory, () = disturbing => Vec::new() };
    for client in clients {
        client.await?;
    }
    let warm = memory.get((memory.len() as f64 * WARM_UP) as usize).copied().unwrap_or(0);
    let (peak, last) = (memory.iter().copied().max().unwrap_or(0), memory.last().copied().unwrap_or(0));
    println!(
        "soak: {} right, {} wrong, {} refused, {} cut, {} resets, {} reloads; RSS KiB {warm} after the warm-up, {last} at the end, {peak} at most",
        counts.right.get(),
        counts.wrong.get(),
        counts.refused.get(),
        counts.cut.get(),
        counts.resets.get(),
        counts.reloads.get()
    );
    let alive = daemon.signal(Signal::SIGTERM).is_ok() && daemon.await_end().is_some();
    Ok(alive && counts.wrong.get() == 0 && counts.right.get() > 0 && last <= warm + GROWTH_MAX_KIB)
}

#[allow(clippy::print_stdout, reason = "a tool that reports")]
async fn watch(pid: u32, counts: &Counts, start: Instant, end: Instant) -> Vec<u64> {
    let mut memory = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory.push(resident_kib(pid));
        if memory.len() % 10 == 0 {
            let last = memory.last().copied().unwrap_or(0);
            println!("{:>5} s  {:>10} right  RSS {last} KiB", start.elapsed().as_secs(), counts.right.get());
        }
    }
    memory
}

fn main() -> Result<()> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    if local.block_on(&runtime, run(options))? {
        Ok(())
    } else {
        bail!("a response was wrong, the proxy ended, or its memory grew")
    }
}
