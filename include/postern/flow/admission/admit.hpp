// Admission: turns a request's credentials into a caller. A kind of credentials is a link of a chain, such as
// api_keys. Owned by the node, shared by all threads; a call lives on the thread of its request.
//
// The links of the chain are asked in order. A link that recognizes the credentials ends the search: it names the
// caller or refuses. A request with an Authorization header is never anonymous.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/caller.hpp>
#include <postern/io/tasks.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// The credentials that a request carries, and what an application that is asked about them learns of the request. The
// views must outlive the call that they are passed to.
struct request_credentials {
  std::string_view authorization;                  // the header field's value
  bool has_authorization = !authorization.empty(); // true also for a field without a value: nobody is anonymous then
  std::string_view cookie{};      // the header field's value; empty also when the request's page may not use cookies
  bool is_cookie_ignored = false; // there is a cookie, and the request's page may not use it
  std::string_view method{}, path{}, query{}; // encoded; the query without its ?
  std::string_view client_address{}, client_network{};
};

// The credentials behind the scheme ("Bearer", "Basic") in an Authorization header (RFC 9110 §11.6.2); nothing when the
// scheme is another one. A view into `authorization`.
std::optional<std::string_view> credentials_of(std::string_view authorization, std::string_view scheme);

class admission_link {
public:
  virtual ~admission_link() = default;

  // The caller whom these credentials name; nothing when this link does not recognize them. errc::unauthorized and
  // errc::forbidden refuse them. errc::unavailable: the link cannot decide now.
  virtual task<result<std::optional<caller>>> recognize(request_credentials shown) const = 0;

  // Can a cookie name a caller to this link?
  virtual bool takes_cookies() const { return false; }
};
using admission_link_ptr = std::unique_ptr<admission_link>;

// Recognizes every request without an Authorization header; the caller may sign in all profiles.
admission_link_ptr make_anonymous_link();

class admitter {
public:
  explicit admitter(std::vector<admission_link_ptr> links) { replace(std::move(links)); }

  // The calls that run now end with the links with which they began.
  void replace(std::vector<admission_link_ptr> links);

  // errc::unauthorized: no link recognizes the credentials. Otherwise the failure of the link that refused them.
  task<result<caller>> admit(request_credentials shown) const;

private:
  using link_list = std::vector<admission_link_ptr>;
  std::shared_ptr<const link_list> current() const;

  mutable std::mutex mutex_; // guards links_; the std::atomic<std::shared_ptr> of GCC 12 has a data race in load()
  std::shared_ptr<const link_list> links_;
};

} // namespace postern
