//! The first section: `global_defs` with their defaults, and what goes with them. Parts of keepalived that are not here (SNMP,
//! D-Bus, LVS) are shown as what they are: off.

use crate::model::{GlobalDefs, ProcessSettings, RxBufferPolicy};

use super::{Lines, ids, on, plain_seconds, seconds, yes};

impl Lines {
    /// ` NAME = VALUE`.
    fn setting(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format!(" {name} = {value}"));
    }

    pub(super) fn global(&mut self, global: &GlobalDefs) {
        self.line("------< Global definitions >------");
        if let Some(directory) = &global.reload.config_save_dir {
            self.setting("Config save dir", directory);
        }
        self.setting("Network namespace", global.net_namespace.as_deref().unwrap_or("(default)"));
        self.setting(
            "Network namespace ipvs",
            global.net_namespace_ipvs.as_deref().unwrap_or("(main namespace)"),
        );
        if let Some(name) = &global.instance_name {
            self.setting("Instance name", name);
        }
        for (name, title) in
            [(&global.process_name, "Parent process name"), (&global.vrrp_process.name, "VRRP process name")]
        {
            if let Some(name) = name {
                self.setting(title, name);
            }
        }
        self.setting("Router ID", &global.router_id);
        self.mail(global);
        self.reloading(global);
        self.vrrp_defaults(global);
        self.scheduling(global);
        for feature in ["vrrp", "checker", "RFCv2", "RFCv3", "traps"] {
            self.line(format!(" SNMP {feature} disabled"));
        }
        self.line(" DBus disabled");
        self.line(format!(" Script security {}", on(global.script_security)));
        self.line(format!(" Default script uid:gid {}", ids(global.script_user)));
        self.buffers(global);
        if let Some(umask) = global.umask {
            self.setting("umask", format!("{umask:#o}"));
        }
        if global.startup_delay_us > 0 {
            self.setting("vrrp_startup_delay", plain_seconds(global.startup_delay_us));
        }
        if global.log_unknown_vrids {
            self.line(" log_unknown_vrids");
        }
    }

    fn mail(&mut self, global: &GlobalDefs) {
        let mail = &global.mail;
        if let Some(server) = &mail.server {
            self.setting("Smtp server", server);
            self.setting("Smtp server port", mail.port);
        }
        self.setting("Smtp HELO name", mail.helo_name.clone().unwrap_or_else(crate::notify::host_name));
        self.setting("Smtp server connection timeout", plain_seconds(mail.connect_timeout_us));
        if let Some(from) = &mail.from {
            self.setting("Email notification from", from);
        }
        if !mail.to.is_empty() {
            self.line(" Email notification to:");
            mail.to.iter().for_each(|to| self.line(format!("   {to}")));
        }
        let wanted = |alert: Option<bool>| alert.map_or("unset", on_or_off);
        self.setting("Default smtp_alert", wanted(global.defaults.smtp_alert));
        self.setting("Default smtp_alert_vrrp", wanted(global.defaults.smtp_alert_vrrp));
    }

    fn reloading(&mut self, global: &GlobalDefs) {
        match &global.reload.check_config {
            None => self.line(" No test config before reload"),
            Some(None) => self.line(" Test config before reload"),
            Some(Some(file)) => self.line(format!(" Test config before reload, log to {file}")),
        }
        if let Some(file) = &global.reload.time_file {
            let repeat = if global.reload.repeat { " (repeat)" } else { "" };
            self.setting("Reload time file", format!("{file}{repeat}"));
        }
        if let Some(file) = &global.reload.file {
            self.setting("Reload_file", file.as_deref().unwrap_or("(default)"));
        }
    }

    fn vrrp_defaults(&mut self, global: &GlobalDefs) {
        let defaults = &global.defaults;
        self.setting("Dynamic interfaces", global.dynamic_interfaces != Default::default());
        self.setting("Default interface", &global.default_interface);
        self.setting("Disable local IGMP", yes(global.disable_local_igmp));
        self.setting("FIFO write vrrp states on reload", global.fifo_write_states_on_reload);
        self.setting("VRRP notify priority changes", defaults.notify_priority_changes);
        for (title, fifo) in
            [("Global notify fifo", &global.notify_fifo), ("VRRP notify fifo", &global.vrrp_notify_fifo)]
        {
            if let Some(path) = &fifo.path {
                self.setting(title, path);
            }
            if let Some(script) = &fifo.script {
                let text = format!("{}, uid:gid {}", super::command_text(script), ids(script.run_as));
                self.setting(&format!("{title} script"), text);
            }
        }
        self.setting("VRRP IPv4 mcast group", global.vrrp_mcast_group4);
        self.setting("VRRP IPv6 mcast group", global.vrrp_mcast_group6);
        let garp = &defaults.garp;
        self.setting("Gratuitous ARP delay", plain_seconds(garp.master_delay_us));
        self.setting("Gratuitous ARP repeat", garp.master_repeat);
        self.setting("Gratuitous ARP refresh timer", plain_seconds(garp.master_refresh_us));
        self.setting("Gratuitous ARP refresh repeat", garp.master_refresh_repeat);
        self.setting("Gratuitous ARP lower priority delay", plain_seconds(garp.lower_prio_delay_us));
        self.setting("Gratuitous ARP lower priority repeat", garp.lower_prio_repeat);
        self.setting("Num adverts before down", defaults.down_timer_adverts);
        let extra_us = garp.extra_interfaces.map_or(0, |extra| extra.interval_us);
        self.setting("Gratuitous ARP for each secondary VMAC", format!("{}s", plain_seconds(extra_us)));
        self.setting("Send advert after receive lower priority advert", !defaults.lower_prio_no_advert);
        self.setting("Send advert after receive higher priority advert", defaults.higher_prio_send_advert);
        self.setting("Gratuitous ARP interval", seconds(global.garp_interval.garp_us));
        self.setting("Gratuitous NA interval", seconds(global.garp_interval.gna_us));
        self.setting("VRRP default protocol version", defaults.version.number());
        self.setting("nftables table name", &global.nftables.table);
        self.setting("nftables base chain priority", global.nftables.priority);
        let ifindex = if global.nftables.ifindex { "force use" } else { "don't force use" };
        self.line(format!(" nftables {ifindex} ifindex for link local IPv6"));
        let counters = if global.nftables.counters { "with" } else { "without" };
        self.line(format!(" nftables {counters} counters"));
        self.setting("VRRP check unicast_src", defaults.check_unicast_src);
        self.setting("VRRP skip check advert addresses", defaults.skip_check_adv_addr);
        self.setting("VRRP strict mode", defaults.strict);
    }

    fn scheduling(&mut self, global: &GlobalDefs) {
        self.setting("Max auto priority", global.max_auto_priority.unwrap_or(0));
        self.setting("Min auto priority delay", format!("{} usecs", global.min_auto_priority_delay_us));
        let processes: [(&str, &ProcessSettings); 3] = [
            ("VRRP", &global.vrrp_process),
            ("Checker", &global.checker.checker),
            ("BFD", &global.checker.bfd),
        ];
        for (name, process) in processes {
            self.setting(&format!("{name} process priority"), process.nice.unwrap_or(0));
            self.setting(&format!("{name} don't swap"), process.no_swap);
            self.setting(&format!("{name} realtime priority"), process.rt_priority.unwrap_or(0));
            if !process.cpu_affinity.is_empty() {
                let cpus: Vec<String> = process.cpu_affinity.iter().map(u32::to_string).collect();
                self.setting(&format!("{name} CPU Affinity"), cpus.join(" "));
            }
            let limit_us = process.rlimit_rttime_us.unwrap_or(crate::host::scheduling::RTTIME_DEFAULT_US);
            self.setting(&format!("{name} realtime limit"), limit_us);
        }
    }

    fn buffers(&mut self, global: &GlobalDefs) {
        for (name, buffer) in [
            ("vrrp_netlink_cmd_rcv_bufs", global.netlink_cmd_rcv_bufs),
            ("vrrp_netlink_monitor_rcv_bufs", global.netlink_monitor_rcv_bufs),
            ("process_monitor_rcv_bufs", global.process_monitor_rcv_bufs),
        ] {
            let (bytes, force) = buffer.unwrap_or_default();
            self.setting(name, bytes);
            self.setting(&format!("{name}_force"), u8::from(force));
        }
        match global.rx_bufs_policy {
            None => {}
            Some(RxBufferPolicy::Mtu) => self.setting("rx_bufs_policy", "MTU"),
            Some(RxBufferPolicy::Advert) => self.setting("rx_bufs_policy", "ADVERT"),
            Some(RxBufferPolicy::Bytes(bytes)) => self.setting("rx_bufs_size", bytes),
        }
        self.setting("rx_bufs_multiples", global.rx_bufs_multiplier);
    }
}

fn on_or_off(alert: bool) -> &'static str {
    if alert { "on" } else { "off" }
}
