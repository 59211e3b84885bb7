#include <postern/app/cli.hpp>
#include <postern/app/config/config.hpp>
#include <postern/app/config/print_config.hpp>
#include <postern/app/config/secret_file.hpp>
#include <postern/app/config/spelling.hpp>
#include <postern/app/doctor/doctor.hpp>
#include <postern/app/new_api_key.hpp>
#include <postern/app/node.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/app/webhooks/webhooks_command.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/front/endpoints/pages.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <CLI/CLI.hpp>
#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

namespace postern::app {
namespace {

using namespace std::chrono_literals;

struct options {
  std::string config_file;
  // sign
  std::string profile = "default", filename, content_type;
  std::uint64_t size = 0; // 0: not given
  bool html = false;
  // uploads
  std::string id; // empty: list
  std::string state;
  std::size_t limit = 100;
  bool follow = false, json = false, unclaimed = false;
  webhooks_command webhooks;
  // setup
  std::string store; // empty: all
  bool apply = false;
  bool defaults = false; // config
  std::string key_name;  // keys new
};

int failed(const failure& why) {
  std::fprintf(stderr, "postern: %s\n", describe(why).c_str());
  return 1;
}

// Without --config: ./postern.toml if it exists, else none, which means the defaults.
std::string config_file(const options& o) {
  return o.config_file.empty() && std::filesystem::exists("postern.toml") ? "postern.toml" : o.config_file;
}

config read(const options& o, const char* const* environment) { return load_config(config_file(o), environment); }

config load(const options& o, const char* const* environment) {
  auto c = read(o, environment);
  log::set_up(c.logging.level, c.logging.format);
  return c;
}

// For the commands that sign: makes var/secret when the configuration has no other secret and it is missing.
config load_to_sign(const options& o, const char* const* environment) {
  auto c = load(o, environment);
  if (!c.server.lacks_secret_file) return c;
  make_default_secret_file();
  log::warning("a secret was made", {{"file", default_secret_file},
                                     {"setting", "server.secrets"},
                                     {"remedy", "keep this file, and give the same one to every node"}});
  return load(o, environment);
}

// Without a file name: a form whose key ends in ${filename}.
task<> issue_form(const form_issuer& issuer, sign_request ask, result<signed_form>& form) {
  const caller nobody;
  if (ask.filename.empty())
    form = co_await issuer.issue_blank(ask.profile, ask.return_to, nobody, now_millis());
  else
    form = co_await issuer.issue(ask, nobody, now_millis());
}

int sign(const options& o, const char* const* environment) {
  const auto c = load_to_sign(o, environment);
  form_service service(c, ledger_options_of(c));
  if (const auto rules = c.profiles.find(o.profile); rules != c.profiles.end())
    if (const auto fetched = service.backends.fetch_credentials(rules->second.bucket); !fetched) {
      std::fprintf(stderr, "postern: %s; set them, or run postern doctor\n", fetched.error().on.c_str());
      return 1;
    }
  sign_request ask;
  ask.filename = o.filename;
  ask.profile = o.profile;
  if (!o.content_type.empty()) ask.content_type = o.content_type;
  if (o.size) ask.size = o.size;
  asio::io_context loop{1};
  result<signed_form> form = failure{errc::internal, "the form was not signed"};
  group running(loop.get_executor());
  running.start(issue_form(service.issuer, std::move(ask), form));
  loop.run();
  if (!form) return failed(form.error());
  std::puts(o.html ? front::form_page(*form).body.c_str() : to_json(*form).c_str());
  return 0;
}

// Control characters in a key must not reach the terminal.
std::string printable(std::string_view text) {
  auto quoted_text = quote(text, 400);
  return quoted_text.substr(1, quoted_text.size() - 2);
}

// With show_claim_until, the time is that of its removal.
void print_upload(const upload& u, bool json, bool show_claim_until) {
  if (json) return void(std::puts(to_json(u, true).c_str()));
  const auto size = u.size ? std::to_string(*u.size) : "-";
  const auto by = u.completed_by             ? std::string(name_of(*u.completed_by))
                  : u.failed_because.empty() ? "-"
                                             : u.failed_because;
  const auto moment = show_claim_until && u.claim_until ? *u.claim_until : u.completed_at.value_or(u.created_at);
  const auto when = iso8601(std::chrono::floor<std::chrono::seconds>(moment));
  std::printf("%s  %-36s  %-9s  %13s  %-8s  %s\n", when.c_str(), u.id.c_str(), std::string(name_of(u.state)).c_str(),
              size.c_str(), by.c_str(), printable(u.bucket + "/" + u.key).c_str());
}

// The upload that was named, or the newest ones, newest first. With --follow the newest ones come last, as their
// changes will.
task<result<std::vector<upload>>> find_uploads(ledger& from, const options& o, upload_filter filter) {
  if (!o.id.empty()) {
    auto id = o.id;
    auto one = co_await from.find(std::move(id));
    if (!one) co_return one.error();
    std::vector<upload> found;
    found.push_back(std::move(*one));
    co_return found;
  }
  filter.newest_first = true;
  filter.unclaimed = o.unclaimed;
  auto found = co_await from.list(std::move(filter));
  if (found && o.follow) std::reverse(found->begin(), found->end());
  co_return found;
}

// Prints each upload that it has not printed in this state. With --follow: until interrupted.
task<> show_uploads(ledger& from, const options& o, upload_filter filter, int& code) {
  std::map<std::string, upload_state> shown;
  timer pause(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  for (;;) {
    auto found = co_await find_uploads(from, o, filter);
    if (!found) {
      code = failed(found.error());
      co_return;
    }
    for (const auto& u : *found) {
      const auto [known, is_new] = shown.try_emplace(u.id, u.state);
      if (is_new || known->second != u.state) print_upload(u, o.json, o.unclaimed);
      known->second = u.state;
    }
    std::fflush(stdout);
    if (!o.follow) co_return;
    pause.expires_after(1s);
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
  }
}

// A word behind `uploads` is an id, or a command that was not understood.
void check_id(const std::string& id) {
  if (id.empty() || is_uuid(id)) return;
  const auto hint = suggestion(id, {"webhooks"});
  throw config_error("there is no command " + printable(id) + (hint.empty() ? "; an" : hint + " An") +
                     " upload's id is like 01a20c4b-39b9-71a1-a0b9-f1a0f2d7a5bf");
}

int uploads(const options& o, const char* const* environment) {
  check_id(o.id);
  const auto c = load(o, environment);
  upload_filter filter;
  filter.limit = o.limit;
  if (!o.state.empty()) {
    filter.state = upload_state_of(o.state);
    if (!filter.state) throw config_error("--state is " + quote(o.state) + "; it must be " + upload_state_names());
  }
  asio::io_context loop{1}; // outlives the ledger, whose thread posts to it
  const auto records = make_ledger(ledger_options_of(c));
  if (!o.json)
    std::printf("%-20s  %-36s  %-9s  %13s  %-8s  %s\n", o.unclaimed ? "REMOVED AT" : "WHEN", "ID", "STATE", "SIZE",
                "BY", "OBJECT");
  int code = 0;
  group running(loop.get_executor());
  running.start(show_uploads(*records, o, filter, code));
  loop.run();
  return code;
}

int print_config(const options& o, const char* const* environment) {
  std::fputs((o.defaults ? default_settings() : to_toml(load(o, environment))).c_str(), stdout);
  return 0;
}

int print_new_key(const std::string& name) {
  const auto made = make_api_key(name);
  std::printf("The key, which is shown only once. The back end sends it as Authorization: Bearer KEY.\n  %s\n"
              "For auth.api_keys in the configuration:\n  %s\n",
              made.key.c_str(), made.toml.c_str());
  return 0;
}

// --- errors of the command line ---------------------------------------------------------------------------

// The last command that the arguments name: in "uploads webhooks retry", retry. Without a command: `app` itself.
const CLI::App& named_command(const CLI::App& app) {
  const auto* named = &app;
  while (!named->get_subcommands().empty()) named = named->get_subcommands().back();
  return *named;
}

// The arguments name no command, or one that does not exist. Empty: the error is another one.
std::string command_error(const CLI::App& at) {
  std::vector<std::string> known;
  for (const auto* command : at.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(command->get_name());
  if (known.empty()) return {};
  std::string all;
  for (const auto& name : known) all.append(all.empty() ? "" : ", ").append(name);
  const auto rest = at.remaining();
  if (rest.empty() || rest.front().starts_with('-'))
    return "a command is missing after " + at.get_name() + "; the commands are: " + all;
  const auto hint = suggestion(rest.front(), known);
  return "there is no command " + printable(rest.front()) +
         (hint.empty() ? "; the commands are: " : hint + " The commands are: ") + all;
}

// An option without its value. CLI11's text begins with the option's name and a colon.
std::string missing_value(const CLI::App& at, const std::string& text) {
  const auto name = text.substr(0, text.find(':'));
  const auto* option = at.get_option_no_throw(name);
  return option ? name + " needs a value: " + option->get_description() : text;
}

// What is wrong with the arguments, and what is wanted.
std::string explain(const CLI::App& app, const CLI::ParseError& e) {
  const auto& at = named_command(app);
  const auto code = static_cast<CLI::ExitCodes>(e.get_exit_code());
  std::string text;
  const auto rest = at.remaining();
  if (code == CLI::ExitCodes::RequiredError ||
      (code == CLI::ExitCodes::ExtrasError && !rest.empty() && !rest.front().starts_with('-')))
    text = command_error(at);
  if (code == CLI::ExitCodes::ArgumentMismatch) text = missing_value(at, e.what());
  return text.empty() ? e.what() : text;
}

// A check for an option whose value is a number from `min` to `max`.
std::function<std::string(const std::string&)> number_between(std::uint64_t min, std::uint64_t max,
                                                              const std::string& what) {
  return [=](const std::string& text) -> std::string {
    const auto n = parse_number(text);
    if (n && *n >= min && *n <= max) return {};
    return quote(text) + " is not " + what;
  };
}

// The commands, with the function that runs each.
class command_line {
public:
  explicit command_line(const char* const* environment) : environment_(environment) {
    app_.name("postern");
    app_.set_version_flag("--version", std::string("postern ") + version());
    app_.require_subcommand(1);
    add_serve();
    add_sign();
    add_uploads();
    add_doctor();
    add_setup();
    add_config();
    add_keys();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      if (e.get_exit_code() == 0) return app_.exit(e); // --help and --version
      std::fprintf(stderr, "postern: %s\nRun with --help for more information.\n", explain(app_, e).c_str());
      return 2;
    }
    try {
      return chosen_();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "postern: %s\n", e.what());
      return 2;
    }
  }

private:
  // A command that reads the configuration. A command with sub-commands runs only without one.
  CLI::App* add(CLI::App& to, const std::string& name, const std::string& what, std::function<int()> run) {
    auto* command = to.add_subcommand(name, what);
    command->add_option("-c,--config", o_.config_file, "the TOML file; default: ./postern.toml if it exists")
        ->check(CLI::ExistingFile);
    command->callback([this, run = std::move(run)] {
      if (!chosen_) chosen_ = run;
    });
    return command;
  }

  void add_serve() {
    add(app_, "serve", "serve until SIGTERM or SIGINT; then finish the running requests and exit", [this] {
      o_.config_file = config_file(o_); // so that a reload reports it missing, and does not take the defaults
      return serve(load_to_sign(o_, environment_), [this] { return read(o_, environment_); });
    });
  }

  void add_sign() {
    auto* command = add(app_, "sign", "sign one form and print it as JSON or as a page", [this] {
      if (o_.filename.empty() && !o_.html)
        throw config_error("sign needs --filename, or --html for a page that takes the name from the browser");
      return sign(o_, environment_);
    });
    command->add_option("-p,--profile", o_.profile, "the profile")->capture_default_str();
    command->add_option("-f,--filename", o_.filename, "the file's name");
    command->add_option("--content-type", o_.content_type, "the file's media type");
    command->add_option("--size", o_.size, "the file's exact size in bytes")
        ->check(number_between(0, UINT64_MAX, "a whole number of bytes, such as 123456"));
    command->add_flag("--html", o_.html, "print a page; without --filename it takes the name from the browser");
  }

  void add_uploads() {
    auto* command =
        add(app_, "uploads", "list the newest uploads in the ledger", [this] { return uploads(o_, environment_); });
    command->add_option("id", o_.id, "only the upload with this id");
    command->add_option("-s,--state", o_.state, "only uploads in this state: " + upload_state_names());
    command->add_flag("--unclaimed", o_.unclaimed,
                      "only uploads that will be removed because nobody has claimed them, and when; removes nothing");
    command->add_option("-n,--limit", o_.limit, "at most so many, the newest ones")
        ->capture_default_str()
        ->check(number_between(1, 100000, "a whole number from 1 to 100000"));
    command->add_flag("--follow", o_.follow, "go on and print each change");
    command->add_flag("--json", o_.json, "print JSON lines");
    auto* webhooks = add(*command, "webhooks", "list the webhooks that wait; list, retry or delete dead letters",
                         [this] { return o_.webhooks.run(load(o_, environment_)); });
    o_.webhooks.describe(*webhooks);
  }

  void add_doctor() {
    add(app_, "doctor", "check everything that serving needs; print each fault with its remedy", [this] {
      const auto with_config = o_.config_file.empty() ? "" : " --config " + o_.config_file;
      return examine([this] { return load(o_, environment_); }, with_config);
    });
  }

  void add_setup() {
    auto* setup = app_.add_subcommand("setup", "print the documents that the store needs, or apply its rules");
    setup->require_subcommand(1);
    const auto add_document = [&](document which, const char* name, const char* what) {
      auto* command =
          add(*setup, name, what, [this, which] { return set_up(load(o_, environment_), which, o_.apply, o_.store); });
      command->add_option("--store", o_.store, "only for this store: its name in [[stores]], or default for [store]");
      command->add_flag("--apply", o_.apply,
                        which == document::cors || which == document::lifecycle
                            ? "put the rules into each bucket and keep the rules of others"
                            : "refused: only the rules of buckets can be applied");
    };
    add_document(document::iam, "iam", "IAM policies: what Postern's user or role may do");
    add_document(document::trust, "trust", "the role's trust policy: who may assume it");
    add_document(document::cors, "cors", "CORS rules: which pages may post to the bucket");
    add_document(document::lifecycle, "lifecycle",
                 "lifecycle rule: when multipart uploads that nobody ends are aborted");
  }

  void add_config() {
    auto* command = add(app_, "config", "print the effective configuration as TOML, without secrets",
                        [this] { return print_config(o_, environment_); });
    command->add_flag("--defaults", o_.defaults, "print every setting with its default");
  }

  void add_keys() {
    auto* keys = app_.add_subcommand("keys", "make API keys for the back ends of the application");
    keys->require_subcommand(1);
    auto* command =
        keys->add_subcommand("new", "make a key; print it once, with the line that the configuration needs");
    command->add_option("name", o_.key_name, "the key's name, which is the user of its uploads")->required();
    command->callback([this] { chosen_ = [this] { return print_new_key(o_.key_name); }; });
  }

  options o_;
  const char* const* const environment_;
  std::function<int()> chosen_;
  CLI::App app_{"Postern gets a browser's file into S3-compatible storage, whatever stands in the way, and knows for "
                "certain when it has arrived."};
};

} // namespace

int run(int argc, char** argv, char** environment) { return command_line(environment).run(argc, argv); }

} // namespace postern::app
