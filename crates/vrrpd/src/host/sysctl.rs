//! Kernel switches of interfaces that the configuration asks for; put back when dropped.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::model::{Config, Family};

use super::vmac::Vmac;

/// Where the kernel shows them.
const ROOT: &str = "/proc/sys/net";

/// One switch and its value.
pub type Switch = (PathBuf, String);

/// Switches that were changed, with what they were before.
#[derive(Debug, Default)]
pub struct Sysctls {
    changed: Vec<Switch>,
}

impl Sysctls {
    /// Those that a former worker changed: they are put back to what they were before it.
    pub fn inherited(changed: Vec<Switch>) -> Self {
        Sysctls { changed }
    }

    /// What was changed, with the value before.
    pub fn changed(&self) -> &[Switch] {
        &self.changed
    }

    /// Sets what the configuration asks for on interfaces that are not ours, and puts back what it no longer asks for.
    /// Returns what failed, for the log.
    pub fn update(&mut self, config: &Config, vmacs: &[Vmac]) -> Vec<String> {
        self.update_below(Path::new(ROOT), config, vmacs)
    }

    fn update_below(&mut self, root: &Path, config: &Config, vmacs: &[Vmac]) -> Vec<String> {
        let wanted = self.wanted(root, config, vmacs);
        let kept = |switch: &Switch| wanted.iter().any(|(path, _)| *path == switch.0);
        let (kept, dropped): (Vec<_>, Vec<_>) = self.changed.drain(..).partition(kept);
        self.changed = kept;
        put_back(dropped);
        let mut failures = Vec::new();
        for (path, value) in wanted {
            if let Err(error) = self.set(path.clone(), &value) {
                failures.push(format!("cannot set {} to {value}: {error}", path.display()));
            }
        }
        failures
    }

    /// Nothing is put back.
    pub fn leave(&mut self) {
        self.changed.clear();
    }

    /// An interface is gone, and its switches with it: under the same name comes another one.
    pub fn forget(&mut self, interface: &str) {
        self.changed
            .retain(|(path, _)| path.parent().and_then(Path::file_name).is_none_or(|name| name != interface));
    }

    fn wanted(&self, root: &Path, config: &Config, vmacs: &[Vmac]) -> Vec<Switch> {
        let v4 = root.join("ipv4/conf");
        let mut wanted = Vec::new();
        for instance in config.vrrp_instances.iter().filter(|instance| instance.promote_secondaries) {
            if let Some(interface) = &instance.interface {
                wanted.push((v4.join(interface).join("promote_secondaries"), "1".to_owned()));
            }
        }
        if config.global.disable_local_igmp {
            wanted.push((root.join("ipv4/igmp_link_local_mcast_reports"), "0".to_owned()));
        }
        // What is below a vmac must not answer for the addresses on it (keepalived's behaviour).
        let over_v4 = || vmacs.iter().filter(|vmac| vmac.family == Family::V4);
        let parents: BTreeSet<&str> = over_v4().map(|vmac| vmac.parent.as_str()).collect();
        for parent in parents.into_iter().filter(|parent| v4.join(parent).exists()) {
            for switch in ["arp_ignore", "arp_filter"] {
                wanted.push((v4.join(parent).join(switch), "1".to_owned()));
            }
        }
        if over_v4().next().is_some() {
            wanted.extend(self.reverse_path_filter(&v4, vmacs));
        }
        wanted
    }

    /// Manual, `use_vmac`: what `all` demands every interface gets itself, so that vmacs can go without.
    fn reverse_path_filter(&self, v4: &Path, vmacs: &[Vmac]) -> Vec<Switch> {
        let all = v4.join("all/rp_filter");
        let before = self.changed.iter().find(|(path, _)| *path == all).map(|(_, value)| value.clone());
        let Some(demanded) = before.or_else(|| read(&all).ok()).filter(|value| value != "0") else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        for entry in fs::read_dir(v4).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let path = entry.path().join("rp_filter");
            let is_vmac = vmacs.iter().any(|vmac| name == vmac.name.as_str());
            let raised = self.changed.iter().any(|(changed, _)| *changed == path);
            if name != "all"
                && name != "lo"
                && !is_vmac
                && (raised || read(&path).is_ok_and(|own| own < demanded))
            {
                wanted.push((path, demanded.clone()));
            }
        }
        wanted.push((all, "0".to_owned()));
        wanted
    }

    fn set(&mut self, path: PathBuf, value: &str) -> io::Result<()> {
        let before = read(&path)?;
        if before == value {
            return Ok(());
        }
        fs::write(&path, value)?;
        if !self.changed.iter().any(|(known, _)| *known == path) {
            self.changed.push((path, before));
        }
        Ok(())
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        put_back(std::mem::take(&mut self.changed));
    }
}

