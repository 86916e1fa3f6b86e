//! Packet filter and sysctls: set up before the first instance starts, put back at the end.

use crate::host::{firewall::FirewallError, sysctl::Sysctls};

use super::actor::Actor;

impl Actor {
    /// What has to be there before an instance may become master.
    pub(super) fn prepare_host(&mut self) -> Result<(), FirewallError> {
        self.firewall.load(&self.config)?;
        self.set_sysctls();
        Ok(())
    }

    /// After a reload the switches are those of the new configuration.
    pub(super) fn set_sysctls(&mut self) {
        // The old ones go back first: an interface may be in both.
        self.sysctls = Sysctls::default();
        let (sysctls, failures) = Sysctls::apply(&self.config);
        self.sysctls = sysctls;
        for failure in failures {
            self.log.warning(&failure);
        }
    }

    /// Addresses that stay keep their rules.
    pub(super) fn leave_host(&mut self, leave_addresses: bool) {
        if leave_addresses {
            return;
        }
        if let Err(error) = self.firewall.remove() {
            self.log.warning(&error.to_string());
        }
        self.sysctls = Sysctls::default();
    }
}
