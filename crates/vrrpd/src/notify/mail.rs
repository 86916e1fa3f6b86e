//! Mail about state changes (`smtp_alert`), word for word what keepalived 2.2.7 sends.
//!
//! One letter after the other, in the order of what happened, in a task of its own: the VRRP thread never waits for a mail
//! server. A letter that cannot be delivered is said in the log and given up, as keepalived does; queue, waiting times and
//! reply lines are limited.

use std::{io, net::SocketAddr, time::Duration};

use hacore::time::{local_time, wall_us};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use tokio::time::timeout;

use crate::model::{GlobalDefs, MailSettings};
use crate::runtime::outside::{Happening, Kind, Stimulus, What};
use crate::vrrp::State;

/// Letters that may wait.
const WAITING_MAX: usize = 256;
/// The longest reply line that is read.
const REPLY_BYTES_MAX: u64 = 1024;
/// Lines of one reply.
const REPLY_LINES_MAX: usize = 100;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Letter {
    subject: String,
    body: &'static str,
}

/// The letter about something that happened, if one is wanted.
fn letter(happening: &Happening<'_>, router_id: &str, no_faults: bool) -> Option<Letter> {
    let What::State(state) = happening.what else { return None };
    if !happening.scripts.smtp_alert || state == State::Init || (state == State::Fault && no_faults) {
        return None;
    }
    let (kind, body) = match (happening.kind, state) {
        (Kind::Instance, State::Master) => ("Instance", "=> VRRP Instance is now owning VRRP VIPs <="),
        (Kind::Instance, _) => ("Instance", "=> VRRP Instance is no longer owning VRRP VIPs <="),
        (Kind::Group, State::Master) => ("Group", "=> All VRRP group instances are now in MASTER state <="),
        (Kind::Group, State::Fault) => ("Group", "=> All VRRP group instances are now in FAULT state <="),
        (Kind::Group, _) => ("Group", "=> All VRRP group instances are now in BACKUP state <="),
    };
    let subject = format!("[{router_id}] VRRP {kind} {} - Entering {} state", happening.name, state.name());
    Some(Letter { subject, body })
}

/// Sends letters; without a server or a recipient it sends none.
#[derive(Debug, Default)]
pub struct Mailer {
    settings: Option<Settings>,
    letters: Option<Sender<Letter>>,
    log: Option<Sender<Stimulus>>,
}

/// What of the configuration counts here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    mail: MailSettings,
    router_id: String,
}

impl Mailer {
    /// Goes over to these settings; what waits is sent with the old ones. Needs a tokio runtime.
    pub fn configure(&mut self, global: &GlobalDefs, log: &Sender<Stimulus>) {
        let settings = Settings { mail: global.mail.clone(), router_id: global.router_id.clone() };
        if self.settings.as_ref() == Some(&settings) {
            return;
        }
        let wanted = settings.mail.server.is_some() && !settings.mail.to.is_empty();
        self.letters = wanted.then(|| {
            let (letters, waiting) = channel(WAITING_MAX);
            tokio::spawn(deliver(waiting, settings.mail.clone(), log.clone()));
            letters
        });
        self.log = Some(log.clone());
        self.settings = Some(settings);
    }

    /// Writes a letter if one is wanted.
    pub fn happened(&self, happening: &Happening<'_>) {
        let (Some(letters), Some(settings), Some(log)) = (&self.letters, &self.settings, &self.log) else {
            return;
        };
        let Some(letter) = letter(happening, &settings.router_id, settings.mail.no_faults) else { return };
        if let Err(TrySendError::Full(letter)) = letters.try_send(letter) {
            super::say(log, format!("too many SMTP alerts are waiting - '{}' not sent", letter.subject));
        }
    }
}

async fn deliver(mut letters: Receiver<Letter>, settings: MailSettings, log: Sender<Stimulus>) {
    while let Some(letter) = letters.recv().await {
        if let Err(reason) = send(&letter, &settings, &log).await {
            super::say(&log, format!("{reason} - SMTP alert '{}' not sent", letter.subject));
        }
    }
}

