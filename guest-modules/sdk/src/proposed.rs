//! The settings of a guardrail.

use ecr_policy_model::{AccountLink, Decision, Refresh};

use crate::json::{Error, Kind, Reader};
use crate::setting::Setting;

/// The settings of a guardrail, which is a policy of the administrator that sees what was decided for a resource, by its
/// policy or by the operator itself, and refuses it or answers what is left of it.
///
/// ```
/// use ecr_policy::prelude::*;
///
/// /// Nobody mounts the Secret.
/// struct NoMounts;
///
/// impl Policy for NoMounts {
///     type Settings = Proposed<NoSettings>;
///
///     fn decide(_: &Request, proposed: Proposed<NoSettings>) -> Result<Decision, Refusal> {
///         let mut decision = proposed.decision;
///         decision.service_accounts.retain(|link| !link.mount);
///         Ok(decision)
///     }
/// }
/// ```
///
/// The answer must not be more than what was decided: the name stays, labels, annotations and links are some of those that
/// were. The operator takes nothing else. The resource's own settings are not read here.
#[derive(Debug, Setting)]
pub struct Proposed<S> {
    /// What was decided.
    pub decision: Decision,
    /// The guardrail's own settings.
    pub settings: S,
}

/// A decision has the form of the model, as the host writes it.
impl Setting for Decision {
    fn schema(out: &mut String) {
        out.push_str(r#""type":"object""#);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let form = Form::read(reader)?;
        let pairs = |pairs: Vec<Pair>| pairs.into_iter().map(|pair| pair.0).collect();
        let link = |link: Link| AccountLink {
            name: link.name,
            image_pull: link.image_pull,
            mount: link.mount,
        };
        Ok(Decision {
            secret_name: form.secret_name,
            labels: pairs(form.labels),
            annotations: pairs(form.annotations),
            service_accounts: form.service_accounts.into_iter().map(link).collect(),
            refresh: form.refresh.0,
        })
    }
}

#[derive(Setting)]
#[setting(rename_all = "camelCase")]
struct Form {
    secret_name: String,
    #[setting(default)]
    labels: Vec<Pair>,
    #[setting(default)]
    annotations: Vec<Pair>,
    #[setting(default)]
    service_accounts: Vec<Link>,
    #[setting(default)]
    refresh: When,
}

#[derive(Setting)]
#[setting(rename_all = "camelCase")]
struct Link {
    name: String,
    image_pull: bool,
    mount: bool,
}

/// `["key", "value"]`
struct Pair((String, String));

impl Setting for Pair {
    fn schema(_out: &mut String) {}

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut both = Vec::read(reader)?;
        match (both.pop(), both.pop(), both.is_empty()) {
            (Some(value), Some(key), true) => Ok(Pair((key, value))),
            _ => Err(Error::new("must be a key and a value")),
        }
    }
}

/// `"hostDefault"`, or an object with one of three fields.
#[derive(Default)]
struct When(Refresh);

impl Setting for When {
    fn schema(_out: &mut String) {}

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.kind()? == Kind::String {
            return reader.one_of(&["hostDefault"]).map(|_| Self::default());
        }
        let mut number = None;
        let mut which: fn(u64) -> Refresh = Refresh::At;
        let mut fields = reader.fields(&["at", "afterIssue", "beforeExpiry"])?;
        while let Some(index) = fields.next()? {
            which = match index {
                0 => Refresh::At,
                1 => Refresh::AfterIssue,
                2 => Refresh::BeforeExpiry,
                _ => return fields.refuse().map(|()| Self::default()),
            };
            fields.value(&mut number)?;
        }
        match number {
            Some(number) => Ok(Self(which(number))),
            None => Err(Error::new("must be an object with one field")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{NoSettings, Refusal, parse_settings};

    fn decision(
        secret_name: &str,
        labels: &[(&str, &str)],
        links: &[AccountLink],
        refresh: Refresh,
    ) -> Decision {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Decision {
            secret_name: secret_name.into(),
            labels: labels.iter().map(owned).collect(),
            annotations: labels.iter().map(owned).rev().collect(),
            service_accounts: links.to_vec(),
            refresh,
        }
    }

    #[test]
    fn a_decision_is_read_as_the_host_writes_it() {
        let link = AccountLink {
            name: "default".into(),
            image_pull: true,
            mount: false,
        };
        for decision in [
            decision("", &[], &[], Refresh::HostDefault),
            decision("a", &[("k", "v"), ("é\"", "")], &[], Refresh::At(u64::MAX)),
            decision(
                "b",
                &[("k", "v")],
                core::slice::from_ref(&link),
                Refresh::AfterIssue(0),
            ),
            decision("c", &[], &[link.clone(), link], Refresh::BeforeExpiry(1)),
        ] {
            let text = serde_json::json!({
                "decision": &decision, "requestSettings": {"any": [1]}, "settings": {},
            });
            let proposed: Proposed<NoSettings> = parse_settings(&text.to_string()).unwrap();
            assert_eq!(proposed.decision, decision);
        }
    }

    #[test]
    fn what_is_no_decision_is_refused_by_its_path() {
        for (decision, field) in [
            ("{}", "decision.secretName"),
            (
                r#"{"secretName": "a", "labels": [["a"]]}"#,
                "decision.labels[0]",
            ),
            (
                r#"{"secretName": "a", "labels": [["a", "b", "c"]]}"#,
                "decision.labels[0]",
            ),
            (
                r#"{"secretName": "a", "serviceAccounts": [{"name": "b"}]}"#,
                "decision.serviceAccounts[0].imagePull",
            ),
            (r#"{"secretName": "a", "refresh": {}}"#, "decision.refresh"),
            (
                r#"{"secretName": "a", "refresh": "at"}"#,
                "decision.refresh",
            ),
            (
                r#"{"secretName": "a", "refresh": {"on": 1}}"#,
                "decision.refresh.on",
            ),
            (
                r#"{"secretName": "a", "refresh": {"at": 1, "afterIssue": 2}}"#,
                "decision.refresh.afterIssue",
            ),
        ] {
            let text = ["{\"settings\": {}, \"decision\": ", decision, "}"].concat();
            let refusal = parse_settings::<Proposed<NoSettings>>(&text).unwrap_err();
            let Refusal::InvalidSettings(errors) = refusal else {
                panic!("{refusal:?}")
            };
            assert_eq!(errors[0].field, field, "{decision}");
        }
    }
}
