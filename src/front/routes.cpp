#include <postern/front/routes.hpp>

namespace postern::front {
namespace {

template <class Object> endpoint endpoint_of(Object& object, task<response> (Object::*answer)(request&)) {
  return [&object, answer](request& r) { return (object.*answer)(r); };
}

endpoint admin_answer(admin_endpoint& admin, task<response> (admin_endpoint::*answer)(request&)) {
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the route, which owns it, outlives its answers
  return [&admin, answer](request& r) -> task<response> {
    auto known = admin.check_host(r);
    if (!known) co_return make_problem(known.error(), r.id);
    co_return co_await (admin.*answer)(r);
  };
}

} // namespace

std::vector<route> public_routes(const public_endpoints& to) {
  using enum cors_readers;
  const auto file = endpoint_of(to.pages, &pages_endpoint::file);
  return {
      {"/v1/uploads", http::verb::post, allowed_origins, endpoint_of(to.uploads, &uploads_endpoint::sign)},
      {"/v1/uploads/", http::verb::get, allowed_origins, endpoint_of(to.uploads, &uploads_endpoint::show)},
      {"/v1/uploads/", http::verb::delete_, allowed_origins, endpoint_of(to.manage, &manage_endpoint::remove)},
      {"/v1/uploads/{id}/claim", http::verb::post, allowed_origins, endpoint_of(to.manage, &manage_endpoint::claim)},
      {"/v1/uploads/{id}/download", http::verb::get, allowed_origins,
       endpoint_of(to.download, &download_endpoint::get)},
      {"/v1/uploads/{id}/accept", http::verb::post, allowed_origins, endpoint_of(to.manage, &manage_endpoint::accept)},
      {"/v1/uploads/{id}/reject", http::verb::post, allowed_origins, endpoint_of(to.manage, &manage_endpoint::reject)},
      {"/v1/uploads/{id}/parts", http::verb::post, allowed_origins, endpoint_of(to.parts, &parts_endpoint::sign)},
      {"/v1/uploads/{id}/parts", http::verb::get, allowed_origins, endpoint_of(to.parts, &parts_endpoint::list)},
      {"/v1/uploads/{id}/parts", http::verb::delete_, allowed_origins, endpoint_of(to.parts, &parts_endpoint::abort)},
      {"/v1/uploads/{id}/parts/complete", http::verb::post, allowed_origins,
       endpoint_of(to.parts, &parts_endpoint::complete)},
      {"/v1/files", http::verb::post, resumable_clients, endpoint_of(to.files, &files_endpoint::create)},
      {"/v1/files", http::verb::options, resumable_clients, endpoint_of(to.files, &files_endpoint::options)},
      {"/v1/files/", http::verb::get, resumable_clients, endpoint_of(to.files, &files_endpoint::head)},
      {"/v1/files/", http::verb::patch, resumable_clients, endpoint_of(to.files, &files_endpoint::patch)},
      {"/v1/files/", http::verb::delete_, resumable_clients, endpoint_of(to.files, &files_endpoint::remove)},
      {"/v1/files/", http::verb::post, resumable_clients, endpoint_of(to.files, &files_endpoint::override_method)},
      {"/v1/files/", http::verb::options, resumable_clients, endpoint_of(to.files, &files_endpoint::options)},
      {"/v1/usage", http::verb::get, allowed_origins, endpoint_of(to.usage, &usage_endpoint::show)},
      {"/upload/", http::verb::post, allowed_origins, endpoint_of(to.fallback, &fallback_endpoint::take)},
      // The redirect of another origin's page arrives with Origin: null; the claim is the authority.
      {"/v1/complete/", http::verb::get, any_origin, endpoint_of(to.complete, &complete_endpoint::confirm)},
      {"/v1/events", http::verb::post, own_pages, endpoint_of(to.events, &events_endpoint::receive)},
      {"/form", http::verb::get, own_pages, endpoint_of(to.pages, &pages_endpoint::form)},
      {"/", http::verb::get, own_pages, endpoint_of(to.pages, &pages_endpoint::demo)},
      {"/postern.js", http::verb::get, any_origin, file},
      {"/postern.mjs", http::verb::get, any_origin, file},
      {"/complete.js", http::verb::get, any_origin, file},
      {"/page.css", http::verb::get, any_origin, file},
      {"/icon.svg", http::verb::get, any_origin, file},
      {"/demo.js", http::verb::get, any_origin, file},
  };
}

std::vector<route> admin_routes(admin_endpoint& admin) {
  using enum cors_readers;
  return {
      {"/healthz", http::verb::get, own_pages, admin_answer(admin, &admin_endpoint::health)},
      {"/readyz", http::verb::get, own_pages, admin_answer(admin, &admin_endpoint::readiness)},
      {"/metrics", http::verb::get, own_pages, admin_answer(admin, &admin_endpoint::show_metrics)},
      {"/v1/uploads", http::verb::get, own_pages, admin_answer(admin, &admin_endpoint::list_uploads)},
  };
}

} // namespace postern::front
