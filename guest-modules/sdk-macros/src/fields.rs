//! A struct with named fields: an object.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::{Field, FieldsNamed, Result};

use crate::attributes::{Container, Default, Member, doc};
use crate::{Bodies, distinct, json};

pub(crate) fn bodies(fields: &FieldsNamed, container: &Container) -> Result<Bodies> {
    let fields = fields.named.iter();
    let fields = fields
        .map(|field| One::of(field, container))
        .collect::<Result<Vec<_>>>()?;
    let mut names = Vec::new();
    for one in &fields {
        distinct(&names, &one.name, one.field)?;
        names.push(one.name.clone());
    }
    Ok(Bodies {
        schema: schema(&fields, container),
        read: read(&fields, container),
    })
}

/// One field.
struct One<'a> {
    field: &'a Field,
    name: String,
    default: Default,
}

impl<'a> One<'a> {
    fn of(field: &'a Field, container: &Container) -> Result<Self> {
        let member = Member::read(&field.attrs)?;
        let ident = field
            .ident
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let name = member.name_of_field(&ident, container.rename_all);
        Ok(Self {
            field,
            name,
            default: member.default,
        })
    }
}

/// `"type":"object","properties":{…},"required":[…]`
fn schema(fields: &[One<'_>], container: &Container) -> Tokens {
    let mut start = String::from("\"type\":\"object\"");
    let end = if container.deny_unknown_fields {
        ",\"additionalProperties\":false"
    } else {
        ""
    };
    if fields.is_empty() {
        start.push_str(end);
        return quote! { out.push_str(#start); };
    }
    start.push_str(",\"properties\":{");
    let properties = fields.iter().enumerate().map(|(number, one)| {
        let ty = &one.field.ty;
        let comma = if number == 0 { "" } else { "," };
        let head = format!("{comma}{}:{{", json(&one.name));
        let description = doc(&one.field.attrs)
            .map_or_else(String::new, |doc| format!("\"description\":{}", json(&doc)));
        quote! { ::ecr_policy::setting::property::<#ty>(out, #head, #description); }
    });
    let required = fields
        .iter()
        .filter(|one| one.default.is_none() && container.default.is_none());
    let required = required.map(|one| {
        let (name, ty) = (json(&one.name), &one.field.ty);
        quote! { (#name, <#ty as ::ecr_policy::Setting>::missing().is_some()) }
    });
    let end = format!("]{end}");
    quote! {
        out.push_str(#start);
        #(#properties)*
        out.push_str("},\"required\":[");
        ::ecr_policy::setting::required(out, &[#(#required),*]);
        out.push_str(#end);
    }
}

/// The loop that `ecr_policy::json::Fields` describes.
fn read(fields: &[One<'_>], container: &Container) -> Tokens {
    let names = fields.iter().map(|one| &one.name);
    let slots: Vec<_> = (0..fields.len())
        .map(|number| format_ident!("field_{number}"))
        .collect();
    let types = fields.iter().map(|one| &one.field.ty);
    let numbers = 0..fields.len();
    let unknown = if container.deny_unknown_fields {
        quote! { refuse }
    } else {
        quote! { skip }
    };
    let base = match &container.default {
        Default::None => quote! {},
        Default::Type => quote! { let base: Self = ::core::default::Default::default(); },
        Default::Function(path) => quote! { let base: Self = #path(); },
    };
    let values = fields.iter().zip(&slots).map(|(one, slot)| {
        let (ident, name) = (&one.field.ident, &one.name);
        let value = match (&one.default, &container.default) {
            (Default::Type, _) => quote! { #slot.unwrap_or_default() },
            (Default::Function(path), _) => quote! { #slot.unwrap_or_else(#path) },
            (Default::None, Default::None) => {
                quote! { ::ecr_policy::json::required(#slot, #name)? }
            }
            (Default::None, _) => quote! { #slot.unwrap_or(base.#ident) },
        };
        quote! { #ident: #value }
    });
    quote! {
        #(let mut #slots: ::core::option::Option<#types> = ::core::option::Option::None;)*
        let mut fields = reader.fields(&[#(#names),*])?;
        while let ::core::option::Option::Some(index) = fields.next()? {
            match index {
                #(#numbers => fields.value(&mut #slots)?,)*
                _ => fields.#unknown()?,
            }
        }
        #base
        ::core::result::Result::Ok(Self { #(#values),* })
    }
}
