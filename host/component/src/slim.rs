//! Leaves out the custom sections of a component, in the modules and components inside it as well: names of its parts
//! and of the tools that made it. They are a KB of a policy of twelve, and nothing that runs reads them.

/// The magic number and the version, of a module and of a component.
const HEADER: usize = 8;

/// The two bytes after the version tell a component from a module.
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// A custom section, in modules and in components.
const CUSTOM: u8 = 0;

/// Sections of a component that hold a module, and a component.
const NESTED: [u8; 2] = [1, 4];

/// The same module or component without custom sections; nothing if it is neither.
pub fn without_custom_sections(binary: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = binary.split_at_checked(HEADER)?;
    let is_component = header.get(6..HEADER)? == COMPONENT_LAYER;
    let mut out = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = read_length(after)?;
        let (content, after) = after.split_at_checked(length)?;
        rest = after;
        if id == CUSTOM {
            continue;
        }
        let slim = if is_component && NESTED.contains(&id) {
            without_custom_sections(content)?
        } else {
            content.to_vec()
        };
        out.push(id);
        write_length(&mut out, slim.len());
        out.extend_from_slice(&slim);
    }
    Some(out)
}

/// The names of the custom sections at the outermost level; nothing if it is neither a module nor a component.
pub(crate) fn custom_sections(binary: &[u8]) -> Option<Vec<&str>> {
    let (_, mut rest) = binary.split_at_checked(HEADER)?;
    let mut names = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = read_length(after)?;
        let (content, after) = after.split_at_checked(length)?;
        rest = after;
        if id == CUSTOM {
            let (length, name) = read_length(content)?;
            names.extend(std::str::from_utf8(name.get(..length)?).ok());
        }
    }
    Some(names)
}

/// An unsigned LEB128 number of 32 bits, and what follows it.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = usize::try_from(value).ok()?;
            return Some((length, bytes.get(index + 1..)?));
        }
    }
    None
}

fn write_length(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: [u8; HEADER] = *b"\0asm\x01\0\0\0";
    const COMPONENT: [u8; HEADER] = *b"\0asm\x0d\0\x01\0";

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut section = vec![id];
        write_length(&mut section, content.len());
        section.extend_from_slice(content);
        section
    }

    #[test]
    fn custom_sections_go_at_every_depth_and_all_else_stays() {
        let names = section(CUSTOM, b"\x04namexyz");
        let large = section(10, &[7; 300]);
        let module = [&MODULE[..], &names, &large, &names].concat();
        let slim_module = [&MODULE[..], &large].concat();
        assert_eq!(without_custom_sections(&module), Some(slim_module.clone()));

        let inner = [&COMPONENT[..], &section(7, b"type"), &names].concat();
        let slim_inner = [&COMPONENT[..], &section(7, b"type")].concat();
        let all = [
            &COMPONENT[..],
            &names,
            &section(1, &module),
            &section(4, &inner),
            &section(11, b"export"),
        ];
        let slim = [
            &COMPONENT[..],
            &section(1, &slim_module),
            &section(4, &slim_inner),
            &section(11, b"export"),
        ];
        assert_eq!(without_custom_sections(&all.concat()), Some(slim.concat()));
    }

    #[test]
    fn a_type_section_of_a_module_is_no_module() {
        let module = [&MODULE[..], &section(1, b"\x01\x60\0\0")].concat();
        assert_eq!(without_custom_sections(&module), Some(module));
    }

    #[test]
    fn what_ends_early_is_left_to_others() {
        let module = [&MODULE[..], &section(10, &[7; 300])].concat();
        for end in (0..module.len()).filter(|end| *end != HEADER) {
            assert_eq!(without_custom_sections(&module[..end]), None, "{end}");
        }
        let endless = [&MODULE[..], &[10, 0x80, 0x80, 0x80, 0x80, 0x80]].concat();
        assert_eq!(without_custom_sections(&endless), None);
    }
}
