//! The rules of `rename_all`. They are serde's: fields are in snake case, and variants in Pascal case.

/// How names are written in JSON.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

/// The rules by their names, which show what they do.
const RULES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
];

impl Case {
    /// The rule of a name, or else what to say.
    pub(crate) fn by_name(name: &str) -> Result<Self, String> {
        let found = RULES.iter().find(|rule| rule.0 == name);
        found.map(|rule| rule.1).ok_or_else(|| {
            let names: Vec<&str> = RULES.iter().map(|rule| rule.0).collect();
            format!("no such rule; known: {}", names.join(", "))
        })
    }

    /// The name of a field.
    pub(crate) fn field(self, ident: &str) -> String {
        match self {
            Self::Lower | Self::Snake => ident.to_owned(),
            Self::Upper | Self::ScreamingSnake => ident.to_ascii_uppercase(),
            Self::Pascal => pascal(ident),
            Self::Camel => first_lower(&pascal(ident)),
            Self::Kebab => ident.replace('_', "-"),
            Self::ScreamingKebab => ident.to_ascii_uppercase().replace('_', "-"),
        }
    }

    /// The name of a variant.
    pub(crate) fn variant(self, ident: &str) -> String {
        match self {
            Self::Pascal => ident.to_owned(),
            Self::Lower => ident.to_ascii_lowercase(),
            Self::Upper => ident.to_ascii_uppercase(),
            Self::Camel => first_lower(ident),
            _ => self.field(&snake(ident)),
        }
    }
}

/// `the_text` as `TheText`.
fn pascal(ident: &str) -> String {
    let mut name = String::new();
    let mut capital = true;
    for character in ident.chars() {
        if character == '_' {
            capital = true;
        } else if capital {
            name.push(character.to_ascii_uppercase());
            capital = false;
        } else {
            name.push(character);
        }
    }
    name
}

/// `TheText` as `the_text`.
fn snake(ident: &str) -> String {
    let mut name = String::new();
    for character in ident.chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

fn first_lower(ident: &str) -> String {
    let mut rest = ident.chars();
    rest.next().map_or_else(String::new, |first| {
        [first.to_ascii_lowercase()]
            .into_iter()
            .chain(rest)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name_and_makes_a_field_and_a_variant() {
        for (name, field, variant) in [
            ("lowercase", "very_slow", "veryslow"),
            ("UPPERCASE", "VERY_SLOW", "VERYSLOW"),
            ("PascalCase", "VerySlow", "VerySlow"),
            ("camelCase", "verySlow", "verySlow"),
            ("snake_case", "very_slow", "very_slow"),
            ("SCREAMING_SNAKE_CASE", "VERY_SLOW", "VERY_SLOW"),
            ("kebab-case", "very-slow", "very-slow"),
            ("SCREAMING-KEBAB-CASE", "VERY-SLOW", "VERY-SLOW"),
        ] {
            let made = Case::by_name(name).map(|c| (c.field("very_slow"), c.variant("VerySlow")));
            assert_eq!(made, Ok((field.to_owned(), variant.to_owned())), "{name}");
        }
        assert!(Case::by_name("Train-Case").is_err_and(|why| why.contains("kebab-case")));
    }
}
