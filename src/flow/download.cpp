#include <postern/base/uuid.hpp>
#include <postern/flow/download.hpp>

#include <algorithm>

namespace postern {

task<result<void>> download_bytes::begin() { return share_.take_memory(piece_size); }

task<result<std::string>> download_bytes::next() {
  if (last_ > 0) share_.end_wait(last_);
  last_ = 0;
  if (left_ == 0) co_return std::string{};
  if (auto may_stay = share_.check(); !may_stay) co_return may_stay.error();
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece_size, left_));
  auto piece = co_await store_.read_some(what_.name, what_.etag, at_, size);
  if (!piece) co_return piece.error();
  if (piece->size() != size) co_return failure{errc::store_failed, "the store has fewer bytes than it said"};
  at_ += size;
  left_ -= size;
  last_ = size;
  share_.expect(left_);
  share_.begin_wait();
  co_return std::move(*piece);
}

task<result<download>> downloads::find(std::string id, caller who) {
  if (!is_uuid(id)) co_return failure{errc::not_found, "no such upload"};
  auto row = co_await ledger_.find(id);
  if (!row) co_return row.error();
  if (!who.may_see(row->profile, row->user)) co_return failure{errc::forbidden, "this caller may not read this upload"};
  // Whoever judges an object must read it before it is accepted.
  const bool may_judge = row->state == upload_state::checking && who.may_manage(row->profile, row->user);
  if (row->state != upload_state::completed && !may_judge)
    co_return failure{errc::conflict, "the upload is " + std::string(name_of(row->state)) +
                                          "; only a completed upload can be downloaded"};
  download what;
  what.name = {row->bucket, row->key};
  auto object = co_await store_.head(what.name);
  if (!object && object.error().code == errc::object_absent)
    co_return failure{errc::object_absent, "it was removed from the store"};
  if (!object) co_return object.error();
  if (object->etag != row->etag)
    co_return failure{errc::conflict, "the object was replaced in the store after the upload was recorded"};
  const auto* configured = form_signer_.find_profile(row->profile);
  static const profile removed{}; // from the configuration: as strict as the default
  what.etag = std::move(object->etag);
  what.size = object->size;
  what.as = show_object(configured ? *configured : removed, content_type_of(object->meta), row->key);
  co_return what;
}

task<result<presigned_url>> downloads::presign(download what) {
  response_headers headers{std::move(what.as.content_disposition), std::move(what.as.content_type)};
  auto signing = store_.for_bucket(what.name.bucket)
                     .as_presigner()
                     ->presign_get(std::move(what.name), url_lifetime, std::move(headers));
  co_return co_await std::move(signing);
}

} // namespace postern
