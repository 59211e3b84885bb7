// One database of a real PostgreSQL server for each test case. Without an installed PostgreSQL, the program is skipped.
#pragma once

#include "ledger_read_contract.hpp"
#include "ledger_work_contract.hpp"
#include "postgres_server.hpp"
#include "skip.hpp"
#include "wait_until.hpp"
#include <postern/base/metrics.hpp>
#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/ledger/postgres_ledger.hpp>
#include <postern/io/sql/postgres.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace postern::test {

// One server for all cases. Each case has its own database.
inline postgres_server& server() {
  static postgres_server one;
  return one;
}

struct skipped_where_there_is_none {
  skipped_where_there_is_none() {
    if (!postgres_server::programs().empty()) return;
    skip_all("PostgreSQL is not installed; tests/run installs it");
  }
};

inline std::string new_database() {
  static int n = 0;
  const auto name = "t" + std::to_string(n++);
  postgres::database(server().url(), std::chrono::seconds(8)).execute(("CREATE DATABASE " + name).c_str());
  return name;
}

struct postgres_fixture {
  std::string name = new_database(), url = server().url(name);
  std::unique_ptr<ledger> open(ledger_options o = telling({{"https://a", {"*"}}})) {
    o.url = url;
    return make_ledger(o);
  }
  std::unique_ptr<ledger> open_with(const postgres_ledger_options& o) {
    return make_postgres_ledger(o, telling({{"https://a", {"*"}}}));
  }
};

inline double metric(const std::string& name) {
  const auto all = "\n" + metrics::print_all();
  const auto at = all.find("\n" + name + " ");
  BOOST_TEST_REQUIRE(at != all.npos, name);
  return std::stod(all.substr(at + name.size() + 2));
}

inline bool has(const std::string& text, std::string_view piece) { return text.find(piece) != text.npos; }

inline std::string thrown_by(const std::string& url) {
  try {
    make_ledger({.url = url});
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

inline double seconds_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}

inline void wait_until_up(ledger& l) {
  BOOST_TEST_REQUIRE(wait_until([&l] { return run_task(l.flush()).has_value(); }));
}

} // namespace postern::test
