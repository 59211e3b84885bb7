#include <postern/base/log.hpp>
#include <postern/flow/direct/abandoned_multiparts.hpp>
#include <postern/flow/direct/ways.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>
#include <utility>

namespace postern {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds keep_every{5}; // a crash loses no more than arrived in that time

bool is_stored(const upload& u) { return u.state == upload_state::checking || u.state == upload_state::completed; }
bool may_come(const upload& u) { return u.state == upload_state::issued || u.state == upload_state::receiving; }

failure no_upload(std::string what) { return {errc::not_found, std::move(what)}; }
// What ledger::start_parts and turns::take answer about an upload that takes no bytes any more.
bool is_over(const failure& why) { return why.code == errc::conflict || why.code == errc::not_found; }
failure stored_by_another_way() {
  return {errc::conflict, "the upload was stored by another way meanwhile, such as its form"};
}

// Whether a resumable upload of this length has made the object.
bool is_of(const stored_object& found, std::optional<std::uint64_t> length) {
  if (length && found.size != *length) return false;
  const auto& user = found.meta.user;
  return std::any_of(user.begin(), user.end(), [](const auto& one) {
    return one.first == way_metadata && one.second == name_of(upload_way::resumable);
  });
}

failure taken_by_another() { return {errc::conflict, "another request goes on with this upload"}; }

// Passes all bytes on: the body of such a request is the file's bytes, and nothing else.
class plain_decoder final : public file_decoder {
public:
  result<void> decode(std::span<const char> piece, runs& out) override {
    if (!piece.empty()) out.push_back(piece);
    return {};
  }
  result<void> finish() override { return {}; }
};

// Writes for as long as it is this request's turn. Unless all or nothing is to be kept, it notes from time to time what
// the store keeps, so that a crash loses little.
class keeping_sink final : public sink {
public:
  keeping_sink(resumable_sink& to, turn& of, bool is_all_or_nothing)
      : to_(to), turn_(of), is_all_or_nothing_(is_all_or_nothing) {}

  task<result<void>> write(std::span<const char> bytes) override {
    if (!turn_.may_write()) co_return taken_by_another();
    auto written = co_await to_.write(bytes);
    if (!written || is_all_or_nothing_ || steady_clock::now() < next_) co_return written;
    next_ = steady_clock::now() + keep_every;
    auto kept = co_await to_.keep();
    if (!kept) co_return kept.error();
    turn_.note_kept(*kept);
    co_return result<void>{};
  }
  task<result<stored_object>> finish() override { return to_.finish(); }
  task<> abandon() override { return to_.abandon(); }

private:
  resumable_sink& to_;
  turn& turn_;
  const bool is_all_or_nothing_;
  steady_clock::time_point next_ = steady_clock::now() + keep_every;
};

} // namespace

struct resumable_uploads::target {
  const profile& rules;
  resumable_store& keeps;
  store_abilities can;
};

// One request that adds bytes.
struct resumable_uploads::appending {
  std::string id;
  append_request what;
  append_body* body = nullptr; // null: only the completion is tried again
  upload row{};
  std::optional<target> to{};
  std::unique_ptr<turn> mine{};
  std::unique_ptr<resumable_sink> sink{};
  std::optional<std::uint64_t> length{}; // of the whole file
  std::uint64_t at = 0;                  // bytes of the file that were written
  bool is_all_or_nothing = false;        // the body has a checksum
};

// --- the upload -----------------------------------------------------------------------------------------

std::string resumable_uploads::url_of(const upload& row) const { return url_of_file(options_.public_url, own_, row); }

result<std::string> resumable_uploads::id_of(std::string_view token) const {
  auto id = own_.read_upload_token(token, std::chrono::floor<std::chrono::seconds>(options_.clock()));
  if (!id) return no_upload("no upload has this URL, or its time is over");
  return id;
}

task<result<upload>> resumable_uploads::find_row(std::string id) {
  auto row = co_await find_issued(ledger_, std::move(id), options_.clock());
  if (!row) co_return row.error();
  if (!is_stored(*row) && !may_come(*row)) co_return no_upload("the upload is " + std::string(name_of(row->state)));
  co_return row;
}

