// Metrics: counters, gauges and histograms in the Prometheus text format 0.0.4. A metric is a static object near the
// code that counts; its constructor registers it. Any thread may count: that is one relaxed atomic addition and never
// waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace postern::metrics {

// What all metrics share: a name, a help text, and fixed labels in Prometheus form (`outcome="stored"`), or none.
class metric {
public:
  metric(std::string_view name, std::string_view help, std::string_view labels);
  virtual ~metric();
  metric(const metric&) = delete;
  metric& operator=(const metric&) = delete;
  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& labels() const { return labels_; }
  virtual std::string_view type() const = 0;
  virtual void print(std::string& out) const = 0; // its sample lines

protected:
  std::string name_, help_, labels_;
};

class counter : public metric {
public:
  using metric::metric;
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  std::string_view type() const override { return "counter"; }
  void print(std::string& out) const override;

private:
  std::atomic<std::uint64_t> value_{0};
};

class gauge : public metric {
public:
  using metric::metric;
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(std::int64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }
  std::string_view type() const override { return "gauge"; }
  void print(std::string& out) const override;

private:
  std::atomic<std::int64_t> value_{0};
};

// Buckets are upper bounds in seconds, from 50 µs to 60 s, the same for every histogram.
class histogram : public metric {
public:
  using metric::metric;
  void observe(double seconds);
  std::string_view type() const override { return "histogram"; }
  void print(std::string& out) const override;
  static constexpr std::array<double, 14> bounds{0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05,
                                                 0.1,     0.5,    1,      5,     10,    30,   60};

private:
  std::array<std::atomic<std::uint64_t>, bounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_nanoseconds_{0};
};

// All metrics in order of their names, with HELP and TYPE once for each name.
std::string print_all();

} // namespace postern::metrics
