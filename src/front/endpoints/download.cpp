#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/front/endpoints/download.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace postern::front {
namespace {

metrics::counter redirected("postern_downloads_total", "Downloads, by how they were answered or ended",
                            "outcome=\"redirected\"");
metrics::counter sent("postern_downloads_total", "Downloads, by how they were answered or ended", "outcome=\"sent\"");
metrics::counter broken("postern_downloads_total", "Downloads, by how they were answered or ended",
                        "outcome=\"broken_off\"");
metrics::counter sent_bytes("postern_download_bytes_total", "Bytes of downloads that this node sent", "");

// The body of one response.
class download_body {
public:
  download_body(downloads& files, download what, byte_range part, resources& shared, const io_executor& executor,
                const request& r)
      : share_(shared, executor, r.client_network), request_id_(r.id), left_(part.length),
        bytes_(files.read(std::move(what), part, share_)) {}
  download_body(const download_body&) = delete;
  download_body& operator=(const download_body&) = delete;
  ~download_body() {
    if (has_begun_) (left_ == 0 ? sent : broken).add();
  }

  // Reads the first piece. What fails here can still be answered.
  task<result<void>> begin() {
    auto taken = co_await bytes_.begin();
    if (!taken) co_return taken;
    auto first = co_await bytes_.next();
    if (!first) co_return first.error();
    first_ = std::move(*first);
    has_begun_ = true;
    co_return result<void>{};
  }

  // Nothing: the body ends here, whether it is whole or not.
  task<std::optional<std::string>> next() {
    auto piece = result<std::string>(std::exchange(first_, {}));
    if (piece->empty()) piece = co_await bytes_.next();
    if (!piece) log::warning("download broken off", {{"request", request_id_}, {"why", describe(piece.error())}});
    if (!piece || piece->empty()) co_return std::nullopt;
    left_ -= piece->size();
    sent_bytes.add(piece->size());
    co_return std::move(*piece);
  }

private:
  allowance share_;
  const std::string request_id_;
  std::uint64_t left_;
  download_bytes bytes_;
  std::string first_;
  bool has_begun_ = false;
};

byte_range asked_range(const request& r, const download& what) {
  const bool counts = r.method == http::verb::get && r.fields.count(http::field::range) == 1 &&
                      r.fields.count(http::field::if_range) <= 1 &&
                      allows_range(r.field(http::field::if_range), what.etag);
  return choose_range(counts ? r.field(http::field::range) : std::string_view{}, what.size);
}

} // namespace

task<response> download_endpoint::get(request& r) {
  auto what = co_await find(r);
  response made;
  if (!what) {
    log::info("download refused", {{"request", r.id}, {"client", r.client_address}, {"why", describe(what.error())}});
    made = make_problem(what.error(), r.id);
  } else if (downloads_.has_url(*what)) {
    made = co_await redirect(r, std::move(*what));
  } else {
    made = co_await send(r, std::move(*what));
  }
  made.with("Cache-Control", "no-store").with("Referrer-Policy", "no-referrer");
  made.with("X-Content-Type-Options", "nosniff").with("Content-Security-Policy", "sandbox");
  co_return made;
}

task<result<download>> download_endpoint::find(const request& r) {
  auto who = co_await gate_.identify(r);
  if (!who) co_return who.error();
  co_return co_await downloads_.find(r.path_parameter, std::move(*who));
}

task<response> download_endpoint::redirect(const request& r, download what) {
  const auto url = co_await downloads_.presign(std::move(what));
  if (!url) co_return make_problem(url.error(), r.id);
  redirected.add();
  response made;
  made.status = 302;
  made.with("Location", url->url);
  co_return made;
}

task<response> download_endpoint::send(const request& r, download what) {
  const auto part = asked_range(r, what);
  response made;
  if (part.as == byte_range::answer::outside) {
    made.status = 416;
    made.with("Content-Range", content_range(part, what.size)).with("Accept-Ranges", "bytes");
    co_return made;
  }
  if (part.as == byte_range::answer::part) {
    made.status = 206;
    made.with("Content-Range", content_range(part, what.size));
  }
  made.with("Content-Type", what.as.content_type).with("Content-Disposition", what.as.content_disposition);
  made.with("ETag", quoted_etag(what.etag)).with("Accept-Ranges", "bytes");
  made.length = part.length;
  if (r.method == http::verb::head) co_return made;
  const auto executor = co_await asio::this_coro::executor;
  auto body = std::make_shared<download_body>(downloads_, std::move(what), part, shared_, executor, r);
  auto begun = co_await body->begin();
  if (!begun) co_return make_problem(begun.error(), r.id);
  made.next_piece = [body] { return body->next(); };
  co_return made;
}

} // namespace postern::front
