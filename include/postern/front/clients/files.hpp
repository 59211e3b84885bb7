// /v1/files: tells the two protocols of resumable uploads apart by their header fields. Owned by the node, shared by
// all threads.
#pragma once

#include <postern/front/clients/ietf_uploads.hpp>
#include <postern/front/clients/tus.hpp>
#include <postern/front/http_message.hpp>

#include <map>
#include <string>

namespace postern::front {

class files_endpoint {
public:
  // As tus_endpoint.
  files_endpoint(const signing_gate& gate, resumable_uploads& uploads, const std::map<std::string, profile>& profiles)
      : tus_(gate, uploads, profiles), ietf_(gate, uploads) {}

  task<response> create(request& r) {
    if (is_ambiguous(r)) return refuse_ambiguous(r);
    return is_ietf(r) ? ietf_.create(r) : tus_.create(r);
  }
  task<response> head(request& r) { return is_ietf(r) ? ietf_.head(r) : tus_.head(r); }
  task<response> patch(request& r) {
    if (is_ambiguous(r)) return refuse_ambiguous(r);
    return is_ietf(r) ? ietf_.patch(r) : tus_.patch(r);
  }
  task<response> remove(request& r) { return is_ietf(r) ? ietf_.remove(r) : tus_.remove(r); }
  task<response> override_method(request& r) {
    if (is_ambiguous(r)) return refuse_ambiguous(r);
    return tus_.override_method(r);
  }
  task<response> options(request& r) { return tus_.options(r); }

private:
  // A field twice: whoever reads the other one is of another opinion about the file.
  static bool is_ambiguous(const request& r) {
    for (const auto* name : {"Upload-Offset", "Upload-Length", "Upload-Complete", "Upload-Checksum", "Tus-Resumable"})
      if (r.fields.count(name) > 1) return true;
    return false;
  }
  static task<response> refuse_ambiguous(request& r) {
    co_return make_problem(failure{errc::bad_request, "a header field of the upload stands twice in the request"},
                           r.id);
  }
  static bool is_ietf(const request& r) {
    return r.field("Tus-Resumable").empty() &&
           !(r.field("Upload-Draft-Interop-Version").empty() && r.field("Upload-Complete").empty());
  }

  tus_endpoint tus_;
  ietf_endpoint ietf_;
};

} // namespace postern::front
