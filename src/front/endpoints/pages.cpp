#include <postern/base/encoding.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/endpoints/client_files.hpp>
#include <postern/front/endpoints/pages.hpp>

namespace postern::front {

std::string fill_page(std::string_view file, const std::vector<std::pair<std::string_view, std::string>>& values) {
  std::string out;
  auto page = client_file(file).value_or(std::string_view{});
  for (;;) {
    const auto open = page.find("{{");
    const auto close = open == page.npos ? page.npos : page.find("}}", open);
    if (close == page.npos) return out.append(page);
    out.append(page.substr(0, open));
    const auto name = page.substr(open + 2, close - open - 2);
    for (const auto& [n, value] : values)
      if (n == name) out += value;
    page.remove_prefix(close + 2);
  }
}

void harden(response& page, const std::vector<std::string>& direct_urls) {
  std::string policy = "default-src 'self'; object-src 'none'; base-uri 'none'";
  if (!direct_urls.empty()) {
    std::string allowed = " 'self'";
    for (const auto& url : direct_urls) {
      const auto origin = origin_of(url);
      if ((allowed + " ").find(" " + origin + " ") == allowed.npos) allowed.append(" ").append(origin);
    }
    policy.append("; connect-src").append(allowed).append("; frame-src").append(allowed);
  }
  page.with("Content-Security-Policy", std::move(policy))
      .with("X-Content-Type-Options", "nosniff")
      .with("Referrer-Policy", "no-referrer")
      .with("Cache-Control", "no-store");
}

response complete_page(int status, const std::string& title, const std::string& message, const std::string& json,
                       const std::string& origin) {
  auto page = make_response(status, html_type,
                            fill_page("complete.html", {{"title", html_escape(title)},
                                                        {"message", html_escape(message)},
                                                        {"data", html_escape(json)},
                                                        {"origin", html_escape(origin)}}));
  harden(page);
  return page;
}

response form_page(const signed_form& f) {
  std::string inputs;
  for (const auto& field : f.fields)
    inputs +=
        "<input type=\"hidden\" name=\"" + html_escape(field.name) + "\" value=\"" + html_escape(field.value) + "\">\n";
  std::string fallback;
  if (f.url != f.fallback_url)
    fallback = "<p class=\"quiet\">The file goes directly to the store. If the store cannot be reached from here:<br>\n"
               "<input class=\"plain button\" type=\"submit\" value=\"Send through this server\" formaction=\"" +
               html_escape(f.fallback_url) + "\"></p>\n";
  auto page = make_response(200, html_type,
                            fill_page("form.html", {{"action", html_escape(f.url)},
                                                    {"fields", inputs},
                                                    {"fallback", fallback},
                                                    {"expires", html_escape(iso8601(f.expires_at))}}));
  harden(page);
  return page;
}

task<response> pages_endpoint::demo(request& r) {
  if (!options_.demo) co_return make_problem(failure{errc::not_found, "no such endpoint: /"}, r.id);
  auto page = make_response(200, html_type, fill_page("demo.html", {{"version", html_escape(options_.version)}}));
  harden(page, options_.direct_urls);
  co_return page;
}

task<response> pages_endpoint::file(request& r) {
  const auto name = r.path.substr(1);
  const auto bytes = client_file(name);
  // The demo's script exists only with the demo. The client and the other pages' files are always served.
  if (!bytes || (!options_.demo && name.starts_with("demo.")))
    co_return make_problem(failure{errc::not_found, "no such endpoint: " + quote(r.path)}, r.id);
  const auto type = name.ends_with(".css")   ? "text/css; charset=utf-8"
                    : name.ends_with(".svg") ? "image/svg+xml"
                                             : "text/javascript; charset=utf-8";
  auto made = make_response(200, type, std::string(*bytes));
  made.with("X-Content-Type-Options", "nosniff").with("Cache-Control", "no-cache");
  co_return made;
}

task<response> pages_endpoint::form(request& r) {
  auto who = co_await gate_.admit_to_sign(r);
  if (!who) co_return make_problem(who.error(), r.id);
  if (auto counted = gate_.count_form(r, *who); !counted) co_return make_problem(counted.error(), r.id);
  auto profile = query_parameter(r.query, "profile");
  auto return_to = query_parameter(r.query, "return_to");
  const std::string name = profile ? *profile : "default";
  if (!who->may_use(name))
    co_return make_problem(failure{errc::forbidden, "this caller may not use profile " + quote(name)}, r.id);
  const std::string back = return_to ? *return_to : "";
  auto form = co_await form_issuer_.issue_blank(name, back, *who, now_millis());
  co_return form ? form_page(*form) : make_problem(form.error(), r.id);
}

} // namespace postern::front
