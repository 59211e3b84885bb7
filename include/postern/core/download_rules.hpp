// How an uploaded object may be shown to a browser: with which Content-Type and Content-Disposition. Anybody can upload
// a page with a script under any type, so a type that a browser runs is never sent, and nothing is shown in the browser
// unless the profile says so. Pure.
#pragma once

#include <postern/core/profile.hpp>

#include <string>
#include <string_view>

namespace postern {

// Does a browser run documents of this type, or load them as a script? HTML, SVG and all other XML, JavaScript, MHTML
// and multipart. Also true for a text that is no media type (RFC 9110 §8.3.1): a browser would guess.
bool is_active_type(std::string_view media_type);

// The field's value (RFC 6266). `filename` is the name to save under; it may have any bytes (see safe_filename). A
// client that does not know filename* (RFC 8187) gets a name of plain characters.
//
//   attachment; filename="Gr__e.txt"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt
std::string content_disposition(bool is_inline, std::string_view filename);

struct shown_as {
  std::string content_type, content_disposition;
};
// `declared`: the object's own type; empty: it has none. The name is the last part of the key.
shown_as show_object(const profile& rules, std::string_view declared, std::string_view key);

} // namespace postern
