#include <postern/app/cli.hpp>

#include <malloc.h>

int main(int argc, char** argv, char** environment) {
  // Map each large buffer separately, so that its memory returns to the system when the upload ends. By default glibc
  // raises this threshold and puts the buffers on its heaps, where one small live block keeps the memory before it. A
  // small file that is collected for S3 counts too: on a heap it would get pages that are in use already, all at once.
  mallopt(M_MMAP_THRESHOLD, 40 << 10);
  return postern::app::run(argc, argv, environment);
}
