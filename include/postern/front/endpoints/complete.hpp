// GET /v1/complete/{claim}: the success redirect arrives here, from the store or from the fallback. Owned by the node,
// shared by all threads.
#pragma once

#include <postern/flow/completion/complete.hpp>
#include <postern/front/http_message.hpp>

namespace postern::front {

class complete_endpoint {
public:
  // `completions` must outlive this.
  explicit complete_endpoint(completer& completions) : completer_(completions) {}

  // A client that accepts JSON gets the upload as JSON. A browser is redirected to the application's return_to, or gets
  // a page that posts the result to its opener or parent window.
  task<response> confirm(request& r);

private:
  completer& completer_;
};

} // namespace postern::front
