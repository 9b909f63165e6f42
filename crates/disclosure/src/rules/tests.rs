use super::*;

fn parse(text: &str) -> Result<Views, DisclosureError> {
    let ward = "format = 1\nlevels = [\"house\"]\n[values]\na = [\"north\"]\n";
    Views::parse("v.toml", text, &|name| (name == "ward.toml").then(|| ward.to_owned()))
}

const HEAD: &str = "format = 1\n[[view]]\nname = \"research\"\nrole = \"researcher\"\ndataset = \"patients\"\n";

#[test]
fn rules_are_read_for_each_dataset_and_role() {
    let text = format!(
        "{HEAD}[view.anonymity]\nk = 5\nl = 2\nperson = \"id\"\n[view.columns]\n\
         age = {{ do = \"generalise\", by = \"age\", quasi = true }}\n\
         ward = {{ do = \"generalise\", by = \"ward.toml\", level = 0, quasi = true }}\n\
         illness = {{ do = \"generalise\", by = \"icd\", level = 2, sensitive = true }}\n\
         id = {{ do = \"token\", domain = \"patient\" }}\n\
         [[view]]\nname = \"care\"\nrole = \"doctor\"\ndataset = \"patients\"\nothers = \"keep\"\nscan = \"report\"\n"
    );
    let views = parse(&text).unwrap();
    assert!(views.of_role("doctor", "patients").unwrap().keeps_others);
    let research = views.named("research", "patients").unwrap();
    assert_eq!(research.quasi().map(|(name, _)| name).collect::<Vec<_>>(), ["age", "ward"]);
    assert!(views.of_role("doctor", "visits").is_none() && !views.speak_of("visits"));
}

#[test]
fn a_fault_is_told_with_its_line() {
    let column = |text: &str| format!("{HEAD}[view.columns]\nx = {text}\n");
    let classes =
        |demand: &str, columns: &str| format!("{HEAD}[view.anonymity]\n{demand}\n[view.columns]\n{columns}\n");
    for (text, line, said) in [
        ("format = 3\n".to_owned(), 1, "format"),
        (format!("{HEAD}colour = 1\n"), 6, "unknown"),
        (format!("{HEAD}others = \"hide\"\n"), 6, "unknown variant"),
        (column("{ do = \"hide\" }"), 7, "`do` is one of"),
        (column("{ do = \"keep\", by = \"age\" }"), 7, "takes no `by`"),
        (column("{ do = \"mask\", first = -1 }"), 7, ""),
        (column("{ do = \"generalise\" }"), 7, "needs `by`"),
        (column("{ do = \"generalise\", by = \"weight\" }"), 7, "not `weight`"),
        (column("{ do = \"generalise\", by = \"age\", level = 9 }"), 7, "above 4"),
        (column("{ do = \"generalise\", by = \"../x.toml\" }"), 7, "no hierarchy"),
        (column("{ do = \"generalise\", by = \"range\", widths = [10, 15] }"), 7, "multiple"),
        (column("{ do = \"token\", format = \"letters\" }"), 7, "not `digits`"),
        (column("{ do = \"noise\", noise = \"laplace\", min = \"0\", max = \"9\" }"), 7, "needs `spread`"),
        (column("{ do = \"noise\", noise = \"laplace\", spread = \"0\", min = \"0\", max = \"9\" }"), 7, "spread"),
        (column("{ do = \"keep\", quasi = true }"), 2, "nothing is demanded"),
        (classes("k = 1", "x = { do = \"keep\", quasi = true }"), 6, "below 2"),
        (classes("k = 5", "x = { do = \"hash\", quasi = true }"), 6, "keep or generalise"),
        (classes("k = 5", "x = { do = \"hash\" }"), 6, "no column is `quasi`"),
        (classes("k = 5", "x = { do = \"keep\", quasi = true }\ny = { do = \"keep\" }"), 6, "neither"),
        (classes("k = 5\nl = 2", "x = { do = \"keep\", quasi = true }"), 6, "go together"),
        (format!("{HEAD}{}", &HEAD[11..]), 6, "another view above"),
        (format!("{HEAD}[view.columns]\nx = {{ do = \"keep\" }}\nx = {{ do = \"hash\" }}\n"), 8, "duplicate"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("v.toml, line {line}: ")) && error.contains(said), "{text}: {error}");
    }
}
