//! Telling the service manager how it goes (`sd_notify(3)`): one datagram per message.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::sys::send_descriptors;

/// The service manager's socket; absent when nobody asked to be told.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Notifier {
    /// From `$NOTIFY_SOCKET`; `None` when it is not set or not usable (not run by a service manager).
    ///
    /// Call it before `chroot`: the address is a path of the host (it is connected at once).
    pub fn from_env() -> Option<Self> {
        Self::new(&std::env::var_os("NOTIFY_SOCKET")?).ok()
    }

    /// For an address as `$NOTIFY_SOCKET` has it: a path, or `@name` in the abstract namespace.
    pub fn new(address: &OsStr) -> io::Result<Self> {
        let to = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&to)?;
        Ok(Self { socket, to })
    }

    /// `READY=1` with a status line.
    pub fn ready(&self, status: &str) {
        self.ready_as(std::process::id(), status);
    }

    /// The same from a worker, for the process that the service manager shall look after (`NotifyAccess=all`).
    pub fn ready_as(&self, main_pid: u32, status: &str) {
        self.send(&format!("READY=1\nMAINPID={main_pid}\n{}", status_line(status)));
    }

    /// `STATUS=`: what `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.send(&status_line(status));
    }

    /// `RELOADING=1` with the moment; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", crate::time::monotonic_us()));
    }

    /// `STOPPING=1`.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// `WATCHDOG=1`: still alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// `FDSTORE=1`: the manager keeps a handle and gives it to the next process as one of `LISTEN_FDS`.
    pub fn store_descriptor(&self, name: &str, descriptor: impl AsFd) {
        let text = format!("FDSTORE=1\nFDNAME={name}\n");
        // As with all messages: a manager that does not want it must not stop the daemon.
        let _ = send_descriptors(self.socket.as_fd(), text.as_bytes(), &[descriptor.as_fd()]);
    }

    /// `FDSTOREREMOVE=1`: the manager lets go of what it keeps under this name.
    pub fn forget_descriptors(&self, name: &str) {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}\n"));
    }

    /// `MAINPID=`: another process is the service now.
    pub fn main_pid(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}\n"));
    }

    fn send(&self, message: &str) {
        // A manager that is busy or gone must not stop the daemon; the socket may have been recreated.
        if self.socket.send(message.as_bytes()).is_err() {
            let _ = self.socket.send_to_addr(message.as_bytes(), &self.to);
        }
    }
}

/// One line, whatever the text holds: a line break would begin another assignment.
fn status_line(status: &str) -> String {
    format!("STATUS={}\n", status.replace(['\n', '\r'], " "))
}

/// How often the manager wants [`Notifier::watchdog`]: half of `$WATCHDOG_USEC`, if it is meant for this process.
pub fn watchdog_interval() -> Option<Duration> {
    let for_us = |pid: std::ffi::OsString| pid.to_str() == Some(&std::process::id().to_string());
    if !std::env::var_os("WATCHDOG_PID").is_none_or(for_us) {
        return None;
    }
    interval_from(&std::env::var("WATCHDOG_USEC").ok()?)
}

fn interval_from(usec: &str) -> Option<Duration> {
    let usec: u64 = usec.parse().ok()?;
    (usec > 1).then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 400];
        let n = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    #[test]
    fn a_life_in_datagrams() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.as_os_str()).unwrap();
        notifier.ready("Ready,\nwith 3 servers");
        let pid = std::process::id();
        assert_eq!(received(&manager), format!("READY=1\nMAINPID={pid}\nSTATUS=Ready, with 3 servers\n"));
        let before = crate::time::monotonic_us();
        notifier.reloading();
        let text = received(&manager);
        let at: u64 = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end().parse().unwrap();
        assert!((before..=crate::time::monotonic_us()).contains(&at));
        notifier.stopping();
        notifier.watchdog();
        assert_eq!(
            (received(&manager).as_str(), received(&manager).as_str()),
            ("STOPPING=1\n", "WATCHDOG=1\n")
        );
    }

    #[test]
    fn a_descriptor_is_kept_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.as_os_str()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        notifier.store_descriptor("web", &listener);
        let mut text = [0; 100];
        let (length, kept) = crate::sys::receive_descriptors(manager.as_fd(), &mut text).unwrap();
        assert_eq!(&text[..length], b"FDSTORE=1\nFDNAME=web\n");
        let kept = std::net::TcpListener::from(kept.into_iter().next().unwrap());
        assert_eq!(kept.local_addr().unwrap(), listener.local_addr().unwrap());
        notifier.forget_descriptors("web");
        assert_eq!(received(&manager), "FDSTOREREMOVE=1\nFDNAME=web\n");
    }

    #[test]
    fn abstract_names_and_refused_forms() {
        let name = format!("hacore-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::new(OsStr::new(&format!("@{name}"))).unwrap().status("up");
        assert_eq!(received(&manager), "STATUS=up\n");
        assert!(Notifier::new(OsStr::new("relative/path")).is_err());
        assert!(Notifier::new(OsStr::new("/no/such/socket")).is_err());
    }

    #[test]
    fn half_the_watchdog_time() {
        assert_eq!(interval_from("3000000"), Some(Duration::from_millis(1500)));
        assert_eq!(interval_from("0"), None);
        assert_eq!(interval_from("soon"), None);
    }
}
