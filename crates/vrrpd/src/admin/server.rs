//! The Unix socket: one line in, the answer out, end.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::unistd::{Gid, Uid, chown, geteuid};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Answer, Command, Question, ask, command};
use crate::model::{AdminLevel, AdminSocket};

/// Peers served at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 1024;
/// How long a peer may take to say what it wants, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reads of what nobody wanted to know before the connection is closed all the same.
const DISCARDED_READS_MAX: usize = 64;
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket's name; removed when dropped, unless somebody has put another file there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            // What cannot be removed is found stale by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket and serves it.
pub(super) fn open(
    path: &str,
    settings: &AdminSocket,
    questions: mpsc::Sender<Question>,
) -> io::Result<(JoinHandle<()>, SocketFile)> {
    let path = Path::new(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    remove_stale(path)?;
    // Nobody may connect before mode and owner are right, whatever the umask is: it gets its name last.
    let temporary = path.with_extension(format!("new{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary)?;
    let inode = fs::symlink_metadata(&temporary)?.ino();
    let named = fs::set_permissions(&temporary, fs::Permissions::from_mode(settings.mode))
        .and_then(|()| {
            let (user, group) = (settings.user.map(Uid::from_raw), settings.group.map(Gid::from_raw));
            Ok(chown(&temporary, user, group)?)
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    let file = SocketFile { path: path.to_owned(), inode };
    Ok((tokio::spawn(serve(listener, settings.level, questions)), file))
}

/// Removes a socket that nobody listens at; a living one is an error.
fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is in its place"))
        }
        Ok(_) => {
            // Without blocking: the other daemon may be stopped.
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            match socket.connect(&SockAddr::unix(path)?) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
                _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens there")),
            }
        }
    }
}

async fn serve(listener: UnixListener, level: AdminLevel, questions: mpsc::Sender<Question>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    converse(stream, level, &questions).await;
                    drop(slot);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(mut stream: UnixStream, level: AdminLevel, questions: &mpsc::Sender<Question>) {
    let may_change =
        level == AdminLevel::Admin || stream.peer_cred().is_ok_and(|peer| is_trusted(peer.uid()));
    let line = match timeout(PATIENCE, read_line(&mut stream)).await {
        Ok(Ok(line)) => line,
        // Nobody is there to be told.
        Ok(Err(_)) | Err(_) => return,
    };
    let text = match answer(line.as_deref(), may_change, questions).await {
        Ok(text) => text,
        Err(reason) => format!("error: {reason}\n"),
    };
    // A peer that does not read its answer has none.
    let _ = timeout(PATIENCE, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        discard(&mut stream).await
    })
    .await;
}

/// Reads what a peer still sends, up to a limit: closing before that would take its answer away.
async fn discard(stream: &mut UnixStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    for _ in 0..DISCARDED_READS_MAX {
        if stream.read(&mut buffer).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

async fn answer(line: Option<&str>, may_change: bool, questions: &mpsc::Sender<Question>) -> Answer {
    let line = line.ok_or_else(|| format!("the line is longer than {LINE_BYTES_MAX} bytes"))?;
    let (command, changes) = command::parse(line).map_err(|error| error.to_string())?;
    match command {
        Command::Help => Ok(command::help()),
        _ if changes && !may_change => {
            Err("permission denied: this socket lets you only ask (admin_socket … level user)".to_owned())
        }
        command => ask(questions, command).await,
    }
}

/// The first line, without its end; `None` when it is too long.
async fn read_line(stream: &mut UnixStream) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let count = stream.read(&mut buffer).await?;
        let read = buffer.get(..count).unwrap_or_default();
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            line.extend(read.iter().take(end));
            break;
        }
        line.extend(read);
        if count == 0 || line.len() as u64 > LINE_BYTES_MAX {
            break;
        }
    }
    let fits = line.len() as u64 <= LINE_BYTES_MAX;
    Ok(fits.then(|| String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn say(path: &Path, text: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Answers every question with its command's name.
    fn echo() -> mpsc::Sender<Question> {
        let (questions, mut from) = mpsc::channel::<Question>(4);
        tokio::spawn(async move {
            while let Some(question) = from.recv().await {
                let _ = question.answer.send(Ok(format!("{:?}\n", question.command)));
            }
        });
        questions
    }

    #[tokio::test]
    async fn a_line_is_answered_and_what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/admin.sock");
        let settings = AdminSocket { mode: 0o660, ..AdminSocket::default() };
        let (task, file) = open(path.to_str().unwrap(), &settings, echo()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(say(&path, b"status\n").await, "Status\n");
        assert_eq!(say(&path, b"drain VI_1\r\n").await, "Drain(Some(\"VI_1\"))\n");
        assert!(say(&path, b"help\n").await.contains("status"));
        assert!(say(&path, b"\xff\xfe\n").await.starts_with("error: unknown command"));
        assert!(say(&path, &[b'x'; 3000]).await.starts_with("error: the line is longer"));
        let second = open(path.to_str().unwrap(), &settings, echo()).map(|_| ());
        assert_eq!(second.unwrap_err().to_string(), "another daemon listens there");
        task.abort();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_dead_daemon_left_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_task, file) = open(path.to_str().unwrap(), &AdminSocket::default(), echo()).unwrap();
        drop(file);
        fs::write(&path, "mine").unwrap();
        assert!(open(path.to_str().unwrap(), &AdminSocket::default(), echo()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
