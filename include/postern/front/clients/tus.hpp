// tus 1.0 (https://tus.io/protocols/resumable-upload): POST /v1/files begins an upload; HEAD, PATCH and DELETE of the
// URL in its Location ask, go on and give up. The URL holds the upload's token, so whoever knows it may send the file.
// Owned by the node, shared by all threads.
#pragma once

#include <postern/core/resumable/tus.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace postern::front {

class tus_endpoint {
public:
  // The references must outlive this. `profiles`: for the sizes that they allow.
  tus_endpoint(const signing_gate& gate, resumable_uploads& uploads, const std::map<std::string, profile>& profiles)
      : gate_(gate), uploads_(uploads), profiles_(profiles) {}

  // 201 with Location. The profile is the query's `profile`. With a body of the file's first bytes
  // (creation-with-upload), Upload-Offset says how many of them are kept.
  task<response> create(request& r);
  task<response> head(request& r);   // 200 with Upload-Offset
  task<response> patch(request& r);  // 204 with the new Upload-Offset
  task<response> remove(request& r); // 204
  // POST, for proxies that let nothing else through: X-HTTP-Method-Override says what is meant.
  task<response> override_method(request& r);
  // What the server can; also the answer to a browser's preflight.
  task<response> options(request& r);

private:
  task<response> answer_created(request& r, const tus::creation& asked, resumable_view created);
  task<response> answer_appended(request& r, std::string id, tus::append asked);

  const signing_gate& gate_;
  resumable_uploads& uploads_;
  const std::map<std::string, profile>& profiles_;
};

} // namespace postern::front
