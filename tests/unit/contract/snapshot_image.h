// A small valid snapshot, laid out by hand, for tests that damage it.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/contract/snapshot_view.h"

namespace sluice::contract {

// One list of every kind, three rules, the default rule, and a detached one. Members may be changed
// before `image` lays them out; `image` puts size, layout and checksum right.
struct SnapshotParts {
    SnapshotHeader header;
    std::vector<RuleRecord> rules;
    std::vector<Instruction> instructions;
    std::vector<PortTest> ports = {{.first = 80, .last = 90}};
    std::vector<Range> ranges = {{.first = 1, .last = 2}};
    std::vector<V4Network> v4_networks = {{}};
    std::vector<V6Network> v6_networks = {{}};
    std::vector<std::uint32_t> words = std::vector<std::uint32_t>(8);
    std::vector<MacTest> mac_tests = {{}};
    std::vector<InterfaceTest> interface_tests = {{}};
    std::string text = "count";
    // Made by the constructor: an object of names with two patterns, and one that is empty.
    std::vector<PatternObject> pattern_objects;
    std::vector<PatternRecord> patterns;
    std::string pattern_text = "example.com";
    std::string pattern_databases = {};

    SnapshotParts();

    // `before_checksum` damages what no member can express.
    std::vector<std::byte> image(
        const std::function<void(SnapshotHeader&)>& before_checksum = {}) const;
};

// A copy at an aligned address.
class AlignedImage {
  public:
    explicit AlignedImage(std::span<const std::byte> image)
        : blocks_((image.size() + sizeof(Block) - 1) / sizeof(Block)), size_(image.size()) {
        if (size_ != 0)
            std::memcpy(blocks_.data(), image.data(), size_);
    }
    std::span<std::byte> bytes() { return {reinterpret_cast<std::byte*>(blocks_.data()), size_}; }

  private:
    struct alignas(kSectionAlignment) Block {
        std::byte bytes[kSectionAlignment];
    };
    std::vector<Block> blocks_;
    std::size_t size_;
};

}  // namespace sluice::contract
