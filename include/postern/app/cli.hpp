// The command line: parses the arguments and runs one command.
#pragma once

namespace postern::app {

// Returns the program's exit code: 0 done, 1 a check failed, 2 usage or configuration. `environment` is
// null-terminated.
int run(int argc, char** argv, char** environment);

} // namespace postern::app
