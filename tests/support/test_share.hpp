// An allowance without limits, for tests of what takes memory.
#pragma once

#include <postern/io/allowance.hpp>

namespace postern::test {

struct test_share {
  asio::io_context loop{1};
  resources shared{{}};
  allowance own{shared, loop.get_executor(), {}};
};

} // namespace postern::test
