// The child process in which libmagic reads hostile bytes. It is this program, executed anew: so it has none of the
// parent's memory, secrets, environment or descriptors, and no threads. It loads libmagic's database, gives up
// all that it does not need, and answers questions until its socket closes.
//
// The socket is descriptor 0: a SOCK_SEQPACKET, so that each packet is one message. The first packet that the child
// sends is "ready", or "failed: " and the reason. Then each packet that it receives is "?" and at most looked_at_bytes
// bytes of a file, and is answered with a media type, or with nothing but "!" if libmagic fails.
//
// What the child cannot do after "ready": any system call but those for memory, for messages on descriptor 0, for
// writing descriptor 2 (/dev/null), and for exiting (seccomp kills it); map memory that can be executed; have more than
// 256 MiB of address space or 30 s of CPU time. With AddressSanitizer or ThreadSanitizer the address space has no
// limit, because they reserve terabytes.
#pragma once

#include <string_view>

namespace postern {

// The program's only argument in the child process.
inline constexpr std::string_view magic_child_argument = "find-types";

// Answers questions from descriptor 0 until the socket closes. Returns the exit code; end with _exit.
int run_magic_child();

} // namespace postern