result<resumable_uploads::target> resumable_uploads::target_of(const upload& row) const {
  const auto rules = options_.profiles.find(row.profile);
  const auto allows = [&] {
    const auto& ways = rules->second.ways;
    return std::find(ways.begin(), ways.end(), upload_way::resumable) != ways.end();
  };
  auto* keeps = store_.for_bucket(row.bucket).as_resumable_store();
  if (rules == options_.profiles.end() || !allows() || !keeps)
    return failure{errc::forbidden, "profile " + quote(row.profile) +
                                        " takes no resumable uploads: its ways have no \"resumable\", or its store "
                                        "cannot keep unfinished uploads"};
  const auto* known = options_.find_store(row.bucket);
  return target{rules->second, *keeps, known ? known->abilities() : store_abilities{}};
}

millis_clock resumable_uploads::due_of(const upload& row, millis_clock now) const {
  return std::max(std::min(now + options_.grace, row.created_at + max_multipart_age), row.expires_at);
}

// `m`: what has come of it; null: nothing.
resumable_view resumable_uploads::view_of(upload row, const open_multipart* m) const {
  resumable_view v;
  v.state.min_length = row.min_size;
  v.state.max_length = row.max_size;
  v.expires_at = m ? m->due_at : row.expires_at;
  if (row.min_size == row.max_size) v.state.length = row.max_size;
  if (m) {
    v.state.offset = m->kept.size;
    if (m->length) v.state.length = m->length;
  }
  if (is_stored(row)) {
    v.state.is_complete = true;
    v.state.length = row.size;
    v.state.offset = row.size.value_or(0);
  }
  v.row = std::move(row);
  return v;
}

task<result<resumable_view>> resumable_uploads::create(const sign_request& ask, const caller& who) {
  const auto rules = options_.profiles.find(ask.profile);
  if (rules != options_.profiles.end()) {
    upload wanted;
    wanted.profile = ask.profile;
    wanted.bucket = rules->second.bucket;
    const auto to = target_of(wanted);
    if (!to) co_return to.error();
    if (ask.size && *ask.size > to->keeps.max_resumable_size())
      co_return failure{errc::payload_too_large, "the store takes at most " +
                                                     std::to_string(to->keeps.max_resumable_size()) +
                                                     " bytes from a resumable upload"};
  }
  auto row = co_await issuer_.issue_plain(ask, who, options_.clock());
  if (!row) co_return row.error();
  co_return view_of(std::move(*row), nullptr);
}

// --- whose turn it is -----------------------------------------------------------------------------------

// The client had begun to send parts straight to the store.
task<result<void>> resumable_uploads::give_up_direct_parts(const upload& row) {
  auto m = co_await ledger_.find_multipart(row.id);
  if (!m && m.error().code == errc::not_found) co_return result<void>{};
  if (!m) co_return m.error();
  auto* parts = store_.for_bucket(row.bucket).as_multipart_store();
  if (m->way == upload_way::resumable || !parts) co_return result<void>{};
  auto store_id = m->store_id;
  auto aborted = co_await abort_with_unnamed(*parts, ledger_, std::move(*m), options_.clock());
  if (aborted) ledger_.end_multipart(row.id, std::move(store_id));
  co_return aborted;
}

task<result<open_multipart>> resumable_uploads::start(const upload& row, const target& to,
                                                      std::optional<std::uint64_t> length) {
  const auto now = options_.clock();
  open_multipart m;
  m.id = row.id;
  m.name = {row.bucket, row.key};
  m.way = upload_way::resumable;
  m.length = length;
  m.has_checksums = to.can.checks_whole_object;
  m.created_at = now;
  m.due_at = due_of(row, now);
  auto started = co_await ledger_.start_parts(std::move(m));
  if (!started) co_return started.error();
  co_return std::move(started->parts);
}

task<result<std::unique_ptr<turn>>> resumable_uploads::take_turn(const upload& row, const target& to) {
  auto free = co_await give_up_direct_parts(row);
  if (!free) co_return free.error();
  auto started = co_await start(row, to, std::nullopt);
  if (!started) co_return started.error();
  co_return co_await turns_.take(row.id);
}

