// A policy in JavaScript: names a Secret `<prefix>-<namespace>-<name>` and labels it with the team, its prefix.
//
// `<name>` is the resource's `generated_secret_name`, or the resource's own name when it sets none. All else is as
// without a policy. The one setting is {"prefix": "<team>"}.
//
// The exports are the interfaces of ../../../wit/policy.wit, with names in camel case. A function whose result may be an
// error throws that error as a plain value. An `Error` that is thrown ends the evaluation as the policy's fault.
// Take the time from `request.now`: `Date` may stand at the build. It is a BigInt on SpiderMonkey and a number on
// QuickJS, as all u64 are.

const NAME_MAX = 253; // Kubernetes' limit for a Secret's name.

const PREFIX = {
  type: 'string',
  minLength: 1,
  maxLength: 63, // Kubernetes' limit for a label value, which the prefix is.
  pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$',
  description: 'The team, also the value of the label `team`.',
};

const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: { prefix: PREFIX },
  required: ['prefix'],
  additionalProperties: false,
};

/** The prefix in the settings, or what is wrong with them, field by field. The field '' is the whole. */
function readSettings(text) {
  const wrong = (field, message) => ({ errors: [{ field, message }] });
  let settings;
  try {
    settings = JSON.parse(text);
  } catch {
    return wrong('', 'must be a JSON object');
  }
  if (settings === null || typeof settings !== 'object' || Array.isArray(settings)) {
    return wrong('', 'must be a JSON object');
  }
  const unknown = Object.keys(settings).find((field) => field !== 'prefix');
  if (unknown !== undefined) {
    return wrong(unknown, 'is no setting of this policy; there is only `prefix`');
  }
  const { prefix } = settings;
  if (prefix === undefined) {
    return wrong('prefix', 'is required: the team, which begins the name of the Secret');
  }
  if (typeof prefix !== 'string') {
    return wrong('prefix', 'must be a string');
  }
  if (prefix.length > PREFIX.maxLength || !new RegExp(PREFIX.pattern).test(prefix)) {
    return wrong(
      'prefix',
      'must be 1 to 63 lower case letters, digits or `-`, and begin and end with a letter or digit',
    );
  }
  return { prefix };
}

export const decide = {
  evaluate({ resource, settings }) {
    const { prefix, errors } = readSettings(settings);
    if (errors) {
      throw { tag: 'invalid-settings', val: errors };
    }
    const secretName = `${prefix}-${resource.namespace}-${resource.generatedSecretName ?? resource.name}`;
    if (secretName.length > NAME_MAX) {
      const message =
        `the Secret's name would have ${secretName.length} and may have ${NAME_MAX} characters: ` +
        'use a shorter `generated_secret_name`';
      throw { tag: 'denied', val: message };
    }
    return {
      secretName,
      labels: [['team', prefix]],
      annotations: [],
      serviceAccounts: resource.serviceAccounts,
      refresh: { tag: 'host-default' },
    };
  },
};

export const about = {
  describe() {
    return {
      name: 'team-prefix-javascript',
      version: '1.0.0',
      summary: 'Names a Secret after a team and its namespace, and labels it with the team',
      settingsSchema: JSON.stringify(SCHEMA),
    };
  },

  validateSettings(text) {
    const { errors } = readSettings(text);
    if (errors) {
      throw errors;
    }
  },
};
