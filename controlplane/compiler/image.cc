#include "controlplane/compiler/image.h"

#include <cstring>
#include <span>

#include "dataplane/contract/snapshot_view.h"

namespace sluice::compiler {

std::uint64_t aligned(std::uint64_t size) {
    return (size + contract::kSectionAlignment - 1) &
           ~std::uint64_t{contract::kSectionAlignment - 1};
}

namespace {

// Gives each section its place, and copies it there in a second pass.
class Layout {
  public:
    void place(std::span<const std::byte> bytes, std::size_t count, contract::Section& section) {
        section.offset = size_;
        section.count = count;
        pieces_.push_back({size_, bytes});
        size_ = aligned(size_ + bytes.size());
    }

    // Each begins where a section could; together they are one.
    void place(std::span<const std::shared_ptr<const patterns::Database>> databases,
               contract::Section& section) {
        section.offset = size_;
        for (const auto& database : databases) {
            pieces_.push_back({size_, database->bytes});
            size_ = aligned(size_ + database->bytes.size());
        }
        section.count = size_ - section.offset;
    }

    std::vector<std::byte> image(contract::SnapshotHeader header) const {
        header.size = size_;
        std::vector<std::byte> image(size_);
        for (const Piece& piece : pieces_)
            if (!piece.bytes.empty())
                std::memcpy(image.data() + piece.offset, piece.bytes.data(), piece.bytes.size());
        std::memcpy(image.data(), &header, sizeof header);
        header.checksum = contract::snapshot_checksum(image);
        std::memcpy(image.data(), &header, sizeof header);
        return image;
    }

  private:
    struct Piece {
        std::uint64_t offset;
        std::span<const std::byte> bytes;
    };
    std::uint64_t size_ = aligned(sizeof(contract::SnapshotHeader));
    std::vector<Piece> pieces_;
};

}  // namespace

bool tests_interface(const contract::Instruction& test) {
    using contract::Opcode;
    return test.opcode == Opcode::via || test.opcode == Opcode::recv || test.opcode == Opcode::xmit;
}

std::uint32_t intern(const contract::InterfaceTest& test, Sections& sections) {
    const auto bytes_of = [](const contract::InterfaceTest& entry) {
        return std::string(reinterpret_cast<const char*>(&entry), sizeof entry);
    };
    std::vector<contract::InterfaceTest>& section = sections.interface_tests;
    auto& places = sections.interface_places;
    // What was taken over from an earlier image has not come this way.
    for (std::size_t i = places.size(); i < section.size(); ++i)
        places.try_emplace(bytes_of(section[i]), static_cast<std::uint32_t>(i));
    const auto [place, is_new] =
        places.try_emplace(bytes_of(test), static_cast<std::uint32_t>(section.size()));
    if (is_new)
        section.push_back(test);
    return place->second;
}

std::vector<std::byte> lay_out(contract::SnapshotHeader header, const Sections& sections) {
    Layout layout;
    auto place = [&](const auto& elements, contract::Section& section) {
        layout.place(std::as_bytes(std::span(elements)), elements.size(), section);
    };
    header.layout = contract::snapshot_layout();
    place(sections.rules, header.rules);
    place(sections.instructions, header.instructions);
    place(sections.ports, header.ports);
    place(sections.ranges, header.ranges);
    place(sections.v4_networks, header.v4_networks);
    place(sections.v6_networks, header.v6_networks);
    place(sections.words, header.words);
    place(sections.mac_tests, header.mac_tests);
    place(sections.interface_tests, header.interface_tests);
    place(sections.text, header.text);
    place(sections.pattern_objects, header.pattern_objects);
    place(sections.patterns, header.patterns);
    place(sections.pattern_text, header.pattern_text);
    layout.place(sections.pattern_databases, header.pattern_databases);
    return layout.image(header);
}

}  // namespace sluice::compiler
