// `postern setup`: prints the documents, or puts the CORS or lifecycle rule into the buckets.
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/lifecycle.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/app/stores/stores.hpp>
#include <postern/core/claim.hpp>

#include <algorithm>
#include <cstdio>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

void hint(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void print(const std::string& document) {
  std::fprintf(stdout, "%s\n", document.c_str());
  std::fflush(stdout); // or it could come behind later hints
}

config with_short_timeouts(config c) {
  c.store.timeout = c.store.timeout == 0ms ? 10s : std::min<std::chrono::milliseconds>(c.store.timeout, 10s);
  return c;
}

void hint_about_types() {
  hint("# An object that is read straight from the bucket has the type that its uploader declared, text/html too. Keep "
       "the\n"
       "# bucket private, or serve it from a domain without cookies. Downloads through Postern are safe.");
}

int print_iam(const config& c) {
  hint_about_types();
  const auto& role = c.store.role_arn;
  if (role.empty()) {
    hint("# For the user or role whose keys Postern uses. In the AWS console: IAM, Users or Roles, its name,\n"
         "# Add permissions, Create inline policy, JSON.");
    print(upload_policy(c));
    return 0;
  }
  const auto name = role_name_of(role);
  hint("# 1. For the role. In the AWS console: IAM, Roles, " + name + ", Add permissions, Create inline policy, JSON.");
  print(upload_policy(c));
  hint("# 2. For the caller: the user or role whose keys Postern uses to assume the role. IAM, Users or Roles, its\n"
       "# name, Add permissions, Create inline policy, JSON.");
  print(caller_policy(c));
  hint("# 3. The trust policy of the role: postern setup trust");
  return 0;
}

// The ARN of the caller. Empty: STS does not answer it.
std::string caller_of(const config& c) {
  const signer server_signer(c.server.secrets);
  storage backend(c, server_signer);
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
  const auto ask = [&]() -> task<std::string> {
    const auto source = own_source_of(c, server_signer, backend.http);
    auto keys = co_await source->fetch();
    if (!keys) co_return std::string{};
    const auto sts = sts_of(c);
    const auto now = system_clock_in_seconds()();
    auto arn = co_await caller_identity(backend.http, sts, *keys, now);
    co_return arn ? *arn : std::string{};
  };
  return run_alone(ask());
}

int print_trust(const config& c) {
  const auto caller = caller_of(c);
  hint("# The trust policy of the role. In the AWS console: IAM, Roles, " + role_name_of(c.store.role_arn) +
       ", Trust relationships, Edit.");
  if (caller.empty())
    hint("# STS did not answer who the caller is, so this policy trusts the whole account of the role. Better replace "
         "the\n"
         "# Principal with the ARN that this prints:\n"
         "#   aws sts get-caller-identity");
  print(trust_policy(c, caller));
  return 0;
}

std::string endpoint_option(const config& c) { return is_aws(c) ? "" : " --endpoint-url " + c.store.endpoint; }

int print_cors(const config& c) {
  hint("# Save this as cors.json, then run:");
  for (const auto& b : buckets_of(c))
    hint("#   aws s3api put-bucket-cors --bucket " + b + " --cors-configuration file://cors.json" + endpoint_option(c));
  hint("# or let Postern do it: postern setup cors --apply. The AWS console (S3, the bucket, Permissions, CORS) takes\n"
       "# only the list after \"CORSRules\", from [ to ].");
  print(cors_for_cli(c));
  return 0;
}

int print_lifecycle(const config& c) {
  hint(
      "# The store aborts multipart uploads that nobody has completed within " + std::to_string(abort_after_days) +
      " days, such as those of a node\n"
      "# that was killed. Let Postern put the rule and keep the bucket's other rules: postern setup lifecycle --apply\n"
      "# Or save the document as lifecycle.json and run the command. It replaces all lifecycle rules of the bucket.");
  for (const auto& b : buckets_of(c)) {
    if (upload_prefixes(c, b).empty()) continue;
    hint("#   aws s3api put-bucket-lifecycle-configuration --bucket " + b +
         " --lifecycle-configuration file://lifecycle.json" + endpoint_option(c));
    print(lifecycle_for_cli(c, b));
  }
  return 0;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& t : texts) out.append(out.empty() ? "" : ", ").append(t);
  return out;
}

