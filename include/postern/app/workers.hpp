// The threads that serve requests. Each worker has an io_context and its own HTTP servers; a connection stays on the
// worker that accepted it. The first worker, "home", runs on the thread that calls run and also runs the node's
// background tasks. Owned by the node.
#pragma once

#include <postern/front/connection_count.hpp>
#include <postern/front/http_server.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace postern::app {

class workers {
public:
  // At least one thread. `descriptors`: an estimate of how many sockets all workers have open at the same time.
  workers(std::size_t threads, std::size_t descriptors);
  ~workers();
  workers(const workers&) = delete;
  workers& operator=(const workers&) = delete;

  std::size_t size() const { return all_.size(); }
  asio::io_context& home() { return all_.front()->loop; }
  group& home_tasks() { return all_.front()->tasks; }

  // Every worker listens on every address. Where the port is 0, the system chooses one port for all workers. Throws
  // std::runtime_error with the address. Call before run.
  void listen(const std::vector<std::string>& addresses, const front::server_options& options,
              front::connection_count& count, resources& shared, const front::endpoint& answer);

  // Runs all workers. Returns when none has any work left: after a drain, and when the home tasks have ended.
  void run();

  // Any thread. Drains each worker's servers for at most `max`. Calls on_drained once for each worker, on its thread.
  void drain(std::chrono::milliseconds max, std::function<void()> on_drained);
  // Any thread. Cuts all client connections, and the requests to the store that they wait for. Cleanup continues.
  void cut();

private:
  struct worker {
    void run();
    task<> drain(std::chrono::milliseconds max, std::function<void()> on_drained);
    void cut();

    asio::io_context loop{1};
    group tasks{loop.get_executor()};
    std::vector<std::unique_ptr<front::http_server>> servers;
    std::thread thread; // the home worker has none
  };
  std::vector<std::unique_ptr<worker>> all_;
};

} // namespace postern::app
