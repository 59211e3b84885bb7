#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/policy.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

namespace postern {
namespace {

constexpr std::size_t max_conditions = 100;

failure bad(std::string what) { return failure{errc::invalid_policy, std::move(what)}; }

// AWS has policies escape a dollar as \$, which JSON does not know. Other escapes stay as they are.
std::string without_dollar_escapes(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (text[i + 1] != '$') out += '\\';
      out += text[++i];
    } else {
      out += text[i];
    }
  }
  return out;
}

// --- reading ----------------------------------------------------------------------------------------

result<std::uint64_t> length_end(const json_value& v) {
  if (const auto* n = v.if_int(); n && *n >= 0) return static_cast<std::uint64_t>(*n);
  constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max(); // of a JSON number too, and of a ledger's
  if (const auto* s = v.if_string())                                      // some clients write numbers as strings
    if (const auto n = parse_number(*s); n && *n <= max) return *n;
  return bad("content-length-range must have two numbers from 0 to 9223372036854775807");
}

result<void> read_range(const json_value::array& items, policy& into) {
  if (items.size() != 3) return bad("content-length-range must have two numbers");
  auto min = length_end(items[1]), max = length_end(items[2]);
  if (!min) return min.error();
  if (!max) return max.error();
  if (*min > *max) return bad("content-length-range has its ends the wrong way round");
  const auto before = into.length.value_or(length_range{0, *max});
  into.length = length_range{std::max(before.min, *min), std::min(before.max, *max)};
  if (into.length->min > into.length->max) return bad("no file meets both content-length-range conditions");
  return {};
}

result<void> read_list(const json_value::array& items, policy& into) {
  const auto* how = items.empty() ? nullptr : items[0].if_string();
  if (!how) return bad("a condition that is neither {name: value} nor [how, $name, value]");
  const auto word = lower(*how);
  if (word == "content-length-range") return read_range(items, into);
  const bool equal = word == "eq";
  if (!equal && word != "starts-with")
    return bad("a condition " + quote(*how) + "; eq, starts-with and content-length-range are known");
  const auto* name = items.size() == 3 ? items[1].if_string() : nullptr;
  const auto* value = items.size() == 3 ? items[2].if_string() : nullptr;
  if (!name || !value) return bad("a condition that is not [" + quote(*how) + ", \"$name\", \"value\"]");
  if (name->size() < 2 || name->front() != '$')
    return bad("a condition whose name " + quote(*name) + " does not begin with $");
  into.conditions.push_back(
      {equal ? policy_condition::kind::equal : policy_condition::kind::starts_with, lower(name->substr(1)), *value});
  return {};
}

result<void> read_condition(const json_value& v, policy& into) {
  if (const auto* items = v.if_array()) return read_list(*items, into);
  const auto* members = v.if_object();
  if (!members || members->empty()) return bad("a condition that is neither {name: value} nor [how, $name, value]");
  for (const auto& [name, value] : *members) {
    const auto* text = value.if_string();
    if (!text || name.empty()) return bad("condition " + quote(name) + " must have a string");
    into.conditions.push_back({policy_condition::kind::equal, lower(name), *text});
  }
  return {};
}

// --- judging ----------------------------------------------------------------------------------------

// Fields that a policy need not cover: they carry the policy itself, or S3 ignores them.
bool exempt(std::string_view name) {
  return name == "x-amz-signature" || name == "signature" || name == "awsaccesskeyid" || name == "policy" ||
         name == "file" || name.starts_with("x-ignore-");
}

bool exact_only(std::string_view name) {
  return name == "x-amz-algorithm" || name == "x-amz-credential" || name == "x-amz-date";
}

bool begins(std::string_view name, std::string_view value, std::string_view prefix) {
  if (name != "content-type") return value.starts_with(prefix);
  for (;;) { // each type in a list must begin with the value
    const auto comma = value.find(',');
    if (!value.substr(0, comma).starts_with(prefix)) return false;
    if (comma == value.npos) return true;
    value.remove_prefix(comma + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
  }
}

result<void> meet(const policy_condition& c, std::string_view value) {
  const bool equal = c.how == policy_condition::kind::equal;
  if (!equal && exact_only(c.field))
    return failure{errc::policy_mismatch, "field " + quote(c.field) + " may only be matched exactly"};
  if (equal ? value == c.value : begins(c.field, value, c.value)) return {};
  return failure{errc::policy_mismatch,
                 "Policy Condition failed: " + std::string(equal ? "eq" : "starts-with") + " on " + quote(c.field)};
}

} // namespace

