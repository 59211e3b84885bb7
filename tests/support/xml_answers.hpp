// Whole XML answers of S3 and STS as values, and the ways in which an XML document can be incomplete.
#pragma once

#include <postern/io/net/http_response.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern::test {

inline http_response xml_answer(std::string body, int status = 200) { return {status, {}, std::move(body)}; }

// `document` without its last bytes, at each place, and documents that are more or less than the whole.
inline std::vector<std::string> broken_documents(std::string_view document) {
  std::vector<std::string> out;
  for (std::size_t n = 0; n < document.size(); ++n) out.emplace_back(document.substr(0, n));
  const std::string whole(document);
  for (const std::string& bad : {whole + "x", "x" + whole, whole + "<More/>", whole + "<!-- ", whole + '\0',
                                 whole + "<![CDATA[x]]>", "<More/>" + whole})
    out.push_back(bad);
  return out;
}

} // namespace postern::test
