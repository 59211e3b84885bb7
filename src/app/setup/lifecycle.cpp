#include "rule_merge.hpp"
#include <postern/app/setup/lifecycle.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>
#include <set>

namespace postern::app {
namespace {

constexpr kind_of_rules lifecycle_rules{"LifecycleConfiguration", "Rule", "lifecycle rules"};

// Older rules have <Prefix> without <Filter>. S3 refuses a document that mixes both.
bool has_bare_prefix(std::string_view existing) {
  pugi::xml_document document;
  document.load_buffer(existing.data(), existing.size());
  const auto rules = document.child(lifecycle_rules.document).children(lifecycle_rules.rule);
  return std::any_of(rules.begin(), rules.end(),
                     [](const auto& rule) { return rule.child("Prefix") && !rule.child("Filter"); });
}

// <Rule><ID>postern</ID><Filter><Prefix>uploads/</Prefix></Filter><Status>Enabled</Status>
// <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
void fill_rule(pugi::xml_node rule, std::size_t number, const std::string& prefix, bool bare_prefix) {
  rule.append_child("ID").text().set(own_rule_id(number).c_str());
  auto around = bare_prefix ? rule : rule.append_child("Filter");
  around.append_child("Prefix").text().set(prefix.c_str());
  rule.append_child("Status").text().set("Enabled");
  rule.append_child("AbortIncompleteMultipartUpload").append_child("DaysAfterInitiation").text().set(abort_after_days);
}

// The prefix to which a rule applies. Nothing: it also filters by tag or size.
std::optional<std::string_view> prefix_of(pugi::xml_node rule) {
  const auto filter = rule.child("Filter");
  if (!filter) return rule.child_value("Prefix");
  for (const auto part : filter.children())
    if (std::string_view(part.name()) != "Prefix") return std::nullopt;
  return filter.child_value("Prefix");
}

std::optional<std::uint64_t> abort_days_of(pugi::xml_node rule, std::string_view prefix) {
  const auto covered = prefix_of(rule);
  if (!covered || !prefix.starts_with(*covered)) return std::nullopt;
  if (std::string_view(rule.child_value("Status")) != "Enabled") return std::nullopt;
  return parse_number(rule.child("AbortIncompleteMultipartUpload").child_value("DaysAfterInitiation"));
}

} // namespace

std::vector<std::string> upload_prefixes(const config& c, const std::string& bucket) {
  std::set<std::string> all; // a prefix comes before those within it
  for (const auto& [name, p] : c.profiles)
    if (p.bucket == bucket) {
      const auto prefixes = key_prefixes(p);
      all.insert(prefixes.begin(), prefixes.end());
    }
  std::vector<std::string> out;
  for (const auto& prefix : all)
    if (out.empty() || !prefix.starts_with(out.back())) out.push_back(prefix);
  return out;
}

bool may_use_multipart(const config& c, const std::string& bucket) {
  return std::any_of(c.profiles.begin(), c.profiles.end(), [&](const auto& named) {
    return named.second.bucket == bucket && named.second.max_size >= s3_min_part_size;
  });
}

std::string lifecycle_for_cli(const config& c, const std::string& bucket) {
  json_writer w;
  w.begin_object();
  w.key("Rules");
  w.begin_array();
  std::size_t number = 0;
  for (const auto& prefix : upload_prefixes(c, bucket)) {
    w.begin_object();
    w.member("ID", own_rule_id(number++));
    w.key("Filter");
    w.begin_object();
    w.member("Prefix", prefix);
    w.end_object();
    w.member("Status", "Enabled");
    w.key("AbortIncompleteMultipartUpload");
    w.begin_object();
    w.member("DaysAfterInitiation", std::uint64_t{abort_after_days});
    w.end_object();
    w.end_object();
  }
  w.end_array();
  w.end_object();
  return indented(*read_json(w.take()));
}

result<rule_merge> merge_lifecycle(const config& c, const std::string& bucket, std::string_view existing) {
  pugi::xml_document own;
  std::vector<pugi::xml_node> rules;
  const bool bare_prefix = has_bare_prefix(existing);
  for (const auto& prefix : upload_prefixes(c, bucket)) {
    const auto rule = own.append_child(lifecycle_rules.rule);
    fill_rule(rule, rules.size(), prefix, bare_prefix);
    rules.push_back(rule);
  }
  return merge_rules(lifecycle_rules, existing, rules);
}

std::optional<unsigned> find_abort_days(const config& c, const std::string& bucket, std::string_view existing) {
  pugi::xml_document document;
  document.load_buffer(existing.data(), existing.size());
  const auto rules = document.child(lifecycle_rules.document).children(lifecycle_rules.rule);
  std::uint64_t longest = 0;
  for (const auto& prefix : upload_prefixes(c, bucket)) {
    std::optional<std::uint64_t> shortest;
    for (const auto rule : rules)
      if (const auto days = abort_days_of(rule, prefix)) shortest = std::min(shortest.value_or(*days), *days);
    if (!shortest) return std::nullopt;
    longest = std::max(longest, *shortest);
  }
  return static_cast<unsigned>(longest);
}

} // namespace postern::app
