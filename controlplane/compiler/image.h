// The sections of a snapshot while they are being filled, and the image made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/patterns/database.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::compiler {

// A run of elements in a section.
struct Run {
    std::uint32_t data = 0;
    std::uint32_t count = 0;
};

struct Sections {
    std::vector<contract::RuleRecord> rules;
    std::vector<contract::Instruction> instructions;
    std::vector<contract::PortTest> ports;
    std::vector<contract::Range> ranges;
    std::vector<contract::V4Network> v4_networks;
    std::vector<contract::V6Network> v6_networks;
    std::vector<std::uint32_t> words;
    std::vector<contract::MacTest> mac_tests;
    std::vector<contract::InterfaceTest> interface_tests;
    std::string text;
    std::vector<contract::PatternObject> pattern_objects = {};
    std::vector<contract::PatternRecord> patterns = {};
    std::string pattern_text = {};
    // Large, and hardly ever new: they are copied once, into the image.
    std::vector<std::shared_ptr<const patterns::Database>> pattern_databases = {};

    // Where each test of interfaces stands, by its bytes, as far as `intern` has looked.
    std::unordered_map<std::string, std::uint32_t> interface_places = {};
};

// The next place at which a section or a database may begin.
std::uint64_t aligned(std::uint64_t size);

// Appends `elements` and says where they are.
template <typename T>
Run append(std::vector<T>& section, const std::vector<T>& elements) {
    const Run run{static_cast<std::uint32_t>(section.size()),
                  static_cast<std::uint32_t>(elements.size())};
    section.insert(section.end(), elements.begin(), elements.end());
    return run;
}

bool tests_interface(const contract::Instruction& test);

// The place of `test` among the tests of interfaces, of which no two are the same; it is appended
// if it is not there. Most rulesets name the same few interfaces over and over, some thousands.
std::uint32_t intern(const contract::InterfaceTest& test, Sections& sections);

// Lays the sections out behind `header`, of which sysctls and generation are filled in already.
std::vector<std::byte> lay_out(contract::SnapshotHeader header, const Sections& sections);

}  // namespace sluice::compiler
