// POST /v1/uploads signs a form. GET /v1/uploads/{id} shows the state of an upload, once or as a stream of events.
// Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/direct/ways.hpp>
#include <postern/flow/issue.hpp>
#include <postern/flow/transfer.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>
#include <postern/io/ledger.hpp>

#include <cstddef>
#include <optional>

namespace postern::front {

class uploads_endpoint {
public:
  // `max_body`: bytes of JSON. The references must outlive this.
  uploads_endpoint(std::size_t max_body, const signing_gate& gate, const form_issuer& forms, const way_planner& ways,
                   ledger& records, const transfers& running, upload_feed& changes)
      : max_body_(max_body), gate_(gate), form_issuer_(forms), way_planner_(ways), ledger_(records),
        transfers_(running), feed_(changes) {}

  // 201 with the form as JSON.
  task<response> sign(request& r);
  // A client that knows the id sees state, size and ETag. Only a caller with the right to read sees key and metadata.
  // Counted for the client's network, and for the caller's user if the request has valid credentials.
  task<response> show(request& r);

private:
  task<result<signed_form>> sign_form(request& r);
  // The caller, or nothing if the request has no valid credentials. errc::too_many_requests.
  task<result<std::optional<caller>>> admit_to_ask(const request& r) const;
  // `who`: nullptr if there is no caller. It must outlive the call.
  task<response> show_once(request& r, const caller* who);
  task<response> stream(request& r, const caller* who);

  const std::size_t max_body_;
  const signing_gate& gate_;
  const form_issuer& form_issuer_;
  const way_planner& way_planner_;
  ledger& ledger_;
  const transfers& transfers_;
  upload_feed& feed_;
};

} // namespace postern::front
