//! Cryptographic digests, message authentication codes and AES-GCM.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_256};

use super::encode::b64_decode;
use super::{Converter, conv, data, find_variables, text_or_variable};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const BIN: SampleType = SampleType::Bin;
const AES_ARGS: &[ArgKind] = &[ArgKind::Int, ArgKind::Str, ArgKind::Str, ArgKind::Str, ArgKind::Str];

const CBC_ARGS: &[ArgKind] = &[ArgKind::Int, ArgKind::Str, ArgKind::Str, ArgKind::Str];

pub(super) const CONVERTERS: &[Converter] = &[
    conv("sha1", BIN, BIN, |s, _, _| Some(Sample::bin(Sha1::digest(&*data(s)?).to_vec())), "SHA-1"),
    conv("sha2", BIN, BIN, sha2, "SHA-2 of a number of bits").args(0, &[ArgKind::Int]).check(check_bits),
    conv("digest", BIN, BIN, digest, "a digest by name").args(1, &[ArgKind::Str]).check(check_digest),
    conv("hmac", BIN, BIN, hmac, "a message authentication code")
        .args(2, &[ArgKind::Str, ArgKind::Str])
        .check(check_hmac),
    conv("aes_cbc_enc", BIN, BIN, |s, a, c| aes_cbc(s, a, c, true), "encrypted with AES-CBC")
        .args(3, CBC_ARGS)
        .check(check_aes),
    conv("aes_cbc_dec", BIN, BIN, |s, a, c| aes_cbc(s, a, c, false), "decrypted with AES-CBC")
        .args(3, CBC_ARGS)
        .check(check_aes),
    conv("aes_gcm_enc", BIN, BIN, aes_gcm_enc, "encrypted with AES-GCM").args(4, AES_ARGS).check(check_aes),
    conv("aes_gcm_dec", BIN, BIN, aes_gcm_dec, "decrypted with AES-GCM").args(4, AES_ARGS).check(check_aes),
];

fn check_bits(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    match args.int(0) {
        None | Some(224 | 256 | 384 | 512) => Ok(()),
        Some(other) => Err(format!("Unsupported number of bits: '{other}'")),
    }
}

fn sha2<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    Some(Sample::bin(match args.int(0) {
        Some(224) => Sha224::digest(&*data).to_vec(),
        Some(384) => Sha384::digest(&*data).to_vec(),
        Some(512) => Sha512::digest(&*data).to_vec(),
        _ => Sha256::digest(&*data).to_vec(),
    }))
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512T256,
}

impl Algorithm {
    /// By OpenSSL's name, without case.
    fn parse(name: &str) -> Option<Algorithm> {
        Some(match name.to_ascii_lowercase().as_str() {
            "md5" => Algorithm::Md5,
            "sha1" | "sha-1" => Algorithm::Sha1,
            "sha224" | "sha2-224" | "sha-224" => Algorithm::Sha224,
            "sha256" | "sha2-256" | "sha-256" => Algorithm::Sha256,
            "sha384" | "sha2-384" | "sha-384" => Algorithm::Sha384,
            "sha512" | "sha2-512" | "sha-512" => Algorithm::Sha512,
            "sha512-256" | "sha2-512/256" | "sha-512/256" => Algorithm::Sha512T256,
            _ => return None,
        })
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Algorithm::Md5 => md5::Md5::digest(bytes).to_vec(),
            Algorithm::Sha1 => Sha1::digest(bytes).to_vec(),
            Algorithm::Sha224 => Sha224::digest(bytes).to_vec(),
            Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            Algorithm::Sha384 => Sha384::digest(bytes).to_vec(),
            Algorithm::Sha512 => Sha512::digest(bytes).to_vec(),
            Algorithm::Sha512T256 => Sha512_256::digest(bytes).to_vec(),
        }
    }

    /// `None` never happens: HMAC takes keys of every length.
    pub(super) fn hmac(self, key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        macro_rules! code {
            ($digest:ty) => {{
                let mut mac = <Hmac<$digest> as KeyInit>::new_from_slice(key).ok()?;
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        Some(match self {
            Algorithm::Md5 => code!(md5::Md5),
            Algorithm::Sha1 => code!(Sha1),
            Algorithm::Sha224 => code!(Sha224),
            Algorithm::Sha256 => code!(Sha256),
            Algorithm::Sha384 => code!(Sha384),
            Algorithm::Sha512 => code!(Sha512),
            Algorithm::Sha512T256 => code!(Sha512_256),
        })
    }
}

fn check_digest(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let name = args.text(0).unwrap_or_default();
    Algorithm::parse(name)
        .map(|_| ())
        .ok_or_else(|| "algorithm must be a valid OpenSSL message digest name.".to_owned())
}

fn digest<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    Some(Sample::bin(Algorithm::parse(args.text(0)?)?.digest(&data(sample)?)))
}

fn check_hmac(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    check_digest(args, scope, span)?;
    find_variables(args, scope, span)?;
    check_base64(args, 1)
}

/// A constant argument must be base64 already at load.
fn check_base64(args: &Args, index: usize) -> Result<(), String> {
    let is_variable =
        matches!(&args.state, super::ConverterState::Vars(v) if matches!(v.get(index), Some(Some(_))));
    if !is_variable && b64_decode(args.bytes(index).unwrap_or_default()).is_none() {
        return Err("failed to parse the key: not base64".to_owned());
    }
    Ok(())
}

fn hmac<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let algorithm = Algorithm::parse(args.text(0)?)?;
    let key = b64_decode(&text_or_variable(args, 1, ctx).unwrap_or(crate::expr::Data::Borrowed(b"")))?;
    algorithm.hmac(&key, &data(sample)?).map(Sample::bin)
}

