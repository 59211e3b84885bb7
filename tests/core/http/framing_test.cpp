#include <postern/core/http/framing.hpp>

#include <boost/test/unit_test.hpp>

#include <support/cuts.hpp>

using namespace postern;

namespace {

std::string get(std::string_view fields) { return "GET / HTTP/1.1\r\n" + std::string(fields) + "\r\n"; }

struct decoded {
  std::string data;
  std::size_t left = 0;
  bool done = false, failed = false;
};

decoded decode(const std::vector<std::string_view>& pieces) {
  chunk_decoder decoder;
  decoded out;
  for (const auto text : pieces) {
    std::span<const char> in(text);
    while (!in.empty() && !decoder.done()) {
      auto run = decoder.next(in);
      if (!run) return out.failed = true, out;
      out.data.append(run->data(), run->size());
    }
    out.left += in.size();
  }
  out.done = decoder.done();
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(valid_requests_are_accepted) {
  BOOST_TEST((examine_header(get("Host: a\r\n"))->body == framing::body_kind::none));
  const auto sized = examine_header(get("Host: a:80\r\nContent-Length: 12\r\n")).value();
  BOOST_TEST((sized.body == framing::body_kind::sized));
  BOOST_TEST(sized.length == 12);
  BOOST_TEST(sized.keep_alive);
  BOOST_TEST(
      (examine_header(get("host: [::1]\r\ntransfer-encoding:  Chunked \r\n"))->body == framing::body_kind::chunked));
  BOOST_TEST(examine_header(get("Host: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n"))->expects_continue);
  BOOST_TEST(!examine_header(get("Host: a\r\nConnection: foo, close\r\n"))->keep_alive);
  BOOST_TEST(!examine_header(get("Host: a\r\nConnection: ,\tclose ,,\r\n"))->keep_alive);
  for (const char* odd : {"clo se", "close;x", "\xc3\xa9", "\"close\"", "keep-alive, clos\xe9"})
    BOOST_TEST(examine_header(get("Host: a\r\nConnection: " + std::string(odd) + "\r\n")).has_error(), odd);
  BOOST_TEST(!examine_header("GET / HTTP/1.0\r\n\r\n")->keep_alive);
  BOOST_TEST(!examine_header("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->keep_alive);
  BOOST_TEST(!examine_header(get("Host: a\r\nConnection: close\r\nConnection: keep-alive\r\n"))->keep_alive);
}

BOOST_AUTO_TEST_CASE(ambiguous_requests_are_refused) {
  const std::string_view fields[] = {"Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                                     "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
                                     "Host: a\r\nContent-Length: 1, 1\r\n",
                                     "Host: a\r\nContent-Length: +1\r\n",
                                     "Host: a\r\nContent-Length: -1\r\n",
                                     "Host: a\r\nContent-Length: 0x1\r\n",
                                     "Host: a\r\nContent-Length: 1 2\r\n",
                                     "Host: a\r\nContent-Length:\r\n",
                                     "Host: a\r\nContent-Length: 99999999999999999999\r\n",
                                     "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                                     "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
                                     "Host: a\r\nTransfer-Encoding: gzip\r\n",
                                     "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
                                     "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n",
                                     "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                     "Host: a\r\nTransfer-Encoding: identity\r\n",
                                     "Host: a\r\nTransfer-Encoding: \r\n",
                                     "Host: a\r\nTransfer-Encoding: xchunked\r\n",
                                     "",
                                     "Host: a\r\nHost: a\r\n",
                                     "Host : a\r\n",
                                     "Host: a\r\nX: a\r\n b\r\n",
                                     "Host: a\r\nX: a\r\n\tb\r\n",
                                     " Host: a\r\n",
                                     "Host: a\r\nX\r\n",
                                     "Host: a\r\n: x\r\n",
                                     "Host: a\nX: y\r\n",
                                     "Host: a\r\nX: a\rb\r\n",
                                     "Host: a\r\nX y: z\r\n",
                                     "Host: a\r\nExpect: 200-ok\r\n",
                                     "Host: a b\r\n",
                                     "Host: a,b\r\n",
                                     "Host: a\r\nX: \x01\r\n",
                                     "Host: a\r\nX: \x7f\r\n"};
  for (const auto f : fields) BOOST_TEST_CONTEXT(f) BOOST_TEST(examine_header(get(f)).has_error());
  BOOST_TEST(examine_header(get(std::string_view("Host: a\r\nX: a\0b\r\n", 17))).has_error());
}

BOOST_AUTO_TEST_CASE(a_header_has_a_hundred_fields_at_most) {
  std::string header = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t n = 1; n < max_header_fields; ++n) header += "a:\r\n";
  BOOST_TEST(examine_header(header + "\r\n").has_value());
  BOOST_TEST((examine_header(header + "a:\r\n\r\n").error().code == errc::header_too_large));
}

BOOST_AUTO_TEST_CASE(request_lines_must_be_exact) {
  for (const char* line :
       {"GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET / HTTP/2.0", "GET / http/1.1",
        "G@T / HTTP/1.1", "GET /a b HTTP/1.1", "GET /\x01 HTTP/1.1", "GET", "GET\t/\tHTTP/1.1", "GET / HTTP/1.10"})
    BOOST_TEST_CONTEXT(line) BOOST_TEST(examine_header(std::string(line) + "\r\nHost: a\r\n\r\n").has_error());
  BOOST_TEST(examine_header("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").has_error());
}

BOOST_AUTO_TEST_CASE(chunks_are_decoded_however_they_are_cut) {
  const std::string body =
      "5\r\nhello\r\n0A;name=\"v\"\r\n0123456789\r\n000\r\nTrailer: x\r\nAnother: y\r\n\r\nGET /next";
  test::for_every_cut(body, [&](const auto& pieces) {
    const auto got = decode(pieces);
    BOOST_REQUIRE(!got.failed && got.done);
    BOOST_REQUIRE_EQUAL(got.data, "hello0123456789");
    BOOST_REQUIRE_EQUAL(got.left, 9);
  });
}

BOOST_AUTO_TEST_CASE(malformed_chunks_are_rejected) {
  for (const char* body :
       {"\r\n", "x\r\n", "0x5\r\nhello\r\n", "+5\r\nhello\r\n", "-5\r\nhello\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n",
        "5\nhello\r\n", "5\r\nhelloX\r\n", "5\r\nhello\n", "5\rhello", "1234567890abcdef\r\n", "00000000000000005\r\n",
        "5;\x01\r\n", "0\r\nA\x01: b\r\n\r\n", "0\r\n: b\r\n\r\n", "0\r\nA: b\n\r\n", "0\r\n\rX"})
    BOOST_TEST_CONTEXT(body) test::for_every_cut(body, [&](const auto& pieces) { BOOST_TEST(decode(pieces).failed); });
  BOOST_TEST(decode({"5;" + std::string(300, 'x') + "\r\n"}).failed);
  BOOST_TEST(decode({"0\r\nA: " + std::string(5000, 'x')}).failed);
  std::string many = "0\r\n";
  for (int i = 0; i < 5000; ++i) many += "a\r\n";
  BOOST_TEST(decode({many}).failed);
}
