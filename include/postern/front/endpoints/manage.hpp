// POST /v1/uploads/{id}/claim keeps a completed upload; DELETE /v1/uploads/{id} removes it. For callers with the right
// to manage. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/completion/remove.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>
#include <postern/io/ledger.hpp>

namespace postern::front {

class manage_endpoint {
public:
  // The references must outlive this.
  manage_endpoint(const signing_gate& gate, ledger& records, const remover& removals)
      : gate_(gate), ledger_(records), remover_(removals) {}

  // Both answer with the whole upload as JSON.
  task<response> claim(request& r);
  task<response> remove(request& r);

private:
  task<result<upload>> claim_upload(request& r);
  task<result<upload>> remove_upload(request& r);
  // That this request's caller may manage the upload.
  task<result<void>> admit(const request& r);

  const signing_gate& gate_;
  ledger& ledger_;
  const remover& remover_;
};

} // namespace postern::front
