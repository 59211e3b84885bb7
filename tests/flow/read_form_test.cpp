#include "support/captured_log.hpp"
#include "support/fake_body.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/base/encoding.hpp>
#include <postern/flow/read_form.hpp>
#include <postern/flow/sign.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock signed_at{std::chrono::milliseconds(1'795'457'700'123)};
constexpr std::string_view boundary = "----------------------------7d159c1302d0y0";

held_credentials some_credentials() {
  return {{"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}}, {}, "test"};
}

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  asio::io_context loop{1};
  resources shared{{}};
  const std::map<std::string, profile> profiles;
  const recorder completions{ledger, store, profiles};
  transfers carriers{store, ledger, completions, [this] { return now; }};
  millis_clock now = signed_at + 1s;
  profile rules;
  sign_request ask;
  bool blank = false;
  std::vector<form_field> fields;
  std::string file = "hello, world", filename = "cat.jpg", ending;
  std::size_t piece = 64 << 10, breaks_at = std::string::npos;
  bool announces = true;
  std::string bucket = "media", content_type = "multipart/form-data; boundary=" + std::string(boundary);
  std::string key; // of the signed form

  fixture() {
    rules.name = "default";
    rules.bucket = "media";
    rules.return_to = {"https://app.example.com/*"};
    ask.filename = filename;
    sign();
  }
  static find_form_store stores_with(std::string bucket) {
    form_store store;
    store.region = "eu-west-1";
    store.credentials = [] { return std::make_shared<const held_credentials>(some_credentials()); };
    return only(std::move(store), std::move(bucket));
  }
  // A form as Postern signs it, with these rules and this request.
  void sign() {
    form_signer_options o;
    o.profiles["default"] = rules;
    o.public_url = "https://up.example.com";
    o.find_store = stores_with("");
    const form_signer forms(std::move(o), own);
    auto form = blank ? forms.sign_blank("default", ask.return_to, {}, signed_at) : forms.sign(ask, {}, signed_at);
    fields = form.value().fields;
    key = form.value().key;
  }
  std::string& field(std::string_view name) {
    for (auto& f : fields)
      if (f.name == name) return f.value;
    throw std::out_of_range(std::string(name));
  }
  std::string text() const {
    std::string out;
    const std::string line = "--" + std::string(boundary) + "\r\nContent-Disposition: form-data; name=\"";
    for (const auto& f : fields) out += line + f.name + "\"\r\n\r\n" + f.value + "\r\n";
    out += line + "file\"; filename=\"" + filename + "\"\r\nContent-Type: image/jpeg\r\n\r\n" + file + "\r\n";
    if (!ending.empty()) out += line + "submit\"\r\n\r\n" + ending + "\r\n";
    return out + "--" + std::string(boundary) + "--\r\n";
  }
  form_reader make_reader() {
    form_reader_options o;
    o.find_store = stores_with("media");
    o.clock = [this] { return now; };
    return form_reader(std::move(o), own, carriers);
  }
  read_form_result post(std::string body_text) {
    auto reader = make_reader();
    return post(reader, std::move(body_text));
  }
  read_form_result post(form_reader& reader, std::string body_text) {
    test::fake_body body(std::move(body_text));
    body.piece = piece;
    body.breaks_at = breaks_at;
    if (!announces) body.announces.reset();
    form_request request{bucket, content_type, "a-request", "192.0.2.7"};
    allowance share(shared, loop.get_executor(), {});
    return test::run_task(reader.take(std::move(request), body, share));
  }
  read_form_result post() { return post(text()); }
  // Removes the traces of earlier posts.
  void clear() {
    store.objects.clear();
    store.opened = store.abandoned = ledger.confirmed = 0;
  }
  errc refused() {
    auto done = post();
    BOOST_TEST(store.abandoned == store.opened);
    BOOST_TEST(store.objects.empty());
    BOOST_TEST(ledger.confirmed == 0);
    return done ? errc::internal : done.error().why.code;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_signed_form_is_stored_and_recorded, fixture) {
  const auto done = post().value();
  BOOST_TEST(done.bucket == "media");
  BOOST_TEST(done.key == key);
  BOOST_TEST(done.object.size == file.size());
  BOOST_TEST(done.redirect.starts_with(field("success_action_redirect") + "?bucket=media&key="));
  BOOST_TEST(store.contents.at("media/" + key) == file);
  BOOST_TEST((ledger.rows.at(done.id).state == upload_state::completed));
  BOOST_TEST(ledger.flushes == 1); // the row is durable before the object exists
}

// Each end has one line, with the id that the client gets in X-Request-Id.
BOOST_FIXTURE_TEST_CASE(each_upload_ends_with_a_line_in_the_log, fixture) {
  const auto line_of = [&]() -> std::string {
    test::captured_log log;
    (void)post();
    const auto text = log.text();
    const auto at = text.find("event=\"upload ended\"");
    if (at == text.npos || text.find("event=\"upload ended\"", at + 1) != text.npos) return "not one line: " + text;
    return text.substr(at, text.find('\n', at) - at);
  };
  const auto has = [](const std::string& line, std::initializer_list<std::string> parts) {
    for (const auto& part : parts) BOOST_TEST(line.find(part) != line.npos, line << " without " << part);
  };
  const auto size = " bytes=" + std::to_string(file.size());
  has(line_of(),
      {"request=a-request upload=", " client=192.0.2.7 way=fallback", size, " ms=", " result=stored reason=\"\""});
  breaks_at = text().size() - 60;
  has(line_of(), {"request=a-request upload=", " result=rejected reason=\""});
  breaks_at = std::string::npos;
  content_type = "text/plain";
  has(line_of(),
      {"request=a-request upload=\"\" caller=\"\" client=192.0.2.7", " bytes=0 ", " result=rejected reason=\""});
}

BOOST_FIXTURE_TEST_CASE(the_result_is_the_same_however_the_body_is_cut, fixture) {
  file = "--" + std::string(boundary).substr(0, 20) + "\r\n--" + std::string(boundary) + "x\r\n"; // nearly delimiters
  ending = "Send";
  for (const std::size_t n : {1u, 2u, 3u, 5u, 17u, 64u, 1000u}) {
    piece = n;
    BOOST_TEST_REQUIRE(post().has_value(), n);
    BOOST_TEST(store.contents.at("media/" + key) == file, n);
  }
}

BOOST_FIXTURE_TEST_CASE(a_body_without_a_length_is_stored_too, fixture) {
  announces = false;
  BOOST_TEST(post().has_value());
  BOOST_TEST(store.contents.at("media/" + key) == file);
}

BOOST_FIXTURE_TEST_CASE(a_truncated_body_stores_nothing, fixture) {
  const auto all = text();
  for (std::size_t at = 0; at + 4 < all.size(); at += 7) { // up to the closing boundary's last two dashes
    auto done = post(all.substr(0, at));
    BOOST_TEST_REQUIRE(!done.has_value(), at);
    BOOST_TEST(store.objects.empty(), at);
    BOOST_TEST(store.abandoned == store.opened, at);
    BOOST_TEST(ledger.confirmed == 0, at);
  }
}

BOOST_FIXTURE_TEST_CASE(each_changed_field_is_refused, fixture) {
  const auto original = fields;
  for (std::size_t i = 0; i < original.size(); ++i) {
    const auto& name = original[i].name;
    fields = original;
    fields[i].value += "x";
    // One of the two signatures is enough, and each covers the policy's text.
    const bool spare = name == "x-ignore-postern";
    if (spare) {
      BOOST_TEST(post().has_value());
      clear();
      continue;
    }
    if (name == "x-amz-signature") continue; // x-ignore-postern is right
    const auto code = refused();
    BOOST_TEST((code == errc::policy_mismatch || code == errc::signature_mismatch || code == errc::invalid_policy),
               name);
  }
}

BOOST_FIXTURE_TEST_CASE(a_form_without_a_valid_signature_is_rejected, fixture) {
  field("x-ignore-postern") = std::string(64, '0');
  BOOST_TEST(post().has_value()); // AWS's signature is right
  clear();
  field("x-amz-signature") = std::string(64, '0');
  BOOST_TEST((refused() == errc::signature_mismatch));
  std::erase_if(fields, [](const auto& f) { return f.name == "policy"; });
  BOOST_TEST((refused() == errc::forbidden));
  std::erase_if(fields, [](const auto& f) { return f.name == "key"; });
  BOOST_TEST((refused() == errc::missing_key));
}

BOOST_FIXTURE_TEST_CASE(a_form_is_refused_after_its_policy_has_expired, fixture) {
  now = signed_at + 14min;
  BOOST_TEST(post().has_value());
  clear();
  now = signed_at + 16min;
  BOOST_TEST((refused() == errc::policy_expired));
}

BOOST_FIXTURE_TEST_CASE(a_bucket_that_is_not_served_is_refused, fixture) {
  bucket = "other";
  BOOST_TEST((refused() == errc::policy_mismatch));
  rules.bucket = "other";
  sign();
  BOOST_TEST((refused() == errc::no_such_bucket));
}

BOOST_FIXTURE_TEST_CASE(a_file_of_an_impossible_size_is_rejected_before_it_is_read, fixture) {
  ask.size = 12;
  sign();
  BOOST_TEST(post().has_value());
  clear();
  file = std::string(100'000, 'x');
  BOOST_TEST((refused() == errc::entity_too_large));
  BOOST_TEST(store.opened == store.abandoned);
  const auto opened = store.opened;
  file = std::string(200'000, 'x');
  BOOST_TEST((refused() == errc::entity_too_large));
  BOOST_TEST(store.opened == opened); // the sink was not even opened
  file = "hello, worl";
  BOOST_TEST((refused() == errc::entity_too_small));
  announces = false;
  file = "hello, world!";
  BOOST_TEST((refused() == errc::entity_too_large));
}

BOOST_FIXTURE_TEST_CASE(fields_after_the_file_are_ignored_up_to_64_kib, fixture) {
  ending = std::string(60'000, 'x');
  BOOST_TEST(post().has_value());
  clear();
  ending = std::string(70'000, 'x');
  for (const std::size_t n : {1000u, 64u << 10}) {
    piece = n;
    BOOST_TEST((refused() == errc::malformed_form), n);
  }
}

BOOST_FIXTURE_TEST_CASE(a_promise_that_nothing_follows_makes_the_size_exact, fixture) {
  BOOST_TEST(post().has_value());
  BOOST_TEST(!store.expected->is_exact);
  clear();
  fields.push_back({"x-ignore-nothing-follows", "true"});
  for (const std::size_t n : {1u, 2u, 3u, 17u, 64u << 10}) {
    piece = n;
    BOOST_TEST(post().has_value());
    BOOST_TEST((store.expected->is_exact && store.expected->bytes == file.size()));
    BOOST_TEST(store.contents.at("media/" + key) == file);
    clear();
  }
  announces = false; // a chunked body has no length: the promise is of no use
  ending = "Send";
  BOOST_TEST(post().has_value());
  BOOST_TEST(!store.expected.has_value());
}

// The store is to verify the checksum too.
BOOST_FIXTURE_TEST_CASE(a_file_with_a_checksum_is_collected_although_its_size_is_exact, fixture) {
  auto rules_of_form = read_policy(field("policy")).value();
  rules_of_form.conditions.push_back({policy_condition::kind::equal, "x-amz-checksum-crc32c", "aZmkHw=="});
  field("policy") = to_base64(policy_document(rules_of_form));
  field("x-ignore-postern") = own.sign_policy(field("policy"));
  fields.push_back({"x-amz-checksum-crc32c", "aZmkHw=="});
  fields.push_back({"x-ignore-nothing-follows", "true"});
  BOOST_TEST(post().has_value());
  BOOST_TEST((!store.expected->is_exact && store.expected->bytes == file.size()));
  clear();
  ending = "Send"; // the promise is still one
  BOOST_TEST((refused() == errc::malformed_form));
}

BOOST_FIXTURE_TEST_CASE(a_false_promise_stores_nothing_and_says_what_was_promised, fixture) {
  fields.push_back({"x-ignore-nothing-follows", "true"});
  const std::string closing = "--" + std::string(boundary) + "--\r\n";
  const auto whole = text(), without_end = whole.substr(0, whole.size() - closing.size());
  const auto refused_because = [&](const std::string& body, std::string_view why) {
    for (const std::size_t n : {1u, 7u, 64u << 10}) {
      piece = n;
      const auto done = post(body);
      BOOST_TEST_REQUIRE(!done.has_value(), why);
      BOOST_TEST((done.error().why.code == errc::malformed_form));
      BOOST_TEST(done.error().why.on.find("promises that nothing follows the file") != std::string::npos);
      BOOST_TEST(done.error().why.on.find(why) != std::string::npos, done.error().why.on);
      BOOST_TEST(store.objects.empty());
      BOOST_TEST(store.abandoned == store.opened);
      BOOST_TEST((ledger.rows.begin()->second.state == upload_state::failed));
    }
  };
  refused_because(whole + "an epilogue", "11 bytes more follow it");
  refused_because(without_end + closing.substr(0, closing.size() - 2), "goes on");
  refused_because(without_end + "--X" + closing.substr(3), "goes on");
  refused_because(whole.substr(0, whole.size() - 4) + "    ", "does not end with the closing delimiter");
  ending = "Send";
  refused_because(text(), "the file ended after 12 bytes");
  fields.pop_back(); // without the promise it is a form like any other
  BOOST_TEST(post().has_value());
}

BOOST_FIXTURE_TEST_CASE(a_broken_connection_breaks_no_promise, fixture) {
  fields.push_back({"x-ignore-nothing-follows", "true"});
  const auto size = text().size();
  for (const std::size_t before_end : {1u, 10u, 50u}) {
    breaks_at = size - before_end;
    BOOST_TEST((refused() == errc::incomplete_body)); // the client may send the form again
    clear();
  }
}

BOOST_FIXTURE_TEST_CASE(a_promised_size_is_refused_before_anything_is_stored, fixture) {
  ask.size = 12;
  sign();
  fields.push_back({"x-ignore-nothing-follows", "true"});
  BOOST_TEST(post().has_value());
  clear();
  file = "hello, world!";
  BOOST_TEST((refused() == errc::entity_too_large));
  file = "hello, worl";
  BOOST_TEST((refused() == errc::entity_too_small));
  BOOST_TEST(store.opened == 0);
}

BOOST_FIXTURE_TEST_CASE(a_form_without_a_file_is_refused, fixture) {
  auto all = text();
  const auto at = all.find("--" + std::string(boundary) + "\r\nContent-Disposition: form-data; name=\"file\"");
  all.resize(at);
  const auto done = post(all + "--" + std::string(boundary) + "--\r\n");
  BOOST_TEST((done.error().why.code == errc::missing_file));
}

BOOST_FIXTURE_TEST_CASE(a_form_without_a_file_name_can_be_used_for_one_file_only, fixture) {
  blank = true;
  sign();
  filename = "first.txt";
  const auto first = post().value();
  BOOST_TEST(first.key.ends_with("/first.txt"));
  BOOST_TEST(post().has_value()); // the same file again
  filename = "second.txt";
  const auto second = post();
  BOOST_TEST((second.error().why.code == errc::conflict));
  BOOST_TEST(store.objects.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(one_form_can_be_posted_so_often, fixture) {
  ask.return_to = "https://app.example.com/done";
  sign();
  auto reader = make_reader();
  const auto whole = text();
  const auto broken = whole.substr(0, whole.size() - 10);
  const auto opened = store.opened;
  unsigned refused = 0;
  constexpr unsigned posts = form_reader::max_tries_at_once + 30; // the machine may be slow: some tokens come back
  for (unsigned n = 0; n < posts; ++n) {
    const auto done = post(reader, broken);
    BOOST_TEST_REQUIRE(!done.has_value());
    if (done.error().why.code != errc::too_many_requests) continue;
    ++refused;
    BOOST_TEST(done.error().return_to == ""); // 429 says when to try again, a redirect could not
  }
  BOOST_TEST((refused > 0 && refused <= 30));
  BOOST_TEST(store.opened == opened + static_cast<int>(posts - refused));
  sign(); // another form
  BOOST_TEST(post(reader, text()).has_value());
}

BOOST_FIXTURE_TEST_CASE(only_the_user_of_an_authentic_form_is_sent_back, fixture) {
  ask.return_to = "https://app.example.com/done";
  sign();
  now = signed_at + 16min;
  BOOST_TEST(post().error().return_to.starts_with("https://app.example.com/done?id="));
  BOOST_TEST(post().error().return_to.ends_with("&state=failed&code=policy_expired"));
  now = signed_at;
  store.fails_at_write = store.writes;
  BOOST_TEST(post().error().return_to.ends_with("&state=failed&code=store_failed"));
  field("x-ignore-postern") = field("x-amz-signature") = std::string(64, '0');
  BOOST_TEST(post().error().return_to == ""); // the forger of a form chose return_to too
}

BOOST_FIXTURE_TEST_CASE(a_form_chooses_between_redirect_and_status, fixture) {
  for (const int status : {200, 201, 204}) {
    ask.success_action_status = status;
    sign();
    const auto done = post().value();
    BOOST_TEST(done.status == status);
    BOOST_TEST(done.redirect == "");
  }
}

BOOST_FIXTURE_TEST_CASE(without_a_redirect_a_completion_that_is_not_recorded_is_a_failure, fixture) {
  ledger.refuses_confirm = true;
  BOOST_TEST(post().has_value());
  ask.success_action_status = 201;
  sign();
  BOOST_TEST((post().error().why.code == errc::unavailable));
}
