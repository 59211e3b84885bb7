#include <postern/base/encoding.hpp>
#include <postern/front/clients/new_file.hpp>

#include <string>
#include <utility>

namespace postern::front {

task<result<resumable_view>> create_file(const signing_gate& gate, resumable_uploads& uploads, const request& r,
                                         sign_request ask) {
  auto who = co_await gate.admit_to_sign(r);
  if (!who) co_return who.error();
  if (auto counted = gate.count_form(r, *who); !counted) co_return counted.error();
  if (const auto profile = query_parameter(r.query, "profile")) ask.profile = *profile;
  if (!who->may_use(ask.profile))
    co_return failure{errc::forbidden, "this caller may not use profile " + quote(ask.profile)};
  ask.origin = std::string(r.field(http::field::origin));
  co_return co_await uploads.create(ask, *who);
}

} // namespace postern::front
