#include <postern/base/metrics.hpp>

#include <algorithm>
#include <charconv>
#include <mutex>

namespace postern::metrics {
namespace {

struct registry {
  std::mutex mutex;
  std::vector<const metric*> all;
};

// Metrics are static objects in many units. The first one that is constructed creates the registry.
registry& every() {
  static registry r;
  return r;
}

std::string text_of(double v) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, v).ptr};
}

void sample(std::string& out, std::string_view name, std::string_view labels, std::string_view value) {
  out += name;
  if (!labels.empty()) out.append("{").append(labels).append("}");
  out.append(" ").append(value).append("\n");
}

} // namespace

metric::metric(std::string_view name, std::string_view help, std::string_view labels)
    : name_(name), help_(help), labels_(labels) {
  auto& r = every();
  std::lock_guard lock(r.mutex);
  r.all.push_back(this);
}

metric::~metric() {
  auto& r = every();
  std::lock_guard lock(r.mutex);
  std::erase(r.all, this);
}

void counter::print(std::string& out) const { sample(out, name_, labels_, std::to_string(value())); }
void gauge::print(std::string& out) const { sample(out, name_, labels_, std::to_string(value())); }

void histogram::observe(double seconds) {
  const auto bucket =
      static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_nanoseconds_.fetch_add(static_cast<std::uint64_t>(std::max(seconds, 0.0) * 1e9), std::memory_order_relaxed);
}

void histogram::print(std::string& out) const {
  const auto before = labels_.empty() ? std::string() : labels_ + ",";
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    so_far += counts_[i].load(std::memory_order_relaxed);
    const auto bound = i < bounds.size() ? text_of(bounds[i]) : std::string("+Inf");
    sample(out, name_ + "_bucket", before + "le=\"" + bound + "\"", std::to_string(so_far));
  }
  sample(out, name_ + "_sum", labels_,
         text_of(static_cast<double>(sum_nanoseconds_.load(std::memory_order_relaxed)) / 1e9));
  sample(out, name_ + "_count", labels_, std::to_string(so_far));
}

std::string print_all() {
  auto& r = every();
  std::lock_guard lock(r.mutex);
  auto sorted = r.all;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const metric* a, const metric* b) { return a->name() < b->name(); });
  std::string out, last;
  for (const auto* m : sorted) {
    if (m->name() != last) {
      last = m->name();
      out.append("# HELP ")
          .append(last)
          .append(" ")
          .append(m->help())
          .append("\n# TYPE ")
          .append(last)
          .append(" ")
          .append(m->type())
          .append("\n");
    }
    m->print(out);
  }
  return out;
}

} // namespace postern::metrics
