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

  task<response> create(request& r) { return is_ietf(r) ? ietf_.create(r) : tus_.create(r); }
  task<response> head(request& r) { return is_ietf(r) ? ietf_.head(r) : tus_.head(r); }
  task<response> patch(request& r) { return is_ietf(r) ? ietf_.patch(r) : tus_.patch(r); }
  task<response> remove(request& r) { return is_ietf(r) ? ietf_.remove(r) : tus_.remove(r); }
  task<response> override_method(request& r) { return tus_.override_method(r); }
  task<response> options(request& r) { return tus_.options(r); }

private:
  static bool is_ietf(const request& r) {
    return r.field("Tus-Resumable").empty() &&
           !(r.field("Upload-Draft-Interop-Version").empty() && r.field("Upload-Complete").empty());
  }

  tus_endpoint tus_;
  ietf_endpoint ietf_;
};

} // namespace postern::front
