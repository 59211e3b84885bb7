#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/sign.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

failure no_profile(std::string_view name) {
  return bad("there is no profile " + quote(name) + "; the configuration names the profiles");
}

} // namespace

// --- rules ------------------------------------------------------------------------------------------

bool is_listed(const std::vector<std::string>& listed, std::string_view url) {
  if (!is_web_url(url)) return false;
  return std::any_of(listed.begin(), listed.end(), [&](std::string_view one) {
    if (!one.ends_with('*')) return url == one;
    return url.starts_with(one.substr(0, one.size() - 1)) && !has_dot_segment(url);
  });
}

const profile* form_signer::find_profile(std::string_view name) const {
  const auto found = options_.profiles.find(std::string(name));
  return found == options_.profiles.end() ? nullptr : &found->second;
}

result<length_range> form_signer::range_for(const profile& rules, const sign_request& ask,
                                            const caller_limits& limits) const {
  const auto max = std::min(rules.max_size, limits.max_size.value_or(rules.max_size));
  if (max < rules.min_size)
    return failure{errc::forbidden, "profile " + quote(rules.name) + " requires at least " +
                                        std::to_string(rules.min_size) + " bytes, and this caller may upload at most " +
                                        std::to_string(max)};
  if (!ask.size) return length_range{rules.min_size, max};
  if (*ask.size > max)
    return failure{errc::payload_too_large,
                   "at most " + std::to_string(max) + " bytes are allowed in profile " + quote(rules.name)};
  if (*ask.size < rules.min_size)
    return failure{errc::entity_too_small, "the file has " + std::to_string(*ask.size) + " bytes; profile " +
                                               quote(rules.name) + " requires at least " +
                                               std::to_string(rules.min_size)};
  return length_range{*ask.size, *ask.size};
}

namespace {

// The content type for the form: the declared one, or the only one that the profile allows.
result<std::string> type_for(const profile& rules, const std::optional<std::string>& declared) {
  const auto& allowed = rules.content_types;
  if (declared) {
    if (std::any_of(allowed.begin(), allowed.end(), [&](const auto& p) { return type_matches(p, *declared); }))
      return *declared;
    return failure{errc::unsupported_type, quote(*declared) + " is not among this profile's content types"};
  }
  if (std::find(allowed.begin(), allowed.end(), "*/*") != allowed.end()) return std::string("application/octet-stream");
  if (allowed.size() == 1 && !allowed.front().ends_with("/*")) return allowed.front();
  return failure{errc::unsupported_type, "content_type is required in this profile"};
}

std::string tag_document(const std::map<std::string, std::string>& tags) {
  std::string xml = "<Tagging><TagSet>";
  for (const auto& [name, value] : tags)
    xml += "<Tag><Key>" + xml_escape(name) + "</Key><Value>" + xml_escape(value) + "</Value></Tag>";
  return xml + "</TagSet></Tagging>";
}

} // namespace

std::vector<form_field> fields_of(const profile& rules) {
  std::vector<form_field> fields;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) fields.push_back({name, value});
  };
  add("acl", rules.acl);
  add("Cache-Control", rules.cache_control);
  add("Content-Disposition", rules.content_disposition);
  add("x-amz-storage-class", rules.storage_class);
  add("x-amz-server-side-encryption", rules.sse);
  add("x-amz-server-side-encryption-aws-kms-key-id", rules.sse_kms_key);
  if (!rules.tags.empty()) fields.push_back({"tagging", tag_document(rules.tags)});
  return fields;
}

