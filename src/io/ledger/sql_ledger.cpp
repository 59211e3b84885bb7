#include <postern/io/ledger/sql_ledger.hpp>
#include <postern/io/rows/checking_rows.hpp>
#include <postern/io/rows/completed_rows.hpp>
#include <postern/io/rows/message_rows.hpp>
#include <postern/io/rows/multipart_rows.hpp>
#include <postern/io/rows/quota_rows.hpp>
#include <postern/io/rows/rate_rows.hpp>
#include <postern/io/rows/secret_rows.hpp>
#include <postern/io/rows/upload_rows.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

namespace postern {
namespace {

using uploads = std::vector<upload>;
using webhooks = std::vector<webhook>;

// The writer's transactions. The changes of a transaction are reported when it has committed. A database that was away
// is migrated before its first transaction. Writer thread only.
class reported_transactions final : public transactions {
public:
  reported_transactions(sql::database& to, bool is_migrated, std::function<void(const upload&)> on_change)
      : to_(to), is_migrated_(is_migrated), on_change_(std::move(on_change)) {}

  // The callback for upload_rows. Empty if ledger_options has no on_change.
  std::function<void(const upload&)> collector() {
    if (!on_change_) return {};
    return [this](const upload& u) { changed_.push_back(u); };
  }

  void begin(bool writes) override {
    changed_.clear();
    if (!is_migrated_) to_.migrate();
    is_migrated_ = true;
    to_.begin(writes);
  }
  void commit() override {
    to_.commit();
    for (const auto& u : changed_) on_change_(u);
  }
  void roll_back() noexcept override { to_.roll_back(); }

private:
  sql::database& to_;
  bool is_migrated_;
  const std::function<void(const upload&)> on_change_;
  uploads changed_;
};

class sql_ledger final : public ledger {
public:
  sql_ledger(std::unique_ptr<sql::database> writing, readers::connect_function connect_reader,
             const ledger_options& options, const sql_ledger_options& use, std::optional<failure> outage)
      : db_(std::move(writing)), transactions_(*db_, !outage, options.on_change), webhooks_(*db_, options.endpoints),
        uploads_(*db_, webhooks_, options.grace, transactions_.collector(), options.first_probe),
        checking_(*db_, webhooks_, options.grace, transactions_.collector()),
        completed_(*db_, webhooks_, options.grace, transactions_.collector()),
        multiparts_(*db_, options.grace, transactions_.collector()), rates_(*db_),
        writer_(transactions_, use.commits, std::move(outage)) {
    if (connect_reader) readers_.emplace(std::move(connect_reader), use.reads);
  }

  // --- changes of an upload ---

  void issue(upload u) override {
    auto id = u.id;
    writer_.write_behind(std::move(id), [this, u = std::move(u)] { uploads_.issue(u); });
  }
  task<result<void>> reserve(upload u, quota limits) override {
    auto id = u.id;
    return write<void>(std::move(id), [this, u = std::move(u), limits]() -> result<void> {
      if (auto refused = uploads_.reserve(u, limits)) return std::move(*refused);
      return {};
    });
  }
  void start_receiving(upload u, std::string attempt) override {
    auto id = u.id;
    writer_.write_behind(std::move(id), [this, u = std::move(u), attempt = std::move(attempt)] {
      uploads_.start_receiving(u, attempt);
    });
  }
  task<result<upload>> reserve_key(upload u, std::string signed_key, std::string attempt) override {
    auto id = u.id;
    return write<upload>(
        std::move(id),
        [this, u = std::move(u), signed_key = std::move(signed_key), attempt = std::move(attempt)]() -> result<upload> {
          auto reserved = uploads_.reserve_key(u, signed_key, attempt);
          if (!reserved)
            return failure{errc::conflict, "the form was used before, for another file; ask for a new one"};
          return std::move(*reserved);
        });
  }
  void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received, millis_clock not_before) override {
    // One report is queued at a time. While the database is unavailable, reports must not pile up.
    if (received.empty() || progress_is_queued_.exchange(true)) return;
    std::sort(received.begin(), received.end()); // rows are locked in the order of their keys, as group_commit does
    const bool taken = writer_.write_behind("", [this, received = std::move(received), not_before] {
      progress_is_queued_ = false;
      uploads_.record_progress(received, not_before);
    });
    if (!taken) progress_is_queued_ = false;
  }
  task<result<confirmation>> confirm(completion c) override {
    auto id = c.of.id;
    return write<confirmation>(std::move(id), [this, c = std::move(c)] { return uploads_.confirm(c); });
  }
  task<result<void>> break_off(std::string id, std::string attempt) override {
    auto key = id;
    return write<void>(std::move(key), [this, id = std::move(id), attempt = std::move(attempt)] {
      return done([&] { uploads_.break_off(id, attempt); });
    });
  }
  task<result<upload>> fail(upload u, std::string attempt, std::string code, millis_clock at) override {
    auto id = u.id;
    return write<upload>(std::move(id), [this, u = std::move(u), attempt = std::move(attempt), code = std::move(code),
                                         at] { return uploads_.fail(u, attempt, code, at); });
  }

