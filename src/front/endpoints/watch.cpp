#include <postern/front/endpoints/watch.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern::front {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds look_every = 500ms, reassure_every = 15s;
constexpr auto longest = 1h;

bool is_end(upload_state s) { return s == upload_state::completed || s == upload_state::expired; }

} // namespace

bool heard_the_end(std::string_view last_event_id) {
  const auto state = upload_state_of(last_event_id);
  return state && is_end(*state);
}

upload_watch::upload_watch(upload now, bool whole, ledger& records, const transfers& running)
    : now_(std::move(now)), whole_(whole), ledger_(records), running_(running),
      begun_(std::chrono::steady_clock::now()), said_at_(begun_) {}

// What arrives here is known better here than in the ledger.
std::string upload_watch::shown() const {
  auto u = now_;
  if (const auto here = running_.received(u.id)) u.received = here;
  return to_json(u, whole_);
}

// id: receiving
// event: upload
// data: {"id":"…","state":"receiving",…}
task<std::optional<std::string>> upload_watch::next() {
  using std::chrono::steady_clock;
  if (!said_.empty()) {
    if (is_end(now_.state) || steady_clock::now() - begun_ > longest) co_return std::nullopt;
    boost::system::error_code ec;
    timer pause(co_await asio::this_coro::executor, look_every);
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
    auto found = co_await ledger_.find(now_.id);
    if (found) now_ = std::move(*found); // else it cannot be asked just now
  }
  const bool quiet = said_ == shown();
  if (quiet && steady_clock::now() - said_at_ < reassure_every) co_return "";
  said_at_ = steady_clock::now();
  if (quiet) co_return ":\n\n";
  said_ = shown();
  co_return "id: " + std::string(name_of(now_.state)) + "\nevent: upload\ndata: " + said_ + "\n\n";
}

} // namespace postern::front
