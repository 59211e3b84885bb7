// The parts of a multipart upload, which the client sends straight to the store: POST /v1/uploads/{id}/parts signs
// their URLs, GET lists what the store has, POST …/parts/complete makes the object, DELETE gives the parts up. For
// clients with the upload's token, and for callers with the right to manage it. Owned by the node, shared by all
// threads.
#pragma once

#include <postern/core/claim.hpp>
#include <postern/flow/direct/direct_multiparts.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>
#include <postern/io/ledger.hpp>

#include <cstddef>
#include <string>

namespace postern::front {

class parts_endpoint {
public:
  // The references must outlive this.
  parts_endpoint(const signing_gate& gate, const signer& own, ledger& records, direct_multiparts& multiparts)
      : gate_(gate), own_(own), ledger_(records), multiparts_(multiparts) {}

  task<response> sign(request& r);
  task<response> list(request& r);
  // 200 with the upload; 202 while it is checked.
  task<response> complete(request& r);
  task<response> abort(request& r); // 200 with the upload

private:
  // That this request may send the upload's parts. `r.path_parameter` is its id then.
  task<result<void>> admit(const request& r) const;
  task<result<void>> admit_manager(const request& r) const;
  task<result<std::string>> read_body(request& r, std::size_t max) const;
  task<result<std::string>> sign_parts(request& r);
  task<result<std::string>> list_parts(request& r);
  task<result<upload>> complete_upload(request& r);
  task<result<upload>> abort_upload(request& r);

  const signing_gate& gate_;
  const signer& own_;
  ledger& ledger_;
  direct_multiparts& multiparts_;
};

} // namespace postern::front
