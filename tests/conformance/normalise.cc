#include "tests/conformance/normalise.h"

#include <algorithm>
#include <iterator>
#include <regex>
#include <utility>

namespace sluice::conformance {

namespace {

// The original prints ext6hdr in words that it cannot read back.
std::string with_names_of_today(const std::string& line) {
    static const std::regex option(
        "extension header:((?: (?:fragmentation|hop options|routing "
        "options|rthdr0|rthdr2|destination options|authentication "
        "header|encapsulated security payload))+)");
    constexpr std::pair<const char*, const char*> kNames[] = {
        {"fragmentation", "frag"},       {"hop options", "hopopt"},
        {"routing options", "route"},    {"destination options", "dstopt"},
        {"authentication header", "ah"}, {"encapsulated security payload", "esp"}};
    std::smatch found;
    if (!std::regex_search(line, found, option))
        return line;
    std::string names = found[1].str().substr(1);
    for (const auto& [old_name, new_name] : kNames)
        names = std::regex_replace(names, std::regex(old_name), new_name);
    std::replace(names.begin(), names.end(), ' ', ',');
    return found.prefix().str() + "ext6hdr " + names + found.suffix().str();
}

// The original leaves the word `src-ip` or `dst-ip` out when the option stands directly behind the
// address of the body, so it cannot be told which one it was: `to { A or B } C`, and
// `from { A or B } C to any` for what we print as `from { A or B } to any src-ip C`.
std::string without_address_words(const std::string& line) {
    static const std::string address = R"((?:not )?(?:\{[^}]*\}|(?!not )[^ {]\S*))";
    static const std::regex source("( from " + address +
                                   R"((?: (?:not )?[0-9][0-9,:-]*)?) to any src-ip (\S+))");
    static const std::regex destination("( to " + address + ") (?:src|dst)-ip ");
    const std::string text = std::regex_replace(line, source, "$1 $2 to any");
    return std::regex_replace(text, destination, "$1 ");
}

}  // namespace

std::string normalised_rule(const std::string& line) {
    static const std::regex trailing_blanks(" +$");
    static const std::regex destination_ports(
        R"(( to (?:not )?(?:\{[^}]*\}|\S+)) (not )?dst-port )");
    static const std::regex default_state(" :default");
    static const std::regex icmp6("ip6 icmp6types");
    static const std::regex comment_of_check_state("(check-state.*) // .*");
    static const std::regex before_flow_label("( ip6 from any)? to any(?= flow-id)");
    static const std::regex behind_flow_label("(flow-id \\S+) +(?=//)");
    std::string text = line;
    // The original leaves a blank behind some options.
    text = std::regex_replace(text, trailing_blanks, "");
    text = without_address_words(text);
    // Ports of the destination: `to any dst-port 80` then, `to any 80` now.
    text = std::regex_replace(text, destination_ports, "$1 $2",
                              std::regex_constants::format_first_only);
    // `extension header: fragmentation` is `ext6hdr frag` now.
    text = with_names_of_today(text);
    // The original leaves out what stands in front of `flow-id`, if it is not much.
    text = std::regex_replace(text, before_flow_label, "");
    text = std::regex_replace(text, behind_flow_label, "$1 ");
    // States have names now.
    text = std::regex_replace(text, default_state, "");
    // An `ip6` was put in front of icmp6types.
    text = std::regex_replace(text, icmp6, "icmp6types");
    // The original loses a comment behind check-state.
    return std::regex_replace(text, comment_of_check_state, "$1");
}

std::vector<std::string> without_repeats(const std::vector<std::string>& lines) {
    std::vector<std::string> result = lines;
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
}

std::string normalised_verdict(const std::string& line) {
    // Many tees do not fit in the column of the original.
    constexpr std::size_t kWidth = 127;
    const std::size_t begin = line.find(',') + 1;
    const std::size_t end = line.rfind(',');
    if (end == std::string::npos || end < begin + kWidth)
        return line;
    return line.substr(0, begin + kWidth) + line.substr(end);
}

std::vector<std::string> normalised_log(const std::vector<std::string>& lines) {
    static const std::regex fragment_of_ip6(R"(\(frag [^)]*\))");
    static const std::regex number_of_states(", \\d+ too many entries");
    static const std::regex no_room("add_dyn_rule: Cannot allocate rule");
    std::vector<std::string> result;
    for (const std::string& line : lines) {
        // The original says this only now and then, and of which packet cannot be told.
        if (line.find("pullup failed") != std::string::npos)
            continue;
        // The original's length of an IPv6 fragment is wrong, at times negative.
        std::string text = line.find('[') != std::string::npos
                               ? std::regex_replace(line, fragment_of_ip6, "(frag)")
                               : line;
        // It counts states and parents in one sum, which may lag behind.
        text = std::regex_replace(text, number_of_states, ", N too many entries");
        // Its own name for the table being full.
        text = std::regex_replace(text, no_room,
                                  "Cannot allocate dynamic state, consider "
                                  "increasing net.inet.ip.fw.dyn_max");
        result.push_back(text);
    }
    return result;
}

std::vector<std::string> normalised_states(const std::vector<std::string>& lines) {
    static const std::regex heading(R"(## Dynamic rules \((\d+)[ )].*)");
    static const std::regex blanks(" +");
    static const std::regex trailing_blanks(" +$");
    static const std::regex default_state(" :default$");
    // A parent lives as long as it has children; the time beside it means nothing.
    static const std::regex life_of_parent(R"(\(\d+s\) PARENT )");
    std::vector<std::string> result;
    bool below_heading = false;
    for (const std::string& line : lines) {
        std::smatch found;
        if (std::regex_match(line, found, heading)) {
            below_heading = true;
            result.push_back("entries: " + found[1].str());
        } else if (below_heading) {
            std::string text = std::regex_replace(line, blanks, " ");
            text = std::regex_replace(text, trailing_blanks, "");
            text = std::regex_replace(text, default_state, "");
            result.push_back(std::regex_replace(text, life_of_parent, "PARENT "));
        }
    }
    std::sort(result.begin(), result.end());
    return result;
}

std::vector<std::string> keepalives_of(const std::vector<std::string>& lines) {
    std::vector<std::string> result;
    std::copy_if(lines.begin(), lines.end(), std::back_inserter(result),
                 [](const std::string& line) { return line.starts_with("-1,keepalive,"); });
    std::sort(result.begin(), result.end());
    return result;
}

}  // namespace sluice::conformance
