#include "rule_merge.hpp"
#include <postern/app/setup/setup.hpp>
#include <postern/app/stores/stores.hpp>
#include <postern/base/json.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/aws_names.hpp>
#include <postern/io/net/http_client.hpp>

#include <algorithm>
#include <pugixml.hpp>

namespace postern::app {
namespace {

constexpr std::array methods{"POST", "PUT"}; // forms; presigned URLs
constexpr std::array exposed_headers{"ETag", "Location", "Retry-After"};
constexpr unsigned max_age_seconds = 3000;

std::string take_indented(json_writer& w) { return indented(*read_json(w.take())); }

template <class Texts> void list(json_writer& w, std::string_view name, const Texts& texts) {
  w.key(name);
  w.begin_array();
  for (const auto& t : texts) w.string(t);
  w.end_array();
}

void begin_policy(json_writer& w) {
  w.begin_object();
  w.member("Version", "2012-10-17");
  w.key("Statement");
  w.begin_array();
}

void begin_statement(json_writer& w, const char* sid) {
  w.begin_object();
  w.member("Sid", sid);
  w.member("Effect", "Allow");
}

std::string end_policy(json_writer& w) {
  w.end_array();
  w.end_object();
  return take_indented(w);
}

std::string bucket_arn(const config& c, const std::string& bucket) {
  return "arn:" + partition_of(c.store.region) + ":s3:::" + bucket;
}

std::set<std::string> key_arns(const config& c) {
  std::set<std::string> out;
  for (const auto& [name, p] : c.profiles)
    for (const auto& prefix : key_prefixes(p)) out.insert(bucket_arn(c, p.bucket) + "/" + prefix + "*");
  return out;
}

std::vector<std::string> object_actions(const config& c) {
  std::vector<std::string> out{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
                               "s3:ListMultipartUploadParts"};
  const auto any = [&](auto has) {
    return std::any_of(c.profiles.begin(), c.profiles.end(), [&](const auto& p) { return has(p.second); });
  };
  if (any([](const profile& p) { return !p.acl.empty(); })) out.emplace_back("s3:PutObjectAcl");
  if (any([](const profile& p) { return !p.tags.empty(); })) out.emplace_back("s3:PutObjectTagging");
  return out;
}

std::set<std::string> kms_keys(const config& c) {
  std::set<std::string> out;
  for (const auto& [name, p] : c.profiles) {
    if (p.sse_kms_key.empty()) continue;
    const bool is_arn = p.sse_kms_key.starts_with("arn:");
    const auto in_region = "arn:" + partition_of(c.store.region) + ":kms:" + c.store.region + ":*:";
    // A policy cannot name an alias, only the key behind it, which is not known here.
    out.insert(is_arn                                ? p.sse_kms_key
               : p.sse_kms_key.starts_with("alias/") ? in_region + "key/*"
                                                     : in_region + "key/" + p.sse_kms_key);
  }
  return out;
}

void write_rule(json_writer& w, const config& c) {
  w.begin_object();
  w.member("ID", own_rule_id(0));
  list(w, "AllowedOrigins", origins_of(c));
  list(w, "AllowedMethods", methods);
  list(w, "AllowedHeaders", std::array{"*"});
  list(w, "ExposeHeaders", exposed_headers);
  w.member("MaxAgeSeconds", std::uint64_t{max_age_seconds});
  w.end_object();
}

template <class Texts> void add_all(pugi::xml_node to, const char* name, const Texts& texts) {
  for (const auto& t : texts) to.append_child(name).text().set(std::string(t).c_str());
}

void fill_rule(pugi::xml_node rule, const config& c) {
  rule.append_child("ID").text().set(own_rule_id(0).c_str());
  add_all(rule, "AllowedOrigin", origins_of(c));
  add_all(rule, "AllowedMethod", methods);
  add_all(rule, "AllowedHeader", std::array{"*"});
  add_all(rule, "ExposeHeader", exposed_headers);
  rule.append_child("MaxAgeSeconds").text().set(max_age_seconds);
}

} // namespace

// --- names ------------------------------------------------------------------------------------------

std::string partition_of(std::string_view region) { return std::string(aws_partition_of(region).id); }

std::string account_of(std::string_view arn) {
  for (int fields = 0; fields < 4 && !arn.empty(); ++fields) {
    const auto colon = arn.find(':');
    arn = colon == arn.npos ? std::string_view{} : arn.substr(colon + 1);
  }
  return std::string(arn.substr(0, arn.find(':')));
}

// arn:aws:sts::123456789012:assumed-role/app/session is, in a policy, arn:aws:iam::123456789012:role/app
std::string principal_of(std::string_view arn) {
  constexpr std::string_view session = ":assumed-role/";
  const auto at = arn.find(session);
  const auto service = arn.find(":sts:");
  if (at == arn.npos || service == arn.npos) return std::string(arn);
  auto role = arn.substr(at + session.size());
  role = role.substr(0, role.find('/'));
  return std::string(arn.substr(0, service)) + ":iam::" + account_of(arn) + ":role/" + std::string(role);
}

std::string role_name_of(std::string_view arn) { return std::string(arn.substr(arn.rfind('/') + 1)); }

std::vector<std::string> key_prefixes(const profile& p) {
  const auto fixed = p.key.substr(0, p.key.find("${"));
  std::vector<std::string> all{fixed};
  if (p.accept.exists()) all.push_back(p.accept.quarantine + fixed);
  return all;
}

std::vector<std::string> origins_of(const config& c) {
  std::vector<std::string> out;
  if (const auto url = parse_web_url(c.server.public_url)) out.push_back(url->server.origin());
  for (const auto& o : c.server.allowed_origins)
    if (std::find(out.begin(), out.end(), o) == out.end()) out.push_back(o);
  return out;
}

// --- policies ---------------------------------------------------------------------------------------

std::string upload_policy(const config& c) {
  json_writer w;
  begin_policy(w);
  begin_statement(w, "PosternObjects");
  list(w, "Action", object_actions(c));
  list(w, "Resource", key_arns(c));
  w.end_object();
  // Without this permission S3 answers 403 for an absent object, as if it were forbidden.
  begin_statement(w, "PosternFindsAbsentObjects");
  w.member("Action", "s3:ListBucket");
  std::set<std::string> buckets;
  for (const auto& b : buckets_of(c)) buckets.insert(bucket_arn(c, b));
  list(w, "Resource", buckets);
  w.end_object();
  if (const auto keys = kms_keys(c); !keys.empty()) {
    begin_statement(w, "PosternEncryption");
    list(w, "Action", std::array{"kms:GenerateDataKey", "kms:Decrypt"});
    list(w, "Resource", keys);
    w.end_object();
  }
  return end_policy(w);
}

std::string caller_policy(const config& c) {
  json_writer w;
  begin_policy(w);
  begin_statement(w, "PosternAssumesRole");
  w.member("Action", "sts:AssumeRole");
  w.member("Resource", c.store.role_arn);
  w.end_object();
  return end_policy(w);
}

std::string trust_policy(const config& c, std::string_view caller_arn) {
  const auto& role = c.store.role_arn;
  const auto account = "arn:" + role.substr(4, role.find(':', 4) - 4) + ":iam::" + account_of(role);
  // A store without accounts has no root user to name.
  const auto principal = !caller_arn.empty()        ? principal_of(caller_arn)
                         : account_of(role).empty() ? account + ":user/NAME"
                                                    : account + ":root";
  json_writer w;
  begin_policy(w);
  begin_statement(w, "PosternCaller");
  w.key("Principal");
  w.begin_object();
  w.member("AWS", principal);
  w.end_object();
  w.member("Action", "sts:AssumeRole");
  if (!c.store.external_id.empty()) {
    w.key("Condition");
    w.begin_object();
    w.key("StringEquals");
    w.begin_object();
    w.member("sts:ExternalId", c.store.external_id);
    w.end_object();
    w.end_object();
  }
  w.end_object();
  return end_policy(w);
}

// --- CORS -------------------------------------------------------------------------------------------

std::string cors_for_console(const config& c) {
  json_writer w;
  w.begin_array();
  write_rule(w, c);
  w.end_array();
  return take_indented(w);
}

std::string cors_for_cli(const config& c) {
  json_writer w;
  w.begin_object();
  w.key("CORSRules");
  w.begin_array();
  write_rule(w, c);
  w.end_array();
  w.end_object();
  return take_indented(w);
}

// <CORSConfiguration><CORSRule><ID>postern</ID><AllowedOrigin>https://app.example.com</AllowedOrigin>…</CORSRule>…
result<rule_merge> merge_cors(const config& c, std::string_view existing) {
  constexpr kind_of_rules cors{"CORSConfiguration", "CORSRule", "CORS rules"};
  pugi::xml_document own;
  const auto rule = own.append_child(cors.rule);
  fill_rule(rule, c);
  return merge_rules(cors, existing, {rule});
}

} // namespace postern::app
