// A policy in C: names a Secret `<prefix>-<namespace>-<name>` and labels it with the team, its prefix.
//
// `<name>` is the resource's `generated_secret_name`, or the resource's own name when it sets none. All else is as
// without a policy. The one setting is {"prefix": "<team>"}.
//
// What stands between this file and the component model is generated, see build.sh. Its rule of memory: a function
// owns its arguments, and its caller owns and frees what it answers. So an answer never refers to a literal.

#include "bindings/policy.h"
#include <stdlib.h>
#include <string.h>

// Shorter names for the generated types.
typedef policy_string_t string;
typedef exports_mobb_ecr_policy_decide_request_t request;
typedef exports_mobb_ecr_policy_decide_decision_t decision;
typedef exports_mobb_ecr_policy_decide_refusal_t refusal;
typedef exports_mobb_ecr_policy_about_description_t description;
typedef exports_mobb_ecr_policy_about_list_field_error_t field_errors;
typedef mobb_ecr_policy_types_list_field_error_t refused_fields;

// Kubernetes' limits for a label value, which the prefix is, and for the name of a Secret.
enum { LABEL_VALUE_MAX = 63, NAME_MAX = 253 };

static const char SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","
    "\"properties\":{\"prefix\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":63,"
    "\"pattern\":\"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$\","
    "\"description\":\"The team, also the value of the label `team`.\"}},"
    "\"required\":[\"prefix\"],\"additionalProperties\":false}";

// ---- Strings

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        // Ends the evaluation; the operator reports it as the policy's fault.
        __builtin_trap();
    }
    return memory;
}

static string copy(const char *text) {
    string copied;
    policy_string_dup(&copied, text);
    return copied;
}

static bool is(string text, const char *other) {
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

// `<first>-<second>-<third>`
static string joined(string first, string second, string third) {
    string whole = {NULL, first.len + second.len + third.len + 2};
    whole.ptr = allocate(whole.len);
    uint8_t *end = whole.ptr;
    memcpy(end, first.ptr, first.len);
    end += first.len;
    *end++ = '-';
    memcpy(end, second.ptr, second.len);
    end += second.len;
    *end++ = '-';
    memcpy(end, third.ptr, third.len);
    return whole;
}

// ---- Settings: a reader for JSON objects that hold nothing but strings, which is all that this policy takes.

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} reader;

// What is wrong with the settings. Without a message, nothing is.
typedef struct {
    string field;
    const char *message;
} problem;

static void skip_space(reader *json) {
    while (json->at < json->end
           && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r')) {
        json->at++;
    }
}

// Takes `byte`, if it comes next after space.
static bool take(reader *json, uint8_t byte) {
    skip_space(json);
    if (json->at == json->end || *json->at != byte) {
        return false;
    }
    json->at++;
    return true;
}

// The byte that four hexadecimal digits stand for, or -1 where they are none. What is not ASCII becomes `?`: no prefix
// and no field of ours has it, so it is enough to know that it is something else.
static int take_hex(reader *json) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        if (json->at == json->end) {
            return -1;
        }
        uint8_t digit = *json->at++;
        unsigned letter = (digit | 0x20u) - 'a';
        if (digit >= '0' && digit <= '9') {
            value = value * 16 + (digit - '0');
        } else if (letter < 6) {
            value = value * 16 + letter + 10;
        } else {
            return -1;
        }
    }
    return value < 0x80 ? (int)value : '?';
}