task<result<void>> resumable_uploads::begin_in_store(const upload& row, const target& to, turn& mine) {
  if (!mine.row().store_id.empty()) co_return result<void>{};
  const auto& m = mine.row();
  auto begun =
      co_await to.keeps.begin_resumable(m.name, meta_for(to.rules, row, upload_way::resumable), m.has_checksums);
  if (!begun) co_return begun.error();
  auto named = co_await ledger_.name_multipart(m.id, std::move(*begun));
  if (!named) co_return named.error();
  mine.set_row(std::move(*named));
  co_return result<void>{};
}

task<result<std::unique_ptr<resumable_sink>>> resumable_uploads::resume_sink(const upload& row, const target& to,
                                                                             const turn& mine, allowance* share) {
  const auto& m = mine.row();
  resumable_upload in_store{m.name, m.store_id, meta_for(to.rules, row, upload_way::resumable), m.has_checksums,
                            !to.rules.overwrite && to.can.takes_if_none_match};
  auto resuming = to.keeps.resume(std::move(in_store), m.kept, share);
  co_return co_await std::move(resuming);
}

// --- adding bytes ---------------------------------------------------------------------------------------

task<append_outcome> resumable_uploads::append(std::string id, append_request what, append_body body) {
  appending a{std::move(id), what, &body};
  a.is_all_or_nothing = !body.expected.empty();
  auto how = co_await add_bytes(a);
  co_return co_await settle(a, std::move(how));
}

task<result<void>> resumable_uploads::add_bytes(appending& a) {
  auto row = co_await find_row(a.id);
  if (!row) co_return row.error();
  a.row = std::move(*row);
  if (is_stored(a.row)) co_return co_await add_to_completed(a);
  auto to = target_of(a.row);
  if (!to) co_return to.error();
  a.to.emplace(*to);
  auto mine = co_await take_turn(a.row, *a.to);
  if (!mine && is_over(mine.error())) co_return co_await add_to_completed(a);
  if (!mine) co_return mine.error();
  a.mine = std::move(*mine);

  auto state = view_of(a.row, &a.mine->row()).state;
  state.max_length = std::min(state.max_length, a.to->keeps.max_resumable_size());
  const auto length = check_append(state, a.what);
  if (!length) co_return length.error();
  a.length = *length;
  if (a.length && !a.mine->row().length) {
    auto declared = co_await start(a.row, *a.to, a.length);
    if (!declared) co_return declared.error();
    a.mine->set_row(std::move(*declared));
  }
  auto begun = co_await begin_in_store(a.row, *a.to, *a.mine);
  if (!begun) co_return begun.error();
  co_return co_await carry(a);
}

// The upload was completed, perhaps by a request that ran a moment ago. Only a repetition of its end fits.
task<result<void>> resumable_uploads::add_to_completed(appending& a) {
  auto row = co_await find_row(a.id);
  if (!row) co_return row.error();
  a.row = std::move(*row);
  if (!is_stored(a.row)) co_return taken_by_another();
  const auto fits = check_append(view_of(a.row, nullptr).state, a.what);
  co_return fits ? result<void>{} : fits.error();
}

task<result<void>> resumable_uploads::carry(appending& a) {
  auto sink = co_await resume_sink(a.row, *a.to, *a.mine, &a.body->share);
  if (!sink && sink.error().code == errc::object_absent) co_return co_await record(a, std::nullopt);
  if (!sink) co_return sink.error();
  a.sink = std::move(*sink);
  auto taken = co_await a.body->share.take_memory(transfers::first_buffer);
  if (!taken) co_return taken;

  auto read = co_await read_body(a);
  a.at = a.what.offset + read.bytes;
  if (!a.mine->may_write()) co_return taken_by_another();
  if (!read.ended && a.is_all_or_nothing) co_return read.ended; // its checksum is wrong, or not known
  if (!read.ended && read.ended.error().code == errc::object_absent) co_return co_await record(a, std::nullopt);
  if (read.ended && a.what.is_last) a.length = a.at;
  if (read.ended && a.length == a.at) co_return co_await finish(a);
  auto kept = co_await keep_rest(a);
  if (a.mine->must_let_go()) co_return taken_by_another();
  if (!read.ended) co_return read.ended;
  co_return kept;
}

