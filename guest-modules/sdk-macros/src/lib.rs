//! The derive macro of the SDK: how settings are read, and their JSON schema, from one type.
//!
//! Everything that is known when the policy is compiled becomes a text in the module; only the parts of other types
//! are put together when somebody asks. Use it through `ecr_policy::Setting`.

mod attributes;
mod case;
mod fields;
mod names;

use attributes::Container;
use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Fields, Result, parse_macro_input, parse_quote};

/// Derives `ecr_policy::Setting` for a struct with named fields, or for an enum of names.
///
/// Doc comments of fields become descriptions. A field must be given, unless it is an `Option` or has a default.
/// Attributes are those of serde, under the name `setting`:
///
/// | attribute | of | meaning |
/// |---|---|---|
/// | `deny_unknown_fields` | a struct | a field that is none of the struct's is an error; recommended, it finds the misspelt ones |
/// | `default` | a field, a struct | a missing field has the default of its type, or that of the struct |
/// | `default = "function"` | a field, a struct | a missing field has what the function gives, or the same field of the struct that it gives |
/// | `rename = "name"` | a field, a variant | the name in JSON |
/// | `rename_all = "kebab-case"` | a struct, an enum | the names in JSON; all of serde's rules are known |
/// | `serde` | both | serde reads the type; see `ecr_policy::read_with_serde` |
///
/// `#[serde(…)]` means the same, so that a type that serde reads as well says it once.
#[proc_macro_derive(Setting, attributes(setting, serde))]
pub fn derive_setting(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// The bodies of the two functions of `Setting`.
struct Bodies {
    schema: Tokens,
    read: Tokens,
}

fn expand(input: &DeriveInput) -> Result<Tokens> {
    let container = Container::read(&input.attrs)?;
    let Bodies { schema, mut read } = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields::bodies(fields, &container)?,
            _ => {
                return Err(Error::new_spanned(
                    &input.ident,
                    "settings are a struct with named fields",
                ));
            }
        },
        Data::Enum(data) => names::bodies(data, &container)?,
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "settings are no union")),
    };
    if container.serde {
        read = quote! { ::ecr_policy::read_with_serde(reader) };
    }
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter
            .bounds
            .push(parse_quote! { ::ecr_policy::Setting });
    }
    let (impl_generics, type_generics, condition) = generics.split_for_impl();
    Ok(quote! {
        impl #impl_generics ::ecr_policy::Setting for #name #type_generics #condition {
            fn schema(out: &mut ::std::string::String) {
                #schema
            }

            fn read(
                reader: &mut ::ecr_policy::json::Reader<'_>,
            ) -> ::core::result::Result<Self, ::ecr_policy::json::Error> {
                #read
            }
        }
    })
}

/// Refuses a name that was there before: nobody could tell which of the two is meant.
fn distinct(names: &[String], name: &str, at: &impl ToTokens) -> Result<()> {
    if names.iter().any(|before| before == name) {
        let message = format!("`{name}` is the name of another one already");
        return Err(Error::new_spanned(at, message));
    }
    Ok(())
}

/// A text as JSON.
fn json(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the macro says of a type that it does not take.
    fn refusal(code: &str) -> String {
        let input = syn::parse_str::<DeriveInput>(code);
        match input.and_then(|input| expand(&input)) {
            Ok(tokens) => format!("accepted: {tokens}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_cannot_be_settings_is_refused_with_what_could_be() {
        for (code, message) in [
            ("struct A(u8);", "a struct with named fields"),
            ("struct A;", "a struct with named fields"),
            ("union A { a: u8 }", "no union"),
            ("enum A {}", "at least one name"),
            ("enum A { B(u8) }", "names only"),
            ("enum A { #[setting(default)] B }", "a name has no default"),
            (
                "#[setting(flatten)] struct A {}",
                "known: deny_unknown_fields, default",
            ),
            (
                "struct A { #[serde(flatten)] a: B }",
                "known: default, rename",
            ),
            (
                "#[setting(rename_all = \"x\")] struct A {}",
                "known: lowercase",
            ),
            (
                "struct A { a: u8, #[setting(rename = \"a\")] b: u8 }",
                "`a` is the name",
            ),
            (
                "#[setting(rename_all = \"lowercase\")] enum A { B, b }",
                "`b` is the name",
            ),
            ("struct A { #[setting(default = \"1\")] a: u8 }", "expected"),
        ] {
            let refusal = refusal(code);
            assert!(refusal.contains(message), "{code}: {refusal}");
        }
    }

    #[test]
    fn a_text_in_json_has_its_quotes_and_line_breaks_escaped() {
        assert_eq!(json("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd é\"");
    }
}
