#include <postern/app/cli.hpp>

#include <malloc.h>

int main(int argc, char** argv, char** environment) {
  // Map each transfer buffer separately, so that its memory returns to the system when the upload ends. By default glibc
  // raises this threshold and puts the buffers on its heaps, where one small live block keeps the memory before it.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  return postern::app::run(argc, argv, environment);
}
