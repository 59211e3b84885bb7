#include <postern/front/endpoints/upload_events.hpp>

#include <utility>

namespace postern::front {

using namespace std::chrono_literals;

namespace {

// How often progress on this node is read. Changes of the ledger arrive at once.
constexpr std::chrono::milliseconds progress_interval = 500ms;
constexpr std::chrono::milliseconds keepalive_interval = 15s;
constexpr auto max_duration = 1h;

bool is_end(upload_state s) {
  using enum upload_state;
  return s == completed || s == rejected || s == expired || s == removed;
}

} // namespace

bool was_last_event(std::string_view last_event_id) {
  const auto state = upload_state_of(last_event_id);
  return state && is_end(*state);
}

upload_event_stream::upload_event_stream(upload now, bool is_whole, upload_feed::subscription changes,
                                         std::function<std::optional<std::uint64_t>()> received)
    : now_(std::move(now)), is_whole_(is_whole), changes_(std::move(changes)), received_(std::move(received)),
      begun_(std::chrono::steady_clock::now()), sent_at_(begun_) {}

// For an upload that this node is receiving, the node's own count is newer than the ledger's.
std::string upload_event_stream::to_data() const {
  auto u = now_;
  if (const auto received = received_()) u.received = received;
  return to_json(u, is_whole_);
}

// id: receiving
// event: upload
// data: {"id":"…","state":"receiving",…}
task<std::optional<std::string>> upload_event_stream::next() {
  using std::chrono::steady_clock;
  if (!sent_.empty()) {
    if (is_end(now_.state) || steady_clock::now() - begun_ > max_duration) co_return std::nullopt;
    auto changed = co_await changes_.next(progress_interval);
    if (changed) now_ = std::move(*changed);
  }
  auto data = to_data();
  const bool is_unchanged = data == sent_;
  if (is_unchanged && steady_clock::now() - sent_at_ < keepalive_interval) co_return "";
  sent_at_ = steady_clock::now();
  if (is_unchanged) co_return ":\n\n";
  sent_ = std::move(data);
  co_return "id: " + std::string(name_of(now_.state)) + "\nevent: upload\ndata: " + sent_ + "\n\n";
}

} // namespace postern::front
