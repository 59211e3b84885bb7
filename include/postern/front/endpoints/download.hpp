// GET /v1/uploads/{id}/download sends the file of a completed upload. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/download.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>

namespace postern::front {

class download_endpoint {
public:
  // `shared`: the memory of all requests. The references must outlive this.
  download_endpoint(const signing_gate& gate, downloads& files, resources& shared)
      : gate_(gate), downloads_(files), shared_(shared) {}

  // For callers with the right to read this upload. 302 to the store where it takes presigned URLs; else the bytes,
  // whole or one range (RFC 9110 §14). When the object changes while it is sent, the connection breaks off.
  task<response> get(request& r);

private:
  task<result<download>> find(const request& r);
  task<response> redirect(const request& r, download what);
  task<response> send(const request& r, download what);

  const signing_gate& gate_;
  downloads& downloads_;
  resources& shared_;
};

} // namespace postern::front
