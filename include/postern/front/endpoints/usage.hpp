// GET /v1/usage shows how much of a quota is used. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/issue.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>
#include <postern/io/ledger.hpp>

namespace postern::front {

class usage_endpoint {
public:
  // The references must outlive this.
  usage_endpoint(const signing_gate& gate, const form_signer& forms, ledger& records)
      : gate_(gate), form_signer_(forms), ledger_(records) {}

  // Query: profile ("default"), user (the caller's own). The caller needs the right to read. Another user, and the sums
  // of the whole profile, are shown to callers with the right `user` only.
  task<response> show(request& r);

private:
  const signing_gate& gate_;
  const form_signer& form_signer_;
  ledger& ledger_;
};

} // namespace postern::front
