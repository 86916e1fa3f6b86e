//! What the process notices about itself (`tracing` events): to the `log` lines of the `global` section and, in the
//! foreground, to standard error in HAProxy's format. Traffic never logs this way.

use std::sync::Arc;

use hacore::logging::subscriber::subscriber;
use hacore::logging::syslog::Level;
use hacore::logging::{OperationalLog, SinkError};

use super::log_writer::encoder;
use crate::logs::Outlets;
use crate::model::{Global, Ring};
use crate::proxy::Snapshot;

/// Makes warnings and errors go out for the rest of the process's life; `console` also prints them.
///
/// `snapshot` is what log backends are found in, if this is the serving process.
pub(super) fn install(
    global: &Global,
    snapshot: Option<&Snapshot>,
    tag: &str,
    outlets: &mut Outlets,
    console: bool,
) -> Result<(), SinkError> {
    let none = std::collections::BTreeMap::<String, Ring>::new();
    let rings = snapshot.map_or(&none, |snapshot| &snapshot.rings);
    let mut log = OperationalLog::new();
    for target in &global.logs {
        if let Some(sink) = outlets.open(target, snapshot)? {
            let level_max = Level::from_number(target.level_max as u8);
            let level_min = Level::from_number(target.level_min as u8);
            log = log.destination(sink, encoder(target, tag, global, rings), level_max, level_min);
        }
    }
    if console {
        log = log.console(|level, text| {
            let name = match level {
                Level::Emerg | Level::Alert | Level::Crit | Level::Err => "[ALERT]   ",
                Level::Warning => "[WARNING] ",
                Level::Notice | Level::Info => "[NOTICE]  ",
                Level::Debug => "[DEBUG]   ",
            };
            format!("{name} ({}) : {text}", std::process::id())
        });
    }
    // A second start within one process (tests) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(subscriber(Arc::new(log), tracing::Level::WARN));
    Ok(())
}
