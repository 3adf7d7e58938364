#include "controlplane/cli/history_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "common/unique_fd.h"
#include "controlplane/cli/command_words.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/language/names.h"
#include "controlplane/language/words.h"
#include "controlplane/log/log_line.h"

namespace sluice::cli {
namespace {

using history::Entry;
using Kind = service::HistoryOperation::Kind;
using language::ParseError;
using language::quote;

constexpr std::string_view kJson = "--json";
constexpr std::size_t kShownCommand = 60;

class Parser : CommandWords {
  public:
    explicit Parser(std::span<const std::string> arguments) : CommandWords(arguments) {}

    Result<HistoryCommand, ParseError> parse() {
        const bool good = read();
        return good ? Result<HistoryCommand, ParseError>(command_) : error_;
    }

  private:
    bool read() {
        for (; is_short_flag(word()); ++at_) {
            if (word() != "-q")
                return fail("unknown flag " + quote(word()) + " with this command; expected -q");
            command_.quiet = true;
        }
        const bool saves = word() == "save";
        ++at_;
        return saves ? read_save() : read_history();
    }

    bool read_save() {
        command_.operation.kind = Kind::save;
        if (at_end())
            return true;
        if (word().size() > 1 && word().starts_with('-'))
            return fail("found " + quote(word()) + "; expected a file or nothing more");
        command_.operation.kind = Kind::running;
        command_.path = word();
        ++at_;
        return at_end() || fail("found " + quote(word()) + "; save takes one file");
    }

    bool read_history() {
        bool shows = false;
        for (; !at_end(); ++at_) {
            if (word() == kJson) {
                command_.json = true;
            } else if (word() == "show" && !shows) {
                shows = true;
            } else if (shows && command_.operation.number == 0) {
                if (!read_number())
                    return false;
            } else {
                return fail("found " + quote(word()) + "; expected show N, --json or nothing more");
            }
        }
        if (shows && command_.operation.number == 0)
            return fail("missing number after show");
        command_.operation.kind = shows ? Kind::show : Kind::list;
        return true;
    }

    bool read_number() {
        const std::string text = word();
        std::uint64_t& number = command_.operation.number;
        const char* const last = text.data() + text.size();
        const auto [end, problem] = std::from_chars(text.data(), last, number);
        if (problem == std::errc() && end == last && number != 0)
            return true;
        return fail(
            "bad number " + quote(text) + "; expected one of those that `ipfw history` lists",
            ExitStatus::data);
    }

