#include <postern/base/encoding.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/endpoints/client_files.hpp>
#include <postern/front/routes.hpp>

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
    std::string known = " 'self'";
    for (const auto& url : direct_urls) {
      const auto origin = origin_of(url);
      if ((known + " ").find(" " + origin + " ") == known.npos) known.append(" ").append(origin);
    }
    policy.append("; connect-src").append(known).append("; frame-src").append(known);
  }
  page.with("Content-Security-Policy", std::move(policy))
      .with("X-Content-Type-Options", "nosniff")
      .with("Referrer-Policy", "no-referrer")
      .with("Cache-Control", "no-store");
}

response complete_page(int status, const std::string& title, const std::string& message, const std::string& json,
                       const std::string& origin) {
  auto page = text_answer(status, "text/html; charset=utf-8",
                          fill_page("complete.html", {{"title", html_escape(title)},
                                                      {"message", html_escape(message)},
                                                      {"data", html_escape(json)},
                                                      {"origin", html_escape(origin)}}));
  harden(page);
  return page;
}

response form_page_of(const signed_form& f) {
  std::string inputs;
  for (const auto& field : f.fields)
    inputs +=
        "<input type=\"hidden\" name=\"" + html_escape(field.name) + "\" value=\"" + html_escape(field.value) + "\">\n";
  std::string fallback;
  if (f.url != f.fallback_url)
    fallback = "<p class=\"quiet\">This form goes straight to the store. If the store cannot be reached from here:<br>\n"
                 "<input class=\"plain button\" type=\"submit\" value=\"Send through this server\" formaction=\"" +
                 html_escape(f.fallback_url) + "\"></p>\n";
  auto page = text_answer(200, "text/html; charset=utf-8",
                          fill_page("form.html", {{"action", html_escape(f.url)},
                                                  {"fields", inputs},
                                                  {"fallback", fallback},
                                                  {"expires", html_escape(iso8601(f.expires_at))}}));
  harden(page);
  return page;
}

task<response> routes::demo_page(request& r, std::string) {
  if (!options_.demo) co_return problem(failure{errc::not_found, "this path"}, r.id);
  auto page = text_answer(200, "text/html; charset=utf-8",
                          fill_page("demo.html", {{"version", html_escape(options_.version)}}));
  harden(page, options_.direct_urls);
  co_return page;
}

task<response> routes::static_file(request& r, std::string) {
  const auto name = r.path.substr(1);
  const auto bytes = client_file(name);
  // The demo's script goes with the demo; the client and what the other pages need are always there.
  if (!bytes || (!options_.demo && name.starts_with("demo.")))
    co_return problem(failure{errc::not_found, "this path"}, r.id);
  const auto type = name.ends_with(".css")   ? "text/css; charset=utf-8"
                    : name.ends_with(".svg") ? "image/svg+xml"
                                             : "text/javascript; charset=utf-8";
  auto file = text_answer(200, type, std::string(*bytes));
  file.with("X-Content-Type-Options", "nosniff")
      .with("Cache-Control", "no-cache")
      .with("Access-Control-Allow-Origin", "*");
  co_return file;
}

task<response> routes::form_page(request& r, std::string) {
  auto who = admit(r);
  if (!who) co_return problem(who.error(), r.id);
  auto profile = query_parameter(r.query, "profile");
  auto return_to = query_parameter(r.query, "return_to");
  const std::string name = profile ? *profile : "default";
  if (!who->may_use(name)) co_return problem(failure{errc::forbidden, "this key may not use that profile"}, r.id);
  if (auto counted = admission_.count(who->key ? who->key->name : r.client, std::chrono::steady_clock::now()); !counted)
    co_return problem(counted.error(), r.id);
  caller asks;
  if (who->key) asks.name = asks.user = who->key->name;
  auto form = form_signer_.sign_blank(name, return_to ? *return_to : std::string{}, asks, now_millis());
  co_return form ? form_page_of(*form) : problem(form.error(), r.id);
}

} // namespace postern::front
