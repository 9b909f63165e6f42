//! ICD-10: categories and chapters, by the ranges that the World Health Organization gives.

/// The chapters: first and last category, number and name.
const CHAPTERS: &[(&str, &str, &str)] = &[
    ("A00", "B99", "I Infectious diseases"),
    ("C00", "D48", "II Neoplasms"),
    ("D50", "D89", "III Blood and immune system"),
    ("E00", "E90", "IV Endocrine and metabolic"),
    ("F00", "F99", "V Mental disorders"),
    ("G00", "G99", "VI Nervous system"),
    ("H00", "H59", "VII Eye"),
    ("H60", "H95", "VIII Ear"),
    ("I00", "I99", "IX Circulatory system"),
    ("J00", "J99", "X Respiratory system"),
    ("K00", "K93", "XI Digestive system"),
    ("L00", "L99", "XII Skin"),
    ("M00", "M99", "XIII Musculoskeletal system"),
    ("N00", "N99", "XIV Genitourinary system"),
    ("O00", "O99", "XV Pregnancy and childbirth"),
    ("P00", "P96", "XVI Perinatal period"),
    ("Q00", "Q99", "XVII Congenital"),
    ("R00", "R99", "XVIII Symptoms and findings"),
    ("S00", "T98", "XIX Injury and poisoning"),
    ("U00", "U99", "XXII Special purposes"),
    ("V01", "Y98", "XX External causes"),
    ("Z00", "Z99", "XXI Contact with health services"),
];

/// The category at level 1, the chapter at level 2.
pub(super) fn at(code: &str, level: usize) -> Option<String> {
    let category = code.get(..3)?.to_ascii_uppercase();
    let rest = code.get(3..)?;
    let sound = match category.as_bytes() {
        [letter, one, two] => letter.is_ascii_uppercase() && one.is_ascii_digit() && two.is_ascii_digit(),
        _ => false,
    };
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'+' || byte == b'*');
    if !sound || !plain || rest.len() > 8 {
        return None;
    }
    match level {
        1 => Some(category),
        _ => CHAPTERS
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&category.as_str()))
            .map(|(.., name)| (*name).to_owned()),
    }
}