async fn send(letter: &Letter, settings: &MailSettings, log: &Sender<Stimulus>) -> Result<(), String> {
    let patience = Duration::from_micros(settings.connect_timeout_us);
    let host = settings.server.as_deref().unwrap_or_default();
    let (stream, address) = timeout(patience, connect(host, settings.port))
        .await
        .map_err(|_| format!("Timeout connecting SMTP server [{host}]:{}", settings.port))?
        .map_err(|error| format!("SMTP server [{host}]:{}: {error}", settings.port))?;
    let server = format!("[{}]:{}", address.ip(), address.port());
    super::say(log, format!("Remote SMTP server {server} connected."));
    let mut session = Session { stream: BufReader::new(stream), patience, server };
    let spoken = session.speak(letter, settings).await;
    if spoken.is_ok() {
        super::say(log, "SMTP alert successfully sent.".to_owned());
    }
    // The letter is delivered or not, whatever the server says to this.
    let _ = session.command("QUIT", "QUIT\r\n", 221).await;
    spoken
}

async fn connect(host: &str, port: u16) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One conversation with a server.
struct Session {
    stream: BufReader<TcpStream>,
    patience: Duration,
    server: String,
}

impl Session {
    async fn speak(&mut self, letter: &Letter, settings: &MailSettings) -> Result<(), String> {
        let host_name = host_name();
        let helo = settings.helo_name.as_deref().unwrap_or(&host_name);
        let from = settings.from.clone().unwrap_or_else(|| format!("root@{host_name}"));
        self.expect("CONNECT", 220).await?;
        self.command("HELO", &format!("HELO {helo}\r\n"), 250).await?;
        self.command("MAIL", &format!("MAIL FROM:<{}>\r\n", mailbox(&from)), 250).await?;
        for recipient in &settings.to {
            self.command("RCPT", &format!("RCPT TO:<{}>\r\n", mailbox(recipient)), 250).await?;
        }
        self.command("DATA", "DATA\r\n", 354).await?;
        let text = format!(
            "Date: {}\r\nFrom: {from}\r\nSubject: {}\r\nX-Mailer: Keepalived\r\nTo: {}\r\n\r\n{}\r\n\r\n.\r\n",
            date(),
            letter.subject,
            settings.to.join(", "),
            letter.body
        );
        self.command("BODY", &text, 250).await
    }

    async fn command(&mut self, name: &str, text: &str, wanted: u16) -> Result<(), String> {
        match timeout(self.patience, self.stream.write_all(text.as_bytes())).await {
            Err(_) => Err(format!("Timeout writing to SMTP server {}", self.server)),
            Ok(Err(error)) => Err(format!("SMTP server {}: {error}", self.server)),
            Ok(Ok(())) => self.expect(name, wanted).await,
        }
    }

    async fn expect(&mut self, name: &str, wanted: u16) -> Result<(), String> {
        match timeout(self.patience, reply(&mut self.stream)).await {
            Err(_) => Err(format!("Timeout reading from SMTP server {}", self.server)),
            Ok(Err(error)) => Err(format!("SMTP server {}: {error}", self.server)),
            Ok(Ok(code)) if code == wanted => Ok(()),
            Ok(Ok(code)) => {
                let server = &self.server;
                Err(format!("Error processing {name} cmd on SMTP server {server}. SMTP status code = {code}"))
            }
        }
    }
}

