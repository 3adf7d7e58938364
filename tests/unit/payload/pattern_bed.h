// Pattern objects for tests, compiled with Hyperscan and laid out as in a snapshot.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/payload/object.h"
#include "tests/unit/contract/snapshot_image.h"

namespace sluice::payload {

struct PatternSpec {
    std::string expression;
    std::uint32_t value = 0;
};

struct ObjectSpec {
    std::string name = "web";
    std::vector<PatternSpec> patterns;
    contract::PatternMode mode = contract::PatternMode::packet;
    contract::PatternDirection direction = contract::PatternDirection::both;
    contract::PatternType type = contract::PatternType::bytes;
    std::uint32_t depth = contract::kStreamDepth;
    std::vector<std::uint32_t> asked = {};
};

// Puts them in place of the objects that `parts` has.
void add_objects(const std::vector<ObjectSpec>& objects, contract::SnapshotParts& parts);

// A snapshot with objects.
class PatternImage {
  public:
    explicit PatternImage(const std::vector<ObjectSpec>& objects);

    const contract::SnapshotView& view() const { return view_; }

  private:
    std::unique_ptr<contract::AlignedImage> image_;
    contract::SnapshotView view_;
};

// As a Runtime makes them. Aborts the test if one cannot be made.
std::vector<Object> make_objects(const std::vector<ObjectSpec>& specs,
                                 const Matcher::Capacity& capacity);

// What Hyperscan makes of the expressions, serialised.
std::string serialised(const std::vector<PatternSpec>& patterns, contract::PatternMode mode);

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace sluice::payload
