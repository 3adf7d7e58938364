#include "dataplane/classify/forest_layout.h"

#include <algorithm>

#include "dataplane/classify/leaf.h"

namespace sluice::classify {

namespace {

void put(Spans& spans, unsigned place, const Interval& interval) {
    spans.first[place] = interval.first;
    spans.span[place] = interval.last - interval.first;
}

void put_ports(PortSpans& ports, unsigned place, const Box& box) {
    constexpr std::uint32_t kLastPort = 0xffff;
    const auto put_one = [&](unsigned where, const Interval& interval) {
        ports.first[where] = static_cast<std::uint16_t>(std::min(interval.first, kLastPort));
        ports.last[where] = static_cast<std::uint16_t>(std::min(interval.last, kLastPort));
    };
    put_one(2 * place, box.lanes[lane::source_port]);
    put_one(2 * place + 1, box.lanes[lane::destination_port]);
}

void put_addresses(Block4& block, unsigned place, const Box& box) {
    put(block.source, place, box.lanes[lane::source]);
    put(block.destination, place, box.lanes[lane::destination]);
}

void put_addresses(Block6& block, unsigned place, const Box& box) {
    for (unsigned word = 0; word < 4; ++word) {
        put(block.source[word], place, box.lanes[lane::source + word]);
        put(block.destination[word], place, box.lanes[lane::destination + word]);
    }
}

template <typename Block>
void write_block(Block& block, const std::array<const Item*, kBlockSize>& items,
                 std::uint32_t following) {
    for (unsigned place = 0; place < kBlockSize; ++place) {
        const Item* item = items[place];
        if (item == nullptr) {
            block.attributes[place] = kNoPacketHas;
            block.rules.values[place] = BoxRules::kIndex;
            continue;
        }
        put_addresses(block, place, *item->box);
        put_ports(block.ports, place, *item->box);
        block.attributes[place] = item->attributes;
        block.rules.values[place] = item->box->rule | (item->terminal ? BoxRules::kTerminal : 0) |
                                    (item->unverified ? BoxRules::kUnverified : 0);
    }
    set_following(block.rules, following);
}

template <typename Block>
void lay_out_as(const Growth& growth, Forest& forest) {
    constexpr std::uint32_t kNodeLines = sizeof(Node) / Arena::kLine,
                            kGridLines = sizeof(Grid) / Arena::kLine,
                            kBlockLines = sizeof(Block) / Arena::kLine,
                            kFirstLine = kBlockLines;  // behind the empty leaf
    const auto first_node =
        static_cast<std::uint32_t>(kFirstLine + growth.grids.size() * kGridLines);
    const auto first_block =
        static_cast<std::uint32_t>(first_node + growth.nodes.size() * kNodeLines);
    forest.arena = Arena(first_block + growth.blocks.size() * kBlockLines);
    write_block(*forest.arena.at<Block>(kEmptyLeaf / Arena::kLine), {}, 0);
    const auto reference_to = [&](Reference grown) -> Reference {
        if (grown == kGrownEmptyLeaf)
            return kEmptyLeaf;
        if ((grown & kGrownLeaf) != 0) {
            const Reference block = (grown & ~kGrownLeaf) - 1;
            return (first_block + block * kBlockLines) * Arena::kLine | kLeaf;
        }
        return (first_node + grown * kNodeLines) * Arena::kLine |
               static_cast<Reference>(growth.nodes[grown].lane * sizeof(std::uint32_t));
    };
    for (std::uint32_t i = 0; i < growth.grids.size(); ++i) {
        Grid grid = growth.grids[i].grid;
        for (Reference& child : grid.children)
            child = reference_to(child);
        *forest.arena.at<Grid>(kFirstLine + i * kGridLines) = grid;
    }
    for (std::uint32_t i = 0; i < growth.nodes.size(); ++i) {
        Node node = growth.nodes[i].node;
        for (Reference& child : node.children)
            child = reference_to(child);
        *forest.arena.at<Node>(first_node + i * kNodeLines) = node;
    }
    std::uint32_t following = 0;
    for (auto i = static_cast<std::uint32_t>(growth.blocks.size()); i-- > 0;) {
        following = growth.more[i] ? following + 1 : 0;
        write_block(*forest.arena.at<Block>(first_block + i * kBlockLines), growth.blocks[i],
                    following);
    }
    for (Tree& tree : forest.trees)
        tree.root =
            tree.has_grid
                ? static_cast<Reference>((kFirstLine + tree.root * kGridLines) * Arena::kLine)
                : reference_to(tree.root);
}

}  // namespace

void lay_out(const Growth& growth, Forest& forest) {
    if (forest.family == Family::v6)
        lay_out_as<Block6>(growth, forest);
    else
        lay_out_as<Block4>(growth, forest);
}

}  // namespace sluice::classify
