// The one table: path, verb, function; failures to HTTP answers; CORS. Owned by the node, shared by all threads; it
// holds no state but the rates in `admission`.
#pragma once

#include <postern/flow/complete.hpp>
#include <postern/flow/form_ingest.hpp>
#include <postern/flow/receive_events.hpp>
#include <postern/flow/sign.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/admission.hpp>
#include <postern/front/http_message.hpp>

#include <atomic>
#include <string>
#include <string_view>

namespace postern::front {

struct routes_options {
  admission_options admit;
  std::string public_url;
  std::size_t json_body = 64 << 10;     // bytes; 0: no limit but 16 MiB
  std::vector<std::string> direct_urls; // where forms go straight to the store: our own pages may speak with it
  bool demo = false;
  std::string version;
};

class routes {
public:
  // What is passed must outlive this.
  routes(routes_options options, form_signer& forms, form_ingest& ingest, const transfers& carriers,
         completer& completions, event_receiver& events, ledger& records, upload_feed& changes);

  task<response> answer_public(request& r);
  task<response> answer_admin(request& r);

  // From here on /readyz says no, so that a balancer sends nobody new.
  void draining() { draining_ = true; }

private:
  struct route;
  static const route public_routes[];
  static const route admin_routes[];
  task<response> dispatch(const route* first, const route* last, request& r);

  task<response> sign(request& r, std::string rest);
  task<response> status(request& r, std::string rest);
  task<response> fallback(request& r, std::string rest);
  task<response> complete(request& r, std::string rest);
  task<response> events(request& r, std::string rest);
  task<response> form_page(request& r, std::string rest);
  task<response> demo_page(request& r, std::string rest);
  task<response> static_file(request& r, std::string rest);
  task<response> healthz(request& r, std::string rest);
  task<response> readyz(request& r, std::string rest);
  task<response> metrics_page(request& r, std::string rest);
  task<response> list(request& r, std::string rest);

  result<admitted> admit(const request& r) const;
  void allow_origin(const request& r, response& answer) const;
  response preflight(const request& r, std::string_view verbs) const;

  const routes_options options_;
  admission admission_;
  form_signer& form_signer_;
  form_ingest& ingest_;
  const transfers& transfers_;
  completer& completer_;
  event_receiver& event_receiver_;
  ledger& ledger_;
  upload_feed& feed_;
  std::atomic<bool> draining_{false};
};

// Pages (pages.cpp): a file of src/client with {{name}} replaced. Values are put in as they are: the caller escapes.
std::string fill_page(std::string_view file, const std::vector<std::pair<std::string_view, std::string>>& values);
// The page that GET /v1/complete/{claim} shows to a browser, which posts the result to its opener or parent at
// `origin`.
response complete_page(int status, const std::string& title, const std::string& message, const std::string& json,
                       const std::string& origin);
// A page with the ready form of `f`, and with a button for each of its doors: without a script nothing chooses between
// them but the user.
response form_page_of(const signed_form& f);
// Headers that every page of ours carries: nothing foreign is loaded, nothing is sniffed, no address leaks. A page that
// sends files may speak with the stores at `direct_urls`, by script and in frames.
void harden(response& page, const std::vector<std::string>& direct_urls = {});

} // namespace postern::front
