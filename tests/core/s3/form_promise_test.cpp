#include <postern/core/s3/form_promise.hpp>

#include <boost/test/unit_test.hpp>

#include <optional>
#include <support/cuts.hpp>

using namespace postern;

namespace {

const std::string begin = "--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n"
                          "--B\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
const std::string closing = "\r\n--B--\r\n";
const std::string submit = "\r\n--B\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nSend";

struct outcome {
  std::uint64_t promised = 0;
  std::string data; // that was passed on before the promise proved to be false
  std::optional<failure> broken;
};

// Reads a form that promised that nothing follows its file.
outcome read(const std::vector<std::string_view>& pieces, std::uint64_t body_size) {
  form_parser parser("B");
  std::optional<form_promise> promise;
  outcome out;
  std::uint64_t bytes = 0;
  bool has_ended = false;
  for (const auto text : pieces) {
    std::span<const char> piece(text);
    std::string data;
    for (auto event = parser.next(piece).value(); event != form_parser::event::need_more;
         event = parser.next(piece).value()) {
      if (event == form_parser::event::file_begin) {
        auto made = form_promise::read(parser, body_size);
        if (!made) return out.broken = made.error(), out;
        promise = *made;
        out.promised = made->size();
      }
      if (event == form_parser::event::file_data) data.append(parser.data().data(), parser.data().size());
      if (event == form_parser::event::file_end) has_ended = true;
    }
    if (!promise) continue;
    bytes += data.size();
    if (auto kept = promise->check(bytes, has_ended); !kept) return out.broken = kept.error(), out;
    out.data += data;
  }
  if (auto kept = promise->check_end(parser); !kept) out.broken = kept.error();
  return out;
}

void expect_kept(const std::string& data) {
  const auto body = begin + data + closing;
  test::for_every_cut(body, [&](const auto& pieces) {
    const auto got = read(pieces, body.size());
    BOOST_REQUIRE(!got.broken);
    BOOST_REQUIRE_EQUAL(got.promised, data.size());
    BOOST_REQUIRE(got.data == data);
  });
}

// However the body is cut, no more bytes are passed on than were promised, and the failure says why.
void expect_broken(const std::string& behind, std::string_view why) {
  const auto body = begin + behind;
  test::for_every_cut(body, [&](const auto& pieces) {
    const auto got = read(pieces, body.size());
    BOOST_REQUIRE(got.broken.has_value());
    BOOST_REQUIRE(got.broken->code == errc::malformed_form);
    BOOST_REQUIRE_MESSAGE(got.broken->on.find(why) != std::string::npos, got.broken->on);
    BOOST_REQUIRE(got.broken->on.find("x-ignore-nothing-follows") != std::string::npos);
    BOOST_REQUIRE(got.data.size() <= got.promised);
  });
}

} // namespace

BOOST_AUTO_TEST_CASE(only_the_value_true_is_a_promise) {
  BOOST_TEST(form_promise::is_given({{"key", "k"}, {"x-ignore-nothing-follows", "true"}}));
  BOOST_TEST(form_promise::is_given({{"X-Ignore-Nothing-Follows", "true"}}));
  for (const std::string value : {"", "false", "0", "1", "True", "true "})
    BOOST_TEST(!form_promise::is_given({{"x-ignore-nothing-follows", value}}), value);
  BOOST_TEST(!form_promise::is_given({{"key", "true"}}));
}

BOOST_AUTO_TEST_CASE(a_kept_promise_tells_the_size_before_the_file) {
  for (const std::string data : {"", "x", "hello", "\r\n", "\r\n--B-", "--B--\r\n", "\r\n--Bx--\r\n", "\r\n--\r\n--\r"})
    BOOST_TEST_CONTEXT(data) expect_kept(data);
}

BOOST_AUTO_TEST_CASE(whatever_follows_the_file_breaks_the_promise) {
  expect_broken("hello" + submit + closing, "the file ended after 5 bytes, and 60 bytes more follow it");
  expect_broken("hello\r\n--B\r\n\r\n", "the body does not end with the closing delimiter"); // the delimiter of a part
  expect_broken("hello\r\n--B\r\nxy", "the body does not end with the closing delimiter");
  expect_broken("hello" + closing + "an epilogue", "the file ended after 5 bytes, and 11 bytes more follow it");
  expect_broken("hello" + closing + "\r\n", "the file ended after 5 bytes, and 2 bytes more follow it");
}

BOOST_AUTO_TEST_CASE(another_ending_breaks_the_promise) {
  expect_broken("hello\r\n--B--", "the file goes on after the 3 bytes"); // no line end
  expect_broken("hello\r\n--B--\n", "the file goes on after the 4 bytes");
  expect_broken("hello\r\n--B--xy", "the body does not end with the closing delimiter");
  expect_broken("hello\r\n--B--\n\r", "the body does not end with the closing delimiter");
  expect_broken("hello\r\n--B-- \r\n", "the file ended after 5 bytes, and 1 bytes more follow it");
  expect_broken("hello, this is all of it", "the file goes on after the 15 bytes");
  expect_broken("hello\r\n--B    ", "the body does not end with the closing delimiter");
  expect_broken("hello\r\n--C--\r\n", "the file goes on after the 5 bytes");
}

BOOST_AUTO_TEST_CASE(a_body_without_room_for_an_ending_is_refused_at_once) {
  for (std::size_t n = 0; n < closing.size(); ++n)
    expect_broken(closing.substr(0, n), "even an empty file needs " + std::to_string(begin.size() + closing.size()));
}
