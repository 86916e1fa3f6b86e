//! The master's console (`-S`; management manual, section 9.4): `show proc`, `reload`, and `@1 …` for a worker's commands.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};

use super::{Request, Which, Wish, worker};
use crate::services::cli::{AdminSocket, Level};

/// The longest line, and the largest payload for a worker.
const LINE_MAX: u64 = 16_384;
const PAYLOAD_MAX: usize = 4 * 1024 * 1024;
/// After how long without input a client is let go.
const SILENCE_MAX: Duration = Duration::from_secs(3600);

const HELP: &str = "The following commands are valid at this level:
  @!<pid>                                 : send a command to the <pid> process
  @<relative pid>                         : send a command to the <relative pid> process
  @master                                 : send a command to the master process
  reload                                  : read the configuration again and apply what differs
  show proc                               : list the processes
  show startup-logs                       : repeat what was said when the files were read
  show version                            : tell the version
  help [<command>]                        : list all commands
  prompt                                  : read more than one line, with a prompt
  quit                                    : disconnect
";

/// Serves the sockets on the current `LocalSet` for ever.
pub(super) fn start(sockets: Vec<AdminSocket>, requests: &mpsc::Sender<Request>) {
    for socket in sockets {
        let requests = requests.clone();
        let level = socket.info.level;
        tokio::task::spawn_local(async move {
            let accepted = socket.each_connection(move |stream| {
                let client = Client { requests: requests.clone(), level, target: None, interactive: false };
                tokio::task::spawn_local(async move {
                    // A client that goes away in the middle is nobody's fault.
                    let _ = client.talk(stream).await;
                });
            });
            if let Err(error) = accepted.await {
                tracing::error!(%error, "master console ended");
            }
        });
    }
}

/// What can be read and written at the same time.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A worker that commands go to.
#[derive(Clone)]
struct Target {
    name: String,
    socket: Rc<PathBuf>,
}

struct Client {
    requests: mpsc::Sender<Request>,
    level: Level,
    target: Option<Target>,
    interactive: bool,
}

impl Client {
    async fn talk(mut self, stream: Box<dyn Duplex>) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            if self.interactive {
                let name = self.target.as_ref().map_or("master", |target| &target.name);
                let prompt = format!("{name}> ");
                stream.get_mut().write_all(prompt.as_bytes()).await?;
            }
            let Some(line) = read_line(&mut stream).await? else { return Ok(()) };
            let mut payload = String::new();
            if line.split_whitespace().last().is_some_and(|word| word.starts_with("<<")) {
                while let Some(next) = read_line(&mut stream).await? {
                    if next.is_empty() || payload.len() > PAYLOAD_MAX {
                        break;
                    }
                    payload.push_str(&next);
                    payload.push('\n');
                }
                payload.push('\n');
            }
            let mut out = String::new();
            let goes_on = self.line(&line, &payload, &mut out).await;
            stream.get_mut().write_all(out.as_bytes()).await?;
            if !goes_on || !self.interactive {
                return stream.get_mut().shutdown().await;
            }
        }
    }

    /// Carries out the commands of one line; `false` ends the connection.
    async fn line(&mut self, line: &str, payload: &str, out: &mut String) -> bool {
        // What goes to one worker goes together: `expert-mode on` holds for what follows it.
        let mut bundle: Vec<String> = Vec::new();
        let mut bundle_target: Option<Target> = None;
        let kept = self.target.clone();
        for command in line.split(';').map(str::trim).filter(|command| !command.is_empty()) {
            let (prefix, command) = match command.strip_prefix('@') {
                Some(rest) => {
                    let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                    (Some(name), rest.trim())
                }
                None => (None, command),
            };
            let mut target = self.target.clone();
            if let Some(name) = prefix {
                target = match self.find(name).await {
                    Ok(target) => target,
                    Err(text) => {
                        out.push_str(&text);
                        return true;
                    }
                };
                if command.is_empty() {
                    self.target = target;
                    continue;
                }
            }
            match target {
                Some(target) => {
                    let same = bundle_target.as_ref().is_some_and(|known| known.socket == target.socket);
                    if !same {
                        self.flush(&mut bundle, bundle_target.take(), payload, out).await;
                    }
                    bundle.push(command.to_owned());
                    bundle_target = Some(target);
                }
                None => {
                    self.flush(&mut bundle, bundle_target.take(), payload, out).await;
                    if !self.command(command, out).await {
                        return false;
                    }
                }
            }
        }
        self.flush(&mut bundle, bundle_target, payload, out).await;
        if !self.interactive {
            self.target = kept;
        }
        true
    }

    async fn flush(&self, bundle: &mut Vec<String>, target: Option<Target>, payload: &str, out: &mut String) {
        let Some(target) = target else { return };
        if self.level < Level::Admin {
            out.push_str("Permission denied\n\n");
            return;
        }
        let text = format!("{}\n{payload}", std::mem::take(bundle).join(";"));
        match worker::ask(&target.socket, &text).await {
            Ok(answer) => out.push_str(&answer),
            Err(error) => out.push_str(&format!("The worker does not answer: {error}\n\n")),
        }
    }

    /// What `@name` means: a worker, or the master itself.
    async fn find(&self, name: &str) -> Result<Option<Target>, String> {
        let unknown = || format!("Can't find the target PID matching the prefix '@{name}'\n");
        let which = match name.strip_prefix('!') {
            Some(pid) => Which::Pid(pid.parse().map_err(|_| unknown())?),
            None if name == "master" || name == "0" => return Ok(None),
            None => Which::Number(name.parse().map_err(|_| unknown())?),
        };
        let socket = self.ask(Wish::Worker(which)).await.ok_or_else(unknown)?;
        let name = name.trim_start_matches('!').to_owned();
        Ok(Some(Target { name, socket: Rc::new(PathBuf::from(socket)) }))
    }

    async fn ask(&self, wish: Wish) -> Option<String> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { wish, answer }).await.ok()?;
        answered.await.ok().flatten()
    }

    /// A command for the master; `false` ends the connection.
    async fn command(&mut self, command: &str, out: &mut String) -> bool {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["quit", ..] => return false,
            ["prompt", ..] => {
                self.interactive = !self.interactive;
                return true;
            }
            ["reload" | "hard-reload", ..] if self.level < Level::Admin => {
                out.push_str("Permission denied\n")
            }
            ["reload" | "hard-reload", ..] => out.push_str(&self.ask(Wish::Reload).await.unwrap_or_default()),
            ["show", "proc", ..] => {
                // It ends with its own empty line.
                out.push_str(&self.ask(Wish::Processes).await.unwrap_or_default());
                return true;
            }
            ["show", "version", ..] => out.push_str(&format!("{}\n", crate::version::full())),
            ["show", "cli", "level", ..] => out.push_str(&format!("{}\n", self.level.name())),
            ["operator", ..] => self.level = self.level.min(Level::Operator),
            ["user", ..] => self.level = self.level.min(Level::User),
            ["help", ..] => out.push_str(HELP),
            // Modes of a worker's console; the master has nothing that they would unlock.
            ["expert-mode" | "experimental-mode" | "mcli-debug-mode", ..] => {}
            _ => {
                out.push_str("Unknown command. Please enter one of the following commands only:\n");
                out.push_str(HELP.split_once('\n').map_or("", |(_, list)| list));
            }
        }
        out.push('\n');
        true
    }
}

async fn read_line(stream: &mut BufReader<Box<dyn Duplex>>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = (&mut *stream).take(LINE_MAX);
    let read = limited.read_until(b'\n', &mut line);
    if tokio::time::timeout(SILENCE_MAX, read).await?? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()))
}