fn read(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

/// Puts switches back, the latest change first.
pub fn put_back(switches: Vec<Switch>) {
    for (path, before) in switches.into_iter().rev() {
        // The interface may be gone.
        let _ = fs::write(path, before);
    }
}

/// The switches of a vmac itself, which go with it. Returns what failed, for the log.
pub fn prepare_vmac(vmac: &Vmac, with_ipv6: bool) -> Vec<String> {
    let v4 = Path::new(ROOT).join("ipv4/conf").join(&vmac.name);
    let mut wanted: Vec<(PathBuf, &str)> = Vec::new();
    if vmac.family == Family::V4 {
        for (switch, value) in
            [("arp_ignore", "1"), ("accept_local", "1"), ("rp_filter", "0"), ("promote_secondaries", "1")]
        {
            wanted.push((v4.join(switch), value));
        }
        let v6 = Path::new(ROOT).join("ipv6/conf").join(&vmac.name).join("disable_ipv6");
        if !with_ipv6 && v6.exists() {
            wanted.push((v6, "1"));
        }
    }
    let write = |(path, value): (PathBuf, &str)| {
        let written = fs::write(&path, value);
        written.err().map(|error| format!("cannot set {} to {value}: {error}", path.display()))
    };
    wanted.into_iter().filter_map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of switches like the kernel's.
    fn tree(switches: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, value) in switches {
            let path = dir.path().join("ipv4/conf").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        dir
    }

    fn value(dir: &tempfile::TempDir, path: &str) -> String {
        read(&dir.path().join("ipv4/conf").join(path)).unwrap()
    }

    fn vmac() -> Vmac {
        Vmac {
            name: "vrrp.1".into(),
            parent: "v0".into(),
            mac: [0; 6],
            ipvlan: None,
            group: None,
            family: Family::V4,
            owner: "A".into(),
        }
    }

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

    #[test]
    fn disable_local_igmp_holds_while_we_run() {
        let dir = tempfile::tempdir().unwrap();
        let switch = dir.path().join("ipv4/igmp_link_local_mcast_reports");
        fs::create_dir_all(switch.parent().unwrap()).unwrap();
        fs::write(&switch, "1\n").unwrap();
        let mut config = Config::default();
        config.global.disable_local_igmp = true;
        let mut sysctls = Sysctls::default();
        assert_eq!(sysctls.update_below(dir.path(), &config, &[]), Vec::<String>::new());
        assert_eq!(read(&switch).unwrap(), "0");
        drop(sysctls);
        assert_eq!(read(&switch).unwrap(), "1");
    }

    #[test]
    fn the_interface_below_a_vmac_is_silent_and_all_rp_filter_moves_down_until_the_vmac_goes() {
        let dir = tree(&[
            ("all/rp_filter", "1"),
            ("default/rp_filter", "0"),
            ("v0/rp_filter", "0"),
            ("v0/arp_ignore", "0"),
            ("v0/arp_filter", "0"),
            ("v1/rp_filter", "2"),
            ("vrrp.1/rp_filter", "0"),
        ]);
        let mut sysctls = Sysctls::default();
        let config = Config::default();
        assert_eq!(sysctls.update_below(dir.path(), &config, &[vmac()]), Vec::<String>::new());
        let shown = || {
            [
                "all/rp_filter",
                "default/rp_filter",
                "v0/rp_filter",
                "v0/arp_ignore",
                "v0/arp_filter",
                "v1/rp_filter",
                "vrrp.1/rp_filter",
            ]
            .map(|path| value(&dir, path))
            .join("")
        };
        assert_eq!(shown(), "0111120");
        // A reload with the same vmac, or by a worker that inherits, changes nothing and forgets nothing.
        let mut next = Sysctls::inherited(std::mem::take(&mut sysctls.changed));
        next.update_below(dir.path(), &config, &[vmac()]);
        assert_eq!(shown(), "0111120");
        next.update_below(dir.path(), &config, &[]);
        assert_eq!(shown(), "1000020");
    }

    #[test]
    fn a_new_interface_of_an_old_name_is_set_anew() {
        let dir = tree(&[("v0/arp_ignore", "0"), ("v0/arp_filter", "0")]);
        let mut sysctls = Sysctls::default();
        sysctls.update_below(dir.path(), &Config::default(), &[vmac()]);
        fs::write(dir.path().join("ipv4/conf/v0/arp_ignore"), "2\n").unwrap();
        sysctls.forget("v0");
        sysctls.update_below(dir.path(), &Config::default(), &[vmac()]);
        assert_eq!(value(&dir, "v0/arp_ignore"), "1");
        drop(sysctls);
        assert_eq!(value(&dir, "v0/arp_ignore"), "2");
    }
}
