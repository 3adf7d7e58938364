#include "replay/meta_file.h"

#include <charconv>
#include <sstream>

#include "replay/environment_file.h"

namespace sluice::replay {

namespace {

std::vector<std::string> split_commas(const std::string& line) {
    std::vector<std::string> cells(1);
    for (const char c : line) {
        if (c == ',')
            cells.emplace_back();
        else if (c != '\r')
            cells.back() += c;
    }
    return cells;
}

bool set_direction(const std::string& word, packet::Passage& passage) {
    const bool layer2 = word.starts_with("l2");
    const std::string direction = layer2 ? word.substr(2) : word;
    passage.entry = layer2 ? packet::Entry::layer2 : packet::Entry::ip;
    passage.direction = direction == "out" ? packet::Direction::out : packet::Direction::in;
    return direction == "in" || direction == "out";
}

}  // namespace

Result<std::vector<PacketMeta>> parse_meta(std::string_view text, const std::string& origin,
                                           const packet::Environment& environment) {
    std::vector<PacketMeta> packets;
    std::istringstream lines{std::string(text)};
    std::string line;
    std::getline(lines, line);  // heading
    for (unsigned number = 2; std::getline(lines, line); ++number) {
        auto refuse = [&](const std::string& why) {
            return Error{ExitStatus::data, origin + ":" + std::to_string(number) + ": " + why};
        };
        if (line.empty())
            continue;
        const std::vector<std::string> cells = split_commas(line);
        if (cells.size() != 5)
            return refuse("expected index,direction,recv_if,xmit_if,time_ms");
        if (cells[0] != std::to_string(packets.size()))
            return refuse("expected index " + std::to_string(packets.size()) + ", found " +
                          cells[0]);
        PacketMeta meta;
        if (!set_direction(cells[1], meta.passage))
            return refuse("unknown direction \"" + cells[1] +
                          "\"; expected in, out, l2in or l2out");
        struct {
            const std::string& name;
            packet::InterfaceIndex& index;
        } interfaces[] = {{cells[2], meta.passage.receive_interface},
                          {cells[3], meta.passage.transmit_interface}};
        for (auto& [name, index] : interfaces) {
            if (name.empty())
                continue;
            index = find_interface(environment, name);
            if (index == packet::kNoInterface)
                return refuse("the environment has no interface \"" + name + "\"");
        }
        const std::string& time = cells[4];
        const auto [end, error] =
            std::from_chars(time.data(), time.data() + time.size(), meta.time_ms);
        if (error != std::errc{} || end != time.data() + time.size())
            return refuse("\"" + time + "\" is not a time in milliseconds");
        packets.push_back(meta);
    }
    return packets;
}

}  // namespace sluice::replay
