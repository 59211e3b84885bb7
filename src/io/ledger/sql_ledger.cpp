#include <postern/io/ledger/sql_ledger.hpp>
#include <postern/io/ledger/upload_rows.hpp>

#include <algorithm>
#include <atomic>
#include <utility>

namespace postern {
namespace {

class sql_ledger final : public ledger {
public:
  sql_ledger(std::unique_ptr<sql::database> db, const ledger_options& options, group_commit_options commits)
      : db_(std::move(db)), webhooks_(*db_, options.endpoints), uploads_(*db_, webhooks_, options.grace),
        writer_(*db_, commits) {}

  // --- what happens to an upload ---

  void issue(upload u) override {
    auto id = u.id;
    writer_.behind(std::move(id), [this, u = std::move(u)] { uploads_.issue(u); });
  }
  void start_receiving(upload u) override {
    auto id = u.id;
    writer_.behind(std::move(id), [this, u = std::move(u)] { uploads_.start_receiving(u); });
  }
  void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received, millis_clock not_before) override {
    // Only the newest counts: while one waits, for a ledger that is away perhaps, others would only pile up behind it.
    if (received.empty() || progress_waits_.exchange(true)) return;
    std::sort(received.begin(), received.end()); // as the writer sorts its calls, and for the same reason
    const bool taken = writer_.behind("", [this, received = std::move(received), not_before] {
      progress_waits_ = false;
      uploads_.record_progress(received, not_before);
    });
    if (!taken) progress_waits_ = false;
  }
  task<result<upload>> confirm(completion c) override {
    auto id = c.of.id;
    return ask<upload>(std::move(id), [this, c = std::move(c)] { return uploads_.confirm(c); });
  }
  task<result<upload>> fail(upload u, std::string code, millis_clock at) override {
    auto id = u.id;
    return ask<upload>(std::move(id),
                       [this, u = std::move(u), code = std::move(code), at] { return uploads_.fail(u, code, at); });
  }

  // --- what is to be asked of the store ---

  task<result<upload>> check_later(upload u, millis_clock at) override {
    auto id = u.id;
    return ask<upload>(std::move(id), [this, u = std::move(u), at] { return uploads_.check_later(u, at); });
  }
  task<result<std::vector<upload>>> due_checks(millis_clock now, millis_clock leased_until, std::size_t max) override {
    return ask<std::vector<upload>>("", [=, this] { return uploads_.due_checks(now, leased_until, max); });
  }
  task<result<upload>> expire(std::string id, millis_clock at) override {
    auto key = id;
    return ask<upload>(std::move(key),
                       [this, id = std::move(id), at] { return or_not_found(uploads_.expire(id, at)); });
  }

  // --- what the application is to be told ---

  task<result<std::vector<webhook>>> due_webhooks(millis_clock now, millis_clock leased_until,
                                                  std::size_t max) override {
    return ask<std::vector<webhook>>("", [=, this] { return webhooks_.due(now, leased_until, max); });
  }
  task<result<void>> record_delivery(std::string webhook_id) override {
    auto key = webhook_id;
    return ask<void>(std::move(key),
                     [this, id = std::move(webhook_id)] { return done([&] { webhooks_.record_delivery(id); }); });
  }
  task<result<void>> record_failed_delivery(std::string webhook_id, std::string why,
                                            std::optional<millis_clock> again) override {
    auto key = webhook_id;
    return ask<void>(std::move(key), [this, id = std::move(webhook_id), why = std::move(why), again] {
      return done([&] { webhooks_.record_failed_delivery(id, why, again); });
    });
  }
  task<result<void>> stop_endpoint(std::string url, std::string why) override {
    return ask<void>(
        "", [this, url = std::move(url), why = std::move(why)] { return done([&] { webhooks_.stop(url, why); }); });
  }
  task<result<std::vector<webhook>>> list_webhooks(webhook_filter filter) override {
    return look<std::vector<webhook>>("", [this, f = std::move(filter)] { return webhooks_.list(f); });
  }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) override {
    return ask<std::size_t>("", [this, ids = std::move(ids), now] { return webhooks_.retry(ids, now); });
  }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) override {
    return ask<std::size_t>("", [this, ids = std::move(ids)] { return webhooks_.purge(ids); });
  }

  // --- looking ---

  task<result<upload>> find(std::string id) override {
    auto key = id;
    return look<upload>(std::move(key), [this, id = std::move(id)] { return or_not_found(uploads_.find(id)); });
  }
  task<result<std::vector<upload>>> list(upload_filter filter) override {
    return look<std::vector<upload>>("", [this, f = std::move(filter)] { return uploads_.list(f); });
  }
  task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) override {
    return ask<std::size_t>("", [=, this] { return uploads_.purge(created_before, max); });
  }
  task<result<void>> flush() override {
    return ask<void>("", [] { return result<void>{}; });
  }

private:
  static result<upload> or_not_found(std::optional<upload> found) {
    if (!found) return failure{errc::not_found, "the upload"};
    return std::move(*found);
  }
  template <class F> static result<void> done(F f) {
    f();
    return {};
  }
  template <class T> task<result<T>> ask(std::string key, std::function<result<T>()> work) {
    return writer_.ask<T>(std::move(key), true, std::move(work));
  }
  template <class T> task<result<T>> look(std::string key, std::function<result<T>()> work) {
    return writer_.ask<T>(std::move(key), false, std::move(work));
  }

  const std::unique_ptr<sql::database> db_;
  webhook_rows webhooks_;
  upload_rows uploads_;
  std::atomic<bool> progress_waits_ = false;
  group_commit writer_; // last: its thread uses all of the above
};

} // namespace

std::unique_ptr<ledger> make_sql_ledger(std::unique_ptr<sql::database> db, const ledger_options& options,
                                        group_commit_options commits) {
  return std::make_unique<sql_ledger>(std::move(db), options, commits);
}

} // namespace postern
