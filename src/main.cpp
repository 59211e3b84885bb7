#include <postern/app/cli.hpp>

#include <malloc.h>

int main(int argc, char** argv, char** environment) {
  // Transfer buffers go back to the system when their upload ends. Left to itself, glibc soon keeps blocks of that size
  // on its heaps, where one small neighbour that lives on holds all of the memory before it.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  return postern::app::run(argc, argv, environment);
}
