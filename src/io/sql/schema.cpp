#include <postern/io/sql/schema.hpp>

#include <array>

namespace postern::ledger_schema {
namespace {

// The completion source "fallback" had the name "proxy" in versions 1 and 2.
constexpr const char* rename_proxy_to_fallback =
    "UPDATE uploads SET completed_by = 'fallback' WHERE completed_by = 'proxy'";

// used_at: when a node last signed with the secret. The age of the oldest webhook is read often.
constexpr const char* sqlite_secrets =
    "CREATE TABLE signing_secrets (fingerprint TEXT PRIMARY KEY, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID; "
    "CREATE INDEX webhooks_waiting ON webhooks (created_at) WHERE due_at IS NOT NULL";
constexpr const char* postgres_secrets =
    "CREATE TABLE signing_secrets (fingerprint TEXT COLLATE \"C\" PRIMARY KEY, used_at BIGINT NOT NULL); "
    "CREATE INDEX webhooks_waiting ON webhooks (created_at) WHERE due_at IS NOT NULL";

// The ids of messages from outside that were handled lately.
constexpr const char* sqlite_messages =
    "CREATE TABLE handled_messages (id TEXT PRIMARY KEY, handled_at INTEGER NOT NULL) STRICT, WITHOUT ROWID; "
    "CREATE INDEX handled_messages_by_age ON handled_messages (handled_at)";
constexpr const char* postgres_messages =
    "CREATE TABLE handled_messages (id TEXT COLLATE \"C\" PRIMARY KEY, handled_at BIGINT NOT NULL); "
    "CREATE INDEX handled_messages_by_age ON handled_messages (handled_at)";

// What the uploads of a profile hold: together (scope 'profile', user '') and of each user (scope 'user'); on one day,
// in days since 1970, and on all days (day 0). In uploads: the day to which an upload counts, and what it reserves,
// and what it was charged.
constexpr const char* sqlite_quotas =
    "ALTER TABLE uploads ADD COLUMN quota_day INTEGER; ALTER TABLE uploads ADD COLUMN reserved INTEGER; "
    "ALTER TABLE uploads ADD COLUMN charged INTEGER; "
    "CREATE TABLE quotas (profile TEXT NOT NULL, scope TEXT NOT NULL, user TEXT NOT NULL, day INTEGER NOT NULL, "
    "used INTEGER NOT NULL, reserved INTEGER NOT NULL, in_flight INTEGER NOT NULL, "
    "PRIMARY KEY (profile, scope, user, day)) STRICT, WITHOUT ROWID; "
    "CREATE INDEX quotas_by_day ON quotas (day)";
constexpr const char* postgres_quotas =
    "ALTER TABLE uploads ADD COLUMN quota_day BIGINT; ALTER TABLE uploads ADD COLUMN reserved BIGINT; "
    "ALTER TABLE uploads ADD COLUMN charged BIGINT; "
    "CREATE TABLE quotas (profile TEXT COLLATE \"C\" NOT NULL, scope TEXT COLLATE \"C\" NOT NULL, "
    "\"user\" TEXT COLLATE \"C\" NOT NULL, day BIGINT NOT NULL, used BIGINT NOT NULL, reserved BIGINT NOT NULL, "
    "in_flight BIGINT NOT NULL, PRIMARY KEY (profile, scope, \"user\", day)); CREATE INDEX quotas_by_day ON quotas "
    "(day)";

// claim_until: then the upload is removed, unless the application has claimed it.
constexpr const char* sqlite_claims =
    "ALTER TABLE uploads ADD COLUMN claim_until INTEGER; ALTER TABLE uploads ADD COLUMN claimed_at INTEGER; "
    "ALTER TABLE uploads ADD COLUMN claimed_as TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN removed_at INTEGER; "
    "CREATE INDEX uploads_unclaimed ON uploads (claim_until, id) WHERE claim_until IS NOT NULL";
constexpr const char* postgres_claims =
    "ALTER TABLE uploads ADD COLUMN claim_until BIGINT; ALTER TABLE uploads ADD COLUMN claimed_at BIGINT; "
    "ALTER TABLE uploads ADD COLUMN claimed_as TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN removed_at BIGINT; "
    "CREATE INDEX uploads_unclaimed ON uploads (claim_until, id) WHERE claim_until IS NOT NULL";

// For uploads of profiles with an accept hook. stored_at: when checking began. asked: questions without a verdict.
constexpr const char* sqlite_verdicts =
    "ALTER TABLE uploads ADD COLUMN final_key TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN form_key TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN stored_at INTEGER; "
    "ALTER TABLE uploads ADD COLUMN is_accepted INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE uploads ADD COLUMN asked INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE uploads ADD COLUMN reason TEXT NOT NULL DEFAULT ''; "
    "CREATE INDEX uploads_to_judge ON uploads (state, ask_at, id) WHERE state = 'checking'";
constexpr const char* postgres_verdicts =
    "ALTER TABLE uploads ADD COLUMN final_key TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN form_key TEXT NOT NULL DEFAULT ''; "
    "ALTER TABLE uploads ADD COLUMN stored_at BIGINT; "
    "ALTER TABLE uploads ADD COLUMN is_accepted BIGINT NOT NULL DEFAULT 0; "
    "ALTER TABLE uploads ADD COLUMN asked BIGINT NOT NULL DEFAULT 0; "
    "ALTER TABLE uploads ADD COLUMN reason TEXT NOT NULL DEFAULT ''; "
    "CREATE INDEX uploads_to_judge ON uploads (state, ask_at, id) WHERE state = 'checking'";
// How often each node has admitted what a rate limits: id names the limit and the user. One node needs no table. After
// a crash the counts may be gone, so they are not logged. Rows are updated often, in place: no index but the key.
constexpr const char* sqlite_rates = "SELECT 1";
constexpr const char* postgres_rates =
    "CREATE UNLOGGED TABLE rates (id TEXT COLLATE \"C\" NOT NULL, node TEXT COLLATE \"C\" NOT NULL, "
    "taken BIGINT NOT NULL, noted_at BIGINT NOT NULL, PRIMARY KEY (id, node)) WITH (fillfactor = 50)";

// way: by which the bytes came. multiparts: see core/multipart/open_multipart.
constexpr const char* sqlite_multiparts =
    "ALTER TABLE uploads ADD COLUMN way TEXT NOT NULL DEFAULT ''; "
    "UPDATE uploads SET way = 'fallback' WHERE completed_by = 'fallback'; "
    "CREATE TABLE multiparts (id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, store_id TEXT NOT NULL, "
    "size INTEGER NOT NULL, part_size INTEGER NOT NULL, has_checksums INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "created_at INTEGER NOT NULL, due_at INTEGER NOT NULL) STRICT, WITHOUT ROWID; "
    "CREATE INDEX multiparts_due ON multiparts (due_at, id); CREATE INDEX multiparts_by_key ON multiparts (key)";
constexpr const char* postgres_multiparts =
    "ALTER TABLE uploads ADD COLUMN way TEXT NOT NULL DEFAULT ''; "
    "UPDATE uploads SET way = 'fallback' WHERE completed_by = 'fallback'; "
    "CREATE TABLE multiparts (id TEXT COLLATE \"C\" PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, "
    "store_id TEXT NOT NULL, size BIGINT NOT NULL, part_size BIGINT NOT NULL, has_checksums BIGINT NOT NULL, "
    "bytes BIGINT NOT NULL, created_at BIGINT NOT NULL, due_at BIGINT NOT NULL); "
    "CREATE INDEX multiparts_due ON multiparts (due_at, id); CREATE INDEX multiparts_by_key ON multiparts (key)";

// Uploads that come in several requests. 0 as a time: none. length: NULL until it is declared.
constexpr const char* sqlite_resumables = "ALTER TABLE multiparts ADD COLUMN way TEXT NOT NULL DEFAULT 'multipart'; "
                                          "ALTER TABLE multiparts ADD COLUMN length INTEGER; ALTER TABLE multiparts "
                                          "ADD COLUMN kept INTEGER NOT NULL DEFAULT 0; "
                                          "ALTER TABLE multiparts ADD COLUMN kept_crc32c INTEGER NOT NULL DEFAULT 0; "
                                          "ALTER TABLE multiparts ADD COLUMN holder TEXT NOT NULL DEFAULT ''; "
                                          "ALTER TABLE multiparts ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0; "
                                          "ALTER TABLE multiparts ADD COLUMN wanted_by TEXT NOT NULL DEFAULT ''";
constexpr const char* postgres_resumables = "ALTER TABLE multiparts ADD COLUMN way TEXT NOT NULL DEFAULT 'multipart'; "
                                            "ALTER TABLE multiparts ADD COLUMN length BIGINT; ALTER TABLE multiparts "
                                            "ADD COLUMN kept BIGINT NOT NULL DEFAULT 0; "
                                            "ALTER TABLE multiparts ADD COLUMN kept_crc32c BIGINT NOT NULL DEFAULT 0; "
                                            "ALTER TABLE multiparts ADD COLUMN holder TEXT NOT NULL DEFAULT ''; "
                                            "ALTER TABLE multiparts ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0; "
                                            "ALTER TABLE multiparts ADD COLUMN wanted_by TEXT NOT NULL DEFAULT ''";

// Times are milliseconds since 1970. ask_at: when the next check of the store is due; NULL: no check is due.
// due_at: when the next delivery is due; NULL: a dead letter.
// attempt: the id of the newest fallback upload of the form. failures: how often the upload became failed.
// delivery_order: 0 for messages about completions, which go first; 1 for all others.
constexpr std::array<const char*, 12> sqlite_steps{
    R"(CREATE TABLE uploads (
         id TEXT PRIMARY KEY, state TEXT NOT NULL, profile TEXT NOT NULL, user TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
         metadata TEXT NOT NULL, min_size INTEGER NOT NULL, max_size INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
         size INTEGER, etag TEXT NOT NULL DEFAULT '', crc32c INTEGER, completed_at INTEGER, completed_by TEXT NOT NULL DEFAULT '',
         overwritten_at INTEGER, failed_because TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
       CREATE INDEX uploads_by_state ON uploads (state, id);
       CREATE INDEX uploads_open ON uploads (expires_at) WHERE state IN ('issued', 'receiving');)",