namespace {

// Each condition requires the form's exact value. Only a key that ends in ${filename} gets a prefix condition, because
// S3 replaces ${filename} first.
policy policy_for(const std::vector<form_field>& fields, const std::string& bucket, length_range length,
                  seconds_clock expires) {
  policy p{expires, {}, length};
  p.conditions.reserve(fields.size() + 1);
  p.conditions.push_back({policy_condition::kind::equal, "bucket", bucket});
  for (const auto& f : fields) {
    if (f.name == "key" && f.value.ends_with(filename_variable))
      p.conditions.push_back(
          {policy_condition::kind::starts_with, f.name, f.value.substr(0, f.value.size() - filename_variable.size())});
    else
      p.conditions.push_back({policy_condition::kind::equal, f.name, f.value});
  }
  return p;
}

// The most bytes that a browser sends ahead of the file's first byte: each part has a boundary and a header.
std::size_t size_of_form(const std::vector<form_field>& fields, std::string_view filename) {
  constexpr std::size_t around = 70 + 60;
  std::size_t size = 2 * around + 3 * filename.size(); // the file's part; its name with escapes
  for (const auto& f : fields) size += around + f.name.size() + f.value.size();
  return size;
}

bool has_longer_part(std::string_view key, std::size_t max) {
  for (std::size_t at = 0; at <= key.size();) {
    const auto end = std::min(key.find('/', at), key.size());
    if (end - at > max) return true;
    at = end + 1;
  }
  return false;
}

// The metadata that stands in the key must be there, and cannot add segments to the key.
result<void> check_key_metadata(const profile& rules, const sign_request& ask) {
  for (const auto& name : rules.key_metadata) {
    const auto found =
        std::find_if(ask.metadata.begin(), ask.metadata.end(), [&](const auto& m) { return m.first == name; });
    if (found == ask.metadata.end())
      return bad("profile " + quote(rules.name) + " needs the metadata " + quote(name) +
                 ", which is a part of the key");
    if (const auto why = why_no_key_part(found->second); !why.empty())
      return bad("metadata " + quote(name) + " " + why);
  }
  return {};
}

result<void> check_checksum(const profile& rules, const sign_request& ask) {
  if (ask.checksum || !rules.checks(profile_check::checksum)) return {};
  return bad("profile " + quote(rules.name) +
             " needs a checksum of the file; send checksum with POST /v1/uploads, such as {\"crc32c\": \"base64\"}");
}

bool has_variable(std::string_view key) { return key.find("${") != key.npos; }

// What stands before ${filename} in the key of a form whose file name is not known yet; else the whole key.
std::string_view without_filename(std::string_view key, std::string_view filename) {
  return filename == filename_variable ? key.substr(0, key.size() - filename_variable.size()) : key;
}

// Until the application has accepted the object, it is stored under another prefix.
std::string quarantine_of(const profile& rules) {
  return rules.accept.exists() ? rules.accept.quarantine : std::string();
}

// The key under which the form stores the file, with the prefix of the quarantine.
result<std::string> key_for(const profile& rules, const sign_request& ask, const key_values& values,
                            std::size_t max_key_part) {
  if (auto usable = check_key_metadata(rules, ask); !usable) return usable.error();
  const auto quarantine = quarantine_of(rules);
  auto key = fill_key(quarantine + rules.key, values);
  if (!key) return key;
  const auto final_key = key->substr(quarantine.size());
  // Two values side by side could spell it, such as "$" and "{filename}".
  if (has_variable(without_filename(final_key, values.filename)))
    return bad("the key " + quote(final_key) +
               " would have ${, which S3 replaces; change the file's name or the metadata");
  if (max_key_part && has_longer_part(*key, max_key_part))
    return failure{errc::key_too_long,
                   "the store takes at most " + std::to_string(max_key_part) + " bytes between two slashes of a key"};
  return key;
}

std::string date_path(seconds_clock t) {
  const auto text = iso8601(t);
  return text.substr(0, 4) + '/' + text.substr(5, 2) + '/' + text.substr(8, 2);
}

} // namespace

// --- signing ----------------------------------------------------------------------------------------

result<signed_form> form_signer::sign(const sign_request& ask, const caller& who, millis_clock now) const {
  const auto* rules = find_profile(ask.profile);
  if (!rules) return no_profile(ask.profile);
  return sign_for(*rules, ask, safe_filename(ask.filename), who, now);
}

result<signed_form> form_signer::sign_blank(std::string_view profile, std::string return_to, const caller& who,
                                            millis_clock now) const {
  const auto* rules = find_profile(profile);
  if (!rules) return bad("there is no profile " + quote(profile));
  if (rules->accept.exists())
    return bad("profile " + quote(profile) +
               " has an accept hook, and S3 takes any number of files from a form without a file name; use another "
               "profile, or a page that signs a form for each file");
  if (!rules->key.ends_with(filename_variable))
    return bad("profiles." + rules->name +
               ".key must end in ${filename} for this page, because the file's name is unknown until it is posted");
  sign_request ask;
  ask.return_to = std::move(return_to);
  return sign_for(*rules, ask, filename_variable, who, now);
}

