// How an application manages uploads. POST /v1/uploads/{id}/claim keeps a completed one, DELETE /v1/uploads/{id}
// removes it; POST …/accept and …/reject are verdicts about one that is checked. For callers with the right to manage.
// Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/accept.hpp>
#include <postern/flow/completion/remove.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>
#include <postern/io/ledger.hpp>

#include <string>
#include <string_view>

namespace postern::front {

class manage_endpoint {
public:
  // The references must outlive this.
  manage_endpoint(const signing_gate& gate, ledger& records, const remover& removals, acceptor& verdicts)
      : gate_(gate), ledger_(records), remover_(removals), acceptor_(verdicts) {}

  // All answer with the whole upload as JSON. 202: the verdict is recorded, and the object still to be moved.
  task<response> claim(request& r);
  task<response> remove(request& r);
  task<response> accept(request& r);
  task<response> reject(request& r);

private:
  using verdict_parser = result<verdict> (*)(std::string_view);
  task<result<upload>> claim_upload(request& r);
  task<result<upload>> remove_upload(request& r);
  task<result<upload>> settle(request& r, verdict_parser parse);
  // Admits the request, and reads its body.
  task<result<std::string>> read_body(request& r);
  // That this request's caller may manage the upload.
  task<result<void>> admit(const request& r);

  const signing_gate& gate_;
  ledger& ledger_;
  const remover& remover_;
  acceptor& acceptor_;
};

} // namespace postern::front