    R"(ALTER TABLE uploads ADD COLUMN ask_at INTEGER;
       ALTER TABLE uploads ADD COLUMN received INTEGER;
       ALTER TABLE uploads ADD COLUMN overwritten_etag TEXT NOT NULL DEFAULT '';
       UPDATE uploads SET ask_at = expires_at + 600000 WHERE state IN ('issued', 'receiving', 'failed');
       DROP INDEX uploads_open;
       CREATE INDEX uploads_to_ask ON uploads (ask_at, id) WHERE ask_at IS NOT NULL;
       CREATE INDEX uploads_by_age ON uploads (created_at, id);
       CREATE TABLE webhooks (
         id TEXT PRIMARY KEY, upload_id TEXT NOT NULL, url TEXT NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL,
         tries INTEGER NOT NULL, created_at INTEGER NOT NULL, due_at INTEGER, last_error TEXT NOT NULL) STRICT;
       CREATE INDEX webhooks_due ON webhooks (due_at, id) WHERE due_at IS NOT NULL;
       CREATE INDEX webhooks_dead ON webhooks (id) WHERE due_at IS NULL;
       CREATE INDEX webhooks_of ON webhooks (upload_id, id);
       CREATE TABLE stopped_endpoints (url TEXT PRIMARY KEY, why TEXT NOT NULL) STRICT, WITHOUT ROWID;)",

    rename_proxy_to_fallback,

    sqlite_secrets,

    R"(ALTER TABLE uploads ADD COLUMN attempt TEXT NOT NULL DEFAULT '';
       ALTER TABLE uploads ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
       UPDATE uploads SET failures = 1 WHERE state = 'failed';
       ALTER TABLE webhooks ADD COLUMN delivery_order INTEGER NOT NULL DEFAULT 1;
       UPDATE webhooks SET delivery_order = 0 WHERE type = 'upload.completed';
       CREATE INDEX webhooks_due_to ON webhooks (url, delivery_order, due_at, id) WHERE due_at IS NOT NULL;)",

    sqlite_messages,

    sqlite_quotas,

    sqlite_claims,

    sqlite_verdicts,

    sqlite_rates,

    sqlite_multiparts,

    sqlite_resumables,
};

