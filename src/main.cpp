#include <postern/app/cli.hpp>

int main(int argc, char** argv, char** environment) { return postern::app::run(argc, argv, environment); }
