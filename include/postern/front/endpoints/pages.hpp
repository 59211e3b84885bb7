// The web pages that Postern serves: the demo, the form that needs no JavaScript, the page at the end of a redirect,
// and the files of src/client. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/issue.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::front {

struct pages_options {
  bool demo = false;                    // serve the demo at /
  std::string version;                  // shown on the demo page
  std::vector<std::string> direct_urls; // of the stores: the demo page may send files there
};

class pages_endpoint {
public:
  // The references must outlive this.
  pages_endpoint(pages_options options, const signing_gate& gate, const form_issuer& forms)
      : options_(std::move(options)), gate_(gate), form_issuer_(forms) {}

  task<response> form(request& r); // GET /form?profile=…&return_to=…
  task<response> demo(request& r); // GET /
  task<response> file(request& r); // a file of src/client, at its name

private:
  const pages_options options_;
  const signing_gate& gate_;
  const form_issuer& form_issuer_;
};

inline constexpr std::string_view html_type = "text/html; charset=utf-8";

// The file of src/client with each {{name}} replaced by its value. Does not escape: the values must be HTML already.
std::string fill_page(std::string_view file, const std::vector<std::pair<std::string_view, std::string>>& values);

// The page for a browser at the end of a redirect. It posts `json` to its opener or parent window, if that window is of
// `origin`.
response complete_page(int status, const std::string& title, const std::string& message, const std::string& json,
                       const std::string& origin);

// A page with a signed form. It has a button for each of the two ways, direct and fallback: without a script only the
// user can choose.
response form_page(const signed_form& f);

// Adds the security headers of every page: the page loads nothing from other origins, and the browser guesses no
// content type and sends no referrer. The scripts and frames of a page that sends files may also reach the stores at
// `direct_urls`.
void harden(response& page, const std::vector<std::string>& direct_urls = {});

} // namespace postern::front
