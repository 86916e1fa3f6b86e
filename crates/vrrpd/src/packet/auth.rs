//! VRRPv2 authentication (RFC 2338 §5.3.6): none, the plain password, and the authentication header.
//!
//! The password protects against mistakes, not against anyone who can read the segment. The header itself is in
//! [`super::ah`].

use super::AUTH_DATA_LEN;

/// How adverts of an instance are authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// No authentication; the field is zero.
    #[default]
    None,
    /// `auth_type PASS`: the secret, cut to 8 bytes or padded with zero.
    Password([u8; AUTH_DATA_LEN]),
    /// `auth_type AH`: the secret of the header in front; the field in the advert is zero.
    Header([u8; AUTH_DATA_LEN]),
}

impl std::fmt::Debug for Authentication {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Authentication::None => "None",
            Authentication::Password(_) => "Password(..)",
            Authentication::Header(_) => "Header(..)",
        })
    }
}

impl Authentication {
    /// `auth_type PASS` with this secret.
    pub fn password(secret: &[u8]) -> Self {
        let mut data = [0; AUTH_DATA_LEN];
        for (to, from) in data.iter_mut().zip(secret) {
            *to = *from;
        }
        Authentication::Password(data)
    }

    /// The auth type field (RFC 2338 §5.3.6).
    pub fn type_number(self) -> u8 {
        match self {
            Authentication::None => 0,
            Authentication::Password(_) => 1,
            Authentication::Header(_) => 2,
        }
    }

    /// The authentication data that ends a version 2 advert.
    pub fn data(self) -> [u8; AUTH_DATA_LEN] {
        match self {
            Authentication::None | Authentication::Header(_) => [0; AUTH_DATA_LEN],
            Authentication::Password(data) => data,
        }
    }

    /// Whether `data` carries our secret, compared without an early end.
    pub fn accepts(self, data: &[u8]) -> bool {
        match self {
            Authentication::None | Authentication::Header(_) => true,
            Authentication::Password(secret) => {
                data.len() == secret.len()
                    && data.iter().zip(secret).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_cut_to_eight_bytes_and_padded_with_zero() {
        assert_eq!(Authentication::password(b"secret123").data(), *b"secret12");
        assert_eq!(Authentication::password(b"abc").data(), *b"abc\0\0\0\0\0");
    }

    #[test]
    fn only_the_right_secret_is_accepted() {
        let auth = Authentication::password(b"secret12");
        assert!(auth.accepts(b"secret12"));
        assert!(!auth.accepts(b"secret13"));
        assert!(!auth.accepts(b"secret1"));
    }

    #[test]
    fn debug_output_hides_the_secret() {
        assert_eq!(format!("{:?}", Authentication::password(b"x")), "Password(..)");
    }
}