/// The code of a reply (RFC 5321 §4.2): lines whose fourth byte is `-` go on.
async fn reply(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<u16> {
    for _ in 0..REPLY_LINES_MAX {
        let mut line = Vec::new();
        (&mut *stream).take(REPLY_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended the conversation"));
        }
        let code = line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let code = code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its reply is no SMTP"))?;
        if line.get(3) != Some(&b'-') {
            return Ok(code);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "its reply does not end"))
}

/// The address in `Name <address>`, which servers do not take whole.
fn mailbox(text: &str) -> &str {
    match (text.find('<'), text.rfind('>')) {
        (Some(start), Some(end)) => text.get(start + 1..end).unwrap_or(text),
        _ => text,
    }
}

pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// `Sun, 22 Nov 2026 19:33:02 +0000`.
fn date() -> String {
    let at = local_time((wall_us() / 1_000_000) as i64);
    let weekday = WEEKDAYS.get(usize::from(at.weekday)).copied().unwrap_or("---");
    let offset = at.utc_offset_minutes;
    format!(
        "{weekday}, {:02} {} {} {:02}:{:02}:{:02} {}{:02}{:02}",
        at.day,
        at.month_name(),
        at.year,
        at.hour,
        at.minute,
        at.second,
        if offset < 0 { '-' } else { '+' },
        offset.abs() / 60,
        offset.abs() % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NotifyScripts;

    fn scripts() -> NotifyScripts {
        NotifyScripts { smtp_alert: true, ..NotifyScripts::default() }
    }

    fn happening<'a>(kind: Kind, state: State, scripts: &'a NotifyScripts) -> Happening<'a> {
        Happening { kind, name: "VI_1", what: What::State(state), priority: 100, scripts }
    }

    /// A server that answers everything, or refuses a command; gives what it was told.
    async fn server(refuse: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220-hello\r\n220 there\r\n").await.unwrap();
            let (mut told, mut in_text) = (String::new(), false);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return told;
                }
                told.push_str(&line);
                let answer = match line.as_str() {
                    ".\r\n" => "250 queued",
                    _ if in_text => continue,
                    "DATA\r\n" => "354 go",
                    "QUIT\r\n" => "221 bye",
                    other if !refuse.is_empty() && other.starts_with(refuse) => "550 no",
                    _ => "250 ok",
                };
                in_text = answer.starts_with("354");
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
        });
        (port, told)
    }

    fn global(port: u16) -> GlobalDefs {
        let mail = MailSettings {
            to: vec!["a@example.com".into(), "B <b@example.com>".into()],
            from: Some("LB <lb@example.com>".into()),
            server: Some("127.0.0.1".into()),
            port,
            helo_name: Some("helo".into()),
            connect_timeout_us: 5_000_000,
            no_faults: false,
        };
        GlobalDefs { router_id: "LB_ONE".into(), mail, ..GlobalDefs::default() }
    }

    #[tokio::test]
    async fn a_letter_is_keepalived_s() {
        let (port, told) = server("").await;
        let (log, mut lines) = channel(8);
        let mut mailer = Mailer::default();
        mailer.configure(&global(port), &log);
        mailer.happened(&happening(Kind::Instance, State::Master, &scripts()));
        let told = told.await.unwrap();
        let (before, rest) = told.split_once("Date: ").unwrap();
        assert_eq!(
            before,
            "HELO helo\r\nMAIL FROM:<lb@example.com>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
        );
        let (date, rest) = rest.split_once("\r\n").unwrap();
        assert_eq!(date.len(), "Sun, 22 Nov 2026 19:33:02 +0000".len(), "{date}");
        assert_eq!(
            rest,
            "From: LB <lb@example.com>\r\nSubject: [LB_ONE] VRRP Instance VI_1 - Entering MASTER state\r\n\
             X-Mailer: Keepalived\r\nTo: a@example.com, B <b@example.com>\r\n\r\n\
             => VRRP Instance is now owning VRRP VIPs <=\r\n\r\n.\r\nQUIT\r\n"
        );
        assert_eq!(
            lines.recv().await,
            Some(Stimulus::Log(format!("Remote SMTP server [127.0.0.1]:{port} connected.")))
        );
        assert_eq!(lines.recv().await, Some(Stimulus::Log("SMTP alert successfully sent.".into())));
    }

    #[tokio::test]
    async fn a_refusal_is_said_with_keepalived_s_words() {
        let (port, told) = server("RCPT").await;
        let (log, mut lines) = channel(8);
        let mut mailer = Mailer::default();
        mailer.configure(&global(port), &log);
        mailer.happened(&happening(Kind::Group, State::Fault, &scripts()));
        assert!(told.await.unwrap().ends_with("QUIT\r\n"));
        let _ = lines.recv().await;
        let Some(Stimulus::Log(line)) = lines.recv().await else { panic!("no line") };
        assert!(
            line.starts_with(&format!(
                "Error processing RCPT cmd on SMTP server [127.0.0.1]:{port}. SMTP status code = 550 - SMTP alert '[LB_ONE] VRRP Group VI_1"
            )),
            "{line}"
        );
    }

    #[test]
    fn who_does_not_want_mail_gets_none() {
        let (all, none) = (scripts(), NotifyScripts::default());
        assert_eq!(letter(&happening(Kind::Instance, State::Master, &none), "R", false), None);
        assert_eq!(letter(&happening(Kind::Instance, State::Fault, &all), "R", true), None);
        assert_eq!(letter(&happening(Kind::Instance, State::Init, &all), "R", false), None);
        let group = letter(&happening(Kind::Group, State::Backup, &all), "R", true).unwrap();
        assert_eq!(group.subject, "[R] VRRP Group VI_1 - Entering BACKUP state");
        assert_eq!(group.body, "=> All VRRP group instances are now in BACKUP state <=");
    }
}