// Deriving the key costs as much as signing with it, and the key is valid for a day.
std::shared_ptr<const form_signer::day_key> form_signer::key_of(const sigv4::credentials& c,
                                                                const sigv4::scope& s) const {
  {
    std::lock_guard lock(mutex_);
    if (day_key_ && day_key_->day == s.day() && day_key_->access_key == c.access_key) return day_key_;
  }
  const auto bytes = sigv4::signing_key(c.secret_key, s.day(), s.region, s.service);
  auto made = std::make_shared<const day_key>(
      day_key{c.access_key, s.day(), hmac_key({reinterpret_cast<const char*>(bytes.data()), bytes.size()})});
  std::lock_guard lock(mutex_);
  day_key_ = made;
  return made;
}

// AWS's fields, the policy, and the two signatures over it. The policy has a condition for each field, so they come
// last.
void form_signer::add_signatures(signed_form& form, const length_range& length, const sigv4::credentials& keys,
                                 const std::string& region, seconds_clock now) const {
  auto& fields = form.fields;
  const sigv4::scope scope{amz_date(now), region, "s3"};
  fields.push_back({"x-amz-algorithm", "AWS4-HMAC-SHA256"});
  fields.push_back({"x-amz-credential", sigv4::credential(keys.access_key, scope)});
  fields.push_back({"x-amz-date", scope.date});
  if (!keys.session_token.empty()) fields.push_back({"x-amz-security-token", keys.session_token});

  auto text = to_base64(policy_document(policy_for(fields, form.bucket, length, form.expires_at)));
  auto signature = key_of(keys, scope)->key.sign_hex(text);
  auto own = own_.sign_policy(text);
  fields.push_back({"policy", std::move(text)});
  fields.push_back({"x-amz-signature", std::move(signature)});
  fields.push_back({"x-ignore-postern", std::move(own)});
}

// What the ledger records of an upload, without the end of its time.
result<upload> form_signer::row_for(const profile& rules, const sign_request& ask, std::string_view filename,
                                    const caller& who, millis_clock now) const {
  auto length = range_for(rules, ask, who.limits);
  if (!length) return length.error();
  auto type = type_for(rules, ask.content_type);
  if (!type) return type.error();
  if (!ask.return_to.empty() && !is_listed(rules.return_to, ask.return_to))
    return bad("return_to " + quote(ask.return_to) + " is not listed in profiles." + rules.name + ".return_to");
  if (auto has = check_checksum(rules, ask); !has) return has.error();
  const auto* store = options_.find_store(rules.bucket);
  if (!store) return failure{errc::no_such_bucket, quote(rules.bucket)};

  upload row;
  row.id = new_uuid_v7(now);
  row.profile = rules.name;
  row.user = who.user;
  row.bucket = rules.bucket;
  const auto date = date_path(std::chrono::floor<std::chrono::seconds>(now));
  auto key = key_for(rules, ask, {row.id, filename, who.user, rules.name, date, ask.metadata}, store->max_key_part);
  if (!key) return key.error();
  row.key = std::move(*key);
  if (const auto prefix = quarantine_of(rules).size()) row.final_key = row.key.substr(prefix);
  row.metadata = ask.metadata;
  row.min_size = length->min;
  row.max_size = length->max;
  row.content_type = std::move(*type);
  row.created_at = now;
  return row;
}

result<upload> form_signer::plan(const sign_request& ask, const caller& who, millis_clock now) const {
  const auto* rules = find_profile(ask.profile);
  if (!rules) return no_profile(ask.profile);
  auto row = row_for(*rules, ask, safe_filename(ask.filename), who, now);
  if (row) row->expires_at = now + rules->expires;
  return row;
}

