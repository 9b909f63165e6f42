//! Addresses of networks and places.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses that belong to somebody: none of documentation's, nor the unspecified or loopback ones.
pub(super) fn ipv4(text: &[u8]) -> bool {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    parsed.is_some_and(|address| {
        let [first, ..] = address.octets();
        first != 0 && first != 127 && !address.is_broadcast() && !address.is_documentation()
    })
}

/// As for version 4; and long enough not to be a scope operator or a time.
pub(super) fn ipv6(text: &[u8]) -> bool {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
    parsed.is_some_and(|address| {
        let groups = address.segments().iter().filter(|group| **group != 0).count();
        let documentation = address.segments().starts_with(&[0x2001, 0xdb8]);
        groups >= 3 && !documentation && text.len() >= 8
    })
}

/// A name of a host that can be, and no domain that is reserved for examples.
pub(super) fn email(text: &[u8]) -> bool {
    let Some(at) = text.iter().rposition(|byte| *byte == b'@') else { return false };
    let (local, host) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    let labels = host.split(|byte| *byte == b'.');
    let well =
        |label: &[u8]| !label.is_empty() && label.len() <= 63 && !label.starts_with(b"-") && !label.ends_with(b"-");
    let last = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let file =
        [&b"png"[..], b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"py", b"rs", b"txt", b"html", b"json"];
    let dots = local.starts_with(b".") || local.ends_with(b".") || local.windows(2).any(|pair| pair == b"..");
    labels.clone().count() >= 2 && labels.clone().all(well) && local.len() <= 64 && !dots && !file.contains(&last)
}

/// A latitude and a longitude on the globe.
pub(super) fn coordinates(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut numbers = text
        .split(|sign: char| !(sign.is_ascii_digit() || matches!(sign, '.' | '-')))
        .filter_map(|part| part.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(second)) => first.abs() <= 90.0 && second.abs() <= 180.0 && (first, second) != (0.0, 0.0),
        _ => false,
    }
}