// The byte that is written as `\` and something, or -1.
static int take_escape(reader *json) {
    static const char WRITTEN[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    if (json->at == json->end) {
        return -1;
    }
    uint8_t byte = *json->at++;
    if (byte == 'u') {
        return take_hex(json);
    }
    const char *found = byte == 0 ? NULL : strchr(WRITTEN, byte);
    return found == NULL ? -1 : MEANT[found - WRITTEN];
}

static void release(string *text) {
    free(text->ptr);
    *text = (string){NULL, 0};
}

// Reads a string into `read`, which its caller frees. False where there is none, or a damaged one.
static bool take_string(reader *json, string *read) {
    if (!take(json, '"')) {
        return false;
    }
    // Nothing becomes longer when it is decoded.
    *read = (string){allocate((size_t)(json->end - json->at) + 1), 0};
    while (json->at < json->end) {
        int byte = *json->at++;
        if (byte == '"') {
            if (read->len == 0) {
                // The generated code takes an empty string for one that was not allocated.
                release(read);
            }
            return true;
        }
        if (byte == '\\') {
            byte = take_escape(json);
        } else if (byte < 0x20) {
            byte = -1;
        }
        if (byte < 0) {
            break;
        }
        read->ptr[read->len++] = (uint8_t)byte;
    }
    release(read);
    return false;
}

static bool fits_a_name(string prefix) {
    if (prefix.len < 1 || prefix.len > LABEL_VALUE_MAX || prefix.ptr[0] == '-' || prefix.ptr[prefix.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        uint8_t byte = prefix.ptr[i];
        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-')) {
            return false;
        }
    }
    return true;
}

static problem wrong(const char *field, const char *message) {
    return (problem){copy(field), message};
}

// Reads the prefix from the settings. What it returns and what it read are its caller's to free.
static problem read_settings(string settings, string *prefix) {
    static const char DAMAGED[] = "must be a JSON object";
    static const problem NOTHING = {{NULL, 0}, NULL};
    reader json = {settings.ptr, settings.ptr + settings.len};
    *prefix = (string){NULL, 0};
    bool found = false;
    if (!take(&json, '{')) {
        return wrong("", DAMAGED);
    }
    if (!take(&json, '}')) {
        do {
            string key;
            if (!take_string(&json, &key)) {
                return wrong("", DAMAGED);
            }
            if (!is(key, "prefix")) {
                return (problem){key, "is no setting of this policy; there is only `prefix`"};
            }
            release(&key);
            if (found) {
                return wrong("prefix", "must be there once");
            }
            if (!take(&json, ':')) {
                return wrong("", DAMAGED);
            }
            if (!take_string(&json, prefix)) {
                return wrong("prefix", "must be a string");
            }
            found = true;
        } while (take(&json, ','));
        if (!take(&json, '}')) {
            return wrong("", DAMAGED);
        }
    }
    skip_space(&json);
    if (json.at != json.end) {
        return wrong("", DAMAGED);
    }
    if (!found) {
        return wrong("prefix", "is required: the team, which begins the name of the Secret");
    }
    if (!fits_a_name(*prefix)) {
        return wrong("prefix", "must be 1 to 63 lower case letters, digits or `-`, "
                               "and begin and end with a letter or digit");
    }
    return NOTHING;
}

static void report(problem found, size_t *len, mobb_ecr_policy_types_field_error_t **errors) {
    *len = 1;
    *errors = allocate(sizeof **errors);
    (*errors)[0].field = found.field;
    (*errors)[0].message = copy(found.message);
}

// ---- The policy

bool exports_mobb_ecr_policy_decide_evaluate(request *asked, decision *answer, refusal *refused) {
    mobb_ecr_policy_types_resource_info_t *resource = &asked->resource;
    bool decided = false;
    string prefix;
    problem found = read_settings(asked->settings, &prefix);
    string own = resource->generated_secret_name.is_some ? resource->generated_secret_name.val : resource->name;
    if (found.message != NULL) {
        refused->tag = MOBB_ECR_POLICY_TYPES_REFUSAL_INVALID_SETTINGS;
        refused_fields *errors = &refused->val.invalid_settings;
        report(found, &errors->len, &errors->ptr);
        release(&prefix);
    } else if (prefix.len + resource->namespace_.len + own.len + 2 > NAME_MAX) {
        refused->tag = MOBB_ECR_POLICY_TYPES_REFUSAL_DENIED;
        refused->val.denied = copy("the Secret's name would have more than 253 characters: "
                                   "use a shorter `generated_secret_name`");
        release(&prefix);
    } else {
        memset(answer, 0, sizeof *answer);
        answer->secret_name = joined(prefix, resource->namespace_, own);
        answer->labels.len = 1;
        answer->labels.ptr = allocate(sizeof *answer->labels.ptr);
        answer->labels.ptr[0].f0 = copy("team");
        answer->labels.ptr[0].f1 = prefix;
        // Handed on, and so no longer the request's to free.
        answer->service_accounts = resource->service_accounts;
        resource->service_accounts.len = 0;
        answer->refresh.tag = MOBB_ECR_POLICY_TYPES_REFRESH_TIME_HOST_DEFAULT;
        decided = true;
    }
    exports_mobb_ecr_policy_decide_request_free(asked);
    return decided;
}

void exports_mobb_ecr_policy_about_describe(description *answer) {
    answer->name = copy("team-prefix-c");
    answer->version = copy("1.0.0");
    answer->summary = copy("Names a Secret after a team and its namespace, and labels it with the team");
    answer->settings_schema = copy(SCHEMA);
}

bool exports_mobb_ecr_policy_about_validate_settings(string *settings, field_errors *errors) {
    string prefix;
    problem found = read_settings(*settings, &prefix);
    release(&prefix);
    policy_string_free(settings);
    if (found.message == NULL) {
        return true;
    }
    report(found, &errors->len, &errors->ptr);
    return false;
}
