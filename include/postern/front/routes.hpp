// The tables of routes: path, verb, which pages may read the responses, endpoint. To add an endpoint, add its file in
// front/endpoints and its line here.
#pragma once

#include <postern/front/clients/files.hpp>
#include <postern/front/endpoints/admin.hpp>
#include <postern/front/endpoints/complete.hpp>
#include <postern/front/endpoints/download.hpp>
#include <postern/front/endpoints/events.hpp>
#include <postern/front/endpoints/fallback.hpp>
#include <postern/front/endpoints/manage.hpp>
#include <postern/front/endpoints/pages.hpp>
#include <postern/front/endpoints/parts.hpp>
#include <postern/front/endpoints/uploads.hpp>
#include <postern/front/endpoints/usage.hpp>
#include <postern/front/router.hpp>

#include <vector>

namespace postern::front {

struct public_endpoints {
  uploads_endpoint& uploads;
  fallback_endpoint& fallback;
  complete_endpoint& complete;
  events_endpoint& events;
  pages_endpoint& pages;
  usage_endpoint& usage;
  manage_endpoint& manage;
  download_endpoint& download;
  parts_endpoint& parts;
  files_endpoint& files;
};

// The endpoints must outlive the routes.
std::vector<route> public_routes(const public_endpoints& to);
std::vector<route> admin_routes(admin_endpoint& admin);

} // namespace postern::front
