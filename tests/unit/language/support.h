// What the tests of the language share.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "controlplane/language/names.h"
#include "controlplane/language/printer.h"
#include "controlplane/language/rule_parser.h"

namespace sluice::language {

// Knows three hosts (one with an address of either family), one user and one group, and never asks
// anybody.
class FakeResolver : public NameResolver {
  public:
    std::optional<HostAddress> host(const std::string& name, AddressFamily family) const override {
        const bool ipv4 = family != AddressFamily::ipv6, ipv6 = family != AddressFamily::ipv4;
        if (ipv4 && (name == "www.example.org" || name == "both.example.org"))
            return *parse_ipv4("192.0.2.80");
        if (ipv6 && (name == "six.example.org" || name == "both.example.org"))
            return *parse_ipv6("2001:db8::80");
        return std::nullopt;
    }
    std::optional<std::uint32_t> user(const std::string& name) const override {
        return name == "www" ? std::optional<std::uint32_t>(80) : std::nullopt;
    }
    std::optional<std::uint32_t> group(const std::string& name) const override {
        return name == "staff" ? std::optional<std::uint32_t>(20) : std::nullopt;
    }
    std::optional<std::string> host_name(const HostAddress& address) const override {
        if (address == HostAddress(*parse_ipv4("192.0.2.80")))
            return "www.example.org";
        return std::nullopt;
    }
    std::optional<std::string> user_name(std::uint32_t id) const override {
        return id == 80 ? std::optional<std::string>("www") : std::nullopt;
    }
    std::optional<std::string> group_name(std::uint32_t id) const override {
        return id == 20 ? std::optional<std::string>("staff") : std::nullopt;
    }
};

inline const FakeResolver& fake_resolver() {
    static const FakeResolver resolver;
    return resolver;
}

inline Result<Rule, ParseError> parse(std::string_view text) {
    return parse_rule(text, fake_resolver());
}

// `00100 allow …`, or `64 column 3: …`.
inline std::string listed(std::string_view text) {
    auto rule = parse(text);
    if (!rule)
        return std::to_string(static_cast<int>(rule.error().status)) + " " + rule.error().text();
    return print_rule_number(rule->number) + " " + print_rule(*rule);
}

// The rule without its number, or the error.
inline std::string canonical(std::string_view text) {
    auto rule = parse(text);
    return rule ? print_rule(*rule)
                : std::to_string(static_cast<int>(rule.error().status)) + " " + rule.error().text();
}

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);
    return lines;
}

inline std::vector<std::string> split(const std::string& line, char separator) {
    std::vector<std::string> fields;
    std::istringstream stream(line);
    for (std::string field; std::getline(stream, field, separator);)
        fields.push_back(field);
    return fields;
}

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

inline std::filesystem::path data_directory() {
    return std::filesystem::path(SLUICE_SOURCE_ROOT) / "tests/unit/language/data";
}

// Reference material that is not part of the repository: $SLUICE_SHARED, or beside it.
inline std::filesystem::path shared_directory() {
    if (const char* path = std::getenv("SLUICE_SHARED"))
        return path;
    return std::filesystem::path(SLUICE_SOURCE_ROOT) / ".." / "shared";
}

}  // namespace sluice::language
