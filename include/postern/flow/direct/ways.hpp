// The ways: decides by which ways a client may send its file, and in which order it tries them. Follows the request
// (what the client can), the profile (what is allowed) and the store (what it can). Owned by the node, shared by all
// threads.
#pragma once

#include <postern/core/claim.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/flow/sign.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <map>
#include <string>

namespace postern {

struct way_options {
  std::map<std::string, profile> profiles;
  std::string public_url; // without a slash at the end
  find_form_store find_store;
};

class way_planner {
public:
  // The references must outlive this.
  way_planner(way_options options, const signer& own, store& objects)
      : options_(std::move(options)), own_(own), store_(objects) {}

  // Sets form.ways, if the request asks for ways. form.row must be what the ledger records. The list may be empty in
  // the end. put and multipart need the file's size; multipart goes first from profile::multipart_from on.
  task<> add(signed_form& form, const sign_request& ask) const;

private:
  task<std::optional<offered_way>> offer(upload_way way, const signed_form& form, const sign_request& ask) const;
  task<std::optional<offered_way>> offer_put(const signed_form& form, const sign_request& ask) const;
  std::optional<offered_way> offer_multipart(const signed_form& form) const;
  std::optional<offered_way> offer_resumable(const signed_form& form) const;

  const way_options options_;
  const signer& own_;
  store& store_;
};

// The metadata of the object of an upload that comes by put or multipart: what a form's fields would give it.
object_meta meta_for(const profile& rules, const upload& row, upload_way way);

std::string url_of_parts(const std::string& public_url, const std::string& id);
std::string authorization_of(const std::string& upload_token); // "Upload TOKEN"
// Under which the file can be sent in several requests. Always the same for one upload.
std::string url_of_file(const std::string& public_url, const signer& own, const upload& row);

} // namespace postern
