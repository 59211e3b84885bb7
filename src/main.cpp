#include <postern/app/cli.hpp>
#include <postern/io/magic/magic_child.hpp>

#include <malloc.h>
#include <string_view>
#include <unistd.h>

int main(int argc, char** argv, char** environment) {
  // The program runs itself with this argument; it is no command for people. seccomp would kill an ordinary exit.
  if (argc == 2 && argv[1] == postern::magic_child_argument) _exit(postern::run_magic_child());
  // Map each large buffer separately, so that its memory returns to the system when the upload ends. By default glibc
  // raises this threshold and puts the buffers on its heaps, where one small live block keeps the memory before it. A
  // small file that is collected for S3 counts too: on a heap it would get pages that are in use already, all at once.
  mallopt(M_MMAP_THRESHOLD, 40 << 10);
  return postern::app::run(argc, argv, environment);
}
