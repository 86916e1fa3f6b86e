//! The moments of a stream from which the log's timers derive (configuration manual, section 8.4).

/// Microseconds of the process's monotonic clock; `None` for what has not happened.
///
/// The log's timers: `%Th` handshake, `%Ti` idle, `%TR` request, `%Tw` queue, `%Tc` connect, `%Tr` response,
/// `%Td` data, `%Ta`/`%Tt` total. They are differences of these, in milliseconds, -1 where a moment is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Wall clock (µs since the epoch) at which the stream's first byte was accepted; for dates in the log.
    pub accept_date_us: u64,
    /// Wall clock at which the first byte of the request came (`%tr`).
    pub request_date_us: u64,
    /// Accepted, or the end of the previous request on the connection.
    pub start_us: u64,
    pub handshake_done_us: Option<u64>,
    /// First byte of the request.
    pub request_first_byte_us: Option<u64>,
    /// The whole head was received.
    pub request_done_us: Option<u64>,
    /// Left the queue.
    pub queue_done_us: Option<u64>,
    /// The connection to the server stood.
    pub connect_done_us: Option<u64>,
    /// The response's head was received.
    pub response_head_us: Option<u64>,
    pub end_us: Option<u64>,
}