  // --- verdicts ---

  task<result<uploads>> lease_due_verdicts(millis_clock now, millis_clock leased_until, std::size_t max) override {
    return write<uploads>("", [=, this] { return checking_.lease_due(now, leased_until, max); });
  }
  task<result<void>> postpone_verdict(std::string id, millis_clock at, bool has_failed) override {
    auto key = id;
    return write<void>(std::move(key), [this, id = std::move(id), at, has_failed] {
      return done([&] { checking_.postpone(id, at, has_failed); });
    });
  }
  task<result<upload>> accept(std::string id, std::string etag, millis_clock leased_until) override {
    auto key = id;
    return write<upload>(std::move(key), [this, id = std::move(id), etag = std::move(etag), leased_until] {
      return checking_.accept(id, etag, leased_until);
    });
  }
  task<result<upload>> check_again(std::string id, stored_object found, millis_clock at) override {
    auto key = id;
    return write<upload>(std::move(key), [this, id = std::move(id), found = std::move(found), at] {
      return checking_.check_again(id, found, at);
    });
  }
  task<result<confirmation>> finish_accepting(std::string id, std::string etag, millis_clock at,
                                              std::optional<millis_clock> claim_until) override {
    auto key = id;
    return write<confirmation>(std::move(key), [this, id = std::move(id), etag = std::move(etag), at, claim_until] {
      return checking_.finish_accepting(id, etag, at, claim_until);
    });
  }
  task<result<confirmation>> reject(std::string id, std::string etag, std::string reason, millis_clock at,
                                    bool is_gone) override {
    auto key = id;
    return write<confirmation>(std::move(key),
                               [this, id = std::move(id), etag = std::move(etag), reason = std::move(reason), at,
                                is_gone] { return checking_.reject(id, etag, reason, at, is_gone); });
  }

  // --- what becomes of a completed upload ---

  task<result<upload>> claim_upload(std::string id, std::string reference, millis_clock at) override {
    auto key = id;
    return write<upload>(std::move(key), [this, id = std::move(id), reference = std::move(reference), at] {
      return completed_.claim(id, reference, at);
    });
  }
  task<result<upload>> start_removing(std::string id, millis_clock leased_until) override {
    auto key = id;
    return write<upload>(std::move(key), [this, id = std::move(id), leased_until] {
      return completed_.start_removing(id, leased_until);
    });
  }
  task<result<uploads>> start_removing_unclaimed(millis_clock now, millis_clock leased_until, std::size_t max,
                                                 bucket_names without) override {
    return write<uploads>("",
                          [=, this] { return completed_.start_removing_unclaimed(now, leased_until, max, without); });
  }
  task<result<upload>> finish_removing(std::string id, millis_clock at) override {
    auto key = id;
    return write<upload>(std::move(key), [this, id = std::move(id), at] { return completed_.finish_removing(id, at); });
  }

  // --- checks of the store ---

  task<result<upload>> check_later(upload u, millis_clock at) override {
    auto id = u.id;
    return write<upload>(std::move(id), [this, u = std::move(u), at] { return uploads_.check_later(u, at); });
  }
  task<result<uploads>> lease_due_probes(millis_clock now, millis_clock leased_until, std::size_t max,
                                         bucket_names without) override {
    return write<uploads>("", [=, this] { return uploads_.lease_due_probes(now, leased_until, max, without); });
  }
  task<result<uploads>> lease_due_checks(millis_clock now, millis_clock leased_until, std::size_t max,
                                         bucket_names without) override {
    return write<uploads>("", [=, this] { return uploads_.lease_due_checks(now, leased_until, max, without); });
  }
  task<result<upload>> expire(std::string id, millis_clock at) override {
    auto key = id;
    return write<upload>(std::move(key),
                         [this, id = std::move(id), at] { return or_not_found(uploads_.expire(id, at)); });
  }

  task<result<void>> settle(std::string id, std::optional<std::uint64_t> stored) override {
    auto key = id;
    return write<void>(std::move(key),
                       [this, id = std::move(id), stored] { return done([&] { uploads_.settle(id, stored); }); });
  }

  // --- multipart uploads ---

