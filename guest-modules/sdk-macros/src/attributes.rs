//! What serde's attributes and doc comments say.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Result};

/// The attributes of a type.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) rename_all: Option<String>,
    pub(crate) default: bool,
    pub(crate) deny_unknown_fields: bool,
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut container = Self::default();
        serde(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                container.rename_all = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("default") {
                container.default = true;
                skip_value(meta)?;
            } else if meta.path.is_ident("deny_unknown_fields") {
                container.deny_unknown_fields = true;
            } else {
                return Err(unknown(meta));
            }
            Ok(())
        })?;
        Ok(container)
    }
}

/// The attributes of a field or of a variant.
#[derive(Default)]
pub(crate) struct Member {
    rename: Option<String>,
    pub(crate) default: bool,
}

impl Member {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut member = Self::default();
        serde(attributes, |meta| {
            if meta.path.is_ident("rename") {
                member.rename = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("default") {
                member.default = true;
                skip_value(meta)?;
            } else {
                return Err(unknown(meta));
            }
            Ok(())
        })?;
        Ok(member)
    }

    /// The name in JSON. serde counts the words of a variant by its capitals, those of a field by underscores.
    pub(crate) fn name(&self, ident: &str, rename_all: Option<&String>, variant: bool) -> String {
        if let Some(name) = &self.rename {
            return name.clone();
        }
        let ident = ident.strip_prefix("r#").unwrap_or(ident);
        match rename_all {
            Some(rule) => in_case(&words(ident, variant), rule),
            None => ident.to_owned(),
        }
    }
}

/// The doc comment as one text.
pub(crate) fn doc(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        });
    let text = lines.collect::<Vec<_>>().join(" ");
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn serde(
    attributes: &[Attribute],
    mut each: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes {
        if attribute.path().is_ident("serde") {
            attribute.parse_nested_meta(|meta| each(&meta))?;
        }
    }
    Ok(())
}

/// `default` may have a value, the path of a function.
fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<LitStr>()?;
    }
    Ok(())
}

fn unknown(meta: &ParseNestedMeta<'_>) -> syn::Error {
    meta.error("Schema does not know this attribute of serde, so the schema would be wrong; implement ecr_policy::Schema by hand")
}

fn words(ident: &str, variant: bool) -> Vec<String> {
    if !variant {
        return ident
            .split('_')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
    }
    let mut words: Vec<String> = Vec::new();
    for character in ident.chars() {
        if character.is_uppercase() || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

fn in_case(words: &[String], rule: &str) -> String {
    let capital = |word: &String| {
        let mut rest = word.chars();
        rest.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(rest).collect()
        })
    };
    let pascal = || words.iter().map(capital).collect::<String>();
    match rule {
        "lowercase" => words.concat(),
        "UPPERCASE" => words.concat().to_uppercase(),
        "camelCase" => {
            let first = words.first().cloned().unwrap_or_default();
            first + &words.iter().skip(1).map(capital).collect::<String>()
        }
        "snake_case" => words.join("_"),
        "SCREAMING_SNAKE_CASE" => words.join("_").to_uppercase(),
        "kebab-case" => words.join("-"),
        "SCREAMING-KEBAB-CASE" => words.join("-").to_uppercase(),
        // "PascalCase"; serde has refused every other.
        _ => pascal(),
    }
}
