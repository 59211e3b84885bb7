#include <postern/base/encoding.hpp>
#include <postern/core/object.hpp>
#include <postern/front/endpoints/fallback.hpp>

namespace postern::front {

task<response> fallback_endpoint::take(request& r) {
  form_request ask{r.path_parameter, std::string(r.field(http::field::content_type)), r.id, r.client_address};
  auto done = co_await forms_.take(std::move(ask), r.body, r.share);
  if (done) co_return answer_accepted(*done);
  const auto& rejected = done.error();
  auto made =
      rejected.return_to.empty() ? make_s3_error(rejected.why, r.path, r.id) : make_redirect(rejected.return_to);
  made.close = true; // the rest of the body is not read
  co_return made;
}

response fallback_endpoint::answer_accepted(const accepted_form& form) const {
  const auto location = public_url_ + "/upload/" + uri_encode(form.bucket) + "/" + uri_encode(form.key, true);
  const auto etag = quoted_etag(form.object.etag);
  response made;
  made.status = form.status;
  if (!form.redirect.empty()) {
    made = make_redirect(form.redirect);
  } else {
    if (form.status == 201)
      made =
          make_response(201, "application/xml",
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>" + xml_escape(location) +
                            "</Location><Bucket>" + xml_escape(form.bucket) + "</Bucket><Key>" + xml_escape(form.key) +
                            "</Key><ETag>" + xml_escape(etag) + "</ETag></PostResponse>");
    made.with("Location", location);
  }
  made.with("ETag", etag);
  return made;
}

} // namespace postern::front