// Reads the body, while the turn is extended.
task<appended_body> resumable_uploads::read_body(appending& a) {
  using namespace boost::asio::experimental::awaitable_operators;
  upload_plan plan;
  plan.row = a.row;
  plan.row.max_size = a.length.value_or(std::min(a.row.max_size, a.to->keeps.max_resumable_size()));
  plan.who.user = a.row.user;
  plan.expected = std::move(a.body->expected);
  keeping_sink into(*a.sink, *a.mine, a.is_all_or_nothing);
  plain_decoder decoder;
  std::optional<expected_size> size;
  if (a.what.announced) size.emplace(*a.what.announced);
  incoming_file file{a.body->bytes, a.body->share, decoder, size, read_buffer(transfers::first_buffer), {}};
  auto both = append_to(a, plan, std::move(file), into) && a.mine->watch(a.body->bytes, options_.grace);
  co_return co_await std::move(both);
}

task<appended_body> resumable_uploads::append_to(appending& a, upload_plan& plan, incoming_file file, sink& into) {
  auto read = co_await transfers_.append(plan, std::move(file), into, a.what.offset);
  a.mine->stop_watching();
  co_return read;
}

task<result<void>> resumable_uploads::keep_rest(appending& a) {
  auto all = co_await a.sink->pause();
  if (all) a.mine->note_kept(*all);
  if (all) co_return result<void>{};
  auto less = co_await a.sink->keep();
  if (less) a.mine->note_kept(*less);
  co_return all.error();
}

// --- the end --------------------------------------------------------------------------------------------

task<result<void>> resumable_uploads::finish(appending& a) {
  if (a.at < a.row.min_size) co_return file_too_small({a.row.min_size, a.row.max_size});
  auto row = co_await find_row(a.id);
  if (!row) co_return row.error();
  if (is_stored(*row)) co_return stored_by_another_way();
  auto stored = co_await a.sink->finish();
  if (stored) co_return co_await record(a, stored->etag);
  // An earlier try whose answer was lost, or another way, may have made the object.
  const auto may_be_ours = [](errc code) { return code == errc::object_absent || code == errc::conflict; };
  if (!may_be_ours(stored.error().code)) co_return stored.error();
  co_return co_await record(a, std::nullopt);
}

// Records the object that the upload has made; without its ETag, the one that it may have made earlier. If there is
// none, what was kept is gone, and the upload begins anew.
task<result<void>> resumable_uploads::record(appending& a, std::optional<std::string> etag) {
  auto store_id = a.mine->row().store_id;
  const bool is_certain = etag.has_value();
  auto found = co_await completer_.examine(a.row, std::move(etag));
  if (!found && found.error().code == errc::object_absent) {
    log::warning("what was kept of a resumable upload is gone", {{"upload", a.id}});
    ledger_.end_multipart(a.id, std::move(store_id));
    a.mine.reset();
    co_return failure{errc::store_failed, "what the store had kept of this upload is gone; send it from the beginning"};
  }
  if (!found) co_return found.error();
  if (!is_certain && !is_of(*found, a.length)) co_return stored_by_another_way();
  auto recorded = co_await completer_.record(a.row, std::move(*found), completion_source::fallback, options_.clock());
  if (!recorded) co_return recorded.error();
  a.row = std::move(*recorded);
  // Not before the upload is recorded: until then, a crash must find what was kept.
  auto removed = co_await a.to->keeps.discard(a.mine->row().name, store_id);
  if (removed)
    ledger_.end_multipart(a.id, std::move(store_id));
  else
    ledger_.keep_multiparts({a.id}, options_.clock()); // abandoned, and tried again
  a.mine.reset();
  co_return result<void>{};
}

