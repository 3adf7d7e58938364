#include "controlplane/cli/logsum_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "analysis/log_summary.h"
#include "common/unique_fd.h"
#include "controlplane/cli/check_command.h"
#include "controlplane/cli/json_text.h"
#include "controlplane/language/parse_error.h"

namespace sluice::cli {
namespace {

using analysis::Fate;
using analysis::LogSummary;
using Json = nlohmann::ordered_json;

constexpr char kUsage[] = "; usage: ipfw logsum [--inside NET,...] [--top N] [--json] [FILE|-]";
constexpr std::size_t kLongestLine = 65536;

struct Options {
    std::vector<analysis::InsideNetwork> inside;
    std::size_t top = 10;
    bool json = false;
    std::string path = "-";
};

Result<Options> parse_options(std::span<const std::string> arguments) {
    Options options;
    bool has_path = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& word = arguments[i];
        if (word == "--json") {
            options.json = true;
        } else if (word == "--inside" || word == "--top") {
            if (++i == arguments.size())
                return Error{ExitStatus::usage, "logsum: " + word + " needs a value" + kUsage};
            const std::string& value = arguments[i];
            if (word == "--inside") {
                auto networks = analysis::parse_inside(value);
                if (!networks)
                    return Error{networks.error().status, "logsum: " + networks.error().message};
                options.inside = std::move(*networks);
                continue;
            }
            const auto [end, error] =
                std::from_chars(value.data(), value.data() + value.size(), options.top);
            if (error != std::errc() || end != value.data() + value.size())
                return Error{ExitStatus::data,
                             "logsum: bad number " + language::quote(value) + " after --top"};
        } else if ((word.starts_with('-') && word.size() > 1) || has_path) {
            return Error{ExitStatus::usage, "logsum: found " + language::quote(word) + kUsage};
        } else {
            options.path = word;
            has_path = true;
        }
    }
    return options;
}

// While it lives an interrupt makes `read` return; it is not repeated.
class Interruptible {
  public:
    Interruptible() {
        struct sigaction action = {};
        action.sa_handler = [](int) { interrupted = 1; };
        interrupted = 0;
        sigaction(SIGINT, &action, &before_);
    }
    ~Interruptible() { sigaction(SIGINT, &before_, nullptr); }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

    static inline volatile std::sig_atomic_t interrupted = 0;

