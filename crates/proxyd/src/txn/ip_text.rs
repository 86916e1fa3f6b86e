//! An address as text, without memory of its own: requests and log lines have several.

use std::io::Write;
use std::net::IpAddr;

/// Room for every address (`INET6_ADDRSTRLEN`).
pub const IP_TEXT_BYTES: usize = 46;

/// Writes the address; gives the part of `room` that it takes.
pub fn ip_text(ip: IpAddr, room: &mut [u8; IP_TEXT_BYTES]) -> &[u8] {
    let mut length = 0;
    match ip {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                let mut digits = itoa::Buffer::new();
                let dot: &[u8] = if index > 0 { b"." } else { b"" };
                for &byte in dot.iter().chain(digits.format(octet).as_bytes()) {
                    if let Some(place) = room.get_mut(length) {
                        *place = byte;
                        length += 1;
                    }
                }
            }
        }
        IpAddr::V6(v6) => {
            let mut cursor = std::io::Cursor::new(&mut room[..]);
            // The room is enough for every address.
            let _ = write!(cursor, "{v6}");
            length = cursor.position() as usize;
        }
    }
    room.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_reads_as_the_library_writes_it() {
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "2001:db8::1", "::ffff:1.2.3.4"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(ip_text(ip, &mut [0; IP_TEXT_BYTES]), ip.to_string().as_bytes());
        }
    }
}
