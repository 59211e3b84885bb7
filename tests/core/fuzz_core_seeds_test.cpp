#include <boost/test/unit_test.hpp>

#include <fuzz/core_inputs.hpp>
#include <fuzz/run_seeds.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(forms) { fuzz::run_seeds("form", fuzz::form); }
BOOST_AUTO_TEST_CASE(policies) { fuzz::run_seeds("policy", fuzz::policy); }
BOOST_AUTO_TEST_CASE(claims) { fuzz::run_seeds("claim", fuzz::claim); }
BOOST_AUTO_TEST_CASE(sign_requests) { fuzz::run_seeds("sign_request", fuzz::sign_request); }
BOOST_AUTO_TEST_CASE(parts) { fuzz::run_seeds("parts", fuzz::parts); }
BOOST_AUTO_TEST_CASE(resumable_uploads) { fuzz::run_seeds("resumable", fuzz::resumable); }
BOOST_AUTO_TEST_CASE(tokens) { fuzz::run_seeds("jwt", fuzz::jwt); }
BOOST_AUTO_TEST_CASE(events) { fuzz::run_seeds("event", fuzz::event); }
BOOST_AUTO_TEST_CASE(json_documents) { fuzz::run_seeds("json", fuzz::json); }
BOOST_AUTO_TEST_CASE(downloads) { fuzz::run_seeds("download", fuzz::download); }
BOOST_AUTO_TEST_CASE(urls) { fuzz::run_seeds("url", fuzz::url); }