  private:
    struct sigaction before_ = {};
};

// Gives the lines to the summary as they come; one that is too long is cut.
Result<Done> summarise(int fd, const std::string& name, LogSummary& summary) {
    const Interruptible interruptible;
    std::string waiting;
    std::vector<char> buffer(std::size_t{1} << 16);
    while (Interruptible::interrupted == 0) {
        const ssize_t count = read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return Error{ExitStatus::unavailable, name + ": " + std::strerror(errno)};
        if (count == 0)
            break;
        std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
        for (std::size_t end; (end = bytes.find('\n')) != bytes.npos;
             bytes.remove_prefix(end + 1)) {
            waiting.append(bytes.substr(0, end));
            summary.add(std::string_view(waiting).substr(0, kLongestLine));
            waiting.clear();
        }
        if (waiting.size() < kLongestLine)
            waiting.append(bytes);
    }
    if (!waiting.empty())
        summary.add(std::string_view(waiting).substr(0, kLongestLine));
    return Done{};
}

template <typename... Values>
std::string format(const char* pattern, Values... values) {
    char text[256];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

std::string tops_of(const LogSummary::Action& action, const Options& options) {
    std::string text;
    const auto list = [&](const char* title, const auto& counts) {
        const auto ranked = LogSummary::top(counts, options.top);
        if (ranked.empty())
            return;
        text += std::string(title) + "\n";
        for (const LogSummary::Ranked& each : ranked)
            text += format("%10llu  %s\n", static_cast<unsigned long long>(each.packets),
                           each.name.c_str());
    };
    list("Sources", action.sources);
    list("Ports", action.ports);
    return text;
}

std::string text_of(const std::string& name, const LogSummary::Action& action,
                    const Options& options) {
    using Number = unsigned long long;
    constexpr int kLeast = 21;
    int inside = kLeast, outside = kLeast;
    for (const auto& [flow, counts] : action.flows) {
        inside = std::max(inside, static_cast<int>(flow.inside.size()));
        outside = std::max(outside, static_cast<int>(flow.outside.size()));
    }
    std::string text = name + "\n";
    text += format("%*s Dir %*s : %8s : %8s\n", inside, "Inside", outside, "Outside", "In", "Out");
    text += std::string(static_cast<std::size_t>(inside + outside) + 27, '-') + "\n";
    for (const auto& [flow, counts] : action.flows)
        text += format("%*s %s %*s : %8llu : %8llu  %s\n", inside, flow.inside.c_str(),
                       counts.in == 0    ? "-->"
                       : counts.out == 0 ? "<--"
                                         : "<->",
                       outside, flow.outside.c_str(), static_cast<Number>(counts.in),
                       static_cast<Number>(counts.out), flow.protocol.c_str());
    if (action.others.all() != 0)
        text +=
            format("%*s     %*s : %8llu : %8llu\n", inside, "(others)", outside, "",
                   static_cast<Number>(action.others.in), static_cast<Number>(action.others.out));
    return text + tops_of(action, options) + "\n";
}

std::string total_of(const LogSummary& summary) {
    std::string text = counted(summary.lines(), "line") + ": " +
                       std::to_string(summary.packets(Fate::accepted)) + " accepted, " +
                       std::to_string(summary.packets(Fate::denied)) + " denied, " +
                       std::to_string(summary.packets(Fate::other)) + " other packets";
    if (summary.unreadable() != 0)
        text += "; " + std::to_string(summary.unreadable()) + " unreadable, the first in line " +
                std::to_string(summary.first_unreadable_line()) + ": " + summary.first_unreadable();
    if (summary.is_full())
        text += "; more than " + std::to_string(LogSummary::kMaximumFlows) +
                " flows, addresses and ports: those that came later are counted together";
    return text + "\n";
}

Json json_of(const LogSummary::Action& action, const std::string& name, const Options& options) {
    Json flows = Json::array();
    for (const auto& [flow, counts] : action.flows) {
        Json entry = {{"inside", flow.inside},
                      {"outside", flow.outside},
                      {"protocol", flow.protocol},
                      {"in", counts.in},
                      {"out", counts.out}};
        if (counts.unknown != 0)
            entry["unknown"] = counts.unknown;
        flows.push_back(std::move(entry));
    }
    const auto list = [&](const char* what, const auto& map) {
        Json ranked = Json::array();
        for (const LogSummary::Ranked& each : LogSummary::top(map, options.top))
            ranked.push_back({{what, each.name}, {"packets", each.packets}});
        return ranked;
    };
    return {{"action", name},
            {"packets", action.packets},
            {"flows", std::move(flows)},
            {"others", action.others.all()},
            {"sources", list("address", action.sources)},
            {"ports", list("port", action.ports)}};
}

std::string json_of(const LogSummary& summary, const Options& options) {
    Json actions = Json::array();
    for (const auto& [name, action] : summary.actions())
        actions.push_back(json_of(action, name, options));
    Json object = {{"lines", summary.lines()},
                   {"accepted", summary.packets(Fate::accepted)},
                   {"denied", summary.packets(Fate::denied)},
                   {"other", summary.packets(Fate::other)},
                   {"notices", summary.notices()},
                   {"not_ipfw", summary.not_ipfw()},
                   {"unreadable", summary.unreadable()}};
    if (summary.unreadable() != 0)
        object["first_unreadable"] = {{"line", summary.first_unreadable_line()},
                                      {"text", summary.first_unreadable()}};
    object["complete"] = !summary.is_full();
    object["actions"] = std::move(actions);
    return json_text("sluice/logsum/1", object);
}

}  // namespace

void run_logsum(std::span<const std::string> arguments, Output& output) {
    const auto fail = [&](const Error& error) {
        output.complain(error.message);
        output.status = error.status;
    };
    const Result<Options> options = parse_options(arguments);
    if (!options)
        return fail(options.error());
    LogSummary summary(options->inside);
    UniqueFd file;
    if (options->path != "-") {
        file = UniqueFd(open(options->path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file.get() < 0)
            return fail({ExitStatus::usage, options->path + ": " + std::strerror(errno)});
    }
    const bool is_file = options->path != "-";
    const Result<Done> read = summarise(is_file ? file.get() : STDIN_FILENO,
                                        is_file ? options->path : "standard input", summary);
    if (!read)
        return fail(read.error());
    if (options->json) {
        output.out += json_of(summary, *options);
        return;
    }
    for (const auto& [name, action] : summary.actions())
        output.out += text_of(name, action, *options);
    output.out += total_of(summary);
}

}  // namespace sluice::cli