fn check_aes(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    if !matches!(args.int(0), Some(128 | 192 | 256)) {
        return Err("key size must be 128, 192 or 256 (bits).".to_owned());
    }
    find_variables(args, scope, span)?;
    check_base64(args, 1).map_err(|_| "failed to parse nonce : not base64".to_owned())?;
    check_base64(args, 2)
}

type Aes192Gcm = AesGcm<aes_gcm::aes::Aes192, aes_gcm::aead::consts::U12>;

/// Nonce, key and additional data, decoded.
fn aes_inputs(args: &Args, ctx: &EvalCtx<'_>) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let decoded = |index| b64_decode(&text_or_variable(args, index, ctx)?);
    let nonce: Vec<u8> = decoded(1)?;
    let additional = if args.bytes(4).is_some() { decoded(4)? } else { Vec::new() };
    (nonce.len() == 12).then_some((nonce, decoded(2)?, additional))
}

fn aes_gcm_dec<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let (nonce, key, additional) = aes_inputs(args, ctx)?;
    let tag = b64_decode(&text_or_variable(args, 3, ctx)?)?;
    let mut message = data(sample)?.into_vec();
    message.extend_from_slice(&tag);
    let payload = Payload { msg: &message, aad: &additional };
    let nonce = Nonce::try_from(&nonce[..]).ok()?;
    let plain = match args.int(0)? {
        128 => Aes128Gcm::new_from_slice(&key).ok()?.decrypt(&nonce, payload),
        192 => Aes192Gcm::new_from_slice(&key).ok()?.decrypt(&nonce, payload),
        _ => Aes256Gcm::new_from_slice(&key).ok()?.decrypt(&nonce, payload),
    };
    plain.ok().map(Sample::bin)
}

/// The tag goes into the variable that the fourth argument names.
fn aes_gcm_enc<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    const TAG_BYTES: usize = 16;
    let (nonce, key, additional) = aes_inputs(args, ctx)?;
    let message = data(sample)?;
    let payload = Payload { msg: &message, aad: &additional };
    let nonce = Nonce::try_from(&nonce[..]).ok()?;
    let sealed = match args.int(0)? {
        128 => Aes128Gcm::new_from_slice(&key).ok()?.encrypt(&nonce, payload),
        192 => Aes192Gcm::new_from_slice(&key).ok()?.encrypt(&nonce, payload),
        _ => Aes256Gcm::new_from_slice(&key).ok()?.encrypt(&nonce, payload),
    };
    let mut sealed = sealed.ok()?;
    let tag = sealed.split_off(sealed.len().checked_sub(TAG_BYTES)?);
    if let super::ConverterState::Vars(names) = &args.state
        && let Some(Some(name)) = names.get(3)
    {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(tag);
        super::variable::write(ctx, name, Some(Sample::str(text)));
    }
    Some(Sample::bin(sealed))
}

/// AES-CBC with PKCS#7 padding. A shorter nonce is filled up with zeros; additional data has no meaning in this mode.
fn aes_cbc<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>, encrypts: bool) -> Option<Sample<'a>> {
    use aws_lc_rs::cipher::{
        AES_128, AES_192, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    };
    const BLOCK_BYTES: usize = 16;
    let nonce = b64_decode(&text_or_variable(args, 1, ctx)?)?;
    let key = b64_decode(&text_or_variable(args, 2, ctx)?)?;
    let mut start = [0; BLOCK_BYTES];
    start.get_mut(..nonce.len())?.copy_from_slice(&nonce);
    let algorithm = match args.int(0)? {
        128 => &AES_128,
        192 => &AES_192,
        _ => &AES_256,
    };
    let key = UnboundCipherKey::new(algorithm, &key).ok()?;
    let mut bytes = data(sample)?.into_vec();
    if encrypts {
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
        key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(start.into())).ok()?;
        return Some(Sample::bin(bytes));
    }
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let plain = key.decrypt(&mut bytes, DecryptionContext::Iv128(start.into())).ok()?;
    Some(Sample::bin(plain.to_vec()))
}