    HistoryCommand command_;
};

std::string time_text(std::uint64_t time_s) {
    const auto time = static_cast<std::time_t>(time_s);
    std::tm parts{};
    char text[40];
    if (localtime_r(&time, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return "?";
    return text;
}

std::string who(const Entry& entry) {
    return log::printable(entry.user.empty() || entry.user == "?" ? std::to_string(entry.uid)
                                                                  : entry.user);
}

std::string shortened(const std::string& command) {
    const std::string text = log::printable(command);
    return text.size() <= kShownCommand ? text : text.substr(0, kShownCommand - 3) + "...";
}

std::string rules_text(const ruleset::DifferenceCounts& counts) {
    return "+" + std::to_string(counts.added) + " -" + std::to_string(counts.removed) + " ~" +
           std::to_string(counts.changed);
}

std::string table_of(std::span<const Entry> entries) {
    std::string text;
    char line[400];
    std::snprintf(line, sizeof line, "%6s %10s  %-19s  %-10s  %-12s  %s\n", "NUMBER", "GENERATION",
                  "WHEN", "WHO", "RULES", "COMMAND");
    text += line;
    for (const Entry& entry : entries) {
        std::snprintf(line, sizeof line, "%6llu %10llu  %-19s  %-10s  %-12s  %s\n",
                      static_cast<unsigned long long>(entry.number),
                      static_cast<unsigned long long>(entry.generation),
                      time_text(entry.time_s).c_str(), who(entry).c_str(),
                      rules_text(entry.difference).c_str(), shortened(entry.did).c_str());
        text += line;
    }
    return text;
}

nlohmann::ordered_json entry_json(const Entry& entry) {
    return {{"number", entry.number},
            {"generation", entry.generation},
            {"time", entry.time_s},
            {"uid", entry.uid},
            {"user", entry.user},
            {"command", entry.did},
            {"added", entry.difference.added},
            {"removed", entry.difference.removed},
            {"changed", entry.difference.changed},
            {"restores", entry.restores}};
}

std::string text_of(const service::OperationResult& result) {
    std::string text;
    for (const std::string& line : result.lines)
        text += line + "\n";
    return text;
}

Error cannot_write(const std::string& path) {
    return {ExitStatus::os, "cannot write " + path + ": " + std::strerror(errno)};
}

// A file is replaced as a whole; what is none (`/dev/stdout`) is written to.
Result<Done> write_file(const std::string& given, std::string_view text) {
    std::error_code none;  // not there: the name as it was given
    const std::string target = std::filesystem::canonical(given, none).string();
    const std::string& path = none ? given : target;  // of a link, what it points to
    struct stat status {};
    const bool whole = stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode);
    const std::string name = whole ? path + ".new" : path;
    const UniqueFd fd(open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (!fd)
        return cannot_write(name);
    while (!text.empty()) {
        const ssize_t n = write(fd.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            const Error error = cannot_write(name);
            if (whole)
                unlink(name.c_str());
            return error;
        }
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (whole && (fsync(fd.get()) != 0 || rename(name.c_str(), path.c_str()) != 0)) {
        const Error error = cannot_write(path);
        unlink(name.c_str());
        return error;
    }
    return Done{};
}

void fail(const Error& error, Output& output) {
    output.complain(error.message);
    output.status = error.status;
}

void save_file(const HistoryCommand& command, const service::Response& response, Output& output) {
    const service::OperationResult& result = response.results.front();
    for (const std::string& line : result.lines)
        if (line.size() > language::kMaximumLineLength)
            return fail({ExitStatus::data, "a rule is longer than a line of a rule file may be (" +
                                               std::to_string(language::kMaximumLineLength) +
                                               "): " + line.substr(0, kShownCommand) +
                                               "...; nothing was written"},
                        output);
    const std::string heading = "# The ruleset of generation " +
                                std::to_string(response.generation) + ", saved " +
                                time_text(static_cast<std::uint64_t>(std::time(nullptr))) + "\n";
    if (const Result<Done> done = write_file(command.path, heading + text_of(result)); !done)
        return fail(done.error(), output);
    for (const std::string& line : result.lines)
        if (line.starts_with('#'))
            output.complain("warning:" + line.substr(1));
}

}  // namespace

bool is_history_command(std::span<const std::string> arguments) {
    const auto verb = std::find_if_not(arguments.begin(), arguments.end(), is_short_flag);
    return verb != arguments.end() && (*verb == "history" || *verb == "save");
}

Result<HistoryCommand, ParseError> parse_history_command(std::span<const std::string> arguments) {
    return Parser(arguments).parse();
}

void show_history(const HistoryCommand& command, const service::Response& response,
                  Output& output) {
    const service::OperationResult& result = response.results.front();
    for (const std::string& complaint : result.complaints)
        output.complain(complaint);
    switch (command.operation.kind) {
        case Kind::list:
            if (command.json) {
                nlohmann::ordered_json list = nlohmann::ordered_json::array();
                for (const Entry& entry : result.history)
                    list.push_back(entry_json(entry));
                output.out += json_text("sluice/history/1", {{"rulesets", std::move(list)}});
            } else {
                output.out += table_of(result.history);
            }
            return;
        case Kind::show:
            if (command.json) {
                nlohmann::ordered_json object = nlohmann::ordered_json::object();
                for (const Entry& entry : result.history)
                    object.update(entry_json(entry));
                object["lines"] = result.lines;
                output.out += json_text("sluice/ruleset/1", object);
            } else {
                output.out += text_of(result);
            }
            return;
        case Kind::running:
            return save_file(command, response, output);
        case Kind::save:
            for (const Entry& entry : result.history)
                if (!command.quiet)
                    output.out += "generation " + std::to_string(entry.generation) +
                                  " is on the disk, as number " + std::to_string(entry.number) +
                                  " of the history: the appliance boots with it\n";
            return;
    }
}

}  // namespace sluice::cli
