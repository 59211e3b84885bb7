#include <postern/app/cli.hpp>
#include <postern/app/config/config.hpp>
#include <postern/app/doctor/doctor.hpp>
#include <postern/app/node.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/app/webhooks/webhooks_command.hpp>
#include <postern/front/routes.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <CLI/CLI.hpp>
#include <boost/asio/redirect_error.hpp>

#include <cstdio>
#include <map>

namespace postern::app {
namespace {

using namespace std::chrono_literals;

struct options {
  std::string config_file;
  std::string profile = "default", filename, content_type, state;
  std::uint64_t size = 0;
  std::size_t limit = 100;
  bool html = false, follow = false, json = false, apply = false;
  webhooks_command webhooks;
};

config load(const options& o, const char* const* environment) {
  // Without --config the file of the usual name is taken where it is, else the defaults.
  std::filesystem::path file = o.config_file;
  if (file.empty() && std::filesystem::exists("postern.toml")) file = "postern.toml";
  auto c = load_config(file, environment);
  log::set_up(c.log_level, c.log_format);
  return c;
}

int sign(const options& o, const char* const* environment) {
  const auto c = load(o, environment);
  signing_parts parts(c);
  if (auto first = parts.backend.first_credentials(); !first) {
    std::fprintf(stderr, "postern: %s\n", describe(first.error()).c_str());
    return 1;
  }
  const auto now = now_millis();
  sign_request ask;
  ask.filename = o.filename;
  ask.profile = o.profile;
  if (!o.content_type.empty()) ask.content_type = o.content_type;
  if (o.size) ask.size = o.size;
  auto form = o.filename.empty() ? parts.forms.sign_blank(o.profile, "", {}, now) : parts.forms.sign(ask, {}, now);
  if (!form) {
    std::fprintf(stderr, "postern: %s\n", describe(form.error()).c_str());
    return 1;
  }
  std::puts(o.html ? front::form_page_of(*form).body.c_str() : to_json(*form).c_str());
  return 0;
}

// Control characters of a key or a name must not reach a terminal.
std::string printable(std::string_view text) {
  auto quoted_text = quote(text, 400);
  return quoted_text.substr(1, quoted_text.size() - 2);
}

void print_upload(const upload& u, bool json) {
  if (json) return void(std::puts(to_json(u, true).c_str()));
  const auto size = u.size ? std::to_string(*u.size) : "-";
  const auto by = u.completed_by             ? std::string(name_of(*u.completed_by))
                  : u.failed_because.empty() ? "-"
                                             : u.failed_because;
  const auto when = iso8601(std::chrono::floor<std::chrono::seconds>(u.completed_at.value_or(u.created_at)));
  std::printf("%s  %-36s  %-9s  %13s  %-8s  %s\n", when.c_str(), u.id.c_str(), std::string(name_of(u.state)).c_str(),
              size.c_str(), by.c_str(), printable(u.bucket + "/" + u.key).c_str());
}

// Those not shown before in this state; follows until interrupted.
task<> show_uploads(ledger& from, const options& o, upload_filter filter, int& code) {
  std::map<std::string, upload_state> shown;
  timer pause(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  for (;;) {
    auto found = co_await from.list(filter);
    if (!found) {
      std::fprintf(stderr, "postern: %s\n", describe(found.error()).c_str());
      code = 1;
      co_return;
    }
    for (const auto& u : *found) {
      const auto [place, fresh] = shown.try_emplace(u.id, u.state);
      if (fresh || place->second != u.state) print_upload(u, o.json);
      place->second = u.state;
    }
    std::fflush(stdout);
    if (!o.follow) co_return;
    pause.expires_after(1s);
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
  }
}

int uploads(const options& o, const char* const* environment) {
  const auto c = load(o, environment);
  upload_filter filter;
  filter.limit = o.limit;
  if (!o.state.empty()) {
    filter.state = upload_state_of(o.state);
    if (!filter.state) throw config_error("--state must be issued, receiving, completed, failed or expired");
  }
  asio::io_context loop{1}; // outlives the ledger, whose thread posts to it
  const auto records = make_ledger(ledger_options_of(c));
  if (!o.json) std::printf("%-20s  %-36s  %-9s  %13s  %-8s  %s\n", "WHEN", "ID", "STATE", "SIZE", "BY", "OBJECT");
  int code = 0;
  group running(loop.get_executor());
  running.start(show_uploads(*records, o, filter, code));
  loop.run();
  return code;
}

} // namespace

int run(int argc, char** argv, char** environment) {
  options o;
  CLI::App app{"Postern gets a browser's file into S3-compatible storage, whatever stands in the way, and knows for "
               "certain when it has arrived."};
  app.name("postern");
  app.set_version_flag("--version", std::string("postern ") + version());
  app.require_subcommand(1);
  const auto with_config = [&](CLI::App* command) {
    command
        ->add_option("-c,--config", o.config_file,
                     "the configuration (TOML); without it ./postern.toml, or the defaults")
        ->check(CLI::ExistingFile);
    return command;
  };
  auto* serve_command =
      with_config(app.add_subcommand("serve", "serve until SIGTERM or SIGINT, then finish what is running and leave"));
  auto* sign_command = with_config(app.add_subcommand("sign", "sign one form and print it, as JSON or as a page"));
  sign_command->add_option("-p,--profile", o.profile, "the profile")->capture_default_str();
  auto* filename = sign_command->add_option("-f,--filename", o.filename, "the file's name");
  sign_command->add_option("--content-type", o.content_type, "its media type");
  sign_command->add_option("--size", o.size, "its size in bytes, which is then the only one allowed");
  auto* html = sign_command->add_flag("--html", o.html,
                                      "a page with the ready form; without --filename the browser's file name is used");
  auto* uploads_command = with_config(app.add_subcommand("uploads", "list what the ledger knows"));
  uploads_command->add_option("-s,--state", o.state, "only those issued, receiving, completed, failed or expired");
  uploads_command->add_option("-n,--limit", o.limit, "at most so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  uploads_command->add_flag("--follow", o.follow, "go on and print each change");
  uploads_command->add_flag("--json", o.json, "JSON lines");
  auto* doctor_command = with_config(
      app.add_subcommand("doctor", "try everything that serving needs, in order; say what is wrong and what to do"));
  auto* setup_command = app.add_subcommand("setup", "print the documents that AWS wants, or put the CORS rules");
  setup_command->require_subcommand(1);
  const std::map<document, CLI::App*> documents{
      {document::iam, with_config(setup_command->add_subcommand("iam", "who may write what: policies for IAM"))},
      {document::trust,
       with_config(setup_command->add_subcommand("trust", "who may take the role on: its trust policy"))},
      {document::cors, with_config(setup_command->add_subcommand("cors", "which pages may post to the bucket"))}};
  for (const auto& [which, command] : documents)
    command->add_flag("--apply", o.apply,
                      which == document::cors ? "put the rule into each bucket, beside those of others"
                                              : "refused: only `setup cors` can be applied");
  auto* webhooks_of_uploads = with_config(uploads_command->add_subcommand(
      "webhooks", "list the webhooks that wait; list, send again or drop dead letters"));
  o.webhooks.describe(*webhooks_of_uploads);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    if (*serve_command) return serve(load(o, environment));
    if (*sign_command) {
      if (!*filename && !*html)
        throw config_error("sign needs --filename, or --html for a page that takes the name from the browser");
      return sign(o, environment);
    }
    if (*webhooks_of_uploads) return o.webhooks.run(load(o, environment));
    if (*uploads_command) return uploads(o, environment);
    if (*doctor_command) {
      const auto with_config_file = o.config_file.empty() ? "" : " --config " + o.config_file;
      return examine([&] { return load(o, environment); }, with_config_file);
    }
    for (const auto& [which, command] : documents)
      if (*command) return set_up(load(o, environment), which, o.apply);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "postern: %s\n", e.what());
    return 2;
  }
  return 2;
}

} // namespace postern::app
