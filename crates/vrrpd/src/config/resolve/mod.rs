//! The file's words to the model: defaults merged, references found, contradictions settled the way keepalived does.

mod command;
mod group;
mod instance;
mod tracked;

use hacore::diag::{Diagnostic, Span};

use crate::model::{Config, DynamicInterfaces, GlobalDefs, TrackFile, TrackProcess, VrrpScript};

use super::CODE_INTERFACE;
use super::keyword::Context;
use super::keywords::draft::{At, Draft, GlobalDraft};
use command::Commands;

/// An interface that is not there: a note with `dynamic_interfaces`, else in the end fatal.
pub(super) fn missing_interface(context: &mut Context<'_>, span: Span, message: String) {
    let diagnostic = Diagnostic::warning(message).at(span);
    if context.dynamic_interfaces {
        context.diagnostics.push(Diagnostic { code: Some(CODE_INTERFACE), ..diagnostic });
    } else {
        context.missing_interface = true;
        context
            .diagnostics
            .push(diagnostic.help("'dynamic_interfaces' in global_defs allows interfaces that come later"));
    }
}

/// Builds the model. What cannot be settled is an alert in the diagnostics; the rest of the model is still right.
pub(super) fn resolve(draft: Draft, context: &mut Context<'_>) -> Config {
    let Draft { global, instances, groups, scripts, files, processes, .. } = draft;
    let mut commands = Commands::new(&global, context);
    let mut config = Config { global: globals(&global, &mut commands, context), ..Config::default() };

    // Without an instance keepalived does not even look at scripts.
    let used = !instances.is_empty();
    for script in scripts {
        let name = script.name.clone();
        let Some(command) = script.command.as_ref() else { continue };
        let Some(command) = commands.check_script(&name, command, script.user.as_ref(), used, context) else {
            continue;
        };
        config.scripts.push(VrrpScript {
            name,
            command,
            interval_us: script.interval_us,
            timeout_us: script.timeout_us,
            weight: script.weight,
            weight_reverse: script.weight_reverse,
            rise: script.rise,
            fall: script.fall,
            init_fail: script.init_fail,
        });
    }
    config.track_files = files
        .into_iter()
        .filter_map(|file| {
            Some(TrackFile {
                name: file.name,
                path: file.path?,
                weight: file.weight,
                weight_reverse: file.weight_reverse,
                init_file: file.init_file,
            })
        })
        .collect();
    config.track_processes = processes
        .into_iter()
        .filter_map(|process| {
            Some(TrackProcess {
                name: process.name,
                process: process.process?,
                parameters: process.parameters,
                param_match: process.param_match,
                full_command: process.full_command,
                weight: process.weight,
                weight_reverse: process.weight_reverse,
                // None may run where a maximum of 0 is all that is asked for (keepalived's behaviour).
                quorum: process.quorum.unwrap_or(u32::from(process.quorum_max != Some(0))),
                quorum_max: process.quorum_max,
                terminate_delay_us: process.terminate_delay_us,
                fork_delay_us: process.fork_delay_us,
            })
        })
        .collect();

    config.track_groups = draft.track_groups;
    config.garp_groups = draft.garp_groups;
    config.static_addresses = values(draft.static_addresses);
    config.static_routes = values(draft.static_routes);
    config.static_rules = values(draft.static_rules);
    config.linkbeat_interfaces = draft.linkbeat_interfaces;
    config.interface_delays = draft.interface_delays;
    config.virtual_servers = draft.virtual_servers;
    config.virtual_server_groups = draft.virtual_server_groups;
    config.bfd_instances = draft.bfd_instances;
    config.ssl = draft.ssl;
    commands.check_servers(&config.virtual_servers, context);

    config.sync_groups = group::resolve(groups, &instances, &global, &config, &mut commands, context);
    for instance in instances {
        if let Some(instance) = instance::resolve(instance, &global, &config, &mut commands, context) {
            config.vrrp_instances.push(instance);
        }
    }
    // A group's member may have been left out only now.
    let known: Vec<String> = config.vrrp_instances.iter().map(|instance| instance.name.clone()).collect();
    config.sync_groups.iter_mut().for_each(|group| group.members.retain(|member| known.contains(member)));
    config.sync_groups.retain(|group| !group.members.is_empty());
    instance::duplicate_vrids(&config, context);
    commands.verdict(context);
    if context.missing_interface {
        let alert = Diagnostic::alert("Non-existent interface specified in configuration");
        context.diagnostics.push(Diagnostic { code: Some(CODE_INTERFACE), ..alert });
    }
    config
}

fn values<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|at| at.value).collect()
}

fn globals(draft: &GlobalDraft, commands: &mut Commands, context: &mut Context<'_>) -> GlobalDefs {
    let mut global = draft.model.clone();
    global.defaults = instance::defaults(draft);
    if global.router_id.is_empty() {
        global.router_id = context.environment.host_name();
    }
    global.script_user = commands.default_ids().unwrap_or(global.script_user);
    global.startup_script = draft.startup_script.as_ref().and_then(|script| commands.notify(script, context));
    global.shutdown_script =
        draft.shutdown_script.as_ref().and_then(|script| commands.notify(script, context));
    for (fifo, draft) in [
        (&mut global.notify_fifo, &draft.fifo),
        (&mut global.vrrp_notify_fifo, &draft.vrrp_fifo),
        (&mut global.lvs_notify_fifo, &draft.lvs_fifo),
    ] {
        fifo.path.clone_from(&draft.path);
        fifo.owner = draft.owner.as_ref().and_then(|user| commands.ids(user, context));
        fifo.script = draft.script.as_ref().and_then(|script| commands.notify(script, context));
    }
    global
}

/// Whether interfaces may come later.
pub(super) fn dynamic(draft: &Draft) -> bool {
    draft.global.model.dynamic_interfaces != DynamicInterfaces::No
}
