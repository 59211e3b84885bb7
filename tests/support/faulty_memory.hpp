// The memory of a test program: its Nth buffer is not to be had. A buffer is a piece of 4 KiB or more that a thread
// asks for which has called count_here: the threads that serve requests. It takes the place of operator new, so include
// it in one source of a test only.
#pragma once

#include "faults.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

// ThreadSanitizer has an operator new of its own.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define POSTERN_KEEPS_OPERATOR_NEW
#endif
#endif

namespace postern::test {

class faulty_memory {
public:
  static inline faults fails;
  static constexpr std::size_t min_buffer = 4 << 10;

  static void count_here() { is_counted = true; }

  static void* take(std::size_t size) {
    if (is_counted && size >= min_buffer && fails.next("buffer")) throw std::bad_alloc();
    void* const taken = std::malloc(size ? size : 1);
    if (!taken) throw std::bad_alloc();
    return taken;
  }
  static void* take_or_null(std::size_t size) noexcept {
    try {
      return take(size);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

private:
  static inline thread_local bool is_counted = false;
};

} // namespace postern::test

#ifndef POSTERN_KEEPS_OPERATOR_NEW
void* operator new(std::size_t size) { return postern::test::faulty_memory::take(size); }
void* operator new[](std::size_t size) { return postern::test::faulty_memory::take(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return postern::test::faulty_memory::take_or_null(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return postern::test::faulty_memory::take_or_null(size);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif
