//! The resolver inside: questions are answered from the rules, and never asked of anybody.

use std::net::Ipv4Addr;

use hotcell_types::HostName;

use crate::plan::Plan;

/// An answer, and the name that is to be told where it was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) refused: Option<String>,
}

/// Longest question that is looked at: a name, and what clients say of themselves (EDNS).
pub(crate) const MAX_QUESTION: usize = 1232;

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_INTERNET: u16 = 1;
/// How long an answer may be kept, in seconds. It holds as long as the sandbox does.
const TIME_TO_LIVE: u32 = 60;

/// Outcomes (RFC 1035, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Fine = 0,
    Malformed = 1,
    NoSuchName = 3,
    NotDone = 4,
    Refused = 5,
}

/// Answers one question; what is not even a question gets nothing.
pub(crate) fn answer(plan: &Plan, question: &[u8]) -> Option<Answer> {
    let (header, rest) = question.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if word(2) & 0x8000 != 0 || question.len() > MAX_QUESTION {
        return None;
    }
    let reply = |code, asked: &[u8], address| Answer { bytes: reply(header, code, asked, address), refused: None };
    if word(2) & 0x7800 != 0 {
        return Some(reply(Code::NotDone, &[], None));
    }
    // One question, no answers; one additional record, which is the client's word on itself.
    let Some((name, kind, class, length)) = parse(rest) else { return Some(reply(Code::Malformed, &[], None)) };
    let (asked, _) = rest.split_at_checked(length)?;
    if word(4) != 1 || word(6) != 0 || word(8) != 0 || word(10) > 1 {
        return Some(reply(Code::Malformed, &[], None));
    }
    if class != CLASS_INTERNET {
        return Some(reply(Code::Refused, asked, None));
    }
    let host = name.parse::<HostName>().ok();
    match host.as_ref().and_then(|host| plan.address_of(host)) {
        Some(address) if kind == TYPE_A => Some(reply(Code::Fine, asked, Some(address))),
        // It is there, and has nothing of that kind.
        Some(_) => Some(reply(Code::Fine, asked, None)),
        None => {
            let tells = matches!(kind, TYPE_A | TYPE_AAAA).then(|| name.escape_debug().to_string());
            Some(Answer { refused: tells, ..reply(Code::NoSuchName, asked, None) })
        }
    }
}

/// Name, kind and class of the first question, and how many bytes they take. A pointer is no part of a question.
fn parse(bytes: &[u8]) -> Option<(String, u16, u16, usize)> {
    let mut name = String::new();
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = bytes.get(at..at + length)?;
                // What is no letter must not become a dot, or an end, on the way to a text.
                if label.iter().any(|byte| *byte == b'.' || !byte.is_ascii_graphic()) {
                    name.push('?');
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }));
                at += length;
            }
            _ => return None,
        }
        if at > 255 {
            return None;
        }
    }
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    Some((name, word(at)?, word(at + 2)?, at + 4))
}

fn reply(header: &[u8; HEADER], code: Code, asked: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + asked.len() + 16);
    bytes.extend_from_slice(&header[..2]);
    // An answer, with the client's wish for recursion, and recursion available.
    bytes.extend_from_slice(&[0x80 | (header[2] & 0x01), 0x80 | code as u8]);
    bytes.extend_from_slice(&u16::from(!asked.is_empty()).to_be_bytes());
    bytes.extend_from_slice(&u16::from(address.is_some()).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(asked);
    if let Some(address) = address {
        // The name is the question's.
        bytes.extend_from_slice(&[0xc0, HEADER as u8]);
        bytes.extend_from_slice(&TYPE_A.to_be_bytes());
        bytes.extend_from_slice(&CLASS_INTERNET.to_be_bytes());
        bytes.extend_from_slice(&TIME_TO_LIVE.to_be_bytes());
        bytes.extend_from_slice(&4u16.to_be_bytes());
        bytes.extend_from_slice(&address.octets());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rule;

    fn plan() -> Plan {
        Plan::new(vec![Rule {
            destination: "api.example".parse().unwrap(),
            passes: false,
            requests: hotcell_types::RequestRules::default(),
        }])
    }

    fn question(labels: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
        let mut bytes = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&class.to_be_bytes());
        bytes
    }

    #[test]
    fn an_allowed_name_gets_the_address_that_stands_for_it() {
        let answer = answer(&plan(), &question(&[b"API", b"example"], TYPE_A, 1)).unwrap();
        assert_eq!(answer.refused, None);
        assert_eq!(&answer.bytes[..8], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1]);
        assert_eq!(answer.bytes[answer.bytes.len() - 4..], [198, 18, 1, 1]);
    }

    #[test]
    fn an_allowed_name_has_nothing_of_other_kinds() {
        for kind in [TYPE_AAAA, 65, 16, 15, 255] {
            let answer = answer(&plan(), &question(&[b"api", b"example"], kind, 1)).unwrap();
            assert_eq!((answer.bytes[3] & 0xf, answer.bytes[7], answer.refused), (0, 0, None), "{kind}");
        }
    }

    #[test]
    fn a_denied_name_is_told_and_does_not_exist() {
        for labels in [
            &[&b"other"[..], b"example"][..],
            &[b"example"],
            &[b"sub", b"api", b"example"],
            &[b"api.example"],
            &[b"api\0", b"example"],
            &[b"api", b"example", b"com"],
            &[],
        ] {
            let answer = answer(&plan(), &question(labels, TYPE_A, 1)).unwrap();
            assert_eq!((answer.bytes[3] & 0xf, answer.bytes[7]), (3, 0), "{labels:?}");
            assert!(answer.refused.is_some());
        }
    }

    #[test]
    fn what_is_no_plain_question_gets_no_address() {
        let good = question(&[b"api", b"example"], TYPE_A, 1);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        // An answer; another operation; two questions; an answer in a question; a pointer; another class; cut off.
        for bytes in [with(2, 0x81), with(2, 0x29), with(5, 2), with(7, 1), with(12, 0xc0), with(good.len() - 1, 3)] {
            assert!(answer(&plan(), &bytes).is_none_or(|answer| answer.bytes[7] == 0), "{bytes:?}");
        }
        for end in 0..good.len() {
            assert!(answer(&plan(), &good[..end]).is_none_or(|answer| answer.bytes[7] == 0), "{end}");
        }
    }

    #[test]
    fn damaged_questions_harm_nobody() {
        let good = question(&[b"api", b"example"], TYPE_A, 1);
        for at in 0..good.len() {
            for flip in 1..=255 {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                if let Some(answer) = answer(&plan(), &bytes) {
                    assert!(answer.bytes.len() <= good.len() + 16);
                }
            }
        }
    }

    #[test]
    fn no_question_makes_its_reader_panic_and_an_answer_is_one() {
        let question = |name: &[u8], kind: u8| {
            let head: &[u8] = &[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            [head, name, &[0, 0, kind, 0, 1]].concat()
        };
        let plan = plan();
        let mut answered = 0;
        hotcell_testkit::fuzz::Target::new(env!("CARGO_MANIFEST_DIR"), "dns-question")
            .with(question(b"\x03api\x07example", 1))
            .with(question(b"\x05other\x07example", 28))
            .with(question(b"\xc0\x0c", 65))
            .run(3000, |bytes| {
                let Some(answer) = answer(&plan, bytes) else { return };
                answered += 1;
                assert_eq!(answer.bytes[..2], bytes[..2], "the number is the question's");
                assert!(answer.bytes[2] & 0x80 != 0 && answer.bytes.len() <= bytes.len() + 16);
            });
        assert!(answered > 0, "no question was good: nothing was tried");
    }
}
