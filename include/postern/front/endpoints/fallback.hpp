// POST /upload/{bucket}: takes the form that S3 would take, and answers as S3 would (AWS, "POST Object"). Owned by the
// node, shared by all threads.
#pragma once

#include <postern/flow/read_form.hpp>
#include <postern/front/http_message.hpp>

#include <string>

namespace postern::front {

class fallback_endpoint {
public:
  // `public_url` begins the Location of the object. `forms` must outlive this.
  fallback_endpoint(std::string public_url, form_reader& forms) : public_url_(std::move(public_url)), forms_(forms) {}

  task<response> take(request& r);

private:
  response answer_accepted(const accepted_form& form) const;

  const std::string public_url_;
  form_reader& forms_;
};

} // namespace postern::front
