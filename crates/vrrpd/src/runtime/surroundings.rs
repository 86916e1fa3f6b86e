//! Packet filter and sysctls: set up before the first instance starts, put back at the end.

use crate::host::{firewall::FirewallError, sysctl::Sysctls};
use crate::model::Config;

use super::actor::Actor;

impl Actor {
    /// What has to be there before an instance may become master.
    pub(super) fn prepare_host(&mut self) -> Result<(), FirewallError> {
        self.load_firewall(&self.config.clone())?;
        self.set_sysctls();
        Ok(())
    }

    /// Loads the rules of a configuration for the vmacs that are there.
    pub(super) fn load_firewall(&mut self, config: &Config) -> Result<(), FirewallError> {
        let links = self.vmac_links();
        if let Some(error) = self.firewall.load(config, &links)? {
            self.log.warning(&format!(
                "{error}: membership reports of vmacs leave with the virtual hardware address"
            ));
        }
        Ok(())
    }

    /// Loads the rules for vmacs that have changed since.
    pub(super) fn load_firewall_again(&mut self) {
        if let Err(error) = self.load_firewall(&self.config.clone()) {
            self.log.warning(&error.to_string());
        }
    }

    /// After a reload the switches are those of the new configuration.
    pub(super) fn set_sysctls(&mut self) {
        for failure in self.sysctls.update(&self.config, &self.vmacs) {
            self.log.warning(&failure);
        }
        self.record_host();
    }

    /// Addresses that stay keep their rules, switches and vmacs.
    pub(super) async fn leave_host(&mut self, leave_addresses: bool) {
        if leave_addresses {
            return self.sysctls.leave();
        }
        if let Err(error) = self.firewall.remove() {
            self.log.warning(&error.to_string());
        }
        self.sysctls = Sysctls::default();
        let vmacs = std::mem::take(&mut self.vmacs);
        self.remove_vmacs(&vmacs).await;
    }
}
