#include <postern/base/log.hpp>
#include <postern/base/uuid.hpp>
#include <postern/flow/direct/ledger_journal.hpp>

#include <utility>
#include <vector>

namespace postern {

task<std::string> ledger_journal::begin(object_name name, std::uint64_t bytes) {
  const auto now = clock_();
  open_multipart m;
  m.id = new_uuid_v7(now);
  m.name = std::move(name);
  m.bytes = bytes;
  m.created_at = now;
  m.due_at = now + lease_;
  {
    std::lock_guard lock(mutex_);
    open_.insert(m.id);
  }
  auto id = m.id;
  const auto where = m.name;
  auto begun = co_await ledger_.begin_multipart(std::move(m));
  if (!begun)
    log::warning("a multipart upload is not in the ledger: if this node dies, its parts stay in the store",
                 {{"bucket", where.bucket}, {"key", quote(where.key)}, {"why", describe(begun.error())}});
  co_return id;
}

// Without the name, the abandoned upload is found by its key.
task<> ledger_journal::name(std::string id, std::string store_id) {
  (void)co_await ledger_.name_multipart(std::move(id), std::move(store_id));
}

void ledger_journal::end(std::string id) {
  abandon(id);
  ledger_.end_multipart(std::move(id), std::nullopt);
}

// Not extended any more, it becomes due.
void ledger_journal::abandon(std::string id) {
  std::lock_guard lock(mutex_);
  open_.erase(id);
}

void ledger_journal::extend() {
  std::vector<std::string> ids;
  {
    std::lock_guard lock(mutex_);
    ids.assign(open_.begin(), open_.end());
  }
  if (!ids.empty()) ledger_.keep_multiparts(std::move(ids), clock_() + lease_);
}

} // namespace postern
