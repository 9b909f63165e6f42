//! Dates as options take them: RFC 3339.

use hotcell_types::Timestamp;

/// A point in time: `2027-01-31T12:00:00Z`, with `.fraction` or `+08:00` as well; a date alone is its first moment
/// in UTC.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    read(text).ok_or_else(|| "expected a date of RFC 3339, as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())
}

fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let (year, month, day) = (number(date.get(..4)?)?, number(date.get(5..7)?)?, number(date.get(8..)?)?);
    let dashes = date.as_bytes().get(4) == Some(&b'-') && date.as_bytes().get(7) == Some(&b'-');
    if !dashes || year < 1970 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let day_millis = days_before(year, month, day) * DAY_MILLIS;
    let (time_millis, offset_millis) = if rest.is_empty() { (0, 0) } else { time(rest)? };
    (day_millis + time_millis).checked_sub_signed(offset_millis).map(Timestamp)
}

/// Milliseconds of the day and of the offset to UTC, of `T12:34:56.789+08:00`.
fn time(text: &str) -> Option<(u64, i64)> {
    let text = text.strip_prefix(['T', 't', ' '])?;
    let clock = text.get(..8)?;
    let colons = clock.as_bytes().get(2) == Some(&b':') && clock.as_bytes().get(5) == Some(&b':');
    let (hour, minute, second) = (number(clock.get(..2)?)?, number(clock.get(3..5)?)?, number(clock.get(6..)?)?);
    if !colons || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = text.get(8..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        millis = number(&format!("{:0<3.3}", fraction.get(..digits).filter(|digits| !digits.is_empty())?))?;
        rest = fraction.get(digits..)?;
    }
    Some((((hour * 60 + minute) * 60 + second) * 1000 + millis, offset(rest)?))
}

fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'Z' | b'z' if text.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| sign * i64::try_from((hours * 60 + minutes) * 60_000).unwrap_or_default())
}

fn two_digits(text: &str) -> Option<u64> {
    if text.len() == 2 { number(text) } else { None }
}

/// Digits only: no sign, no blank.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>() + day - 1
}

fn days_in(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const DAY_MILLIS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_shown() {
        for (text, shown) in [
            ("1970-01-01", "1970-01-01T00:00:00.000Z"),
            ("2000-02-29", "2000-02-29T00:00:00.000Z"),
            ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00.000Z"),
            ("2027-01-31t23:59:59.5z", "2027-01-31T23:59:59.500Z"),
            ("2027-01-31 23:59:59.123456Z", "2027-01-31T23:59:59.123Z"),
            ("2027-01-01T01:00:00+08:00", "2026-12-31T17:00:00.000Z"),
            ("2026-12-31T17:00:00-08:30", "2027-01-01T01:30:00.000Z"),
            ("9999-12-31", "9999-12-31T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(|time| time.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_day_before() {
        let mut due = 0;
        for year in 1970..2370 {
            for (month, day) in (1..=12).flat_map(|month| (1..=days_in(year, month)).map(move |day| (month, day))) {
                let text = format!("{year}-{month:02}-{day:02}");
                assert_eq!(parse(&text), Ok(Timestamp(due * DAY_MILLIS)), "{text}");
                due += 1;
            }
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027",
            "2027-1-1",
            "2027-13-01",
            "2027-00-01",
            "2027-02-29",
            "2027-01-32",
            "2027-01-00",
            "1969-12-31",
            "2027/01/01",
            "2027-01-01T",
            "2027-01-01T12:00",
            "2027-01-01T12:00:00",
            "2027-01-01T24:00:00Z",
            "2027-01-01T12:60:00Z",
            "2027-01-01T12:00:60Z",
            "2027-01-01T12:00:00.Z",
            "2027-01-01T12:00:00+8:00",
            "2027-01-01T12:00:00+24:00",
            "2027-01-01T12:00:00ZZ",
            "+027-01-01",
            "2027-01-0１",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