result<signed_form> form_signer::sign_for(const profile& rules, const sign_request& ask, std::string_view filename,
                                          const caller& who, millis_clock now) const {
  auto row = row_for(rules, ask, filename, who, now);
  if (!row) return row.error();
  const length_range length{row->min_size, row->max_size};
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  signed_form form;
  form.id = row->id;
  form.bucket = row->bucket;
  form.key = row->final_key.empty() ? row->key : row->final_key;
  const auto* store = options_.find_store(form.bucket);
  // A policy must not outlive the keys that sign it. S3 would reject the form, with an error that names neither.
  const auto current = store->credentials();
  if (!current)
    return failure{errc::unavailable, "no credentials for the store at the moment; the server's log has the reason"};
  const auto store_ahead = store->ahead();
  const auto store_time = second + store_ahead;
  form.expires_at = store_time + rules.expires;
  if (current->expires && *current->expires < form.expires_at) form.expires_at = *current->expires;
  form.fallback_url = options_.public_url + "/upload/" + form.bucket;
  // S3 takes no larger file from a form. The fallback does.
  const auto direct = store->direct_urls.find(form.bucket);
  const bool is_direct =
      direct != store->direct_urls.end() && length.min <= max_post_size && store->abilities().takes_forms;
  form.url = is_direct ? direct->second : form.fallback_url;
  form.status_url = options_.public_url + "/v1/uploads/" + form.id;

  const claim back{form.id,          rules.name, who.user,
                   form.bucket,      row->key,   length,
                   ask.return_to,    ask.origin, second + options_.claim_lifetime,
                   row->content_type};
  const auto token = own_.sign_claim(back);
  if (token.size() > options_.max_claim)
    return bad("the claim would have " + std::to_string(token.size()) + " bytes; the maximum is " +
               std::to_string(options_.max_claim) + ". Shorten return_to, the Origin field or the user");
  form.complete_url = options_.public_url + "/v1/complete/" + token;

  auto& fields = form.fields;
  fields.reserve(16);
  fields.push_back({"key", row->key});
  fields.push_back({"Content-Type", row->content_type});
  for (auto& field : fields_of(rules)) fields.push_back(std::move(field));
  if (ask.success_action_status)
    fields.push_back({"success_action_status", std::to_string(*ask.success_action_status)});
  else
    fields.push_back({"success_action_redirect", form.complete_url});
  if (ask.checksum) fields.push_back(*ask.checksum);
  fields.push_back({"x-amz-meta-postern-id", form.id});
  for (const auto& [name, value] : ask.metadata) fields.push_back({"x-amz-meta-" + name, value});

  add_signatures(form, length, current->keys, store->region, store_time);
  if (const auto size = size_of_form(fields, ask.filename); options_.max_form && size > options_.max_form)
    return bad("the form would have " + std::to_string(size) + " bytes before the file; limits.form_fields allows " +
               std::to_string(options_.max_form) + ". Shorten metadata, return_to or content_type");

  row->expires_at = form.expires_at - store_ahead;
  form.row = std::make_shared<upload>(std::move(*row));
  return form;
}

namespace {

void write_ways(json_writer& w, const std::vector<offered_way>& ways) {
  w.key("ways");
  w.begin_array();
  for (const auto& one : ways) {
    w.begin_object();
    w.member("way", name_of(one.way));
    if (one.way == upload_way::put) w.member("method", "PUT");
    if (one.way == upload_way::multipart) w.member("part_size", one.part_size);
    if (!one.url.empty()) w.member(one.way == upload_way::multipart ? "parts_url" : "url", one.url);
    if (!one.headers.empty()) {
      w.key("headers");
      w.begin_object();
      for (const auto& [name, value] : one.headers) w.member(name, value);
      w.end_object();
    }
    w.end_object();
  }
  w.end_array();
}

} // namespace

std::string to_json(const signed_form& f) {
  json_writer w;
  w.reserve(4096);
  w.begin_object();
  w.member("id", f.id);
  w.member("state", "issued");
  w.member("bucket", f.bucket);
  w.member("key", f.key);
  w.member("expires_at", iso8601(f.expires_at));
  w.member("method", "POST");
  w.member("enctype", "multipart/form-data");
  w.member("url", f.url);
  w.member("fallback_url", f.fallback_url);
  w.key("fields");
  w.begin_object();
  for (const auto& field : f.fields) w.member(field.name, field.value);
  w.end_object();
  w.member("complete_url", f.complete_url);
  w.member("status_url", f.status_url);
  if (f.ways) write_ways(w, *f.ways);
  w.end_object();
  return w.take();
}

} // namespace postern
