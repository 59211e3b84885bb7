#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/events/event.hpp>
#include <postern/core/object.hpp>

namespace postern {
namespace {

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

// The text of a member; empty if it is absent or no string. Another type is no error, because senders add and change
// members that are not used here.
std::string text_in(const json_value* where, std::string_view name) {
  const auto* v = where ? where->find(name) : nullptr;
  const auto* text = v ? v->if_string() : nullptr;
  return text ? *text : std::string{};
}

std::optional<std::uint64_t> size_in(const json_value* where) {
  const auto* v = where ? where->find("size") : nullptr;
  const auto* n = v ? v->if_int() : nullptr;
  if (!n || *n < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*n);
}

result<void> check_names(const object_event& e, const std::string& where) {
  if (e.bucket.empty() || e.bucket.size() > 255) return bad(where + " names no bucket");
  if (e.key.empty()) return bad(where + " names no key");
  // S3 allows 1024 bytes, so Postern has never signed a longer key.
  if (e.key.size() > 1024) return bad(where + " has a key of more than 1024 bytes");
  if ((e.bucket + e.key).find('\0') != std::string::npos) return bad(where + " has a zero byte in a name");
  if (!is_utf8(e.bucket) || !is_utf8(e.key)) return bad(where + " has a name that is not UTF-8");
  return {};
}

// {"eventVersion":"2.5","eventSource":"aws:s3","eventName":"ObjectCreated:Post","s3":{"bucket":{"name":…},
//  "object":{"key":…,"size":…,"eTag":…,"sequencer":…}}}
result<object_event> read_record(const json_value& record, const std::string& where) {
  if (!record.if_object()) return bad(where + " is not an object");
  object_event e;
  e.kind = text_in(&record, "eventName");
  if (e.kind.starts_with("s3:")) e.kind.erase(0, 3); // Ceph, MinIO
  const auto source = text_in(&record, "eventSource");
  if (!source.ends_with(":s3")) return e; // an event of another service
  // The major version must be the known one, a higher minor version only adds members (S3 user guide).
  const auto version = text_in(&record, "eventVersion");
  if (!version.empty() && version.substr(0, version.find('.')) != "2")
    return bad(where + ": event version " + quote(version, 20) + " is not known, only 2.x is");
  const auto* s3 = record.find("s3");
  const auto* object = s3 ? s3->find("object") : nullptr;
  e.bucket = text_in(s3 ? s3->find("bucket") : nullptr, "name");
  e.key = text_in(object, "key");
  if (source != "ceph:s3")
    // A broken escape means that this sender does not encode.
    if (auto decoded = uri_decode(e.key, true)) e.key = std::move(*decoded);
  e.size = size_in(object);
  e.etag = bare_etag(text_in(object, "eTag"));
  e.sequencer = text_in(object, "sequencer");
  e.created = e.kind.starts_with("ObjectCreated:");
  if (auto named = check_names(e, where); !named) return named.error();
  return e;
}

// {"version":"0","source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":…},
//  "object":{"key":…,"size":…,"etag":…,"sequencer":…}}}
result<object_event> read_event_bridge(const json_value& message) {
  object_event e;
  e.kind = text_in(&message, "detail-type");
  if (text_in(&message, "source") != "aws.s3") return e;
  const auto* detail = message.find("detail");
  const auto* object = detail ? detail->find("object") : nullptr;
  e.bucket = text_in(detail ? detail->find("bucket") : nullptr, "name");
  e.key = text_in(object, "key");
  e.size = size_in(object);
  e.etag = bare_etag(text_in(object, "etag"));
  e.sequencer = text_in(object, "sequencer");
  e.created = e.kind == "Object Created";
  if (!e.created) return e; // other kinds need not name an object
  if (auto named = check_names(e, "detail"); !named) return named.error();
  return e;
}

} // namespace

result<event_message> read_events(const json_value& message) {
  if (!message.if_object()) return bad("an event message is a JSON object");
  event_message out;
  const auto add = [&out](result<object_event> e) {
    if (e)
      out.events.push_back(std::move(*e));
    else
      out.rejected.push_back(std::move(e.error().on));
  };
  if (const auto* records = message.find("Records")) {
    const auto* all = records->if_array();
    if (!all) return bad("Records must be a list");
    if (all->size() > max_events)
      return failure{errc::payload_too_large, "more than " + std::to_string(max_events) + " records"};
    for (std::size_t i = 0; i < all->size(); ++i) add(read_record((*all)[i], "record " + std::to_string(i + 1)));
    return out;
  }
  if (message.find("detail-type")) {
    add(read_event_bridge(message));
    return out;
  }
  if (text_in(&message, "Event") == "s3:TestEvent") return out;
  return bad("neither S3's Records, nor EventBridge's detail-type, nor s3:TestEvent");
}

} // namespace postern
