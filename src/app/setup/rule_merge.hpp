// Private to app/setup: puts Postern's rules among the rules of a bucket, which others may have written. CORS and
// lifecycle documents both are lists of rules with IDs. Pure.
#pragma once

#include <postern/app/setup/setup.hpp>
#include <postern/base/error.hpp>

#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

struct kind_of_rules {
  const char* document; // the document's element: "CORSConfiguration"
  const char* rule;     // a rule's element: "CORSRule"
  const char* shown;    // for people: "CORS rules"
};

// The ID of Postern's rule of that number, from 0: "postern", "postern-2", "postern-3", …
std::string own_rule_id(std::size_t number);

// Replaces Postern's rules, which are known by their IDs, with the rules in `own`. `existing` is the bucket's document;
// empty: there is none. errc::store_failed when it cannot be read, because the other rules would be lost.
result<rule_merge> merge_rules(const kind_of_rules& kind, std::string_view existing,
                               const std::vector<pugi::xml_node>& own);

} // namespace postern::app
