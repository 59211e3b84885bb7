#include <postern/io/ledger.hpp>
#include <postern/io/rows/message_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>

namespace postern {

bool has_message(sql::database& db, const std::string& id, millis_clock now) {
  auto& s = db.prepared("SELECT 1 FROM handled_messages WHERE id = $1 AND handled_at > $2")
                .bind(id, as_integer(now - ledger::message_memory));
  const bool found = s.step();
  s.rewind();
  return found;
}

void note_message(sql::database& db, const std::string& id, millis_clock now) {
  db.prepared("DELETE FROM handled_messages WHERE handled_at <= $1")
      .bind(as_integer(now - ledger::message_memory))
      .run();
  db.prepared("INSERT INTO handled_messages (id, handled_at) VALUES ($1, $2) "
              "ON CONFLICT (id) DO UPDATE SET handled_at = excluded.handled_at")
      .bind(id, as_integer(now))
      .run();
}

} // namespace postern
