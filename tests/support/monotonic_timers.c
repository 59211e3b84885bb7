// Preloaded ahead of libfaketime, which takes the absolute time of a timerfd for a time of day. The program's timers are
// monotonic: after a jump back, a timer that is due at once would fire a day later.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timerfd_settime(int fd, int flags, const struct itimerspec* new_value, struct itimerspec* old_value) {
  return (int)syscall(SYS_timerfd_settime, fd, flags, new_value, old_value);
}
