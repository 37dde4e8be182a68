//! Dates in the formats people write: the part of `strftime`'s language that reads without guessing.

/// A format that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(char),
    Space,
    Field(char),
}

const FIELDS: &str = "YymdebBHIMSfpjs";
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let item = match character {
                '%' => match characters.next() {
                    Some('%') => Item::Literal('%'),
                    Some('F') => {
                        items.extend([Item::Field('Y'), Item::Literal('-'), Item::Field('m'), Item::Literal('-')]);
                        Item::Field('d')
                    }
                    Some('T') => {
                        items.extend([Item::Field('H'), Item::Literal(':'), Item::Field('M'), Item::Literal(':')]);
                        Item::Field('S')
                    }
                    Some(field) if FIELDS.contains(field) => Item::Field(field),
                    Some(field) => return Err(format!("`%{field}` is not known")),
                    None => return Err("a `%` stands at its end".to_owned()),
                },
                character if character.is_whitespace() => Item::Space,
                character => Item::Literal(character),
            };
            items.push(item);
        }
        let format = Self(items);
        let has =
            |fields: &str| format.0.iter().any(|item| matches!(item, Item::Field(field) if fields.contains(*field)));
        if has("s") || (has("Yy") && (has("j") || (has("mbB") && has("de")))) {
            Ok(format)
        } else {
            Err("it does not name a day: year, month and day are needed".to_owned())
        }
    }

    /// Whether it has a time of day.
    pub fn has_time(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Field(field) if "HIMSfs".contains(*field)))
    }

    /// Microseconds since 1970-01-01 of a text, when all of it is read and the day exists.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let mut rest = text.trim();
        let (mut year, mut month, mut day, mut ordinal) = (None, None, None, None);
        let (mut hour, mut minute, mut second, mut micros) = (0i64, 0i64, 0i64, 0i64);
        let (mut afternoon, mut stamp) = (None, None);
        for item in &self.0 {
            match item {
                Item::Space => {
                    let trimmed = rest.trim_start();
                    if trimmed.len() == rest.len() {
                        return None;
                    }
                    rest = trimmed;
                }
                Item::Literal(character) => rest = rest.strip_prefix(*character)?,
                Item::Field('b' | 'B') => {
                    let lower = rest.get(..rest.len().min(16)).unwrap_or(rest).to_lowercase();
                    let (index, length) = MONTHS.iter().enumerate().find_map(|(index, name)| {
                        [*name, &name[..3]]
                            .iter()
                            .find(|name| lower.starts_with(**name))
                            .map(|name| (index, name.len()))
                    })?;
                    month = Some(index as i64 + 1);
                    rest = rest.get(length..)?;
                }
                Item::Field('p') => {
                    let mark = rest.get(..2)?.to_ascii_lowercase();
                    afternoon = Some(match mark.as_str() {
                        "am" => false,
                        "pm" => true,
                        _ => return None,
                    });
                    rest = &rest[2..];
                }
                Item::Field('f') => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let shown = rest.get(..digits.min(6)).filter(|digits| !digits.is_empty())?;
                    micros = shown.parse::<i64>().ok()? * 10i64.pow(6 - shown.len() as u32);
                    rest = &rest[digits..];
                }
                Item::Field(field) => {
                    let most = match field {
                        'Y' => 4,
                        'j' => 3,
                        's' => 12,
                        _ => 2,
                    };
                    let negative = *field == 's' && rest.starts_with('-');
                    let digits =
                        rest[usize::from(negative)..].bytes().take(most).take_while(u8::is_ascii_digit).count();
                    if digits == 0 || (*field == 'Y' && digits < 4) {
                        return None;
                    }
                    let (number, behind) = rest.split_at(digits + usize::from(negative));
                    let number: i64 = number.parse().ok()?;
                    rest = behind;
                    match field {
                        'Y' => year = Some(number),
                        // As POSIX has it: 69 to 99 are the last century.
                        'y' => year = Some(if number < 69 { 2000 + number } else { 1900 + number }),
                        'm' => month = Some(number),
                        'd' | 'e' => day = Some(number),
                        'j' => ordinal = Some(number),
                        'H' | 'I' => hour = number,
                        'M' => minute = number,
                        'S' => second = number,
                        _ => stamp = Some(number),
                    }
                }
            }
        }
        if !rest.is_empty() {
            return None;
        }
        if let Some(stamp) = stamp {
            return stamp.checked_mul(1_000_000);
        }
        if let Some(afternoon) = afternoon {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let year = year?;
        let days = match ordinal {
            Some(ordinal) => {
                let length = if leap(year) { 366 } else { 365 };
                (1..=length).contains(&ordinal).then(|| days(year, 1, 1) + ordinal - 1)?
            }
            None => {
                let (month, day) = (month?, day?);
                if !(1..=12).contains(&month) || day < 1 || day > length(year, month) {
                    return None;
                }
                days(year, month, day)
            }
        };
        Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 (H. Hinnant, chrono-compatible low-level date algorithms, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_formats_are_one_day() {
        let day = 15_706 * 86_400_000_000;
        for (format, text) in [
            ("%Y-%m-%d", "2013-01-01"),
            ("%d.%m.%Y", " 1.1.2013 "),
            ("%m/%d/%y", "01/01/13"),
            ("%b %e, %Y", "Jan 1, 2013"),
            ("%d %B %Y", "01 january 2013"),
            ("%Y-%j", "2013-001"),
        ] {
            assert_eq!(Format::new(format).unwrap().parse(text), Some(day), "{format} {text}");
        }
        let timed = Format::new("%F %I:%M:%S.%f %p").unwrap();
        assert!(timed.has_time());
        assert_eq!(timed.parse("2013-01-01 12:30:05.25 AM"), Some(day + 1_805_250_000));
        assert_eq!(Format::new("%s").unwrap().parse("-1"), Some(-1_000_000));
    }

    #[test]
    fn what_is_no_day_is_not_read() {
        let format = Format::new("%Y-%m-%d").unwrap();
        for text in ["2013-02-29", "2013-13-01", "2013-01-01x", "13-01-01", "2013-01", "", "2013-00-10", "ä"] {
            assert_eq!(format.parse(text), None, "{text}");
        }
        assert_eq!(format.parse("2012-02-29"), Some(15_399 * 86_400_000_000));
        for format in ["%Q", "%H:%M", "%Y-%m", "%"] {
            assert!(Format::new(format).is_err(), "{format}");
        }
    }
}
