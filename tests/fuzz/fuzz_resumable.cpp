#include <cstddef>
#include <cstdint>
#include <fuzz/core_inputs.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::resumable({reinterpret_cast<const char*>(data), size});
  return 0;
}
