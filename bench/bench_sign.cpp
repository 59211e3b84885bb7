// How many forms a second can be signed on one core, beside the raw HMACs over the same texts? Everything that signing
// does: id, key, claim, policy document, AWS's signature, Postern's own, and the JSON of the answer. The ledger is one
// that forgets.
#include "measure.hpp"
#include <postern/flow/sign.hpp>

using namespace postern;

namespace {

struct forgetful_ledger final : ledger {
  void issue(upload) override {}
  void receiving(upload) override {}
  task<result<upload>> confirm(completion) override { co_return failure(errc::unavailable, ""); }
  task<result<upload>> fail(upload, std::string, millis_clock) override { co_return failure(errc::unavailable, ""); }
  void progress(std::vector<std::pair<std::string, std::uint64_t>>) override {}
  task<result<upload>> ask_again(upload, millis_clock) override { co_return failure(errc::unavailable, ""); }
  task<result<std::vector<upload>>> due_questions(millis_clock, millis_clock, std::size_t) override {
    co_return std::vector<upload>{};
  }
  task<result<upload>> expire(std::string, millis_clock) override { co_return failure(errc::not_found, ""); }
  task<result<std::vector<webhook>>> due_webhooks(millis_clock, millis_clock, std::size_t) override {
    co_return std::vector<webhook>{};
  }
  task<result<void>> delivered(std::string) override { co_return result<void>{}; }
  task<result<void>> undelivered(std::string, std::string, std::optional<millis_clock>) override {
    co_return result<void>{};
  }
  task<result<void>> stop_endpoint(std::string, std::string) override { co_return result<void>{}; }
  task<result<std::vector<webhook>>> list_webhooks(webhook_filter) override { co_return std::vector<webhook>{}; }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string>, millis_clock) override {
    co_return std::size_t{0};
  }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string>) override { co_return std::size_t{0}; }
  task<result<std::size_t>> forget(millis_clock, std::size_t) override { co_return std::size_t{0}; }
  task<result<upload>> find(std::string) override { co_return failure(errc::not_found, ""); }
  task<result<std::vector<upload>>> list(upload_filter) override { co_return std::vector<upload>{}; }
  task<result<void>> probe() override { co_return result<void>{}; }
};

} // namespace

int main() {
  const signer own({secret("a secret for measuring only")});
  forgetful_ledger ledger;
  signing_options options;
  options.profiles["default"].name = "default";
  options.profiles["default"].bucket = "media";
  options.public_url = "https://uploads.example.com";
  options.direct_urls["media"] = "https://media.s3.eu-west-1.amazonaws.com/";
  options.region = "eu-west-1";
  const auto keys = std::make_shared<const held_credentials>(held_credentials{
      {"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}}, std::nullopt, ""});
  options.credentials = [keys] { return keys; };
  const signing signs(options, own, [&](upload u) { ledger.issue(std::move(u)); });
  sign_request ask;
  ask.filename = "cat.jpg";
  ask.content_type = "image/jpeg";
  const millis_clock now{std::chrono::milliseconds(1'800'000'000'000)};

  constexpr int count = 20'000;
  const auto sample = signs.sign(ask, {}, now).value();
  const double signing_time = bench::best_of(5, [&] {
    for (int i = 0; i < count; ++i) bench::use(to_json(*signs.sign(ask, {}, now)));
  });
  // The three texts that must be authenticated, with keys that are ready.
  const auto* policy = find_field(sample.fields, "policy");
  const auto token = sample.complete_url.substr(sample.complete_url.rfind('/') + 1);
  const hmac_key key("0123456789abcdef0123456789abcdef");
  const double hmac_time = bench::best_of(5, [&] {
    for (int i = 0; i < count; ++i) {
      bench::use(key.sign(*policy));
      bench::use(key.sign(*policy));
      bench::use(key.sign(token));
    }
  });
  std::printf("signing                    %8.0f forms/s   raw HMACs %8.0f/s   ratio %.2f   answer %zu bytes\n",
              count / signing_time, count / hmac_time, hmac_time / signing_time, to_json(sample).size());
}
