//! Kernel switches of interfaces that the configuration asks for; put back when dropped.

use std::{fs, io, path::PathBuf};

use crate::model::Config;

/// Switches that were changed, with what they were before.
#[derive(Debug, Default)]
pub struct Sysctls {
    changed: Vec<(PathBuf, String)>,
}

impl Sysctls {
    /// Sets `promote_secondaries` on the interfaces whose instances ask for it. Returns what failed, for the log.
    pub fn apply(config: &Config) -> (Self, Vec<String>) {
        let (mut sysctls, mut failures) = (Self::default(), Vec::new());
        for instance in config.vrrp_instances.iter().filter(|instance| instance.promote_secondaries) {
            let Some(interface) = &instance.interface else { continue };

            let path = PathBuf::from("/proc/sys/net/ipv4/conf").join(interface).join("promote_secondaries");
            if let Err(error) = sysctls.set(path, "1") {
                failures.push(format!("({}) promote_secondaries on {interface}: {error}", instance.name));
            }
        }
        (sysctls, failures)
    }

    fn set(&mut self, path: PathBuf, value: &str) -> io::Result<()> {
        let before = fs::read_to_string(&path)?.trim().to_owned();
        if before == value {
            return Ok(());
        }
        fs::write(&path, value)?;
        self.changed.push((path, before));
        Ok(())
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        for (path, before) in self.changed.drain(..).rev() {
            // The interface may be gone.
            let _ = fs::write(path, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let (changed, same) = (dir.path().join("changed"), dir.path().join("same"));
        fs::write(&changed, "0\n").unwrap();
        fs::write(&same, "1\n").unwrap();
        let mut sysctls = Sysctls::default();
        sysctls.set(changed.clone(), "1").unwrap();
        sysctls.set(same.clone(), "1").unwrap();
        assert_eq!(fs::read_to_string(&changed).unwrap(), "1");
        assert_eq!(sysctls.changed.len(), 1);
        drop(sysctls);
        assert_eq!(fs::read_to_string(&changed).unwrap(), "0");
    }
}
