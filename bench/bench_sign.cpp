// How many forms a second can be signed on one core, beside the raw HMACs over the same texts? Everything that signing
// does: id, key, claim, policy document, AWS's signature, Postern's own, and the JSON of the answer. Nothing is
// recorded.
#include "measure.hpp"
#include <postern/flow/sign.hpp>

using namespace postern;

namespace {} // namespace

int main() {
  const signer own({secret("a secret for measuring only")});
  form_signer_options options;
  options.profiles["default"].name = "default";
  options.profiles["default"].bucket = "media";
  options.public_url = "https://uploads.example.com";
  form_store store;
  store.direct_urls["media"] = "https://media.s3.eu-west-1.amazonaws.com/";
  store.region = "eu-west-1";
  auto keys = std::make_shared<const held_credentials>(held_credentials{
      {"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}}, std::nullopt, ""});
  store.credentials = [&keys] { return keys; };
  options.find_store = only(std::move(store));
  const form_signer forms(options, own);
  sign_request ask;
  ask.filename = "cat.jpg";
  ask.content_type = "image/jpeg";
  const millis_clock now{std::chrono::milliseconds(1'800'000'000'000)};

  constexpr int count = 20'000;
  const auto sample = forms.sign(ask, {}, now).value();
  const double signing_time = bench::best_of(5, [&] {
    for (int i = 0; i < count; ++i) bench::use(to_json(*forms.sign(ask, {}, now)));
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
