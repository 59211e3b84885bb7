// One row of the table of uploads, and its value. For the units of this room.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/sql/database.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// Inline, so that the statements of other units can be composed of these when the program starts.
// Of an upload that was completed a moment ago, all other columns have their defaults. Each column costs SQLite time in
// the statement that runs most often.
inline const std::string new_completion_columns =
    "id, state, profile, \"user\", bucket, key, metadata, min_size, max_size, created_at, "
    "expires_at, size, etag, crc32c, completed_at, completed_by, quota_day, reserved, charged, "
    "claim_until, final_key, way";
inline const std::string upload_columns =
    new_completion_columns + ", overwritten_at, overwritten_etag, failed_because, received, claimed_at, claimed_as, "
                             "removed_at, form_key, stored_at, is_accepted, asked, reason";
inline const std::string returning_upload = " RETURNING " + upload_columns;
inline const std::string returning_new_completion = " RETURNING " + new_completion_columns;
// A condition on rows: their bucket is none of the list in this parameter, which listed_buckets has made.
inline std::string not_in_buckets(const std::string& parameter) {
  return " AND replace(" + parameter + ", '/' || bucket || '/', '') = " + parameter;
}
inline std::string listed_buckets(const bucket_names& all) {
  std::string list; // no bucket's name has a slash
  for (const auto& one : all) list += "/" + one + "/";
  return list;
}

inline const std::string select_upload = "SELECT " + upload_columns + " FROM uploads WHERE ";

// The states that may become `to`, as an SQL list.
std::string states_before(upload_state to);

// The states in which the arrival of an object counts, as an SQL list. From checking, only a verdict leads on.
inline const std::string states_before_arrival = states_before(upload_state::checking);

inline const std::string check_at_sql = "UPDATE uploads SET ask_at = $1 WHERE id = $2";

// An object that was moved out of quarantine, or rejected, is looked for once more, so soon at the earliest: the
// request that deletes it may be lost.
inline constexpr std::chrono::minutes clean_up_pause{2};

inline failure no_such_upload() { return {errc::not_found, "no such upload"}; }

// The column metadata.
std::string metadata_text(const upload& u);

// Reads upload_columns of the statement's present row.
upload read_upload(sql::statement& s);
// Reads new_completion_columns of the first row, if there is one, and ends the statement.
std::optional<upload> one_new_completion(sql::statement& s);
// The first row, or none; and all rows. Both end the statement.
std::optional<upload> one_upload(sql::statement& s);
std::vector<upload> all_uploads(sql::statement& s);

} // namespace postern
