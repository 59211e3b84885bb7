// The fallback: reads the form that S3 would take, judges it as S3 would, and hands its file to flow/transfer. Owned by
// the node, shared by all threads; one call is one upload and lives on its connection's thread.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/upload_plan.hpp>
#include <postern/flow/admission/rate_limiter.hpp>
#include <postern/flow/form_rules.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/flow/transfer.hpp>
#include <postern/io/byte_source.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace postern {

struct form_reader_options {
  // Of the buckets that a form may name. A form that was signed with the store's credentials is authentic, even if
  // another program made it.
  find_form_store find_store;
  form_limits limits;
  std::function<millis_clock()> clock;
};

// A request to the fallback.
struct form_request {
  std::string bucket;         // from the path
  std::string content_type;   // the header
  std::string id{}, client{}; // of the request, and the client's address: for the log
};

// A form whose file is stored, and how the form wants to be answered.
struct accepted_form {
  std::string id, bucket, key;
  stored_object object;
  std::string redirect; // success_action_redirect with bucket, key and etag appended; empty: answer `status`
  int status = 204;     // 200, 201 or 204
};
// A form that failed, and where an authentic one wants its user to be sent.
struct rejected_form {
  failure why;
  std::string return_to; // empty: nowhere
};
using read_form_result = boost::system::result<accepted_form, rejected_form>;
[[noreturn]] void throw_exception_from_error(const rejected_form& r, const boost::source_location& where);

class form_reader {
public:
  // Of one form. Each try is a row to write and an object to open, whatever it brings.
  static constexpr std::uint64_t tries_per_second = 1, max_tries_at_once = 20;

  // The references must outlive this.
  form_reader(form_reader_options options, const signer& own, transfers& carriers)
      : options_(std::move(options)), own_(own), transfers_(carriers) {}

  // `share` must be that of the request. On success the body is read to its end; on failure reading stops early. A
  // failure leaves nothing under the key. Never throws for what comes from outside. Fails as form_parser, form_promise,
  // verify_form_signature, judge and transfers::carry do. errc::too_many_requests: the same form was posted too often.
  task<read_form_result> take(form_request ask, byte_source& body, allowance& share);

  // The most memory that the fields of one form take, in bytes.
  static std::uint64_t max_memory(const form_limits& limits);

private:
  struct upload_form;
  task<result<void>> read_fields(upload_form& f, byte_source& body, allowance& share) const;
  result<void> authenticate(const std::vector<form_field>& fields, const std::string& bucket) const;
  result<void> judge_form(upload_form& f, const std::string& bucket) const;
  result<void> count_try(const upload_form& f);
  result<incoming_file> file_of(upload_form& f, byte_source& body, allowance& share) const;
  static result<expected_size> predicted_size(const upload_form& f, std::uint64_t announced);
  static result<expected_size> promised_size(upload_form& f, std::uint64_t announced);
  task<result<stored_object>> store_file(upload_form& f, std::string bucket, byte_source& body, allowance& share);

  const form_reader_options options_;
  const signer& own_;
  transfers& transfers_;
  rate_limiter tries_{tries_per_second, max_tries_at_once,
                      "a form may be posted " + std::to_string(max_tries_at_once) +
                          " times at once, and then once a second"}; // by upload id
};

} // namespace postern
