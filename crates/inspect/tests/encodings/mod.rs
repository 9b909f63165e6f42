//! Every encoding that inspection undoes, as somebody would write it who wants to carry something out.

use std::io::Write;
use std::process::{Command, Stdio};

/// All of them, but for brotli, whose packer is a program of its own.
pub(crate) const NAMES: [&str; 18] = [
    "plain",
    "percent",
    "base64",
    "base64, 1 sign before",
    "base64, 2 signs before",
    "base64, 3 signs before",
    "base64, url-safe",
    "base64, wrapped",
    "base32",
    "hex",
    "escapes \\x",
    "escapes \\u",
    "utf-16",
    "utf-16, big-endian",
    "gzip",
    "deflate",
    "zstd",
    "zip",
];

/// Whether what comes out is text, which alone fits into UTF-16.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// The bytes in an encoding; none where it cannot hold them, or its packer is not there.
pub(crate) fn encode(name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let each = |form: fn(u8) -> String| Some(bytes.iter().map(|byte| form(*byte)).collect::<String>().into_bytes());
    let base64 = || base64(bytes, b"+/");
    let before = |signs: &str| Some([signs.as_bytes(), &base64()].concat());
    match name {
        "plain" => Some(bytes.to_vec()),
        "percent" => each(|byte| format!("%{byte:02X}")),
        "base64" => Some(base64()),
        "base64, 1 sign before" => before("A"),
        "base64, 2 signs before" => before("AB"),
        "base64, 3 signs before" => before("ABC"),
        "base64, url-safe" => Some(crate::encodings::base64(bytes, b"-_")),
        "base64, wrapped" => Some(base64().chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..])),
        "base32" => Some(base32(bytes)),
        "hex" => each(|byte| format!("{byte:02x}")),
        "escapes \\x" => each(|byte| format!("\\x{byte:02x}")),
        "escapes \\u" => is_text(bytes).then(|| {
            let units =
                String::from_utf8_lossy(bytes).encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            units.into_bytes()
        }),
        "utf-16" => wide(bytes, u16::to_le_bytes),
        "utf-16, big-endian" => wide(bytes, u16::to_be_bytes),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).and_then(|()| encoder.finish()).ok()
        }
        "deflate" => deflate(bytes),
        "zstd" => Some(ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)),
        "zip" => {
            let data = deflate(bytes)?;
            let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
            zip.extend((data.len() as u32).to_le_bytes());
            zip.extend((bytes.len() as u32).to_le_bytes());
            zip.extend(5u16.to_le_bytes());
            zip.extend([0, 0]);
            zip.extend(b"a.txt");
            Some([zip, data].concat())
        }
        "brotli" => brotli(bytes),
        _ => None,
    }
}

fn wide(bytes: &[u8], order: fn(u16) -> [u8; 2]) -> Option<Vec<u8>> {
    is_text(bytes).then(|| String::from_utf8_lossy(bytes).encode_utf16().flat_map(order).collect())
}

fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).ok()
}

/// By brotli's own program.
fn brotli(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut program =
        Command::new("brotli").args(["--stdout", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = program.stdin.take()?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = program.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    output.status.success().then_some(output.stdout)
}

fn base64(bytes: &[u8], last: &[u8; 2]) -> Vec<u8> {
    let signs = [b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".as_slice(), last].concat();
    let mut text = Vec::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len()).for_each(|place| text.extend(signs.get((value >> (18 - 6 * place) & 63) as usize)));
        text.extend(std::iter::repeat_n(b'=', 3 - group.len()));
    }
    text
}

fn base32(bytes: &[u8]) -> Vec<u8> {
    let (mut bits, mut count, mut signs) = (0u64, 0, Vec::new());
    let sign = |value: u64| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".get((value & 31) as usize).copied();
    for byte in bytes {
        bits = bits << 8 | u64::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            signs.extend(sign(bits >> count));
        }
        bits &= 0xff;
    }
    if count > 0 {
        signs.extend(sign(bits << (5 - count)));
    }
    signs
}
