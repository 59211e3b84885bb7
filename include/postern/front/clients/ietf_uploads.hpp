// "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload): POST /v1/files begins an upload and may bring all
// of it; HEAD, PATCH and DELETE of the URL in its Location ask, go on and give up. The same uploads as those of tus.
// Owned by the node, shared by all threads.
#pragma once

#include <postern/core/resumable/ietf_upload.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>

#include <string>

namespace postern::front {

class ietf_endpoint {
public:
  // The references must outlive this.
  ietf_endpoint(const signing_gate& gate, resumable_uploads& uploads) : gate_(gate), uploads_(uploads) {}

  // First 104 with Location, for clients of a known version of the draft. Then 201; with Upload-Complete: ?1 and the
  // upload as JSON, if all of it has come.
  task<response> create(request& r);
  task<response> head(request& r); // 204 with Upload-Offset
  // 204, or 201 for clients of earlier versions; 200 with the upload as JSON, if all of it has come.
  task<response> patch(request& r);
  task<response> remove(request& r); // 204

private:
  struct conversation;                                     // what an answer depends on
  task<result<std::string>> admit(const request& r) const; // the upload's id
  task<response> answer_appended(request& r, const conversation& c, std::string id, append_request what);

  const signing_gate& gate_;
  resumable_uploads& uploads_;
};

} // namespace postern::front
