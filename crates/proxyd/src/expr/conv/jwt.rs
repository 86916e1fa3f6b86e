//! JSON Web Tokens: queries of header and payload, verification by secret or public key (RFC 7515).
//!
//! `PS…` is verified too, which HAProxy 2.6 answers with -2 (newer ones verify it).

use std::sync::Arc;

use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};

use super::digest::Algorithm;
use super::encode::ub64_decode;
use super::json::JsonPath;
use super::{Converter, ConverterState, conv, data, find_variables, text_or_variable};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const QUERY: &[ArgKind] = &[ArgKind::Str, ArgKind::Str];

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "jwt_header_query",
        SampleType::Bin,
        SampleType::Any,
        |s, a, _| query(s, a, 0),
        "the header of a JWT, or a value in it",
    )
    .args(0, QUERY)
    .check(check_query),
    conv(
        "jwt_payload_query",
        SampleType::Bin,
        SampleType::Any,
        |s, a, _| query(s, a, 1),
        "the payload of a JWT, or a value in it",
    )
    .args(0, QUERY)
    .check(check_query),
    conv("jwt_verify", SampleType::Bin, SampleType::Int, verify, "checks the signature of a JWT")
        .args(2, QUERY)
        .check(check_verify),
    conv(
        "jwt_verify_cert",
        SampleType::Bin,
        SampleType::Int,
        verify,
        "checks the signature of a JWT with a certificate",
    )
    .args(2, QUERY)
    .check(check_verify_cert),
];

fn check_query(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if let Some(path) = args.text(0) {
        args.state = ConverterState::JsonPath(Arc::new(JsonPath::parse(path, args.text(1))?));
    }
    Ok(())
}

fn query<'a>(sample: Sample<'a>, args: &'a Args, part: usize) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let decoded = ub64_decode(data.split(|b| *b == b'.').nth(part)?)?;
    match &args.state {
        ConverterState::JsonPath(path) => path.find(&decoded),
        _ => Some(Sample::str(decoded)),
    }
}

// The results of `jwt_verify` that are no success (manual, "jwt_verify").
const FAILURE: i64 = 0;
const SUCCESS: i64 = 1;
const UNKNOWN_ALGORITHM: i64 = -1;
const UNMANAGED_ALGORITHM: i64 = -2;
const INVALID_TOKEN: i64 = -3;
const UNKNOWN_CERTIFICATE: i64 = -5;

/// A public key for `RS…`, `PS…` and `ES…`.
#[derive(Debug)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo (RFC 5280, section 4.1) or RSAPublicKey (RFC 8017, appendix A.1.1).
    der: Vec<u8>,
}

impl PublicKey {
    /// From a PEM file with a public key or a certificate.
    fn parse(pem: &[u8]) -> Option<PublicKey> {
        let blocks = x509_parser::pem::Pem::iter_from_buffer(pem).filter_map(Result::ok);
        blocks.into_iter().find_map(|block| match block.label.as_str() {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Some(PublicKey { der: block.contents }),
            "CERTIFICATE" => {
                let der = block.parse_x509().ok()?.public_key().raw.to_vec();
                Some(PublicKey { der })
            }
            _ => None,
        })
    }

    fn verifies(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        UnparsedPublicKey::new(algorithm, &self.der).verify(signed, signature).is_ok()
    }
}

