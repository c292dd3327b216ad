//! An enum without data: one of a few names.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{DataEnum, Error, Fields, Result};

use crate::attributes::{Container, Member};
use crate::{Bodies, distinct, json};

pub(crate) fn bodies(data: &DataEnum, container: &Container) -> Result<Bodies> {
    let mut names: Vec<String> = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "an enum in settings has names only; implement ecr_policy::Setting for this one by hand",
            ));
        }
        let member = Member::read(&variant.attrs)?;
        if !member.default.is_none() {
            return Err(Error::new_spanned(variant, "a name has no default"));
        }
        let name = member.name_of_variant(&variant.ident.to_string(), container.rename_all);
        distinct(&names, &name, variant)?;
        names.push(name);
    }
    let mut idents: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    // The last one stands for every other number, of which there is none.
    let Some(last) = idents.pop() else {
        return Err(Error::new_spanned(
            data.enum_token,
            "an enum in settings has at least one name",
        ));
    };
    let arms = idents.iter().enumerate();
    let arms = arms.map(|(number, ident)| -> Tokens {
        quote! { #number => Self::#ident, }
    });
    let known: Vec<String> = names.iter().map(|name| json(name)).collect();
    let schema = format!("\"enum\":[{}]", known.join(","));
    Ok(Bodies {
        schema: quote! { out.push_str(#schema); },
        read: quote! {
            ::core::result::Result::Ok(match reader.one_of(&[#(#names),*])? {
                #(#arms)*
                _ => Self::#last,
            })
        },
    })
}
