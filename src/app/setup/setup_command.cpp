// `postern setup`: prints the documents, and puts the CORS rule into the buckets.
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/app/storage.hpp>
#include <postern/core/claim.hpp>

#include <cstdio>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

void hint(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void print(const std::string& document) {
  std::fprintf(stdout, "%s\n", document.c_str());
  std::fflush(stdout); // so that it stands below its hint, wherever both go
}

config hurried(config c) {
  c.store.timeout = c.store.timeout == 0ms ? 10s : std::min<std::chrono::milliseconds>(c.store.timeout, 10s);
  return c;
}

int print_iam(const config& c) {
  const auto& role = c.store.role_arn;
  if (role.empty()) {
    hint("# For the user or role whose keys Postern has. IAM, Users or Roles, the one, Add permissions, Create inline\n"
         "# policy, JSON.");
    print(upload_policy(c));
    return 0;
  }
  const auto name = role_name_of(role);
  hint("# 1. For the role. IAM, Roles, " + name + ", Add permissions, Create inline policy, JSON.");
  print(upload_policy(c));
  hint("# 2. For the user or role that takes it on, whose keys Postern has. IAM, Users or Roles, the one, Add\n"
       "# permissions, Create inline policy, JSON.");
  print(caller_policy(c));
  hint("# The role's trust policy is the third: postern setup trust");
  return 0;
}

// The caller, where STS can be asked who that is.
std::string caller_of(const config& c) {
  const signer own(c.server.secrets);
  storage backend(c, own);
  const auto ask = [&]() -> task<std::string> {
    const auto from = own_source_of(c, own, backend.http);
    auto keys = co_await from->fetch();
    if (!keys) co_return std::string{};
    const auto sts = sts_of(c);
    const auto now = system_clock_in_seconds()();
    auto arn = co_await caller_identity(backend.http, sts, *keys, now);
    co_return arn ? *arn : std::string{};
  };
  return run_alone(ask());
}

int print_trust(const config& c) {
  if (c.store.role_arn.empty())
    throw config_error("setup trust is for a role, and store.credentials.role_arn names none");
  const auto caller = caller_of(c);
  hint("# The trust policy of the role. IAM, Roles, " + role_name_of(c.store.role_arn) +
       ", Trust relationships, Edit.");
  if (caller.empty())
    hint("# Who the caller is could not be found out, so this trusts its whole account. Better put in the answer of\n"
         "#   aws sts get-caller-identity");
  print(trust_policy(c, caller));
  return 0;
}

int print_cors(const config& c) {
  hint("# Save it as cors.json, then:");
  for (const auto& b : buckets_of(c))
    hint("#   aws s3api put-bucket-cors --bucket " + b + " --cors-configuration file://cors.json" +
         (is_aws(c) ? "" : " --endpoint-url " + c.store.endpoint));
  hint("# or have it done: postern setup cors --apply. The AWS console (S3, the bucket, Permissions, CORS) takes only\n"
       "# the list behind \"CORSRules\", from [ to ].");
  print(cors_for_cli(c));
  return 0;
}

std::string listed(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& t : texts) out.append(out.empty() ? "" : ", ").append(t);
  return out;
}

// A bucket without rules answers 404 NoSuchCORSConfiguration.
task<aws_result<std::string>> rules_of(s3_client& s3, std::string bucket) {
  auto now = co_await s3.get_bucket_cors(std::move(bucket));
  if (!now && now.error().code == "NoSuchCORSConfiguration") co_return std::string{};
  co_return now;
}

task<int> apply_to(const config& c, storage& backend, std::string bucket) {
  const auto complain = [&](const aws_error& e, const char* action) {
    const auto current = backend.credentials.current();
    const sigv4::credentials none;
    const attempt tried{bucket, action, c.store.endpoint, current ? current->keys : none};
    auto found = e.code == "AccessDenied"
                     ? finding::wrong("the keys may not do " + std::string(action) + " in " + quote(bucket),
                                      "Serving needs no such permission, so `setup iam` does not ask for it. Do it "
                                      "with an administrator's keys, in the environment as AWS_ACCESS_KEY_ID and "
                                      "AWS_SECRET_ACCESS_KEY, or paste what `postern setup cors` prints.")
                 : e.status == 501 ? finding::wrong("this store has no CORS rules of its own (" + said(e) + ")",
                                                    "Look for its own setting; MinIO's is api cors_allow_origin.")
                                   : store_refused(c, e, tried);
    std::fputs(to_text("CORS", found).c_str(), stderr);
    return 1;
  };
  auto existing = co_await rules_of(*backend.s3, bucket);
  if (!existing) co_return complain(existing.error(), "s3:GetBucketCORS");
  const auto merged = merge_cors(c, *existing);
  if (!merged) {
    std::fprintf(stderr, "✗ %s: %s. Nothing was changed.\n", bucket.c_str(), merged.error().on.c_str());
    co_return 1;
  }
  const auto others = merged->kept ? "; " + std::to_string(merged->kept) + " rules of others stay as they are" : "";
  if (merged->same) {
    std::printf("%s: has the rule \"postern\" already, nothing changed%s.\n", bucket.c_str(), others.c_str());
    co_return 0;
  }
  auto put = co_await backend.s3->put_bucket_cors(bucket, merged->document);
  if (!put) co_return complain(put.error(), "s3:PutBucketCORS");
  std::printf("%s: %s the rule \"postern\": pages of %s may POST and PUT, and read ETag and Location%s.\n",
              bucket.c_str(), merged->replaced ? "replaced" : "put", listed(origins_of(c)).c_str(), others.c_str());
  co_return 0;
}

int apply_cors(const config& c) {
  const auto quick = hurried(c);
  const signer own(quick.server.secrets);
  storage backend(quick, own);
  const auto all = [&]() -> task<int> {
    auto keys = co_await backend.credentials.get();
    if (!keys) {
      const auto found = finding::wrong(describe(keys.error()), "`postern doctor` says what is missing.");
      std::fputs(to_text("credentials", found).c_str(), stderr);
      co_return 1;
    }
    int code = 0;
    for (const auto& b : buckets_of(quick)) {
      const int one = co_await apply_to(quick, backend, b);
      code = std::max(code, one);
    }
    co_return code;
  };
  return run_alone(all());
}

} // namespace

int set_up(const config& c, document which, bool apply) {
  if (apply && which != document::cors)
    throw config_error("only `setup cors` has --apply: keys that may change what they themselves may do would be worth "
                       "more to a thief than all uploads. Paste the document as an administrator.");
  if (c.store.type != "s3") throw config_error("store.type is \"file\": a directory has no policies and no CORS rules");
  // What happens is said here; the log says nothing but errors.
  if (c.log_level != log::level::debug) log::set_up(log::level::error, c.log_format);
  switch (which) {
  case document::iam: return print_iam(c);
  case document::trust: return print_trust(c);
  case document::cors: break;
  }
  return apply ? apply_cors(c) : print_cors(c);
}

} // namespace postern::app
