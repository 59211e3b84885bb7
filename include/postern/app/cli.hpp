// The command line: what was asked for, done. Answers the program's exit code: 0 done, 1 a check failed, 2 usage or
// configuration.
#pragma once

namespace postern::app {

int run(int argc, char** argv, char** environment);

} // namespace postern::app
