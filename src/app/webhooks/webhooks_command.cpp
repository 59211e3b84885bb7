#include <postern/app/webhooks/webhooks_command.hpp>
#include <postern/base/json.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

namespace postern::app {
namespace {

using namespace std::chrono_literals;

// Control characters in a URL or an error must not reach the terminal.
std::string printable(std::string_view text, std::size_t max) {
  auto quoted = quote(text, max);
  return quoted.substr(1, quoted.size() - 2);
}

std::string shown(millis_clock t) { return iso8601(std::chrono::floor<std::chrono::seconds>(t)); }

void print_row(const webhook& w) {
  std::printf("%s  %-40s  %-18s  %5u  %-20s  %s%s%s\n", shown(w.created_at).c_str(), w.id.c_str(), w.type.c_str(),
              w.tries, w.is_dead ? "dead" : shown(w.due_at).c_str(), printable(w.url, 200).c_str(),
              w.last_error.empty() ? "" : "  ", printable(w.last_error, 300).c_str());
}

void print_json(const webhook& w) {
  json_writer out;
  out.begin_object();
  out.member("id", w.id);
  out.member("upload", w.upload_id);
  out.member("type", w.type);
  out.member("url", w.url);
  out.member("created_at", iso8601_millis(w.created_at));
  out.member("tries", std::uint64_t{w.tries});
  out.key("dead");
  out.boolean(w.is_dead);
  out.key("due_at");
  if (w.is_dead)
    out.null();
  else
    out.string(iso8601_millis(w.due_at));
  out.member("last_error", w.last_error);
  out.member("payload", w.payload); // as text, because the signature covers every byte
  out.end_object();
  std::puts(out.take().c_str());
}

int failed(const failure& f) {
  std::fprintf(stderr, "postern: %s\n", describe(f).c_str());
  return 1;
}

// The ledger and the io_context on which it replies. The ledger's thread may still use the io_context after the reply
// has arrived, so the io_context is destroyed last.
struct open_ledger {
  explicit open_ledger(const config& c) : records(make_ledger({.url = c.ledger.url})) {}
  template <class T> T run(task<T> t) {
    std::optional<T> value;
    asio::co_spawn(loop.get_executor(), std::move(t), [&](std::exception_ptr bug, T returned) {
      if (bug) std::rethrow_exception(bug);
      value.emplace(std::move(returned));
    });
    loop.restart();
    loop.run();
    return std::move(*value);
  }
  asio::io_context loop{1};
  const std::unique_ptr<ledger> records;
};

int list(open_ledger& l, const webhooks_command& o) {
  webhook_filter filter;
  if (o.dead) filter.is_dead = true;
  filter.upload_id = o.upload;
  filter.limit = o.limit;
  const auto found = l.run(l.records->list_webhooks(std::move(filter)));
  if (!found) return failed(found.error());
  if (!o.json)
    std::printf("%-20s  %-40s  %-18s  %5s  %-20s  %s\n", "WHEN", "ID", "TYPE", "TRIES", "NEXT", "ENDPOINT, LAST ERROR");
  for (const auto& w : *found) o.json ? print_json(w) : print_row(w);
  return 0;
}

// `named`: the number of ids on the command line; 0: all dead letters.
int report_done(const result<std::size_t>& done, std::size_t named, const char* what) {
  if (!done) return failed(done.error());
  std::printf("%zu %s %s\n", *done, *done == 1 ? "dead letter" : "dead letters", what);
  if (*done >= named) return 0;
  std::fprintf(stderr, "postern: %zu of %zu ids name no dead letter; list them with: postern uploads webhooks --dead\n",
               named - *done, named);
  return 1;
}

} // namespace

void webhooks_command::describe(CLI::App& command) {
  command.add_flag("--dead", dead, "only dead letters: messages that are no longer retried");
  command.add_option("-u,--upload", upload, "only messages of this upload");
  command.add_option("-n,--limit", limit, "at most so many")->capture_default_str()->check(CLI::Range(1, 100000));
  command.add_flag("--json", json, "print JSON lines, with the payload");
  command.add_option("--retry", retry, "retry these dead letters now")->type_name("ID...")->expected(1, 10000);
  command.add_flag("--retry-all", retry_all, "retry all dead letters now, also those of stopped endpoints");
  command.add_option("--purge", purge, "delete these dead letters")->type_name("ID...")->expected(1, 10000);
  command.add_flag("--purge-all", purge_all, "delete all dead letters");
}

int webhooks_command::run(const config& c) const {
  const int actions = retry_all + purge_all + !retry.empty() + !purge.empty();
  if (actions > 1) throw config_error("give only one of --retry, --retry-all, --purge and --purge-all");
  if (actions == 1 && (dead || json || !upload.empty()))
    throw config_error(
        "--dead, --upload and --json only work with the list; remove them, or remove --retry and --purge");
  open_ledger l(c);
  const auto now = now_millis();
  if (retry_all || !retry.empty())
    return report_done(l.run(l.records->retry_webhooks(retry, now)), retry.size(), "due again");
  if (purge_all || !purge.empty()) return report_done(l.run(l.records->purge_webhooks(purge)), purge.size(), "deleted");
  return list(l, *this);
}

} // namespace postern::app
