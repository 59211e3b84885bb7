// The lifecycle rule that a bucket needs: S3 itself aborts multipart uploads that nobody completes, should the ledger,
// which knows them, be lost. Follows the Amazon S3 User Guide, "Configuring a bucket lifecycle configuration to delete
// incomplete multipart uploads". Pure functions of the configuration, used by `postern setup lifecycle` and the doctor.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/base/error.hpp>
#include <postern/core/multipart/open_multipart.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// After so many days an upload is aborted. Postern's own uploads end within days.
constexpr unsigned abort_after_days = max_multipart_age.count();

// The prefixes under which profiles store in this bucket, quarantine included, none of them within another one. One
// that is empty: the whole bucket. None: no profile stores there.
std::vector<std::string> upload_prefixes(const config& c, const std::string& bucket);

// Can an upload into this bucket be a multipart upload?
bool may_use_multipart(const config& c, const std::string& bucket);

// The rules as `aws s3api put-bucket-lifecycle-configuration` takes them; JSON, indented.
std::string lifecycle_for_cli(const config& c, const std::string& bucket);

// Adds or replaces Postern's rules, one for each of upload_prefixes. `existing` is the document of
// GetBucketLifecycleConfiguration; empty: there is none. See merge_cors.
result<rule_merge> merge_lifecycle(const config& c, const std::string& bucket, std::string_view existing);

// The days after which every multipart upload of Postern in this bucket is aborted by a rule, whoever wrote it.
// Nothing: one of upload_prefixes has no such rule.
std::optional<unsigned> find_abort_days(const config& c, const std::string& bucket, std::string_view existing);

} // namespace postern::app
