#include <postern/core/file_type.hpp>
#include <postern/io/magic/magic_child.hpp>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <magic.h>
#include <seccomp.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POSTERN_HAS_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define POSTERN_HAS_SHADOW_MEMORY 1
#endif
#endif

namespace postern {
namespace {

#ifdef POSTERN_HAS_SHADOW_MEMORY
constexpr bool has_shadow_memory = true;
#else
constexpr bool has_shadow_memory = false;
#endif

constexpr int the_socket = 0;
constexpr rlim_t max_address_space = 256 << 20, max_cpu_seconds = 30;

// Off: everything that unpacks a file or parses its structure in code instead of by the database. TAR is a checksum
// over a header; ELF, CDF (.doc) and zip-like formats are still recognised by their first bytes, see complete_finding.
constexpr int flags = MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_ELF |
                      MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_APPTYPE;

bool send_packet(std::string_view text) {
  return ::send(the_socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

int fail(const std::string& why) {
  (void)send_packet("failed: " + why);
  return 1;
}

bool limit(__rlimit_resource what, rlim_t to) {
  const rlimit both{to, to};
  return ::setrlimit(what, &both) == 0;
}

bool set_limits() {
  return limit(RLIMIT_NOFILE, 0) && limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_NPROC, 0) &&
         limit(RLIMIT_CPU, max_cpu_seconds) && (has_shadow_memory || limit(RLIMIT_AS, max_address_space));
}

// Each call here is one that glibc's allocator, libmagic or a sanitizer's report needs.
bool add_rules(scmp_filter_ctx filter) {
  const auto allow = [&](int call) { return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0; };
  const auto allow_if = [&](int call, unsigned argument, scmp_compare how, scmp_datum_t a, scmp_datum_t b) {
    const scmp_arg_cmp condition{argument, how, a, b};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition) == 0;
  };
  bool ok = true;
  for (const int call : {SCMP_SYS(exit_group), SCMP_SYS(exit), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap),
                         SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
                         SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(clock_gettime), SCMP_SYS(sched_yield)})
    ok = ok && allow(call);
  for (const int call : {SCMP_SYS(recvfrom), SCMP_SYS(sendto)})
    ok = ok && allow_if(call, 0, SCMP_CMP_EQ, the_socket, 0);
  ok = ok && allow_if(SCMP_SYS(write), 0, SCMP_CMP_EQ, STDERR_FILENO, 0);
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) // without PROT_EXEC, the third argument
    ok = ok && allow_if(call, 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
  return ok;
}

bool start_filter() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  const auto filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (!filter) return false;
  const bool is_loaded = add_rules(filter) && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return is_loaded;
}

} // namespace

int run_magic_child() {
  const auto magic = magic_open(flags);
  if (!magic) return fail("libmagic cannot be opened");
  if (magic_load(magic, nullptr) != 0) {
    const char* why = magic_error(magic);
    return fail(std::string("libmagic's database cannot be loaded: ") + (why ? why : "no reason was given"));
  }
  // The first question allocates what libmagic keeps.
  (void)magic_buffer(magic, "text", 4);
  if (!set_limits()) return fail(std::string("the limits of the process cannot be set: ") + std::strerror(errno));
  if (!start_filter()) return fail("the seccomp filter cannot be loaded; the kernel must have CONFIG_SECCOMP_FILTER");
  if (!send_packet("ready")) return 1;

  std::array<char, 1 + looked_at_bytes> packet{};
  for (;;) {
    const auto n = ::recv(the_socket, packet.data(), packet.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0; // the parent is gone
    const char* type = magic_buffer(magic, packet.data() + 1, static_cast<std::size_t>(n) - 1);
    if (!send_packet(type ? type : "!")) return 0;
  }
}

} // namespace postern
