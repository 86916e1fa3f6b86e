//! `tune.h2.*`: HTTP/2 of one side (configuration manual, section 3.2).

use serde::Serialize;

/// HTTP/2 settings towards clients or towards servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct H2Tuning {
    /// Body bytes of one stream that the peer may send unasked: `initial-window-size`, default 65535.
    pub initial_window_bytes: u32,
    /// The same of all streams of a connection together: `rxbuf`, default 1600 kB.
    pub receive_bytes_max: u32,
    /// `max-concurrent-streams`, default 100.
    pub concurrent_streams_max: u32,
    /// Requests of one connection before it is asked to end: `fe.max-total-streams`; 0 is no limit.
    pub total_streams_max: u64,
    /// `max-frame-size`, default 16384.
    pub frame_bytes_max: u32,
    /// `header-table-size`, default 4096.
    pub header_table_bytes: u32,
}

impl Default for H2Tuning {
    fn default() -> Self {
        Self {
            initial_window_bytes: 65535,
            receive_bytes_max: 1_638_400,
            concurrent_streams_max: 100,
            total_streams_max: 0,
            frame_bytes_max: 16384,
            header_table_bytes: 4096,
        }
    }
}

impl H2Tuning {
    /// The window of a whole connection; never less than what the protocol begins with.
    pub fn connection_window_bytes(&self) -> u32 {
        self.receive_bytes_max.max(65535)
    }
}