/// How a signature is verified.
enum Method {
    Secret(Algorithm),
    Key(&'static dyn VerificationAlgorithm),
}

/// The algorithms of RFC 7518, section 3.1.
fn method(name: &[u8]) -> Option<Method> {
    use aws_lc_rs::signature as s;
    Some(match name {
        b"HS256" => Method::Secret(Algorithm::Sha256),
        b"HS384" => Method::Secret(Algorithm::Sha384),
        b"HS512" => Method::Secret(Algorithm::Sha512),
        b"RS256" => Method::Key(&s::RSA_PKCS1_2048_8192_SHA256),
        b"RS384" => Method::Key(&s::RSA_PKCS1_2048_8192_SHA384),
        b"RS512" => Method::Key(&s::RSA_PKCS1_2048_8192_SHA512),
        b"PS256" => Method::Key(&s::RSA_PSS_2048_8192_SHA256),
        b"PS384" => Method::Key(&s::RSA_PSS_2048_8192_SHA384),
        b"PS512" => Method::Key(&s::RSA_PSS_2048_8192_SHA512),
        b"ES256" => Method::Key(&s::ECDSA_P256_SHA256_FIXED),
        b"ES384" => Method::Key(&s::ECDSA_P384_SHA384_FIXED),
        b"ES512" => Method::Key(&s::ECDSA_P521_SHA512_FIXED),
        _ => return None,
    })
}

fn check_verify(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    find_variables(args, scope, span)?;
    let names = match &args.state {
        ConverterState::Vars(names) => names.clone(),
        _ => Vec::new(),
    };
    let algorithm_is_constant = !matches!(names.first(), Some(Some(_)));
    let key_is_constant = !matches!(names.get(1), Some(Some(_)));
    let name = args.text(0).unwrap_or_default();
    let wanted = method(name.as_bytes());
    if algorithm_is_constant && wanted.is_none() {
        return Err(format!("unknown JWT algorithm: {name}"));
    }
    let path = args.text(1).unwrap_or_default();
    let needs_key = algorithm_is_constant && matches!(wanted, Some(Method::Key(_)));
    let mut key = None;
    if key_is_constant && (needs_key || !algorithm_is_constant) {
        key = scope.loader.load(path).ok().and_then(|pem| PublicKey::parse(&pem)).map(Arc::new);
        if needs_key && key.is_none() {
            return Err(format!("failed to load the public key or certificate '{path}'"));
        }
    }
    args.state = ConverterState::Jwt(names, key);
    Ok(())
}

/// As `jwt_verify`, with a certificate that is known at load; methods with a secret make no sense.
fn check_verify_cert(
    args: &mut Args,
    scope: &ParseScope<'_>,
    span: hacore::diag::Span,
) -> Result<(), String> {
    check_verify(args, scope, span)?;
    let (name, path) = (args.text(0).unwrap_or_default(), args.text(1).unwrap_or_default());
    let ConverterState::Jwt(names, key) = &args.state else { return Ok(()) };
    if matches!(method(name.as_bytes()), Some(Method::Secret(_))) {
        return Err(format!("algorithm '{name}' takes a secret, not a certificate"));
    }
    match (names.get(1), key) {
        (Some(Some(_)), _) => Err("certificates named by variables are not supported yet".to_owned()),
        (_, None) => Err(format!("failed to load the certificate '{path}'")),
        _ => Ok(()),
    }
}

fn verify<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let token = data(sample)?;
    let name = text_or_variable(args, 0, ctx)?;
    if args.keyword == "jwt_verify_cert" && matches!(method(&name), Some(Method::Secret(_))) {
        return Some(Sample::Int(UNMANAGED_ALGORITHM));
    }
    let secret = text_or_variable(args, 1, ctx)?;
    let key = match &args.state {
        ConverterState::Jwt(_, key) => key.as_deref(),
        _ => None,
    };
    Some(Sample::Int(verdict(&token, &name, &secret, key)))
}

fn verdict(token: &[u8], name: &[u8], secret: &[u8], key: Option<&PublicKey>) -> i64 {
    let Some(method) = method(name) else { return UNKNOWN_ALGORITHM };
    let Some(dot) = memchr::memrchr(b'.', token) else { return INVALID_TOKEN };
    let (signed, signature) = token.split_at(dot);
    if signed.split(|b| *b == b'.').count() != 2 {
        return INVALID_TOKEN;
    }
    let Some(signature) = ub64_decode(signature.get(1..).unwrap_or_default()) else { return INVALID_TOKEN };
    let is_right = match method {
        Method::Key(algorithm) => match key {
            Some(key) => key.verifies(algorithm, signed, &signature),
            None => return UNKNOWN_CERTIFICATE,
        },
        Method::Secret(algorithm) => {
            let Some(expected) = algorithm.hmac(secret, signed) else { return FAILURE };
            let differences = expected.iter().zip(&signature).fold(0, |all, (a, b)| all | (a ^ b));
            expected.len() == signature.len() && std::hint::black_box(differences) == 0
        }
    };
    if is_right { SUCCESS } else { FAILURE }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{self as s, EcdsaKeyPair, KeyPair, RsaKeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const SIGNED: &str = "eyJhbGciOiJ4In0.eyJzdWIiOiJ5In0";

    fn token(signature: &[u8]) -> String {
        format!("{SIGNED}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The key as a file has it.
    fn pem(der: &[u8]) -> PublicKey {
        let text =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        PublicKey::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn es256_is_verified_with_a_public_key() {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let pair = EcdsaKeyPair::generate(&s::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = pem(der.as_ref());
        let good = token(pair.sign(&SystemRandom::new(), SIGNED.as_bytes()).unwrap().as_ref());
        assert_eq!(verdict(good.as_bytes(), b"ES256", b"", Some(&key)), SUCCESS);
        assert_eq!(verdict(good.as_bytes(), b"ES384", b"", Some(&key)), FAILURE);
        assert_eq!(verdict(token(&[0; 64]).as_bytes(), b"ES256", b"", Some(&key)), FAILURE);
        assert_eq!(verdict(good.as_bytes(), b"ES256", b"", None), UNKNOWN_CERTIFICATE);
    }

    #[test]
    fn rs256_and_ps256_are_verified_with_a_public_key() {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = pem(der.as_ref());
        let methods: [(&[u8], &'static dyn s::RsaEncoding); 2] =
            [(b"RS256", &s::RSA_PKCS1_SHA256), (b"PS256", &s::RSA_PSS_SHA256)];
        for (name, encoding) in methods {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), SIGNED.as_bytes(), &mut signature).unwrap();
            assert_eq!(verdict(token(&signature).as_bytes(), name, b"", Some(&key)), SUCCESS);
        }
    }

    #[test]
    fn what_is_no_token_is_invalid() {
        assert_eq!(verdict(b"a.b", b"HS256", b"k", None), INVALID_TOKEN);
        assert_eq!(verdict(b"a.b.c", b"none", b"k", None), UNKNOWN_ALGORITHM);
    }
}