std::string policy_document(const policy& p) {
  json_writer w;
  w.reserve(2048);
  w.begin_object();
  w.member("expiration", iso8601(p.expires));
  w.key("conditions");
  w.begin_array();
  for (const auto& c : p.conditions) {
    if (c.how == policy_condition::kind::equal) {
      w.begin_object();
      w.member(c.field, c.value);
      w.end_object();
    } else {
      w.begin_array();
      w.string("starts-with");
      w.string('$' + c.field);
      w.string(c.value);
      w.end_array();
    }
  }
  if (p.length) {
    w.begin_array();
    w.string("content-length-range");
    w.number(p.length->min);
    w.number(p.length->max);
    w.end_array();
  }
  w.end_array();
  w.end_object();
  return w.take();
}

result<policy> read_policy(std::string_view base64) {
  std::string packed;
  packed.reserve(base64.size());
  for (const char c : base64)
    if (c != '\r' && c != '\n' && c != ' ' && c != '\t') packed += c;
  auto text = from_base64(packed);
  if (!text) return bad("not base64");
  auto document = read_json(without_dollar_escapes(*text));
  if (!document) return bad(document.error().on);
  const auto* members = document->if_object();
  if (!members) return bad("not a JSON object");

  policy out{};
  const json_value *expiration = nullptr, *conditions = nullptr;
  for (const auto& [name, value] : *members) {
    auto*& place = name == "expiration" ? expiration : conditions;
    if (name != "expiration" && name != "conditions") return bad("unknown member " + quote(name));
    if (std::exchange(place, &value)) return bad("member " + quote(name) + " is there twice");
  }
  if (!expiration || !expiration->if_string()) return bad("expiration is missing");
  if (!conditions || !conditions->if_array()) return bad("conditions are missing");
  auto expires = parse_iso8601(*expiration->if_string());
  if (!expires) return bad("the expiration must be like 2026-11-23T18:15:00Z");
  out.expires = *expires;
  failure too_many = bad("more than " + std::to_string(max_conditions) + " conditions");
  if (conditions->if_array()->size() > max_conditions) return too_many;
  for (const auto& c : *conditions->if_array()) {
    if (auto read = read_condition(c, out); !read) return read.error();
    if (out.conditions.size() > max_conditions) return too_many; // an object may hold several
  }
  return out;
}

result<length_range> judge(const policy& p, const std::vector<form_field>& fields, std::string_view bucket,
                           seconds_clock now) {
  if (now >= p.expires) return failure{errc::policy_expired, iso8601(p.expires)};
  std::vector<std::string> names;
  names.reserve(fields.size());
  for (const auto& f : fields) {
    auto name = lower(f.name);
    if (std::find(names.begin(), names.end(), name) != names.end())
      return failure{errc::duplicate_field, "field " + quote(f.name)};
    names.push_back(std::move(name));
  }
  for (const auto& c : p.conditions) {
    const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), c.field) - names.begin());
    const bool present = at < fields.size();
    // The bucket comes from the URL. A field "bucket" is accepted if it has the same value.
    if (!present && c.field != "bucket")
      return failure{errc::policy_mismatch, "field " + quote(c.field) + " is missing from the form"};
    if (auto met = meet(c, c.field == "bucket" ? bucket : std::string_view(fields[at].value)); !met) return met.error();
  }
  const auto names_bucket = [](const policy_condition& c) { return c.field == "bucket"; };
  if (std::none_of(p.conditions.begin(), p.conditions.end(), names_bucket))
    return failure{errc::policy_mismatch, "the policy has no condition for the bucket"};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto covers = [&](const policy_condition& c) { return c.field == names[i]; };
    if (names[i] == "bucket" && fields[i].value != bucket)
      return failure{errc::policy_mismatch, "field \"bucket\" is not the bucket that was posted to"};
    if (!exempt(names[i]) && std::none_of(p.conditions.begin(), p.conditions.end(), covers))
      return failure{errc::policy_mismatch, "Extra input fields: " + quote(fields[i].name) + " is not in the policy"};
  }
  return p.length.value_or(length_range{0, max_post_size});
}

failure file_too_large(const length_range& allowed) {
  return {errc::entity_too_large, "the file may have at most " + std::to_string(allowed.max) + " bytes"};
}

failure file_too_small(const length_range& allowed) {
  return {errc::entity_too_small, "the file must have at least " + std::to_string(allowed.min) + " bytes"};
}

void expand_filename(std::vector<form_field>& fields, std::string_view filename) {
  if (const auto slash = filename.find_last_of("/\\"); slash != filename.npos) filename.remove_prefix(slash + 1);
  for (auto& f : fields) {
    if (exempt(lower(f.name))) continue;
    for (auto at = f.value.find(filename_variable); at != f.value.npos;
         at = f.value.find(filename_variable, at + filename.size()))
      f.value.replace(at, filename_variable.size(), filename);
  }
}

const std::string* find_field(const std::vector<form_field>& fields, std::string_view name) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const form_field& f) { return iequals(f.name, name); });
  return found == fields.end() ? nullptr : &found->value;
}

bool is_bucket_name(std::string_view name) {
  return is_plain_name(name) && name.size() <= 255 && name != "." && name.find("..") == name.npos;
}

} // namespace postern
