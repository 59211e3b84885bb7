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
  byte_budget budget{64 << 20};
  transfers carriers{store, ledger, budget, [this] { return now; }};
  millis_clock now = signed_at + 1s;
  profile rules;
  sign_request ask;
  bool blank = false;
  std::vector<form_field> fields;
  std::string file = "hello, world", filename = "cat.jpg", ending;
  std::size_t piece = 64 << 10, breaks_at = std::string::npos;
  bool announces = true;
  std::string bucket = "media";
  std::string key; // of the signed form

  fixture() {
    rules.name = "default";
    rules.bucket = "media";
    rules.return_to = {"https://app.example.com/*"};
    ask.filename = filename;
    sign();
  }
  // A form as Postern signs it, with these rules and this request.
  void sign() {
    form_signer_options o;
    o.profiles["default"] = rules;
    o.public_url = "https://up.example.com";
    o.region = "eu-west-1";
    o.credentials = [] { return std::make_shared<const held_credentials>(some_credentials()); };
    const form_signer forms(std::move(o), own, [](const upload&) {});
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
  read_form_result post(std::string body_text) {
    form_reader_options o;
    o.buckets = {"media"};
    o.region = "eu-west-1";
    o.credentials = [] { return std::make_shared<const held_credentials>(some_credentials()); };
    o.clock = [this] { return now; };
    form_reader reader(std::move(o), own, ledger, carriers);
    test::fake_body body(std::move(body_text));
    body.piece = piece;
    body.breaks_at = breaks_at;
    if (!announces) body.announces.reset();
    form_request request{bucket, "multipart/form-data; boundary=" + std::string(boundary)};
    return test::run_task(reader.take(std::move(request), body));
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
    BOOST_TEST(budget.taken() == 0u);
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
  BOOST_TEST(ledger.flushes == 0); // the claim carries the row
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
