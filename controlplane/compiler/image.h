// The sections of a snapshot while they are being filled, and the image made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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
};

// Appends `elements` and says where they are.
template <typename T>
Run append(std::vector<T>& section, const std::vector<T>& elements) {
    const Run run{static_cast<std::uint32_t>(section.size()),
                  static_cast<std::uint32_t>(elements.size())};
    section.insert(section.end(), elements.begin(), elements.end());
    return run;
}

bool tests_interface(const contract::Instruction& test);

// The place of `test` in the section; it is appended if it is not there. Rulesets name the same few
// interfaces over and over.
std::uint32_t intern(const contract::InterfaceTest& test,
                     std::vector<contract::InterfaceTest>& section);

// Lays the sections out behind `header`, of which sysctls and generation are filled in already.
std::vector<std::byte> lay_out(contract::SnapshotHeader header, const Sections& sections);

}  // namespace sluice::compiler
