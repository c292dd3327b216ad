//! What attributes and doc comments say.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, Path, Result, Token};

use crate::case::Case;

/// What stands for a missing field.
#[derive(Default)]
pub(crate) enum Default {
    /// What the type says.
    #[default]
    None,
    /// The default of the type.
    Type,
    /// What a function gives.
    Function(Path),
}

impl Default {
    /// `default`, or `default = "function"`.
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        if meta.input.peek(Token![=]) {
            return Ok(Self::Function(meta.value()?.parse::<LitStr>()?.parse()?));
        }
        Ok(Self::Type)
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// The attributes of a type.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) rename_all: Option<Case>,
    pub(crate) default: Default,
    pub(crate) deny_unknown_fields: bool,
    /// serde reads the type.
    pub(crate) serde: bool,
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut container = Self::default();
        ours(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                let rule = meta.value()?.parse::<LitStr>()?;
                let case = Case::by_name(&rule.value());
                container.rename_all = Some(case.map_err(|why| Error::new(rule.span(), why))?);
            } else if meta.path.is_ident("default") {
                container.default = Default::read(meta)?;
            } else if meta.path.is_ident("deny_unknown_fields") {
                container.deny_unknown_fields = true;
            } else if meta.path.is_ident("serde") {
                container.serde = true;
            } else {
                return Err(unknown(
                    meta,
                    "deny_unknown_fields, default, rename_all, serde",
                ));
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
    pub(crate) default: Default,
}

impl Member {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut member = Self::default();
        ours(attributes, |meta| {
            if meta.path.is_ident("rename") {
                member.rename = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("default") {
                member.default = Default::read(meta)?;
            } else {
                return Err(unknown(meta, "default, rename"));
            }
            Ok(())
        })?;
        Ok(member)
    }

    /// The name of a field in JSON.
    pub(crate) fn name_of_field(&self, ident: &str, rename_all: Option<Case>) -> String {
        self.name(ident, rename_all.map(|case| case.field(plain(ident))))
    }

    /// The name of a variant in JSON.
    pub(crate) fn name_of_variant(&self, ident: &str, rename_all: Option<Case>) -> String {
        self.name(ident, rename_all.map(|case| case.variant(plain(ident))))
    }

    fn name(&self, ident: &str, by_rule: Option<String>) -> String {
        let own = self.rename.clone();
        own.or(by_rule).unwrap_or_else(|| plain(ident).to_owned())
    }
}

/// `r#type` is `type` in JSON.
fn plain(ident: &str) -> &str {
    ident.strip_prefix("r#").unwrap_or(ident)
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

/// `#[setting(…)]`, and `#[serde(…)]` for a type that serde reads as well, so that it says everything once.
fn ours(
    attributes: &[Attribute],
    mut each: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes {
        if attribute.path().is_ident("setting") || attribute.path().is_ident("serde") {
            attribute.parse_nested_meta(|meta| each(&meta))?;
        }
    }
    Ok(())
}

fn unknown(meta: &ParseNestedMeta<'_>, known: &str) -> Error {
    meta.error(format!(
        "settings have no such attribute; known: {known}; for all else implement ecr_policy::Setting by hand"
    ))
}
