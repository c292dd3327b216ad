//! What the name of a region tells.

/// The partitions of AWS by the first words of their regions' names; longer ones first.
const PARTITIONS: [&str; 8] = [
    "us-gov-", "us-isob-", "us-isof-", "us-iso-", "eu-isoe-", "eusc-de-", "cn-", "",
];

/// The parts of the world that regions of the commercial partition are named after.
const PARTS_OF_THE_WORLD: [&str; 9] = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"];

/// The first words that stand for the region's partition, a part of the cloud with accounts of its
/// own; empty for the commercial one.
pub(super) fn partition(region: &str) -> &'static str {
    PARTITIONS
        .into_iter()
        .find(|prefix| region.starts_with(prefix))
        .unwrap_or_default()
}

/// Whether the name is built like those that AWS gives, by the same patterns as the SDK's.
///
/// A region that is not may exist all the same one day, so this never refuses one; it tells only
/// what is the likelier cause when its endpoint does not exist.
pub(super) fn looks_real(region: &str) -> bool {
    let prefix = partition(region);
    let rest = if prefix.is_empty() {
        match region.split_once('-') {
            Some((world, rest)) if PARTS_OF_THE_WORLD.contains(&world) => rest,
            _ => return false,
        }
    } else {
        &region[prefix.len()..]
    };
    rest.split_once('-').is_some_and(|(place, number)| {
        !place.is_empty()
            && place.bytes().all(|byte| byte.is_ascii_lowercase())
            && (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::{looks_real, partition};

    #[test]
    fn regions_of_other_partitions_are_told_apart() {
        assert_eq!(partition("eu-west-1"), partition("us-east-1"));
        assert_ne!(partition("cn-north-1"), partition("us-east-1"));
        assert_ne!(partition("us-gov-west-1"), partition("us-west-1"));
        assert_ne!(partition("us-isob-east-1"), partition("us-iso-east-1"));
    }

    #[test]
    fn invented_names_do_not_look_real() {
        for region in [
            "us-east-1",
            "eu-central-2",
            "ap-northeast-3",
            "mx-central-1",
            "cn-north-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
        ] {
            assert!(looks_real(region), "{region}");
        }
        for region in [
            "xx-invalid-99",
            "us-east",
            "useast1",
            "",
            "us--1",
            "eu-west-1a",
            "eu-west-123",
            "us-gov-1",
        ] {
            assert!(!looks_real(region), "{region}");
        }
    }
}