// Lets go of the upload, and says how far it is.
task<append_outcome> resumable_uploads::settle(appending& a, result<void> how) {
  append_outcome out{std::nullopt, std::move(how)};
  a.sink.reset();
  if (a.mine) {
    // What another way has stored needs no beginning any more.
    const auto row = co_await ledger_.find(a.id);
    const auto now = options_.clock();
    const auto due_at = row && is_stored(*row) ? now : due_of(a.row, now);
    auto released = co_await a.mine->release(due_at);
    if (!released && out.how) out.how = released.error(); // what was kept is not recorded
    if (!released) co_return out;
    auto m = a.mine->row();
    m.due_at = due_at;
    if (a.length) m.length = a.length;
    out.now_at = view_of(a.row, &m);
  } else if (!a.row.id.empty() && (is_stored(a.row) || !out.how)) {
    out.now_at = view_of(a.row, nullptr);
  }
  co_return out;
}

// Of an upload that no request is sending.
task<result<resumable_view>> resumable_uploads::view_now(std::string id) {
  auto row = co_await find_row(std::move(id));
  if (!row) co_return row.error();
  co_return view_of(std::move(*row), nullptr);
}

task<result<resumable_view>> resumable_uploads::find(std::string id) {
  auto row = co_await find_row(id);
  if (!row) co_return row.error();
  if (is_stored(*row)) co_return view_of(std::move(*row), nullptr);
  const auto now = options_.clock();
  auto m = co_await ledger_.find_multipart(id);
  if (!m && m.error().code != errc::not_found) co_return m.error();
  const bool has_begun = m && m->way == upload_way::resumable;
  if ((has_begun ? m->due_at : row->expires_at) <= now) co_return no_upload("the upload has expired");
  if (!has_begun) co_return co_await view_now(std::move(id)); // not begun, or completed since the row was read
  const bool is_whole = m->length == m->kept.size;
  if (!is_whole && (m->holder.empty() || m->held_until <= now)) co_return view_of(std::move(*row), &*m);

  auto to = target_of(*row);
  if (!to) co_return to.error();
  appending a{std::move(id), {}};
  a.row = std::move(*row);
  a.to.emplace(*to);
  auto mine = co_await take_turn(a.row, *a.to);
  if (!mine && is_over(mine.error())) co_return co_await view_now(std::move(a.id));
  if (!mine) co_return mine.error();
  a.mine = std::move(*mine);
  a.length = a.mine->row().length;
  a.at = a.mine->row().kept.size;
  auto how = a.length == a.at ? co_await complete_again(a) : result<void>{};
  auto out = co_await settle(a, std::move(how));
  if (!out.how) co_return out.how.error();
  co_return std::move(*out.now_at);
}

// All bytes have come, but their completion failed.
task<result<void>> resumable_uploads::complete_again(appending& a) {
  auto begun = co_await begin_in_store(a.row, *a.to, *a.mine);
  if (!begun) co_return begun.error();
  auto sink = co_await resume_sink(a.row, *a.to, *a.mine, nullptr);
  if (!sink && sink.error().code == errc::object_absent) co_return co_await record(a, std::nullopt);
  if (!sink) co_return sink.error();
  a.sink = std::move(*sink);
  co_return co_await finish(a);
}

task<result<void>> resumable_uploads::remove(std::string id) {
  auto row = co_await find_row(id);
  if (!row) co_return row.error();
  if (is_stored(*row)) co_return failure{errc::conflict, "the upload is stored already"};
  auto to = target_of(*row);
  if (!to) co_return to.error();
  auto given_up = co_await give_up_direct_parts(*row);
  if (!given_up) co_return given_up;
  auto m = co_await ledger_.find_multipart(id);
  if (!m && m.error().code != errc::not_found) co_return m.error();
  if (m) {
    auto mine = co_await turns_.take(id);
    if (!mine) co_return mine.error();
    auto gone = co_await to->keeps.discard(m->name, (*mine)->row().store_id);
    if (!gone) {
      auto let_go = co_await (*mine)->release(due_of(*row, options_.clock()));
      co_return gone;
    }
    ledger_.end_multipart(id, (*mine)->row().store_id);
  }
  auto failed = co_await ledger_.fail(*row, "", std::string(text_of(errc::cancelled).name), options_.clock());
  if (!failed) co_return failed.error();
  co_return result<void>{};
}

} // namespace postern
