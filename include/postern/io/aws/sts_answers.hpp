// What STS answers, read from an answer that has arrived (AWS Security Token Service API Reference). The sources in
// sts.cpp send the requests. Pure.
#pragma once

#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>

#include <string>

namespace postern {

// AssumeRole and AssumeRoleWithWebIdentity. No part of the credentials is empty, and they have an end. An answer of 200
// without complete credentials is errc::unavailable. `source` becomes the credentials' source.
aws_result<held_credentials> read_role_credentials(const http_response& answer, const std::string& operation,
                                                   const std::string& source);

// GetCallerIdentity: the ARN, which is not empty.
aws_result<std::string> read_caller_arn(const http_response& answer, const std::string& operation);

} // namespace postern
