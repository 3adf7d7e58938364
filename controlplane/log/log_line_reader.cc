#include "controlplane/log/log_line_reader.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace sluice::log {
namespace {

using Words = std::vector<std::string_view>;

Words words_of(std::string_view text) {
    Words words;
    while (!text.empty()) {
        const std::size_t begin = text.find_first_not_of(" \t\r");
        if (begin == text.npos)
            break;
        const std::size_t end = std::min(text.find_first_of(" \t\r", begin), text.size());
        words.push_back(text.substr(begin, end - begin));
        text.remove_prefix(end);
    }
    return words;
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// `ipfw: ` at the beginning, or behind what syslog writes.
std::optional<std::string_view> message_of_ipfw(std::string_view line) {
    constexpr std::string_view kMark = "ipfw: ";
    if (line.starts_with(kMark))
        return line.substr(kMark.size());
    const std::size_t place = line.find(" ipfw: ");
    if (place == line.npos)
        return std::nullopt;
    return line.substr(place + 1 + kMark.size());
}

// What is behind `line` in an object (log_fields.h). None: it is no such object.
std::optional<std::string> line_in(std::string_view text) {
    if (!text.starts_with('{'))
        return std::nullopt;
    const auto object = nlohmann::json::parse(text, nullptr, false);
    const auto line = object.is_object() ? object.find("line") : object.end();
    if (!object.is_object() || line == object.end() || !line->is_string())
        return std::nullopt;
    return line->get<std::string>();
}

bool is_notice(std::string_view message) {
    // Of ours: `rule 200 has expired: …`, `32 lines were left out: …`
    if (message.starts_with("rule ") || message.find(" left out: ") != message.npos)
        return true;
    for (const char* begin : {"limit ", "pullup failed", "Cannot allocate", "call stack error",
                              "install_state: ", "Too many dynamic", "OUCH!"})
        if (message.starts_with(begin))
            return true;
    return message.find(" drop session type ") != message.npos;
}

// A protocol as the lines have it; `ICMP:8.0` and `P:47` have numbers behind.
bool is_protocol(std::string_view word) {
    for (const std::string_view name : {"TCP", "UDP", "UDPLite", "SCTP", "ICMP", "ICMPv6", "MAC"})
        if (word == name)
            return true;
    const auto rest_is_numbers = [&](std::string_view begin) {
        return word.starts_with(begin) && word.size() > begin.size() &&
               word.find_first_not_of("0123456789.", begin.size()) == word.npos;
    };
    return rest_is_numbers("ICMP:") || rest_is_numbers("ICMPv6:") || rest_is_numbers("P:");
}

// `1.2.3.4:80`, `1.2.3.4`, `[::1]:80`, `[::1]`
std::optional<LoggedEnd> end_of(std::string_view word) {
    LoggedEnd result;
    std::string_view port;
    if (word.starts_with('[')) {
        const std::size_t close = word.find(']');
        if (close == word.npos)
            return std::nullopt;
        const auto address = parse_ipv6(word.substr(1, close - 1));
        if (!address)
            return std::nullopt;
        result.address = *address;
        port = word.substr(close + 1);
    } else {
        const std::size_t colon = std::min(word.find(':'), word.size());
        const auto address = parse_ipv4(word.substr(0, colon));
        if (!address)
            return std::nullopt;
        result.address = *address;
        port = word.substr(colon);
    }
    if (port.empty())
        return result;
    const auto value = port.front() == ':' ? number<std::uint16_t>(port.substr(1)) : std::nullopt;
    if (!value)
        return std::nullopt;
    result.has_port = true;
    result.port = *value;
    return result;
}

std::optional<LoggedPacket> packet_of(const Words& words) {
    constexpr std::size_t kLongestAction = 4;
    LoggedPacket packet;
    const auto rule = words.empty() ? std::nullopt : number<int>(words[0]);
    if (!rule || *rule < -1 || *rule > 65535)
        return std::nullopt;
    packet.rule = *rule;
    std::size_t at = 1;
    for (; at < words.size() && at <= kLongestAction && !is_protocol(words[at]); ++at)
        packet.action += (packet.action.empty() ? "" : " ") + std::string(words[at]);
    // `Accept`, `SkipTo`, `UNKNOWN`
    const bool is_word =
        !packet.action.empty() && packet.action.front() >= 'A' && packet.action.front() <= 'Z';
    if (!is_word || at >= words.size() || !is_protocol(words[at]))
        return std::nullopt;
    packet.protocol = words[at++];
    if (packet.protocol != "MAC") {
        if (at + 2 > words.size())
            return std::nullopt;
        const auto source = end_of(words[at]), destination = end_of(words[at + 1]);
        if (!source || !destination || source->address.index() != destination->address.index())
            return std::nullopt;
        packet.source = *source;
        packet.destination = *destination;
        packet.has_addresses = true;
        at += 2;
    }
    const auto word = [&](std::size_t offset) {
        return at + offset < words.size() ? words[at + offset] : std::string_view();
    };
    if (word(0) == "in" || word(0) == "out") {
        if (word(1) != "via" || word(2).empty())
            return std::nullopt;
        packet.way = word(0) == "in" ? LoggedPacket::Way::in : LoggedPacket::Way::out;
        packet.interface = word(2);
    } else if (word(0) != "[no") {
        return std::nullopt;
    }
    return packet;
}

// `… last message repeated 3 times`, `… message repeated 3 times: […`
std::optional<std::uint64_t> repetitions(std::string_view line) {
    constexpr std::string_view kMark = "last message repeated ";
    const std::size_t place = line.find(kMark);
    if (place == line.npos)
        return std::nullopt;
    const Words words = words_of(line.substr(place + kMark.size()));
    if (words.size() < 2 || !words[1].starts_with("time"))
        return std::nullopt;
    return number<std::uint64_t>(words[0]);
}

}  // namespace

ReadLine read_line(std::string_view text) {
    const std::optional<std::string> object = line_in(text);
    const std::string_view line = object ? *object : text;
    ReadLine result;
    const auto message = message_of_ipfw(line);
    if (!message) {
        if (const auto times = repetitions(line)) {
            result.kind = ReadLine::Kind::repeated;
            result.times = *times;
        }
        return result;
    }
    if (is_notice(*message)) {
        result.kind = ReadLine::Kind::notice;
        return result;
    }
    const auto packet = packet_of(words_of(*message));
    result.kind = packet ? ReadLine::Kind::packet : ReadLine::Kind::unreadable;
    if (packet)
        result.packet = *packet;
    return result;
}

}  // namespace sluice::log