// One kind of rules, for messages.
struct rules_of_bucket {
  const char* check;                      // "CORS"
  const char* command;                    // "setup cors"
  const char *read_action, *write_action; // permissions
  const char *without, *remedy_without;   // the store has no such documents
};

constexpr rules_of_bucket cors_rules{
    "CORS",
    "setup cors",
    "s3:GetBucketCORS",
    "s3:PutBucketCORS",
    "this store has no CORS rules for each bucket",
    "Use the store's own setting. In MinIO it is: api cors_allow_origin. In Swift, in [filter:s3api]: "
    "cors_preflight_allow_origin; in [DEFAULT]: cors_allow_origin"};
constexpr rules_of_bucket lifecycle_rules{
    "lifecycle",
    "setup lifecycle",
    "s3:GetLifecycleConfiguration",
    "s3:PutLifecycleConfiguration",
    "this store has no lifecycle rules",
    "Multipart uploads of a node that was killed stay until they are aborted by other means."};

finding explain_failure(const config& c, const storage& backend, const std::string& bucket, const aws_error& e,
                        const rules_of_bucket& of, const std::string& action) {
  if (e.code == "AccessDenied")
    return finding::failed("the keys may not do " + action + " in " + quote(bucket),
                           "Uploads do not need this permission, so the policy of `postern setup iam` does not have "
                           "it. Run this command with an administrator's keys in AWS_ACCESS_KEY_ID and "
                           "AWS_SECRET_ACCESS_KEY, or paste what `postern " +
                               std::string(of.command) + "` prints.");
  if (e.status == 501)
    return finding::failed(std::string(of.without) + " (" + refusal_text(e) + ")", of.remedy_without);
  const auto current = backend.credentials.current();
  const sigv4::credentials none;
  const attempt tried{bucket, action, c.store.endpoint, current ? current->keys : none};
  return explain_refused_request(c, e, tried);
}

int print_failure(const rules_of_bucket& of, const finding& f) {
  std::fputs(to_text(of.check, f).c_str(), stderr);
  return 1;
}

int print_unreadable(const std::string& bucket, const failure& why) {
  std::fprintf(stderr, "✗ %s: %s. Nothing was changed.\n", bucket.c_str(), why.on.c_str());
  return 1;
}

std::string others_shown(const rule_merge& merged) {
  return merged.other_rules ? "; the bucket's other rules (" + std::to_string(merged.other_rules) + ") are unchanged"
                            : "";
}

int print_unchanged(const std::string& bucket, const rule_merge& merged) {
  std::printf("%s: has the rule \"postern\" already, nothing changed%s.\n", bucket.c_str(),
              others_shown(merged).c_str());
  return 0;
}

int print_done(const std::string& bucket, const rule_merge& merged, const std::string& meaning) {
  std::printf("%s: %s the rule \"postern\": %s%s.\n", bucket.c_str(), merged.had_rule ? "replaced" : "put",
              meaning.c_str(), others_shown(merged).c_str());
  return 0;
}

task<int> apply_cors_to(const config& c, storage& backend, std::string bucket) {
  const auto& of = cors_rules;
  auto existing = co_await backend.s3->get_bucket_cors(bucket);
  if (!existing && existing.error().code != "NoSuchCORSConfiguration")
    co_return print_failure(of, explain_failure(c, backend, bucket, existing.error(), of, of.read_action));
  const auto merged = merge_cors(c, existing ? *existing : std::string{});
  if (!merged) co_return print_unreadable(bucket, merged.error());
  if (merged->is_unchanged) co_return print_unchanged(bucket, *merged);
  auto put = co_await backend.s3->put_bucket_cors(bucket, merged->document);
  if (!put) co_return print_failure(of, explain_failure(c, backend, bucket, put.error(), of, of.write_action));
  co_return print_done(bucket, *merged,
                       "pages of " + joined(origins_of(c)) + " may POST and PUT, and read ETag and Location");
}

