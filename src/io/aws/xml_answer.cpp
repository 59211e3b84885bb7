#include <postern/io/aws/xml_answer.hpp>

namespace postern {

pugi::xml_node read_xml(pugi::xml_document& document, std::string_view text) {
  document.reset();
  if (text.find('\0') != text.npos) return {}; // pugixml would ignore what follows
  // As a fragment, text outside the element becomes a node. Otherwise pugixml would drop it.
  constexpr auto options = pugi::parse_default | pugi::parse_fragment;
  if (!document.load_buffer(text.data(), text.size(), options, pugi::encoding_utf8)) return {};
  const auto only = document.first_child();
  return only.type() == pugi::node_element && !only.next_sibling() ? only : pugi::xml_node();
}

} // namespace postern
