#include "replay/environment_file.h"

#include <charconv>
#include <optional>
#include <sstream>

namespace sluice::replay {

namespace {

struct Prefix {
    std::variant<Ipv4, Ipv6> address;
    unsigned length = 0;
};

std::optional<std::uint64_t> to_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// ADDRESS[/LENGTH]
std::optional<Prefix> to_prefix(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view address = text.substr(0, slash);
    Prefix prefix;
    unsigned longest = 32;
    if (auto v4 = parse_ipv4(address)) {
        prefix.address = *v4;
    } else if (auto v6 = parse_ipv6(address)) {
        prefix.address = *v6;
        longest = 128;
    } else {
        return std::nullopt;
    }
    prefix.length = longest;
    if (slash != text.npos) {
        const auto length = to_number(text.substr(slash + 1));
        if (!length || *length > longest)
            return std::nullopt;
        prefix.length = static_cast<unsigned>(*length);
    }
    return prefix;
}

class Reader {
  public:
    // An empty string: the line was understood.
    std::string read(const std::vector<std::string>& words) {
        if (words[0] == "default")
            return read_default(words);
        if (words[0] == "if")
            return read_interface(words);
        if (words[0] == "route")
            return read_route(words);
        if (words[0] == "sysctl")
            return read_sysctl(words);
        if (words[0] == "seed")
            return read_seed(words);
        return "unknown word \"" + words[0] + "\"; expected default, if, route, sysctl or seed";
    }

    EnvironmentFile file;

  private:
    std::string read_default(const std::vector<std::string>& words) {
        if (words.size() != 2 || (words[1] != "accept" && words[1] != "deny"))
            return "expected `default accept` or `default deny`";
        file.default_accept = words[1] == "accept";
        return {};
    }

    std::string read_interface(const std::vector<std::string>& words) {
        if (words.size() < 2)
            return "expected `if NAME ADDRESS/LENGTH…`";
        packet::Interface interface {
            .name = words[1], .addresses = {}
        };
        for (std::size_t i = 2; i < words.size(); ++i) {
            const auto prefix = to_prefix(words[i]);
            if (!prefix)
                return "\"" + words[i] + "\" is not ADDRESS/LENGTH";
            interface.addresses.push_back({prefix->address, prefix->length});
        }
        file.environment.interfaces.push_back(std::move(interface));
        return {};
    }

    std::string read_route(const std::vector<std::string>& words) {
        const auto prefix = words.size() == 3 ? to_prefix(words[1]) : std::nullopt;
        if (!prefix)
            return "expected `route PREFIX INTERFACE|blackhole|reject`";
        packet::Route route{.prefix = prefix->address, .prefix_length = prefix->length};
        if (words[2] == "blackhole")
            route.kind = packet::Route::Kind::blackhole;
        else if (words[2] == "reject")
            route.kind = packet::Route::Kind::reject;
        else
            route.interface = find_interface(file.environment, words[2]);
        if (route.kind == packet::Route::Kind::forward && route.interface == packet::kNoInterface)
            return "no interface \"" + words[2] + "\" stands above this line";
        file.environment.routes.push_back(route);
        return {};
    }

    std::string read_sysctl(const std::vector<std::string>& words) {
        const std::size_t equals = words.size() == 2 ? words[1].find('=') : std::string::npos;
        if (equals == std::string::npos)
            return "expected `sysctl NAME=VALUE`";
        file.sysctls.push_back({words[1].substr(0, equals), words[1].substr(equals + 1)});
        return {};
    }

    std::string read_seed(const std::vector<std::string>& words) {
        const auto seed = words.size() == 2 ? to_number(words[1]) : std::nullopt;
        if (!seed)
            return "expected `seed N`";
        file.seed = *seed;
        return {};
    }
};

}  // namespace

Result<EnvironmentFile> parse_environment(std::string_view text, const std::string& origin) {
    Reader reader;
    std::istringstream lines{std::string(text)};
    std::string line;
    for (unsigned number = 1; std::getline(lines, line); ++number) {
        std::istringstream stream(line.substr(0, line.find('#')));
        std::vector<std::string> words;
        for (std::string word; stream >> word;)
            words.push_back(word);
        if (words.empty())
            continue;
        if (std::string why = reader.read(words); !why.empty())
            return Error{ExitStatus::data, origin + ":" + std::to_string(number) + ": " + why};
    }
    return std::move(reader.file);
}

packet::InterfaceIndex find_interface(const packet::Environment& environment,
                                      std::string_view name) {
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        if (environment.interfaces[i].name == name)
            return static_cast<packet::InterfaceIndex>(i);
    return packet::kNoInterface;
}

}  // namespace sluice::replay
