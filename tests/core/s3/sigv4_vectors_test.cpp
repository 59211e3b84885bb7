// The published Signature Version 4 cases, read where they stand (CMake option SIGV4_VECTORS); the whole program
// reports itself as skipped where they are absent.
#include "support/skip.hpp"
#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/core/s3/sigv4.hpp>

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <sstream>

using namespace postern;

namespace {

std::string read_file() {
  std::ifstream in(SIGV4_VECTORS);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct skip_where_absent {
  skip_where_absent() {
    if (!read_file().empty()) return;
    postern::test::skip_all("there is no file " SIGV4_VECTORS);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(skip_where_absent);

std::string text(const json_value& v, std::string_view name) {
  const auto* m = v.find(name);
  return m && m->if_string() ? *m->if_string() : std::string{};
}

bool flag(const json_value& v, std::string_view name) {
  const auto* m = v.find(name);
  return m && m->if_bool() && *m->if_bool();
}

struct parsed {
  sigv4::request request;
  std::string body;
};

// A raw request whose lines end in LF; a line that begins with a blank goes on with the value before.
parsed parse(const std::string& raw) {
  parsed out;
  std::istringstream in(raw);
  std::string line;
  std::getline(in, line);
  const auto first = line.find(' '), last = line.rfind(' ');
  out.request.method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  const auto question = target.find('?');
  out.request.path = uri_decode(target.substr(0, question)).value();
  for (auto query = question == target.npos ? std::string{} : target.substr(question + 1); !query.empty();) {
    const auto end = query.find('&');
    const auto one = query.substr(0, end);
    const auto equals = one.find('=');
    out.request.query.emplace_back(uri_decode(one.substr(0, equals)).value(),
                                   equals == one.npos ? "" : uri_decode(one.substr(equals + 1)).value());
    query = end == query.npos ? "" : query.substr(end + 1);
  }
  while (std::getline(in, line) && !line.empty()) {
    if (line.front() == ' ' || line.front() == '\t') {
      out.request.headers.back().second += "," + line.substr(line.find_first_not_of(" \t"));
      continue;
    }
    const auto colon = line.find(':');
    out.request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
  }
  std::getline(in, out.body, '\0');
  return out;
}

struct vector_case {
  std::string name;
  parsed what;
  sigv4::credentials keys;
  sigv4::scope scope;
  unsigned expires = 3600;
  bool omit_token = false;
};

vector_case make(const json_value& v, bool by_header) {
  const auto& context = *v.find("context");
  const auto& keys = *context.find("credentials");
  vector_case c{text(v, "name"),
                parse(text(v, "request")),
                {text(keys, "access_key_id"), secret(text(keys, "secret_access_key")), text(keys, "token")},
                {},
                3600,
                flag(context, "omit_session_token")};
  c.what.request.normalize_path = flag(context, "normalize");
  c.scope = {amz_date(parse_iso8601(text(context, "timestamp")).value()), text(context, "region"),
             text(context, "service")};
  if (const auto* e = context.find("expiration_in_seconds"); e && e->if_int())
    c.expires = static_cast<unsigned>(*e->if_int());
  c.what.request.payload_hash = sha256_hex(c.what.body);
  if (by_header && flag(context, "sign_body"))
    c.what.request.headers.emplace_back("x-amz-content-sha256", c.what.request.payload_hash);
  return c;
}

json_value cases() { return read_json(read_file()).value(); }

} // namespace

BOOST_AUTO_TEST_CASE(every_case_is_signed_in_the_header) {
  const auto document = cases();
  const auto& all = *document.find("cases")->if_array();
  BOOST_REQUIRE(all.size() > 20);
  for (const auto& v : all) {
    const auto* want = v.find("header");
    if (!want) continue;
    auto c = make(v, true);
    BOOST_TEST_CONTEXT(c.name) {
      auto& r = c.what.request;
      r.headers.emplace_back("X-Amz-Date", c.scope.date);
      if (!c.keys.session_token.empty() && !c.omit_token)
        r.headers.emplace_back("X-Amz-Security-Token", c.keys.session_token);
      BOOST_TEST(sigv4::canonical_request(r) == text(*want, "canonical_request"));
      const auto to_sign = sigv4::string_to_sign(c.scope, sigv4::canonical_request(r));
      BOOST_TEST(to_sign == text(*want, "string_to_sign"));
      const auto key = sigv4::signing_key(c.keys.secret_key, c.scope.day(), c.scope.region, c.scope.service);
      BOOST_TEST(sigv4::signature(key, to_sign) == text(*want, "signature"));
      BOOST_TEST(text(*want, "signed_request").find(sigv4::authorization(r, c.keys, c.scope)) != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_case_is_signed_in_the_query) {
  const auto document = cases();
  for (const auto& v : *document.find("cases")->if_array()) {
    const auto* want = v.find("query");
    if (!want) continue;
    auto c = make(v, false);
    BOOST_TEST_CONTEXT(c.name) {
      if (c.omit_token) c.keys.session_token.clear(); // added behind the signature, where a service wants it so
      const auto query = sigv4::presigned_query(c.what.request, c.keys, c.scope, c.expires);
      const auto signature = query.substr(query.rfind('=') + 1);
      BOOST_TEST(signature == text(*want, "signature"));
      BOOST_TEST(text(*want, "canonical_request").find(query.substr(0, query.rfind('&'))) != std::string::npos);
    }
  }
}
