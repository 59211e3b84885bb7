#include <cstddef>
#include <cstdint>
#include <fuzz/io_inputs.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::xml({reinterpret_cast<const char*>(data), size});
  return 0;
}
