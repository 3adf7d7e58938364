// A conformance case: a folder with rules, packets and the answers of the real FreeBSD engine.
//
//     rules.ipfw env.conf packets.pcap meta.csv      what goes in
//     expected.csv list.txt show.txt log.txt
//     dyn.txt events.csv                             what came out
//
// `Answers` is what an engine of ours makes of it, in the same texts; `disagreements` compares.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::conformance {

struct Case {
    std::filesystem::path folder;
    std::string name;
    bool draws_chances = false;      // uses `prob`
    bool names_flow_labels = false;  // uses `flow-id`
    bool disables_sets = false;
};

// The cases below `root` whose name begins with `prefix`, sorted.
std::vector<Case> find_cases(const std::filesystem::path& root, const std::string& prefix);

struct Answers {
    // Set when the case uses what this version does not carry out; the rest is empty then.
    std::optional<std::string> not_yet;
    std::vector<std::string> verdicts;  // `INDEX,VERDICT,RULE`
    std::vector<std::string> show;      // lines of `ipfw show`
    std::vector<std::string> log;       // `INDEX LINE`
    std::vector<std::string> dynamic;   // lines of `ipfw -d show`
    std::vector<std::string> events;    // `-1,keepalive,…`
};

// `ipfw replay`, as the command would run it. Aborts the test when it fails for another reason than
// a construct that is not carried out.
Answers answers_of_replay(const Case& test, unsigned workers);

// What was drawn for a packet at a rule, by its place among those of enabled sets: once each time
// that the packet came there. A call may send it there again.
using DrawsByRule = std::map<std::pair<std::uint64_t, std::size_t>, std::deque<std::uint32_t>>;

// The slow engine of tests/reference. It draws what the original drew; `draws` collects that.
Answers answers_of_reference(const Case& test, DrawsByRule* draws = nullptr);

// One sentence for verdicts, list, show, log, states and keepalives each, empty if all agree.
std::vector<std::string> disagreements(const Case& test, const Answers& answers);

std::vector<std::string> read_lines(const std::filesystem::path& path);

}  // namespace sluice::conformance