  task<result<started_parts>> start_parts(open_multipart m) override {
    auto id = m.id;
    return write<started_parts>(std::move(id), [this, m = std::move(m)] { return multiparts_.start_parts(m); });
  }
  task<result<void>> begin_multipart(open_multipart m) override {
    auto id = m.id;
    return write<void>(std::move(id), [this, m = std::move(m)] { return done([&] { multiparts_.begin(m); }); });
  }
  task<result<open_multipart>> name_multipart(std::string id, std::string store_id) override {
    auto key = id;
    return write<open_multipart>(
        std::move(key), [this, id = std::move(id), store_id = std::move(store_id)]() -> result<open_multipart> {
          auto named = multiparts_.name(id, store_id);
          if (!named) return failure{errc::not_found, "no such multipart upload"};
          return std::move(*named);
        });
  }
  task<result<open_multipart>> take_turn(std::string id, std::string holder, millis_clock now,
                                         millis_clock until) override {
    auto key = id;
    return write<open_multipart>(std::move(key),
                                 [=, this, id = std::move(id), holder = std::move(holder)]() -> result<open_multipart> {
                                   auto row = multiparts_.take_turn(id, holder, now, until);
                                   if (!row) return failure{errc::not_found, "no such multipart upload"};
                                   return std::move(*row);
                                 });
  }
  task<result<open_multipart>> keep_turn(std::string id, std::string holder, kept_bytes kept, millis_clock until,
                                         millis_clock due_at) override {
    auto key = id;
    return write<open_multipart>(std::move(key),
                                 [=, this, id = std::move(id), holder = std::move(holder)]() -> result<open_multipart> {
                                   auto row = multiparts_.keep_turn(id, holder, kept, until, due_at);
                                   if (!row) return failure{errc::conflict, "another request goes on with this upload"};
                                   return std::move(*row);
                                 });
  }
  void keep_multiparts(std::vector<std::string> ids, millis_clock due_at) override {
    if (ids.empty()) return;
    std::sort(ids.begin(), ids.end()); // as record_progress
    writer_.write_behind("", [this, ids = std::move(ids), due_at] { multiparts_.keep(ids, due_at); });
  }
  void end_multipart(std::string id, std::optional<std::string> store_id) override {
    auto key = id;
    writer_.write_behind(std::move(key),
                         [this, id = std::move(id), store_id = std::move(store_id)] { multiparts_.end(id, store_id); });
  }
  task<result<std::vector<open_multipart>>> lease_due_multiparts(millis_clock now, millis_clock leased_until,
                                                                 std::size_t max, bucket_names without) override {
    return write<std::vector<open_multipart>>(
        "", [=, this, without = std::move(without)] { return multiparts_.lease_due(now, leased_until, max, without); });
  }
  task<result<std::vector<open_multipart>>> list_multiparts(object_name name) override {
    return write<std::vector<open_multipart>>("", [this, name = std::move(name)] { return multiparts_.list_of(name); });
  }
  task<result<open_multipart>> find_multipart(std::string id) override {
    auto key = id;
    return write<open_multipart>(std::move(key), [this, id = std::move(id)]() -> result<open_multipart> {
      auto found = postern::find_multipart(*db_, id);
      if (!found) return failure{errc::not_found, "no such multipart upload"};
      return std::move(*found);
    });
  }
  task<result<multipart_totals>> count_multiparts() override {
    return read<multipart_totals>([](sql::database& db) { return postern::count_multiparts(db); });
  }

  // --- webhooks ---