task<int> apply_lifecycle_to(const config& c, storage& backend, std::string bucket) {
  const auto& of = lifecycle_rules;
  const auto prefixes = upload_prefixes(c, bucket);
  if (prefixes.empty()) co_return 0; // no profile stores there
  auto existing = co_await backend.s3->get_bucket_lifecycle(bucket);
  if (!existing && existing.error().code != "NoSuchLifecycleConfiguration")
    co_return print_failure(of, explain_failure(c, backend, bucket, existing.error(), of, of.read_action));
  auto rules = existing ? std::move(*existing) : bucket_lifecycle{};
  const auto merged = merge_lifecycle(c, bucket, rules.document);
  if (!merged) co_return print_unreadable(bucket, merged.error());
  if (merged->is_unchanged) co_return print_unchanged(bucket, *merged);
  rules.document = merged->document;
  auto put = co_await backend.s3->put_bucket_lifecycle(bucket, std::move(rules));
  if (!put) co_return print_failure(of, explain_failure(c, backend, bucket, put.error(), of, of.write_action));
  const auto where = prefixes.front().empty() ? "in the whole bucket" : "under " + joined(prefixes);
  co_return print_done(bucket, *merged,
                       "multipart uploads " + where + " are aborted after " + std::to_string(abort_after_days) +
                           " days");
}

int apply(const config& c, task<int> (*to)(const config&, storage&, std::string)) {
  const auto settings = with_short_timeouts(c);
  const signer server_signer(settings.server.secrets);
  storage backend(settings, server_signer);
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
  const auto all = [&]() -> task<int> {
    auto keys = co_await backend.credentials.get();
    if (!keys) {
      const auto found = finding::failed(describe(keys.error()), "`postern doctor` says what is missing.");
      std::fputs(to_text("credentials", found).c_str(), stderr);
      co_return 1;
    }
    int code = 0;
    for (const auto& bucket : buckets_of(settings)) {
      const int result = co_await to(settings, backend, bucket);
      code = std::max(code, result);
    }
    co_return code;
  };
  return run_alone(all());
}

int set_up_store(const config& c, document which, bool with_apply) {
  switch (which) {
  case document::iam: return print_iam(c);
  case document::trust: return print_trust(c);
  case document::cors: return with_apply ? apply(c, apply_cors_to) : print_cors(c);
  case document::lifecycle: break;
  }
  return with_apply ? apply(c, apply_lifecycle_to) : print_lifecycle(c);
}

// The stores that need this document. Throws config_error when none does.
std::vector<config> chosen_stores(const config& c, document which, const std::string& only_store) {
  auto all = by_store(c);
  if (!only_store.empty()) std::erase_if(all, [&](const auto& one) { return metric_name(one.store) != only_store; });
  if (all.empty())
    throw config_error("there is no store " + quote(only_store) + " in [[stores]]; \"default\" is [store]");
  const auto first = all.front().store;
  std::erase_if(all, [](const auto& one) { return one.store.type != "s3"; });
  if (all.empty())
    throw config_error("`setup` is for S3, and " + first.setting("type") +
                       " is \"file\": a directory has no policies and no rules");
  const auto first_s3 = all.front().store;
  // A policy without resources is none, and a store without profiles gets no multipart uploads.
  if ((which == document::iam || which == document::lifecycle) && all.size() > 1)
    std::erase_if(all, [](const auto& one) { return one.profiles.empty(); });
  if (which == document::trust) std::erase_if(all, [](const auto& one) { return one.store.role_arn.empty(); });
  if (all.empty())
    throw config_error("`setup trust` prints the trust policy of a role, and " +
                       first_s3.setting("credentials.role_arn") + " is empty");
  return all;
}

} // namespace

int set_up(const config& c, document which, bool apply, const std::string& only_store) {
  if (apply && which != document::cors && which != document::lifecycle)
    throw config_error(
        "only `setup cors` and `setup lifecycle` have --apply. Postern's keys should not be able to change their own "
        "permissions: print the document without --apply and paste it as an administrator.");
  const auto stores = chosen_stores(c, which, only_store);
  // The command prints what it does, so the log has errors only.
  if (c.logging.level != log::level::debug) log::set_up(log::level::error, c.logging.format);
  int code = 0;
  for (const auto& one : stores) {
    if (stores.size() > 1) hint("# --- " + shown_name(one.store) + " (--store " + metric_name(one.store) + ")");
    code = std::max(code, set_up_store(one, which, apply));
  }
  return code;
}

} // namespace postern::app
