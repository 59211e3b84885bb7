// Private to app: the options of each object of a node, from the configuration.
#pragma once

#include <postern/app/capacity.hpp>
#include <postern/app/stores/stores.hpp>
#include <postern/flow/admission/request_limits.hpp>
#include <postern/flow/completion/probe.hpp>
#include <postern/flow/completion/sweep.hpp>
#include <postern/flow/direct/direct_multiparts.hpp>
#include <postern/flow/direct/ways.hpp>
#include <postern/flow/read_form.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>
#include <postern/flow/sign.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/endpoints/pages.hpp>
#include <postern/front/http_server.hpp>
#include <postern/io/aws/sns.hpp>
#include <postern/io/magic/magic_type_finder.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace postern::app {

form_signer_options form_signer_options_of(const config& c, const stores& backends);
ledger_options node_ledger_options_of(const config& c, upload_feed& feed);
front::pages_options pages_options_of(const config& c, const stores& backends);
form_reader_options form_reader_options_of(const config& c, const form_signer_options& s);
form_limits form_limits_of(const config& c);
resource_limits resource_limits_of(const config& c, const capacity& possible, const store& objects);
way_options way_options_of(const config& c, const form_signer_options& s);
direct_multipart_options direct_multipart_options_of(const config& c, const form_signer_options& s);
resumable_options resumable_options_of(const config& c, const form_signer_options& s);
// How long after a node's death the multipart uploads that it sent are aborted.
std::chrono::milliseconds lease_of_multiparts(const config& c);
prober_options prober_options_of(const config& c);
sweeper_options sweeper_options_of(const config& c);
front::server_options server_options_of(const config& c, asio::ssl::context* tls);
http_client_options sns_client_options_of(const config::events_section& e);
trusted_issuers trusted_issuers_of(const config::events_section& e); // throws std::runtime_error with the setting
request_rates request_rates_of(const config& c);
// Empty if no profile looks at bytes. Throws std::runtime_error with the setting when the child process cannot start.
std::unique_ptr<magic_type_finder> type_finder_of(const config& c);
std::size_t max_json_of(const config& c);  // bytes
std::size_t max_event_of(const config& c); // bytes
std::size_t threads_of(const config& c);

} // namespace postern::app
