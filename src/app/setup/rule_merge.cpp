#include "rule_merge.hpp"

#include <postern/base/log.hpp>
#include <postern/base/text.hpp>

#include <set>
#include <sstream>

namespace postern::app {
namespace {

constexpr std::string_view own_id = "postern";

bool is_own(std::string_view id) {
  if (!id.starts_with(own_id)) return false;
  const auto behind = id.substr(own_id.size());
  return behind.empty() || (behind.starts_with("-") && parse_number(behind.substr(1)));
}

// A form that can be compared: a store may return the parts of a rule in another order.
void add_parts(pugi::xml_node of, const std::string& path, std::multiset<std::string>& to) {
  for (const auto part : of.children()) {
    const auto name = path + "/" + part.name();
    if (!part.first_child().empty() && part.first_child().type() == pugi::node_element)
      add_parts(part, name, to);
    else
      to.insert(name + "=" + part.text().get());
  }
}

using rule_set = std::multiset<std::multiset<std::string>>;

void add_rule(pugi::xml_node rule, rule_set& to) {
  std::multiset<std::string> parts;
  add_parts(rule, "", parts);
  to.insert(std::move(parts));
}

} // namespace

std::string own_rule_id(std::size_t number) {
  return number == 0 ? std::string(own_id) : std::string(own_id) + "-" + std::to_string(number + 1);
}

result<rule_merge> merge_rules(const kind_of_rules& kind, std::string_view existing,
                               const std::vector<pugi::xml_node>& own) {
  rule_merge out;
  pugi::xml_document document;
  const auto read = document.load_buffer(existing.data(), existing.size());
  auto all = document.child(kind.document);
  if (existing.empty()) {
    all = document.append_child(kind.document);
    all.append_attribute("xmlns").set_value("http://s3.amazonaws.com/doc/2006-03-01/");
  } else if (!read || !all) {
    return failure{errc::store_failed,
                   std::string("the ") + kind.shown + " of the bucket cannot be read: " + quote(existing, 200)};
  }
  rule_set before, after;
  for (auto rule = all.child(kind.rule); rule;) {
    const auto next = rule.next_sibling(kind.rule);
    if (is_own(rule.child_value("ID"))) {
      out.had_rule = true;
      add_rule(rule, before);
      all.remove_child(rule);
    } else {
      ++out.other_rules;
    }
    rule = next;
  }
  for (const auto& rule : own) {
    add_rule(rule, after);
    all.append_copy(rule);
  }
  out.is_unchanged = before == after;
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  out.document = std::move(text).str();
  return out;
}

} // namespace postern::app