  task<result<webhooks>> lease_due_webhooks(millis_clock now, millis_clock leased_until,
                                            std::vector<webhook_demand> demands) override {
    return write<webhooks>(
        "", [=, this, demands = std::move(demands)] { return webhooks_.due(now, leased_until, demands); });
  }
  task<result<void>> record_delivery(std::string webhook_id) override {
    auto key = webhook_id;
    return write<void>(std::move(key),
                       [this, id = std::move(webhook_id)] { return done([&] { webhooks_.record_delivery(id); }); });
  }
  task<result<void>> record_failed_delivery(std::string webhook_id, std::string why,
                                            std::optional<millis_clock> retry_at) override {
    auto key = webhook_id;
    return write<void>(std::move(key), [this, id = std::move(webhook_id), why = std::move(why), retry_at] {
      return done([&] { webhooks_.record_failed_delivery(id, why, retry_at); });
    });
  }
  task<result<std::size_t>> expire_webhooks(std::string url, millis_clock due_before, std::string why) override {
    return write<std::size_t>("", [this, url = std::move(url), due_before, why = std::move(why)] {
      return webhooks_.expire(url, due_before, why);
    });
  }
  task<result<void>> stop_endpoint(std::string url, std::string why) override {
    return write<void>(
        "", [this, url = std::move(url), why = std::move(why)] { return done([&] { webhooks_.stop(url, why); }); });
  }
  task<result<webhooks>> list_webhooks(webhook_filter filter) override {
    return read<webhooks>([f = std::move(filter)](sql::database& db) { return postern::list_webhooks(db, f); });
  }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) override {
    return write<std::size_t>("", [this, ids = std::move(ids), now] { return webhooks_.retry(ids, now); });
  }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) override {
    return write<std::size_t>("", [this, ids = std::move(ids)] { return webhooks_.purge(ids); });
  }

  task<result<std::optional<millis_clock>>> oldest_webhook() override {
    return read<std::optional<millis_clock>>([](sql::database& db) { return postern::oldest_webhook(db); });
  }

  // --- messages from outside ---

  task<result<bool>> has_message(std::string id, millis_clock now) override {
    return read<bool>([id = std::move(id), now](sql::database& db) { return postern::has_message(db, id, now); });
  }
  task<result<void>> note_message(std::string id, millis_clock now) override {
    auto key = id;
    return write<void>(std::move(key),
                       [this, id = std::move(id), now] { return done([&] { postern::note_message(*db_, id, now); }); });
  }

  // --- the secrets of the nodes ---

  task<result<void>> note_secret(std::string fingerprint, millis_clock now) override {
    return write<void>("signing secret", [this, fingerprint = std::move(fingerprint), now] {
      return done([&] { postern::note_secret(*db_, fingerprint, now); });
    });
  }
  task<result<std::vector<std::string>>> list_secrets(millis_clock since) override {
    return read<std::vector<std::string>>([since](sql::database& db) { return postern::list_secrets(db, since); });
  }

  // --- rates that several nodes hold together ---

  task<result<std::vector<rate_count>>> exchange_rates(std::string node, std::vector<rate_count> taken,
                                                       millis_clock now) override {
    if (!db_->get_dialect().has_several_nodes) co_return std::vector<rate_count>{};
    const std::function<result<std::vector<rate_count>>()> exchange =
        [this, node = std::move(node), taken = std::move(taken), now] { return rates_.exchange(node, taken, now); };
    std::string key = "rates";
    co_return co_await write<std::vector<rate_count>>(std::move(key), exchange);
  }

  // --- uploads ---

  task<result<upload>> find(std::string id) override {
    auto key = id;
    const bool behind_a_write = writer_.has_pending(id);
    const std::function<result<upload>(sql::database&)> look = [id = std::move(id)](sql::database& db) {
      return or_not_found(find_upload(db, id));
    };
    if (!behind_a_write) return read<upload>(look);
    return writer_.run<upload>(std::move(key), false, [this, look] { return look(*db_); });
  }
  task<result<quota_usage>> find_usage(std::string profile, std::string user, std::int64_t day) override {
    return read<quota_usage>([profile = std::move(profile), user = std::move(user), day](sql::database& db) {
      return postern::find_usage(db, profile, user, day);
    });
  }
  task<result<uploads>> find_all(std::vector<std::string> ids) override {
    return read<uploads>([ids = std::move(ids)](sql::database& db) { return find_uploads(db, ids); });
  }
  task<result<uploads>> list(upload_filter filter) override {
    return read<uploads>([f = std::move(filter)](sql::database& db) { return list_uploads(db, f); });
  }
  task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) override {
    return write<std::size_t>("", [=, this] { return uploads_.purge(created_before, max); });
  }
  task<result<void>> flush() override {
    return write<void>("", [] { return result<void>{}; });
  }

private:
  static result<upload> or_not_found(std::optional<upload> found) {
    if (!found) return failure{errc::not_found, "no such upload"};
    return std::move(*found);
  }
  template <class F> static result<void> done(F f) {
    f();
    return {};
  }
  template <class T> task<result<T>> write(std::string key, std::function<result<T>()> work) {
    return writer_.run<T>(std::move(key), true, std::move(work));
  }
  template <class T> task<result<T>> read(std::function<result<T>(sql::database&)> work) {
    if (readers_) return readers_->read<T>(std::move(work));
    return writer_.run<T>("", false, [this, work = std::move(work)] { return work(*db_); });
  }

  const std::unique_ptr<sql::database> db_; // the writer's
  reported_transactions transactions_;
  webhook_rows webhooks_;
  upload_rows uploads_;
  checking_rows checking_;
  completed_rows completed_;
  multipart_rows multiparts_;
  rate_rows rates_;
  std::atomic<bool> progress_is_queued_ = false;
  std::optional<readers> readers_;
  group_commit writer_; // last: its thread uses all members above
};

} // namespace

std::unique_ptr<ledger> make_sql_ledger(std::unique_ptr<sql::database> writing,
                                        readers::connect_function connect_reader, const ledger_options& options,
                                        const sql_ledger_options& use, std::optional<failure> outage) {
  return std::make_unique<sql_ledger>(std::move(writing), std::move(connect_reader), options, use, std::move(outage));
}

} // namespace postern
