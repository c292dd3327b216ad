//! The derive macro of the SDK: a JSON schema of the settings, from the same type that serde reads them into.
//!
//! Everything that is known when the policy is compiled becomes a text in the module; only the parts of other types
//! are put together when somebody asks. Use it through `ecr_policy::Schema`.

mod attributes;

use attributes::{Container, Member, doc};
use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result, parse_macro_input};

/// Derives `ecr_policy::Schema` for a struct with named fields, or for an enum of names.
///
/// Doc comments become descriptions. Of serde's attributes it understands `rename`, `rename_all`, `default`
/// and `deny_unknown_fields`, and refuses the others: their schema would be wrong.
#[proc_macro_derive(Schema, attributes(serde))]
pub fn derive_schema(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(input: &DeriveInput) -> Result<Tokens> {
    let container = Container::read(&input.attrs)?;
    let body = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => object(fields, &container)?,
            _ => {
                return Err(Error::new_spanned(
                    &input.ident,
                    "settings are a struct with named fields",
                ));
            }
        },
        Data::Enum(data) => names(data, &container)?,
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "settings are no union")),
    };
    let name = &input.ident;
    let (impl_generics, type_generics, condition) = input.generics.split_for_impl();
    Ok(quote! {
        impl #impl_generics ::ecr_policy::Schema for #name #type_generics #condition {
            fn members(out: &mut ::std::string::String) {
                #body
            }
        }
    })
}

/// `"type":"object","properties":{…},"required":[…]`
fn object(fields: &syn::FieldsNamed, container: &Container) -> Result<Tokens> {
    let mut properties = Vec::new();
    let mut required = Vec::new();
    for (number, field) in fields.named.iter().enumerate() {
        let member = Member::read(&field.attrs)?;
        let ident = field
            .ident
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let name = member.name(&ident, container.rename_all.as_ref(), false);
        let ty = &field.ty;
        let head = format!("{}{}:{{", if number == 0 { "" } else { "," }, json(&name));
        let description = doc(&field.attrs)
            .map_or_else(String::new, |doc| format!("\"description\":{}", json(&doc)));
        properties.push(quote! {
            ::ecr_policy::schema::property::<#ty>(out, #head, #description);
        });
        if !member.default && !container.default {
            let name = json(&name);
            required.push(quote! { (#name, <#ty as ::ecr_policy::Schema>::OPTIONAL) });
        }
    }
    let end = if container.deny_unknown_fields {
        "],\"additionalProperties\":false"
    } else {
        "]"
    };
    Ok(quote! {
        out.push_str("\"type\":\"object\",\"properties\":{");
        #(#properties)*
        out.push_str("},\"required\":[");
        ::ecr_policy::schema::required(out, &[#(#required),*]);
        out.push_str(#end);
    })
}

/// `"enum":[…]`
fn names(data: &syn::DataEnum, container: &Container) -> Result<Tokens> {
    let mut names = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "an enum in settings has names only; write the schema of this one by hand",
            ));
        }
        let member = Member::read(&variant.attrs)?;
        names.push(json(&member.name(
            &variant.ident.to_string(),
            container.rename_all.as_ref(),
            true,
        )));
    }
    let text = format!("\"enum\":[{}]", names.join(","));
    Ok(quote! { out.push_str(#text); })
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