// Ids compare byte by byte in every locale. Versions have the numbers of SQLite's, so version 1 is empty.
constexpr std::array<const char*, 12> postgres_steps{
    "SELECT 1",

    R"(CREATE TABLE uploads (
         id TEXT COLLATE "C" PRIMARY KEY, state TEXT COLLATE "C" NOT NULL, profile TEXT NOT NULL, "user" TEXT NOT NULL, bucket TEXT NOT NULL,
         key TEXT NOT NULL, metadata TEXT NOT NULL, min_size BIGINT NOT NULL, max_size BIGINT NOT NULL, created_at BIGINT NOT NULL,
         expires_at BIGINT NOT NULL, size BIGINT, etag TEXT NOT NULL DEFAULT '', crc32c BIGINT, completed_at BIGINT,
         completed_by TEXT NOT NULL DEFAULT '', overwritten_at BIGINT, failed_because TEXT NOT NULL DEFAULT '',
         ask_at BIGINT, received BIGINT, overwritten_etag TEXT NOT NULL DEFAULT '');
       CREATE INDEX uploads_by_state ON uploads (state, id);
       CREATE INDEX uploads_to_ask ON uploads (ask_at, id) WHERE ask_at IS NOT NULL;
       CREATE INDEX uploads_by_age ON uploads (created_at, id);
       CREATE TABLE webhooks (
         id TEXT COLLATE "C" PRIMARY KEY, upload_id TEXT COLLATE "C" NOT NULL, url TEXT COLLATE "C" NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL,
         tries BIGINT NOT NULL, created_at BIGINT NOT NULL, due_at BIGINT, last_error TEXT NOT NULL);
       CREATE INDEX webhooks_due ON webhooks (due_at, id) WHERE due_at IS NOT NULL;
       CREATE INDEX webhooks_dead ON webhooks (id) WHERE due_at IS NULL;
       CREATE INDEX webhooks_of ON webhooks (upload_id, id);
       CREATE TABLE stopped_endpoints (url TEXT COLLATE "C" PRIMARY KEY, why TEXT NOT NULL);)",

    rename_proxy_to_fallback,

    postgres_secrets,

    R"(ALTER TABLE uploads ADD COLUMN attempt TEXT NOT NULL DEFAULT '';
       ALTER TABLE uploads ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
       UPDATE uploads SET failures = 1 WHERE state = 'failed';
       ALTER TABLE webhooks ADD COLUMN delivery_order BIGINT NOT NULL DEFAULT 1;
       UPDATE webhooks SET delivery_order = 0 WHERE type = 'upload.completed';
       CREATE INDEX webhooks_due_to ON webhooks (url, delivery_order, due_at, id) WHERE due_at IS NOT NULL;)",

    postgres_messages,

    postgres_quotas,

    postgres_claims,

    postgres_verdicts,

    postgres_rates,

    postgres_multiparts,

    postgres_resumables,
};

} // namespace

const sql::dialect sqlite{sqlite_steps, "", "id IN (SELECT value FROM json_each($1))", false};
const sql::dialect postgres{postgres_steps, " FOR UPDATE SKIP LOCKED",
                            "id = ANY (ARRAY(SELECT json_array_elements_text(CAST($1 AS json))))", true};

} // namespace postern::ledger_schema
