#include <postern/io/rows/secret_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>

namespace postern {

void note_secret(sql::database& db, const std::string& fingerprint, millis_clock now) {
  db.prepared("INSERT INTO signing_secrets (fingerprint, used_at) VALUES ($1, $2) "
              "ON CONFLICT (fingerprint) DO UPDATE SET used_at = excluded.used_at")
      .bind(fingerprint, as_integer(now))
      .run();
}

std::vector<std::string> list_secrets(sql::database& db, millis_clock since) {
  auto& s = db.prepared("SELECT fingerprint FROM signing_secrets WHERE used_at >= $1 ORDER BY fingerprint")
                .bind(as_integer(since));
  std::vector<std::string> found;
  while (s.step()) found.push_back(s.text());
  s.rewind();
  return found;
}

} // namespace postern
